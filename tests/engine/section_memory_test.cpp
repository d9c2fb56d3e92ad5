// Memories in four bits.
#include "engine/section_memory.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <random>
#include <stdexcept>

#include "tests/engine/transformer_fixture.h"

namespace palimpsest::engine {
namespace {

const SectionMemory::Shapes kShapes = {{{2, 16, 16}, {1, 24, 40}}, {}, {{}, {3, 8, 17}}};

// Rows of very different sizes, as those of a memory are.
CompressiveMemory randomMemory(unsigned seed, std::int64_t tokens) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  CompressiveMemory memory(kShapes);
  for (int layer = 0; layer < memory.layers(); ++layer) {
    const auto& shape = kShapes[static_cast<std::size_t>(layer)];
    for (int head = 0; head < shape.heads(); ++head) {
      const auto width = static_cast<std::size_t>(shape.partOf(head).valueDim);
      const auto matrix = memory.matrix(layer, head);
      for (std::size_t i = 0; i < matrix.size(); ++i)
        matrix[i] = std::exp(static_cast<float>(i / width % 9) - 4) * normal(random);
      for (float& z : memory.normalizer(layer, head)) z = std::exp(3 * normal(random));
    }
  }
  memory.setTokens(tokens);
  return memory;
}

TEST(SectionMemoryTest, EachRowIsRoundedToItsOwnScaleAndZIsKept) {
  const CompressiveMemory written = randomMemory(1, 70);
  const SectionMemory section(written);
  EXPECT_EQ(section.tokens(), 70);
  EXPECT_LT(section.bytes() * 3, written.bytes());
  const CompressiveMemory opened = section.opened();
  EXPECT_EQ(opened.tokens(), 70);
  for (int layer = 0; layer < written.layers(); ++layer) {
    const auto& shape = kShapes[static_cast<std::size_t>(layer)];
    for (int head = 0; head < shape.heads(); ++head) {
      EXPECT_EQ(copyOf(opened.normalizer(layer, head)), copyOf(written.normalizer(layer, head)));
      const auto width = static_cast<std::size_t>(shape.partOf(head).valueDim);
      const auto right = written.matrix(layer, head), ours = opened.matrix(layer, head);
      for (std::size_t row = 0; row < right.size(); row += width) {
        float largest = 0;
        for (std::size_t i = row; i < row + width; ++i) largest = std::max(largest, std::abs(right[i]));
        for (std::size_t i = row; i < row + width; ++i)
          ASSERT_LE(std::abs(ours[i] - right[i]), 0.5001F * largest / 7) << layer << ' ' << head << ' ' << i;
      }
    }
  }
}

TEST(SectionMemoryTest, RoundingAgainChangesNothingThatCounts) {
  const SectionMemory once(randomMemory(2, 5));
  const SectionMemory again(once.opened());
  EXPECT_TRUE(std::ranges::equal(once.packed(), again.packed()));
}

TEST(SectionMemoryTest, JoinedSectionsAreTheirSum) {
  const CompressiveMemory a = randomMemory(3, 20), b = randomMemory(4, 30);
  const SectionMemory one(a), other(b);
  const CompressiveMemory joined = SectionMemory::joined(one, other).opened();
  CompressiveMemory rounded = one.opened();
  const CompressiveMemory second = other.opened();
  for (std::size_t i = 0; i < rounded.values().size(); ++i) rounded.values()[i] += second.values()[i];
  EXPECT_EQ(copyOf(joined.values()), copyOf(SectionMemory(rounded).opened().values()));
  CompressiveMemory sum = a.clone();
  for (std::size_t i = 0; i < sum.values().size(); ++i) sum.values()[i] += b.values()[i];
  EXPECT_EQ(joined.tokens(), 50);
  EXPECT_LT(relativeError(joined.values(), sum.values()), 1e-1);
  EXPECT_EQ(copyOf(joined.normalizer(2, 1)), copyOf(sum.normalizer(2, 1)));
}

TEST(SectionMemoryTest, OfTwoMemoriesTheDifferenceIsRounded) {
  const CompressiveMemory earlier = randomMemory(3, 20), written = randomMemory(4, 30);
  CompressiveMemory later = earlier.clone();
  for (std::size_t i = 0; i < later.values().size(); ++i) later.values()[i] += written.values()[i];
  later.setTokens(50);
  CompressiveMemory difference = later.clone();
  for (std::size_t i = 0; i < difference.values().size(); ++i) difference.values()[i] -= earlier.values()[i];
  difference.setTokens(30);
  const SectionMemory section(later, earlier), expected(difference);
  EXPECT_EQ(section.tokens(), 30);
  EXPECT_TRUE(std::ranges::equal(section.packed(), expected.packed()));
  EXPECT_EQ(copyOf(section.scales()), copyOf(expected.scales()));
  EXPECT_EQ(copyOf(section.normalizers()), copyOf(expected.normalizers()));
  EXPECT_THROW(SectionMemory(later, CompressiveMemory()), std::invalid_argument);
}

TEST(SectionMemoryTest, AnEmptyMemoryAndRowsOfNothingStayWhatTheyAre) {
  const CompressiveMemory opened = SectionMemory(CompressiveMemory(kShapes)).opened();
  EXPECT_TRUE(std::ranges::all_of(opened.values(), [](float x) { return x == 0; }));
  EXPECT_TRUE(opened.empty());
}

// A broken model may write them; what it answers is its own affair, but nothing else may happen.
TEST(SectionMemoryTest, WhatIsNoNumberIsKeptOutOfTheBytes) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    CompressiveMemory written = randomMemory(5, 1);
    written.matrix(0, 0)[3] = bad;
    const SectionMemory section(written);
    const std::vector<std::uint8_t> packed(section.packed().begin(), section.packed().end());
    EXPECT_NO_THROW(SectionMemory(kShapes, 1, packed, copyOf(section.scales()), copyOf(section.normalizers())));
    EXPECT_EQ(copyOf(section.opened().matrix(2, 0)), copyOf(SectionMemory(randomMemory(5, 1)).opened().matrix(2, 0)));
  }
}

// Layer 2 has rows of 17: eight bytes of two numbers and one of one.
TEST(SectionMemoryTest, ARowIsTwoHalvesInTheBitsOfItsBytes) {
  CompressiveMemory written(kShapes);
  const auto matrix = written.matrix(2, 2);
  for (int i = 0; i < 15; ++i) matrix[static_cast<std::size_t>(i)] = static_cast<float>(i - 7) * 0.5F;
  const SectionMemory section(written);
  const auto row = section.packed().subspan(section.packed().size() - 8 * 9, 9);
  // -7..1 below; 2..7 above, and the two zeros behind them.
  EXPECT_EQ(std::vector<int>(row.begin(), row.end()),
            (std::vector<int>{0x29, 0x3a, 0x4b, 0x5c, 0x6d, 0x7e, 0x0f, 0x00, 0x01}));
  EXPECT_EQ(section.scales()[section.scales().size() - 8], 0.5F);
  EXPECT_EQ(copyOf(section.opened().values()), copyOf(written.values()));
}

TEST(SectionMemoryTest, EightBitsAreRoundedAgain) {
  CompressiveMemory written = randomMemory(7, 9);
  std::vector<std::int8_t> values;
  std::vector<float> scales, normalizers;
  for (int layer = 0; layer < written.layers(); ++layer) {
    const auto& shape = kShapes[static_cast<std::size_t>(layer)];
    for (int head = 0; head < shape.heads(); ++head) {
      const auto width = static_cast<std::size_t>(shape.partOf(head).valueDim);
      const auto matrix = written.matrix(layer, head);
      for (std::size_t row = 0; row < matrix.size(); row += width) {
        scales.push_back(
            std::abs(*std::ranges::max_element(matrix.subspan(row, width), {}, [](float x) { return std::abs(x); })) /
            127);
        for (float& number : matrix.subspan(row, width)) {
          values.push_back(static_cast<std::int8_t>(std::round(number / scales.back())));
          number = static_cast<float>(values.back()) * scales.back();
        }
      }
      std::ranges::copy(written.normalizer(layer, head), std::back_inserter(normalizers));
    }
  }
  const SectionMemory section = SectionMemory::fromEightBits(kShapes, 9, values, scales, normalizers);
  EXPECT_EQ(section.tokens(), 9);
  EXPECT_EQ(copyOf(section.opened().values()), copyOf(SectionMemory(written).opened().values()));
  EXPECT_THROW(SectionMemory::fromEightBits(kShapes, 9, std::span(values).subspan(1), scales, normalizers),
               std::invalid_argument);
  EXPECT_THROW(SectionMemory::fromEightBits(kShapes, 9, values, std::span(scales).subspan(1), normalizers),
               std::invalid_argument);
  EXPECT_THROW(SectionMemory::fromEightBits(kShapes, 9, values, scales, {}), std::invalid_argument);
}

TEST(SectionMemoryTest, OtherLengthsOrShapesOrNumbersAreRefused) {
  const SectionMemory section(randomMemory(6, 1));
  const std::vector<std::uint8_t> packed(section.packed().begin(), section.packed().end());
  const std::vector<float> scales = copyOf(section.scales()), normalizers = copyOf(section.normalizers());
  EXPECT_NO_THROW(SectionMemory(kShapes, 1, packed, scales, normalizers));
  EXPECT_THROW(SectionMemory(kShapes, 1, {}, scales, normalizers), std::invalid_argument);
  EXPECT_THROW(SectionMemory(kShapes, 1, packed, normalizers, {}), std::invalid_argument);
  EXPECT_THROW(SectionMemory::joined(section, SectionMemory()), std::invalid_argument);
  for (const int minusEight : {0x08, 0x80, 0x8f, 0xf8}) {
    std::vector<std::uint8_t> damaged = packed;
    damaged[5] = static_cast<std::uint8_t>(minusEight);
    EXPECT_THROW(SectionMemory(kShapes, 1, damaged, scales, normalizers), std::invalid_argument) << minusEight;
  }
}

}  // namespace
}  // namespace palimpsest::engine
