// Weights of fewer bits: what they lose, how they are laid out, and that products with them are those with the values
// that they stand for, on either device.
#include "engine/quantized.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <hwy/highway.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <optional>
#include <tuple>
#include <utility>

#include "engine/devices.h"
#include "engine/memory_snapshot.h"
#include "engine/quantize_kernels.h"
#include "tests/engine/generator_fixture.h"

namespace palimpsest::engine {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

std::vector<float> normalWeights(std::size_t count, unsigned seed = 1, float size = 0.02F) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, size);
  std::vector<float> weights(count);
  for (float& weight : weights) weight = normal(random);
  return weights;
}

std::vector<float> backAndForth(std::span<const float> weights, int inputs, WeightType type) {
  std::vector<float> out(weights.size());
  dequantize(quantize(weights, inputs, type), out);
  return out;
}

float largest(std::span<const float> values) {
  float most = 0;
  for (const float value : values) most = std::max(most, std::abs(value));
  return most;
}

TEST(Quantized, Int8ErrsByHalfAStepOfItsRow) {
  const std::vector<float> weights = normalWeights(50 * 96);
  const std::vector<float> kept = backAndForth(weights, 96, WeightType::Int8);
  for (std::size_t row = 0; row < 50; ++row) {
    const float step = largest(std::span(weights).subspan(row * 96, 96)) / 127;
    for (std::size_t i = row * 96; i < (row + 1) * 96; ++i)
      EXPECT_LE(std::abs(kept[i] - weights[i]), step * 0.5001F) << row;
  }
  EXPECT_LT(relativeError(kept, weights), 1e-2);
}

TEST(Quantized, RowsOfInt8ComeOutAsTheyWere) {
  std::vector<float> weights(3 * 64);
  for (std::size_t i = 0; i < weights.size(); ++i)
    weights[i] =
        (0.001F + 0.0007F * static_cast<float>(i / 64)) * static_cast<float>(static_cast<int>(i * 37 % 255) - 127);
  for (std::size_t row = 0; row < 3; ++row) weights[row * 64] = (0.001F + 0.0007F * static_cast<float>(row)) * -127;
  const std::vector<float> kept = backAndForth(weights, 64, WeightType::Int8);
  for (std::size_t i = 0; i < weights.size(); ++i) EXPECT_FLOAT_EQ(kept[i], weights[i]);
}

TEST(Quantized, Int4ErrsNoMoreThanPlainRounding) {
  for (const int inputs : {64, 128, 192, 256}) {
    const int group = groupOf(WeightType::Int4, inputs);
    EXPECT_EQ(group, inputs % 128 == 0 ? 128 : 64);
    const std::vector<float> weights = normalWeights(static_cast<std::size_t>(20 * inputs));
    const std::vector<float> kept = backAndForth(weights, inputs, WeightType::Int4);
    EXPECT_LT(relativeError(kept, weights), 0.1) << inputs;
    const auto size = static_cast<std::size_t>(group);
    for (std::size_t g = 0; g < weights.size() / size; ++g) {
      const std::span<const float> own = std::span(weights).subspan(g * size, size);
      const float step = largest(own) / 7;
      std::vector<float> plain;
      for (const float weight : own) plain.push_back(std::nearbyint(weight / step) * step);
      // The scale is rounded to bf16, the plain one is not.
      EXPECT_LE(relativeError(std::span(kept).subspan(g * size, size), own), relativeError(plain, own) * 1.02);
    }
  }
}

TEST(Quantized, GroupsOfInt4ComeOutAsTheyWere) {
  std::vector<float> weights;
  for (int i = 0; i < 128; ++i) weights.push_back(0.0078125F * static_cast<float>(i % 15 - 7));
  EXPECT_EQ(backAndForth(weights, 128, WeightType::Int4), weights);
}

TEST(Quantized, EachGroupHasAScaleOfItsOwn) {
  std::vector<float> weights = normalWeights(2 * 256);
  for (std::size_t i = 128; i < 256; ++i) weights[i] *= 1e6F;  // the second of row 0
  for (const float other : backAndForth(std::span(weights).first(128), 128, WeightType::Int4)) EXPECT_LT(other, 1);
  const std::vector<float> kept = backAndForth(weights, 256, WeightType::Int4);
  for (std::size_t begin = 0; begin < weights.size(); begin += 128)
    EXPECT_LT(relativeError(std::span(kept).subspan(begin, 128), std::span(weights).subspan(begin, 128)), 0.12)
        << begin;
}

// With a group's largest weight as large as the format has, a step is one.
int toE4m3(float x) {
  std::int8_t bits = 0;
  float scale = 0;
  quantizeKernels().fp8(&x, 1, 448, &bits, scale);
  EXPECT_EQ(scale, 1);
  return static_cast<std::uint8_t>(bits);
}

TEST(Quantized, E4m3HasTheValuesOfItsFormat) {
  // Bits: sign, four of the exponent with bias 7, three of the fraction; the last of all, 0x7F, is no number.
  for (const auto& [bits, value] : {std::pair(0x00, 0.0F),
                                    {0x01, 0x1p-9F},
                                    {0x07, 0x7p-9F},
                                    {0x08, 0x1p-6F},
                                    {0x09, 0x9p-9F},
                                    {0x38, 1.0F},
                                    {0x3C, 1.5F},
                                    {0x7D, 416.0F},
                                    {0x7E, 448.0F}}) {
    EXPECT_EQ(fromE4m3(static_cast<std::uint8_t>(bits)), value);
    EXPECT_EQ(fromE4m3(static_cast<std::uint8_t>(bits | 0x80)), -value);
  }
  for (int bits = 0; bits < 0x7F; ++bits) {
    const float value = fromE4m3(static_cast<std::uint8_t>(bits));
    EXPECT_EQ(toE4m3(value), bits);
    EXPECT_EQ(toE4m3(-value), bits | 0x80);
  }
}

TEST(Quantized, E4m3IsRoundedToNearestAndTiesToEven) {
  for (int bits = 0; bits < 0x7E; ++bits) {
    const float below = fromE4m3(static_cast<std::uint8_t>(bits)),
                above = fromE4m3(static_cast<std::uint8_t>(bits + 1));
    const float middle = (below + above) / 2;
    EXPECT_EQ(toE4m3(middle), bits + bits % 2) << middle;
    EXPECT_EQ(toE4m3(-middle), (bits + bits % 2) | 0x80) << middle;
    EXPECT_EQ(toE4m3(std::nextafter(middle, below)), bits) << middle;
    EXPECT_EQ(toE4m3(std::nextafter(middle, above)), bits + 1) << middle;
  }
  for (const float large : {448.0F, 464.0F, 480.0F, 1e38F, std::numeric_limits<float>::infinity()}) {
    EXPECT_EQ(toE4m3(large), 0x7E) << large;
    EXPECT_EQ(toE4m3(-large), 0xFE) << large;
  }
  EXPECT_EQ(toE4m3(1e-40F), 0);
}

TEST(Quantized, Fp8ErrsByASixteenthOfAWeight) {
  constexpr int kInputs = 96;
  const std::vector<float> weights = normalWeights(50 * kInputs);
  const std::vector<float> kept = backAndForth(weights, kInputs, WeightType::Fp8);
  for (std::size_t row = 0; row < 50; ++row) {
    const float most = largest(std::span(weights).subspan(row * kInputs, kInputs));
    EXPECT_FLOAT_EQ(largest(std::span(kept).subspan(row * kInputs, kInputs)), most);
    for (std::size_t i = row * kInputs; i < (row + 1) * kInputs; ++i)
      EXPECT_LE(std::abs(kept[i] - weights[i]), std::max(std::abs(weights[i]) / 16, most / 448 * 0x1p-10F) * 1.0001F);
  }
  EXPECT_LT(relativeError(kept, weights), 0.03);  // 0.026
}

// A model that was quantized on another machine is the same one.
TEST(Quantized, EveryInstructionSetGivesTheSameBits) {
  std::vector<float> weights = normalWeights(96 * 128);
  for (std::size_t i = 0; i < 128; ++i) weights[i] = static_cast<float>(i % 16) - 7.5F;  // ties
  weights[200] = 1;
  const auto targets = hwy::SupportedAndGeneratedTargets();
  if (targets.size() < 2) GTEST_SKIP() << "this CPU has one alone";
  for (const auto& [type, inputs] :
       {std::pair(WeightType::Int4, 128), std::pair(WeightType::Int4, 64), std::pair(WeightType::Int8, 128),
        std::pair(WeightType::Int8, 24), std::pair(WeightType::Int8, 3), std::pair(WeightType::Fp8, 48)}) {
    std::optional<QuantizedRows> first;
    for (const std::int64_t target : targets) {
      hwy::SetSupportedTargetsForTest(target);
      QuantizedRows made = quantize(weights, inputs, type);
      hwy::SetSupportedTargetsForTest(0);
      if (first) {
        EXPECT_EQ(made.values, first->values) << hwy::TargetName(target) << ' ' << inputs;
        EXPECT_EQ(made.scales, first->scales) << hwy::TargetName(target) << ' ' << inputs;
      }
      if (!first) first = std::move(made);
    }
  }
}

TEST(Quantized, ZeroRowsStayZero) {
  for (const WeightType type : {WeightType::Int8, WeightType::Fp8, WeightType::Int4}) {
    std::vector<float> weights = normalWeights(3 * 64);
    std::fill_n(weights.begin() + 64, 64, 0.0F);
    const std::vector<float> kept = backAndForth(weights, 64, type);
    for (std::size_t i = 64; i < 128; ++i) EXPECT_EQ(kept[i], 0);
    EXPECT_NE(kept[0], 0);
    EXPECT_TRUE(quantize({}, 64, type).values.empty());
  }
}

TEST(Quantized, ExtremeRowsKeepTheirSize) {
  for (const WeightType type : {WeightType::Int8, WeightType::Fp8, WeightType::Int4}) {
    for (const float size : {1e-27F, 1e-10F, 1e10F, 1e37F}) {
      const std::vector<float> weights = normalWeights(128, 2, size);
      std::vector<double> ours, theirs;
      for (const float weight : backAndForth(weights, 128, type)) ours.push_back(weight / static_cast<double>(size));
      for (const float weight : weights) theirs.push_back(weight / static_cast<double>(size));
      const std::vector<float> kept(ours.begin(), ours.end()), given(theirs.begin(), theirs.end());
      EXPECT_LT(relativeError(kept, given), 0.12) << nameOf(type) << size;
    }
    const std::vector<float> nothing(64, 1e-35F);
    EXPECT_EQ(backAndForth(nothing, 64, type), std::vector<float>(64)) << "smaller than any scale";
    std::vector<float> one(64);
    one[13] = -1e38F;  // and all else is zero
    EXPECT_FLOAT_EQ(backAndForth(one, 64, WeightType::Int8)[13], one[13]);
    EXPECT_FLOAT_EQ(backAndForth(one, 64, WeightType::Fp8)[13], one[13]);
    EXPECT_NEAR(backAndForth(one, 64, WeightType::Int4)[13] / one[13], 1, 0.01);
  }
}

TEST(Quantized, WeightsThatAreNotFiniteAreRefused) {
  for (const WeightType type : {WeightType::Int8, WeightType::Fp8, WeightType::Int4}) {
    for (const float wrong : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                              -std::numeric_limits<float>::infinity()}) {
      std::vector<float> weights = normalWeights(2 * 64);
      weights[100] = wrong;
      EXPECT_THAT([&] { quantize(weights, 64, type); }, ThrowsMessage<ModelError>(HasSubstr("not finite numbers")));
    }
  }
}

TEST(Quantized, WhatNoGroupFitsStaysFull) {
  for (const int inputs : {64, 128, 192, 4096, 14336})
    EXPECT_EQ(keptAs(WeightType::Int4, inputs), WeightType::Int4) << inputs;
  for (const int inputs : {1, 32, 96, 1376}) {
    EXPECT_EQ(keptAs(WeightType::Int4, inputs), WeightType::Full) << inputs;
    EXPECT_EQ(keptAs(WeightType::Int8, inputs), WeightType::Int8) << inputs;
  }
  for (const int inputs : {16, 64, 208, 1376, 14336}) EXPECT_EQ(keptAs(WeightType::Fp8, inputs), WeightType::Fp8);
  for (const int inputs : {1, 8, 100, 1384}) EXPECT_EQ(keptAs(WeightType::Fp8, inputs), WeightType::Full);
  EXPECT_EQ(keptAs(WeightType::Automatic, 64), WeightType::Full);
  EXPECT_EQ(keptAsHead(WeightType::Int4), WeightType::Int8);
  EXPECT_EQ(keptAsHead(WeightType::Fp8), WeightType::Int8);
  EXPECT_EQ(keptAsHead(WeightType::Int8), WeightType::Int8);
  EXPECT_EQ(keptAsHead(WeightType::Full), WeightType::Full);
}

TEST(Quantized, BlocksOfRowsGiveWhatAllRowsGive) {
  const int inputs = 192, rows = 50;
  const std::vector<float> weights = normalWeights(static_cast<std::size_t>(rows * inputs));
  const RowSource whole = [&](std::int64_t begin, std::int64_t, std::span<float> out) {
    std::copy_n(weights.begin() + begin * inputs, out.size(), out.begin());
  };
  for (const WeightType type : {WeightType::Int8, WeightType::Fp8, WeightType::Int4}) {
    const RowSource source = quantizedSource(whole, inputs, type);
    std::vector<float> out(weights.size());
    for (int begin = 0; begin < rows; begin += 7) {
      const int here = std::min(7, rows - begin);
      source(begin, here,
             std::span(out).subspan(static_cast<std::size_t>(begin * inputs), static_cast<std::size_t>(here * inputs)));
    }
    EXPECT_EQ(out, backAndForth(weights, inputs, type));
  }
  std::vector<float> full(weights.size());
  quantizedSource(whole, inputs, WeightType::Full)(0, rows, full);
  EXPECT_EQ(full, weights);
}

// Where quantized.h says that they are.
int valueAt(const QuantizedTiles& tiles, WeightType type, int inputs, int row, int k) {
  const int across = (inputs + 63) / 64, r = row % 16, c = k % 64 / 16, i = k % 16, lane = r % 8 * 4 + c;
  const auto tile = static_cast<std::size_t>(row / 16 * across + k / 64);
  if (type == WeightType::Fp8)
    return static_cast<std::int8_t>(tiles.values[static_cast<std::size_t>(row * inputs + k)]);
  if (type == WeightType::Int8)
    return static_cast<std::int8_t>(tiles.values[tile * 1024 + static_cast<std::size_t>(r / 8 * 512 + lane * 16 + i)]);
  std::uint32_t word = 0;
  std::memcpy(&word, tiles.values.data() + tile * 512 + static_cast<std::size_t>(lane * 16 + r / 8 * 8 + i / 8 * 4), 4);
  const int j = i % 8;
  return static_cast<int>(word >> 4 * (j / 2 + 4 * (j % 2)) & 15U) - 8;
}

TEST(Quantized, TilesAreLaidOutAsTheHeaderSays) {
  for (const auto& [type, rows, inputs] : {std::tuple(WeightType::Int8, 1, 64),
                                           {WeightType::Int8, 17, 1376},
                                           {WeightType::Int8, 40, 100},
                                           {WeightType::Fp8, 1, 16},
                                           {WeightType::Fp8, 17, 1376},
                                           {WeightType::Int4, 1, 64},
                                           {WeightType::Int4, 17, 192},
                                           {WeightType::Int4, 40, 512}}) {
    const QuantizedRows given = quantize(normalWeights(static_cast<std::size_t>(rows * inputs)), inputs, type);
    const QuantizedTiles tiles = tilesOf(given);
    EXPECT_EQ(tiles.values.size(), tileBytes(type, rows, inputs));
    EXPECT_EQ(tiles.scales.size(), scaleBytes(type, rows, inputs));
    EXPECT_EQ(tileBytes(type, 48, inputs), tileBytes(type, 32, inputs) + tileBytes(type, 16, inputs));
    const int groups = inputs / given.group();
    for (int row = 0; row < rows; ++row) {
      for (int k = 0; k < inputs; ++k)
        ASSERT_EQ(valueAt(tiles, type, inputs, row, k), given.values[static_cast<std::size_t>(row * inputs + k)])
            << row << ' ' << k;
      for (int g = 0; g < groups; ++g) {
        const float scale = given.scales[static_cast<std::size_t>(row * groups + g)];
        float there = 0;
        if (type != WeightType::Int4) {
          std::memcpy(&there, tiles.scales.data() + row * 4, 4);
        } else {
          const int at = ((row / 16 * groups + g) * 8 + row % 8) * 2 + row % 16 / 8;
          std::memcpy(reinterpret_cast<char*>(&there) + 2, tiles.scales.data() + at * 2, 2);  // the upper half
        }
        ASSERT_EQ(there, scale) << row << ' ' << g;
      }
    }
    if (type == WeightType::Int8 && inputs % 64 != 0) {
      EXPECT_EQ(valueAt(tiles, type, inputs, 0, inputs), 0);
    }
    if (type == WeightType::Fp8) {
      EXPECT_EQ(valueAt(tiles, type, inputs, rows, 0), 0) << "the row behind the last";
    }
  }
}

// Products on the device that is tested, beside those of doubles with the values that are kept.
class QuantizedProduct : public testing::TestWithParam<std::tuple<Precision, WeightType>> {
 protected:
  void SetUp() override {
    if (lacks(precision())) GTEST_SKIP() << "this device cannot";
    backend_ = testBackend(precision());
    stream_ = backend_->makeStream();
  }
  Precision precision() const { return std::get<0>(GetParam()); }
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

  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Stream> stream_;
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
