// Products with weights of fewer bits are those with the values that they stand for, on either device; and a model of
// such weights says nearly the same.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <string>
#include <tuple>
#include <utility>

#include "engine/devices.h"
#include "engine/memory_snapshot.h"
#include "tests/engine/generator_fixture.h"
#include "tests/engine/quantized_fixture.h"

namespace palimpsest::engine {
namespace {

// Products on the device that is tested, beside those of doubles with the values that are kept.
class QuantizedProduct : public OnDevice<WeightType> {
 protected:
  WeightType type(int inputs) const { return keptAs(std::get<1>(GetParam()), inputs); }
  // bf16: that the values are once more rounded where they are not multiplied as integers, or, where e4m3 is, that
  // tensor cores add with some 14 bits.
  double tolerance() const { return precision() == Precision::BFloat16 ? 4e-3 : 2e-6; }

  std::unique_ptr<PackedWeight> pack(std::span<const float> weights, int inputs) {
    const int outputs = static_cast<int>(weights.size()) / inputs;
    return backend_->pack(
        outputs, inputs,
        [&](std::int64_t begin, std::int64_t, std::span<float> out) {
          std::copy_n(weights.begin() + begin * inputs, out.size(), out.begin());
        },
        type(inputs));
  }
  // Numbers that bf16 holds.
  static std::vector<float> activations(std::size_t count) {
    std::mt19937 random(3);
    std::vector<float> out(count);
    for (float& x : out) x = static_cast<float>(static_cast<int>(random() % 129) - 64) / 16;
    return out;
  }
  // in W^T + `start`, of the first `rows` rows and outputs [begin, end).
  std::vector<float> product(const PackedWeight& weight, std::span<const float> in, int rows, Element element,
                             std::optional<float> start = {}) {
    PassSegment pass;
    pass.rows = rows;
    stream_->beginPass(std::span(&pass, 1));
    const int padded = backend_->paddedRows(rows);
    const auto x = stream_->allocate(padded, weight.inputs(), Element::Compute);
    const auto out = stream_->allocate(padded, weight.outputs(), element);
    stream_->upload(in, *x);
    std::vector<float> result(static_cast<std::size_t>(rows * weight.outputs()), start.value_or(99));
    stream_->upload(result, *out);  // what was there must not matter
    start ? stream_->linearAdd(*x, weight, *out) : stream_->linear(*x, weight, *out);
    stream_->download(*out, 0, result);
    return result;
  }
  // Whether a card multiplies a pass of so many rows in e4m3: then their numbers are rounded, each row by its scale.
  bool roundsRows(int rows) const {
    constexpr int kMostExact = 16;
    return testsCuda() && precision() == Precision::BFloat16 && std::get<1>(GetParam()) == WeightType::Fp8 &&
           rows > kMostExact && graphicsCards().cards.at(0).computesFp8;
  }
  // The rows as the product takes them. Those of e4m3 are the same bits on the card.
  std::vector<float> taken(std::span<const float> in, int rows, int inputs) const {
    if (!roundsRows(rows) || type(inputs) != WeightType::Fp8) return copyOf(in);
    return backAndForth(in, inputs, WeightType::Fp8);
  }
  static std::vector<float> expected(std::span<const float> kept, std::span<const float> in, int rows, int inputs,
                                     float start = 0) {
    const std::size_t outputs = kept.size() / static_cast<std::size_t>(inputs);
    std::vector<float> out;
    for (int row = 0; row < rows; ++row) {
      for (std::size_t o = 0; o < outputs; ++o) {
        double sum = start;
        for (int k = 0; k < inputs; ++k)
          sum += static_cast<double>(kept[o * static_cast<std::size_t>(inputs) + static_cast<std::size_t>(k)]) *
                 in[static_cast<std::size_t>(row * inputs + k)];
        out.push_back(static_cast<float>(sum));
      }
    }
    return out;
  }
};

TEST_P(QuantizedProduct, IsThatOfTheValuesThatAreKept) {
  constexpr int kOutputs = 40;  // no multiple of 16
  for (const int inputs : {64, 192, 512, 1376, 100}) {
    const std::vector<float> weights = normalWeights(static_cast<std::size_t>(kOutputs * inputs), 4);
    std::vector<float> kept(weights.size());
    quantizedSource([&](auto, auto, std::span<float> out) { std::ranges::copy(weights, out.begin()); }, inputs,
                    type(inputs))(0, kOutputs, kept);
    const auto weight = pack(weights, inputs);
    EXPECT_EQ(weight->outputs(), kOutputs);
    for (const int rows : {1, 3, 4, 5, 8, 9, 16, 17, 64}) {
      const std::vector<float> in = activations(static_cast<std::size_t>(rows * inputs));
      const std::vector<float> multiplied = taken(in, rows, inputs);
      const std::vector<float> right = expected(kept, multiplied, rows, inputs);
      EXPECT_LT(relativeError(product(*weight, in, rows, Element::Float32), right), tolerance())
          << inputs << ' ' << rows;
      EXPECT_LT(relativeError(product(*weight, in, rows, Element::Compute), right), 2 * tolerance())
          << inputs << ' ' << rows;
      EXPECT_LT(relativeError(product(*weight, in, rows, Element::Float32, 0.5F),
                              expected(kept, multiplied, rows, inputs, 0.5F)),
                tolerance())
          << inputs << ' ' << rows;
      // What e4m3 costs on top. A number errs by at most 1/16 of itself and by 0.026 in the mean square; the errors are
      // independent of the weights, so that those of a product are to it as they are to the numbers.
      if (roundsRows(rows)) {
        EXPECT_LT(relativeError(product(*weight, in, rows, Element::Float32), expected(kept, in, rows, inputs)), 0.04);
      }
    }
  }
}

// Every number of rows near the limits, shapes that fill no tile, a row of zeros; and nothing behind the last row.
TEST_P(QuantizedProduct, OfAnyShapeStaysWithinItsRows) {
  for (const auto& [outputs, inputs] : {std::pair(8, 16), {24, 48}, {40, 208}, {1000, 64}, {136, 1376}}) {
    const std::vector<float> weights = normalWeights(static_cast<std::size_t>(outputs * inputs), 7);
    std::vector<float> kept(weights.size());
    quantizedSource([&](auto, auto, std::span<float> out) { std::ranges::copy(weights, out.begin()); }, inputs,
                    type(inputs))(0, outputs, kept);
    const auto weight = pack(weights, inputs);
    for (const int rows : {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 64, 127, 2017}) {
      if (rows > 1000 && outputs > 100) continue;  // the reference takes its time
      std::vector<float> in = activations(static_cast<std::size_t>(rows * inputs));
      if (rows > 2) std::fill_n(in.begin() + inputs, inputs, 0.0F);
      const std::vector<float> multiplied = taken(in, rows, inputs);
      PassSegment pass;
      pass.rows = rows;
      stream_->beginPass(std::span(&pass, 1));
      constexpr int kBehind = 3;
      const int padded = backend_->paddedRows(rows), all = padded + kBehind;
      const auto x = stream_->allocate(padded, inputs, Element::Compute);
      stream_->upload(in, *x);
      for (const auto& [element, start] :
           {std::pair(Element::Float32, 0.0F), {Element::Float32, 0.5F}, {Element::Compute, 0.0F}}) {
        const auto out = stream_->allocate(all, outputs, element);
        const float before = start != 0 ? start : 99;
        stream_->upload(std::vector<float>(static_cast<std::size_t>(all * outputs), before), *out);
        start != 0 ? stream_->linearAdd(*x, *weight, *out) : stream_->linear(*x, *weight, *out);
        std::vector<float> result(static_cast<std::size_t>(all * outputs));
        stream_->download(*out, 0, result);
        const std::span<const float> behind = std::span(result).subspan(static_cast<std::size_t>(padded * outputs));
        EXPECT_THAT(copyOf(behind), testing::Each(before)) << outputs << ' ' << inputs << ' ' << rows;
        result.resize(static_cast<std::size_t>(rows * outputs));
        EXPECT_LT(relativeError(result, expected(kept, multiplied, rows, inputs, start)),
                  element == Element::Compute ? 2 * tolerance() : tolerance())
            << outputs << ' ' << inputs << ' ' << rows << ' ' << start;
      }
    }
  }
}

TEST_P(QuantizedProduct, GivesTheSameBitsEveryTime) {
  constexpr int kOutputs = 48, kInputs = 1024;
  const auto weight = pack(normalWeights(kOutputs * kInputs, 5), kInputs);
  for (const int rows : {1, 16, 40}) {
    const std::vector<float> in = activations(static_cast<std::size_t>(rows * kInputs));
    const std::vector<float> first = product(*weight, in, rows, Element::Float32);
    for (int i = 0; i < 5; ++i) EXPECT_EQ(product(*weight, in, rows, Element::Float32), first);
  }
}

// On a card, of which a long pass has room for some of the rows at a time.
TEST_P(QuantizedProduct, OfALargeWeightIsThatOfItsParts) {
  if (!testsCuda()) GTEST_SKIP() << "the CPU makes no blocks";
  constexpr int kInputs = 512, kRows = 17;
  const int element = precision() == Precision::BFloat16 ? 2 : 4;
  const int block = static_cast<int>(kDequantizedBytes) / element / kInputs, outputs = 2 * block + 24;
  const std::vector<float> weights = normalWeights(static_cast<std::size_t>(outputs) * kInputs, 6);
  const auto weight = pack(weights, kInputs);
  const std::vector<float> in = activations(kRows * kInputs);
  const std::vector<float> all = product(*weight, in, kRows, Element::Float32);
  for (const int begin : {0, block - 16, block, 2 * block - 16, 2 * block, outputs - 24}) {
    const auto part =
        pack(std::span(weights).subspan(static_cast<std::size_t>(begin) * kInputs, 16 * kInputs), kInputs);
    const std::vector<float> right = product(*part, in, kRows, Element::Float32);
    std::vector<float> own;
    for (int row = 0; row < kRows; ++row)
      own.insert(own.end(), all.begin() + static_cast<std::ptrdiff_t>(row) * outputs + begin,
                 all.begin() + static_cast<std::ptrdiff_t>(row) * outputs + begin + 16);
    // cuBLAS may cut the sums otherwise; those of e4m3 have fewer bits on their way.
    EXPECT_LT(relativeError(own, right), roundsRows(kRows) ? tolerance() : 1e-5) << begin;
  }
}

INSTANTIATE_TEST_SUITE_P(, QuantizedProduct,
                         testing::Combine(testing::Values(Precision::Float32, Precision::BFloat16),
                                          testing::Values(WeightType::Int8, WeightType::Fp8, WeightType::Int4)),
                         [](const auto& tested) {
                           return std::string(std::get<0>(tested.param) == Precision::BFloat16 ? "bf16" : "f32") +
                                  std::string(nameOf(std::get<1>(tested.param)));
                         });

class QuantizedTransformer : public testing::TestWithParam<Precision> {
 protected:
  void SetUp() override {
    if (lacks(GetParam())) GTEST_SKIP() << "this device cannot";
  }
  struct Result {
    std::vector<float> memory, prompt, token;
    std::size_t bytes = 0;
  };
  // What it reads, and what it says after a prompt, and after one token more.
  static Result run(WeightType weights) {
    const Transformer model(ModelFolder::open(tinyFolder()), testBackend(GetParam()), kTinyBos, {}, weights);
    EXPECT_EQ(model.weights(), weights);
    const auto workspace = model.makeWorkspace();
    CompressiveMemory memory(model.memoryShapes());
    const auto segments = randomSegments(3, 32, model.config().vocabSize, 9);
    model.read(*workspace, segments, memory, {});
    SegmentState segment = model.beginSegment(*workspace, &memory);
    Result result{copyOf(memory.values()), {}, {}, model.weightBytes()};
    std::vector<TokenId> prompt = segments[1];
    prompt.insert(prompt.begin(), kTinyBos);
    result.prompt = copyOf(model.extend(*workspace, segment, prompt, {}));
    result.token = copyOf(model.extend(*workspace, segment, std::span(&segments[2][0], 1), {}));
    return result;
  }
};

// Its weights are random, so that nothing of what is lost evens out: 0.014 to 0.030 in int8, 0.05 to 0.08 in fp8 (about
// half as much again on a card, which rounds the rows of long passes, too), 0.16 to 0.37 in int4.
TEST_P(QuantizedTransformer, SaysNearlyWhatTheFullWeightsSay) {
  const Result full = run(WeightType::Full);
  for (const auto& [type, bound] :
       {std::pair(WeightType::Int8, 0.05), {WeightType::Fp8, 0.2}, {WeightType::Int4, 0.5}}) {
    const Result few = run(type);
    const double memory = relativeError(few.memory, full.memory), prompt = relativeError(few.prompt, full.prompt),
                 token = relativeError(few.token, full.token);
    for (const double error : {memory, prompt, token}) {
      EXPECT_LT(error, bound) << nameOf(type);
      EXPECT_GT(error, 1e-4) << nameOf(type) << " changes nothing?";
    }
    if (testsCuda()) {
      EXPECT_LT(few.bytes, full.bytes);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(, QuantizedTransformer, testing::Values(Precision::Float32, Precision::BFloat16),
                         [](const auto& tested) { return tested.param == Precision::BFloat16 ? "bf16" : "f32"; });

TEST(QuantizedModel, IsLoadedAsAskedForAndSaysSo) {
  using Kind = DeviceChoice::Kind;
  for (const auto& [wanted, weights, words] : {std::tuple(WeightType::Automatic, WeightType::Full, ""),
                                               {WeightType::Full, WeightType::Full, ""},
                                               {WeightType::Int8, WeightType::Int8, ", int8 weights"},
                                               {WeightType::Fp8, WeightType::Fp8, ", fp8 weights"},
                                               {WeightType::Int4, WeightType::Int4, ", int4 weights"}}) {
    std::vector<WeightType> planned;
    LoadOptions options{
        .threads = 1, .precision = Precision::Float32, .device = {Kind::Cpu}, .weights = wanted, .progress = {}};
    options.planned = [&](const DevicePlan& plan) { planned.push_back(plan.weights); };
    const auto model = Model::load(tinyFolder(), options);
    EXPECT_EQ(model->device(), std::string("CPU, 1 thread, f32") + words);
    EXPECT_EQ(model->weights(), weights);
    EXPECT_EQ(planned, std::vector{weights});
    EXPECT_EQ(arithmeticOf(*model).weights, weights);
    EXPECT_EQ(arithmeticOf(saveSnapshot(*model, model->emptyMemory(), {})).weights, weights);
  }
}

}  // namespace
}  // namespace palimpsest::engine
