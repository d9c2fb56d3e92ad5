// Where a model computes: what the reader may ask for, and what is said when it cannot be had.
#include "engine/devices.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/errors.h"
#include "engine/model.h"
#include "tests/engine/transformer_fixture.h"

namespace palimpsest::engine {
namespace {

using Kind = DeviceChoice::Kind;
using testing::AllOf;
using testing::HasSubstr;

constexpr std::size_t kMuch = 100'000'000'000, kLittle = 1'000'000;

class Devices : public testing::Test {
 protected:
  // The plan with cards of so many bytes; of those that were asked for their free bytes, `asked_` keeps the numbers.
  DevicePlan plan(const DeviceChoice& wanted, const std::vector<std::size_t>& free, Precision precision = {},
                  const std::string& problem = {}, bool bfloat16 = true, WeightType weights = WeightType::Automatic) {
    const bool fp8 = bfloat16 && fp8_;
    GraphicsCards here{{}, problem};
    for (std::size_t i = 0; i < free.size(); ++i)
      here.cards.push_back({static_cast<int>(i), "Card " + std::to_string(i), bfloat16, fp8});
    return planDevice(wanted, precision, weights, folder_, here, [&](int card) {
      asked_.push_back(card);
      return free.at(static_cast<std::size_t>(card));
    });
  }
  std::string refusal(const DeviceChoice& wanted, const std::vector<std::size_t>& free, Precision precision = {},
                      const std::string& problem = {}, bool bfloat16 = true,
                      WeightType weights = WeightType::Automatic) {
    try {
      plan(wanted, free, precision, problem, bfloat16, weights);
    } catch (const ModelError& error) {
      return error.what();
    }
    return {};
  }

  ModelFolder folder_ = ModelFolder::open(tinyFolder());
  std::vector<int> asked_;
  bool fp8_ = true;  // whether the cards multiply in fp8
};

TEST_F(Devices, AreNamedInWords) {
  EXPECT_EQ(deviceOf("auto"), DeviceChoice());
  EXPECT_EQ(deviceOf("cpu"), (DeviceChoice{Kind::Cpu}));
  EXPECT_EQ(deviceOf("cuda"), (DeviceChoice{Kind::Cuda, 0}));
  EXPECT_EQ(deviceOf("cuda:3"), (DeviceChoice{Kind::Cuda, 3}));
  for (const char* other : {"", "gpu", "CUDA", "cuda:", "cuda:-1", "cuda:1x", "cuda:99999999999", "cpu "})
    EXPECT_EQ(deviceOf(other), std::nullopt) << other;
}

TEST_F(Devices, SeveralAreNamedAtOnce) {
  using Choices = std::vector<DeviceChoice>;
  const auto unasked = []() -> GraphicsCards { throw ModelError("Nobody wants a card."); };
  EXPECT_EQ(devicesOf("cpu", unasked), (Choices{{Kind::Cpu}}));
  EXPECT_EQ(devicesOf("cuda:1", unasked), (Choices{{Kind::Cuda, 1}}));
  for (const char* other : {"", "all", "cpu:all", "cuda:all ", "cuda:ALL"})
    EXPECT_EQ(devicesOf(other, unasked), Choices()) << other;
  const auto two = [] { return GraphicsCards{{{0, "One", true}, {3, "Another", false}}, ""}; };
  EXPECT_EQ(devicesOf("cuda:all", two), (Choices{{Kind::Cuda, 0}, {Kind::Cuda, 3}}));
}

TEST_F(Devices, WhereThereIsNoCardTheLoadingOfTheFirstSaysWhy) {
  const std::vector<DeviceChoice> first{{Kind::Cuda, 0}};
  EXPECT_EQ(devicesOf("cuda:all", [] { return GraphicsCards(); }), first);
  EXPECT_EQ(devicesOf("cuda:all", [] { return GraphicsCards{{}, "The driver is too old."}; }), first);
  EXPECT_EQ(devicesOf("cuda:all", []() -> GraphicsCards { throw ModelError("The card is broken."); }), first);
}

TEST_F(Devices, TheFirstCardThatTheModelFitsOnComputes) {
  EXPECT_EQ(plan({}, {kMuch, kMuch}).device, (DeviceChoice{Kind::Cuda, 0}));
  EXPECT_EQ(plan({}, {kLittle, kMuch}).device, (DeviceChoice{Kind::Cuda, 1}));
  EXPECT_EQ(plan({Kind::Cuda, 1}, {kMuch, kMuch}).device, (DeviceChoice{Kind::Cuda, 1}));
  EXPECT_EQ(plan({}, {kMuch}).fallback, "");
}

TEST_F(Devices, WithoutACardTheCpuComputesAndNothingIsSaid) {
  EXPECT_EQ(plan({}, {}).device, (DeviceChoice{Kind::Cpu}));
  EXPECT_EQ(plan({}, {}).fallback, "");
}

TEST_F(Devices, TheCpuAskedForAsksNoCard) {
  EXPECT_EQ(plan({Kind::Cpu}, {kMuch}, {}, "The driver is too old.").device, (DeviceChoice{Kind::Cpu}));
  EXPECT_TRUE(asked_.empty());
}

TEST_F(Devices, ACardWithoutRoomIsNamedWithWhatItHasAndWhatIsNeeded) {
  const DevicePlan fallen = plan({}, {kLittle});
  EXPECT_EQ(fallen.device, (DeviceChoice{Kind::Cpu}));
  const std::string needed = bytesInWords(bytesNeeded(folder_, true));
  const auto says =
      AllOf(HasSubstr("Card 0: needs " + needed + ", 1 MB free; int4 would need "),
            HasSubstr(". Close other programs that use it, choose a smaller model, or compute on the CPU."));
  EXPECT_THAT(fallen.fallback, says);
  EXPECT_THAT(refusal({Kind::Cuda, 0}, {kLittle}), says);
}

// What the shipped model takes with each kind of weights.
class DevicesForWeights : public Devices {
 protected:
  DevicesForWeights() {
    folder_ =
        ModelFolder::open(std::filesystem::path(PALIMPSEST_SOURCE_DIR) / "resources" / "models" / "palimpsest-mini");
  }
  std::size_t needs(WeightType weights) const { return bytesNeeded(folder_, true, weights); }
  std::string words(WeightType weights) const { return bytesInWords(needs(weights)); }
  DevicePlan planned(const std::vector<std::size_t>& free, WeightType weights = WeightType::Automatic) {
    return plan({}, free, {}, {}, true, weights);
  }
  std::string refused(std::size_t free, WeightType weights = WeightType::Automatic) {
    return refusal({Kind::Cuda, 0}, {free}, {}, {}, true, weights);
  }
  static constexpr WeightType kFull = WeightType::Full, kInt8 = WeightType::Int8, kFp8 = WeightType::Fp8,
                              kInt4 = WeightType::Int4;
};

TEST_F(DevicesForWeights, AreNamedInWords) {
  EXPECT_EQ(weightsOf("auto"), WeightType::Automatic);
  EXPECT_EQ(weightsOf("full"), kFull);
  EXPECT_EQ(weightsOf("int8"), kInt8);
  EXPECT_EQ(weightsOf("fp8"), kFp8);
  EXPECT_EQ(weightsOf("int4"), kInt4);
  for (const char* other : {"", "bf16", "INT8", "FP8", "fp4", "int", "int4 "})
    EXPECT_EQ(weightsOf(other), std::nullopt) << other;
}

TEST_F(DevicesForWeights, FewerBitsNeedLess) {
  EXPECT_LT(needs(kInt8), needs(kFull));
  EXPECT_LT(needs(kInt4), needs(kInt8));
  EXPECT_GT(needs(kFp8), needs(kInt8)) << "rows of a pass are quantised, too, and cuBLAS has room to work in";
  EXPECT_EQ(needs(WeightType::Automatic), needs(kFull));
}

TEST_F(DevicesForWeights, TheBestThatFitAreTaken) {
  const std::string begin = "Card 0: needs " + words(kFull) + ", ";
  DevicePlan taken = planned({kMuch});
  EXPECT_EQ(taken.weights, kFull);
  EXPECT_EQ(taken.room, begin + "100.0 GB free.");
  taken = planned({needs(kFull) - 1});
  EXPECT_EQ(taken.weights, kInt8);
  EXPECT_EQ(taken.room, begin + words(kFull) + " free: int8 fits, " + words(kInt8) + ".");
  taken = planned({needs(kInt8) - 1});
  EXPECT_EQ(taken.weights, kInt4);
  EXPECT_EQ(taken.room, begin + words(kInt8) + " free: int4 fits, " + words(kInt4) + ".");
  EXPECT_EQ(taken.fallback, "");
  taken = planned({needs(kInt4) - 1});
  EXPECT_EQ(taken.device, (DeviceChoice{Kind::Cpu}));
  EXPECT_EQ(taken.weights, kFull);
  EXPECT_EQ(taken.room, "");
  EXPECT_EQ(taken.fallback, begin + words(kInt4) + " free; int4 would need " + words(kInt4) +
                                ". Close other programs that use it, choose a smaller model, or compute on the CPU.");
}

TEST_F(DevicesForWeights, TheCardWithTheBestComesFirst) {
  const DevicePlan taken = planned({needs(kInt4), needs(kInt8), needs(kFull), kMuch});
  EXPECT_EQ(taken.device, (DeviceChoice{Kind::Cuda, 2}));
  EXPECT_EQ(taken.weights, kFull);
  EXPECT_EQ(asked_, (std::vector{0, 1, 2}));
  EXPECT_EQ(planned({kLittle, needs(kInt4), needs(kInt4)}).device, (DeviceChoice{Kind::Cuda, 1}));
  EXPECT_EQ(planned({needs(kInt4), kMuch}, kInt4).device, (DeviceChoice{Kind::Cuda, 0})) << "where they are given";
}

TEST_F(DevicesForWeights, ThoseAskedForAreTakenOrRefused) {
  EXPECT_EQ(planned({kMuch}, kInt4).weights, kInt4);
  EXPECT_EQ(planned({kMuch}, kInt4).room, "Card 0: needs " + words(kInt4) + " in int4, 100.0 GB free.");
  EXPECT_EQ(plan({Kind::Cpu}, {}, {}, {}, true, kInt8).weights, kInt8);
  EXPECT_EQ(planned({}, kInt4).weights, kInt4) << "of the CPU, where there is no card";
  EXPECT_EQ(refused(needs(kInt8), kFull),
            "Card 0: needs " + words(kFull) + ", " + words(kInt8) + " free: int8 fits, " + words(kInt8) +
                ". Choose int8 weights, close other programs that use the card, or compute on the CPU.");
  EXPECT_THAT(refused(needs(kInt4), kInt8), AllOf(HasSubstr(" in int8, "), HasSubstr("free: int4 fits, ")));
  EXPECT_THAT(refused(kLittle, kInt8), HasSubstr(" free; int4 would need "));
  EXPECT_EQ(
      refused(kLittle, kInt4),
      "Card 0: needs " + words(kInt4) +
          " in int4, 1 MB free. Close other programs that use it, choose a smaller model, or compute on the CPU.");
  EXPECT_EQ(planned({needs(kInt8)}, kFull).device, (DeviceChoice{Kind::Cpu}));
  EXPECT_THAT(planned({needs(kInt8)}, kFull).fallback, HasSubstr("int8 fits"));
}

TEST_F(DevicesForWeights, Fp8IsTakenOnlyWhereItIsAskedFor) {
  EXPECT_EQ(planned({kMuch}, kFp8).weights, kFp8);
  EXPECT_EQ(planned({kMuch}, kFp8).room, "Card 0: needs " + words(kFp8) + " in fp8, 100.0 GB free.");
  for (const std::size_t free : {kMuch, needs(kFp8), needs(kInt8), needs(kInt4)})
    EXPECT_NE(planned({free}).weights, kFp8);
  EXPECT_EQ(refused(needs(kInt4), kFp8),
            "Card 0: needs " + words(kFp8) + " in fp8, " + words(kInt4) + " free: int4 fits, " + words(kInt4) +
                ". Choose int4 weights, close other programs that use the card, or compute on the CPU.");
  EXPECT_EQ(plan({Kind::Cpu}, {}, {}, {}, true, kFp8).weights, kFp8);
}

TEST_F(DevicesForWeights, ACardThatDoesNotMultiplyInFp8SaysSo) {
  fp8_ = false;
  const std::string says =
      "Card 0 does not multiply in fp8, which takes compute capability 9.0 (H100, H200) and cuBLAS 12.9; choose int8 "
      "weights, or compute on the CPU.";
  EXPECT_EQ(refused(kMuch, kFp8), says);
  EXPECT_TRUE(asked_.empty()) << "before anything is loaded";
  const DevicePlan fallen = planned({kMuch}, kFp8);
  EXPECT_EQ(fallen.device, (DeviceChoice{Kind::Cpu}));
  EXPECT_EQ(fallen.weights, kFp8);
  EXPECT_EQ(fallen.fallback, says);
  // In f32 the weights are dequantised, which any card can do.
  EXPECT_EQ(plan({Kind::Cuda, 0}, {kMuch}, Precision::Float32, {}, true, kFp8).weights, kFp8);
  EXPECT_EQ(plan({Kind::Cuda, 0}, {kMuch}, Precision::Automatic, {}, false, kFp8).weights, kFp8);
  EXPECT_EQ(planned({kMuch}).weights, kFull);
}

TEST_F(Devices, ADriverThatIsTooOldIsSaid) {
  EXPECT_EQ(plan({}, {}, {}, "The driver is too old.").fallback, "The driver is too old.");
}

TEST_F(Devices, ACardThatIsNotThereIsRefused) {
  EXPECT_THAT(refusal({Kind::Cuda, 2}, {kMuch, kMuch}), HasSubstr("no graphics card number 2 here; there are 2"));
  EXPECT_FALSE(refusal({Kind::Cuda, 0}, {}).empty());
  if (builtWithCuda()) {
    EXPECT_EQ(refusal({Kind::Cuda, 0}, {}, {}, "The driver is too old."), "The driver is too old.");
  } else {
    EXPECT_THAT(refusal({Kind::Cuda, 0}, {}), HasSubstr("built without CUDA"));
  }
}

TEST_F(Devices, ACardWithoutBFloat16ComputesInF32OrSaysSo) {
  EXPECT_EQ(plan({}, {kMuch}, Precision::Automatic, "", false).device, (DeviceChoice{Kind::Cuda, 0}));
  EXPECT_THAT(refusal({Kind::Cuda, 0}, {kMuch}, Precision::BFloat16, "", false), HasSubstr("does not compute in bf16"));
}

TEST_F(Devices, ACardThatFailsWhenAskedIsPassedOver) {
  const GraphicsCards here{{{0, "Busy", true}}, ""};
  const auto busy = [](int) -> std::size_t { throw ModelError("The card is busy."); };
  EXPECT_EQ(planDevice({}, {}, {}, folder_, here, busy).fallback, "The card is busy.");
  EXPECT_THROW(planDevice({Kind::Cuda, 0}, {}, {}, folder_, here, busy), ModelError);
}

TEST_F(Devices, WhatAModelNeedsIsMoreThanItsWeights) {
  const auto shipped =
      ModelFolder::open(std::filesystem::path(PALIMPSEST_SOURCE_DIR) / "resources" / "models" / "palimpsest-mini");
  constexpr std::size_t kParameters = 36'000'000;  // and the embedding once more, which is tied
  EXPECT_GT(bytesNeeded(shipped, true), 2 * kParameters);
  EXPECT_GT(bytesNeeded(shipped, false), 4 * kParameters);
  EXPECT_LT(bytesNeeded(shipped, false), std::size_t{1'000'000'000});
}

TEST_F(Devices, BytesAreToldInWords) {
  EXPECT_EQ(bytesInWords(16'912'345'678), "16.9 GB");
  EXPECT_EQ(bytesInWords(640'400'000), "640 MB");
}

// As every test here: without a card (ctest hides them), so that the CPU is what is left.
TEST_F(Devices, AModelIsLoadedWhereItCanCompute) {
  if (!graphicsCards().cards.empty()) GTEST_SKIP() << "a card is here";
  const auto model = Model::load(tinyFolder(), {.threads = 1, .progress = {}});
  EXPECT_THAT(model->device(), HasSubstr("CPU"));
  EXPECT_EQ(model->card(), "");
  EXPECT_EQ(model->deviceFallback(), "");
  EXPECT_THROW(Model::load(tinyFolder(), {.device = {Kind::Cuda, 0}, .progress = {}}), ModelError);
}

}  // namespace
}  // namespace palimpsest::engine
