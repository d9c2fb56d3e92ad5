// Weights of fewer bits: what they lose, and how they are laid out.
#include "engine/quantized.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <optional>
#include <tuple>
#include <utility>

#include "engine/devices.h"
#include "engine/quantize_kernels.h"
#include "tests/engine/quantized_fixture.h"

namespace palimpsest::engine {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

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

}  // namespace
}  // namespace palimpsest::engine
