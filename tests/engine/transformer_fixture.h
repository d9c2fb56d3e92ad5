// What several tests of the arithmetic share: the tiny model, tokens, and how far two tensors are apart.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <random>
#include <string>

#include "engine/safetensors.h"
#include "engine/transformer.h"
#include "tests/engine/temporary_folder.h"

namespace palimpsest::engine {

inline std::filesystem::path tinyFolder() { return std::filesystem::path(PALIMPSEST_TEST_DATA) / "tiny-model"; }
constexpr TokenId kTinyBos = 0;

inline std::vector<std::vector<TokenId>> randomSegments(std::size_t count, int longest, int vocab, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<std::vector<TokenId>> segments(count);
  for (auto& segment : segments) {
    segment.resize(static_cast<std::size_t>(longest * 3 / 4) + random() % static_cast<unsigned>(longest / 4 + 1));
    for (TokenId& token : segment) token = 2 + static_cast<TokenId>(random() % static_cast<unsigned>(vocab - 2));
  }
  return segments;
}

inline double relativeError(std::span<const float> ours, std::span<const float> theirs) {
  EXPECT_EQ(ours.size(), theirs.size());
  double difference = 0, size = 0;
  for (std::size_t i = 0; i < std::min(ours.size(), theirs.size()); ++i) {
    difference += std::pow(static_cast<double>(ours[i]) - theirs[i], 2);
    size += std::pow(static_cast<double>(theirs[i]), 2);
  }
  return std::sqrt(difference / std::max(size, 1e-30));
}

inline std::vector<float> copyOf(std::span<const float> values) { return {values.begin(), values.end()}; }

}  // namespace palimpsest::engine
