// What several tests of the arithmetic share: the tiny model, tokens, and how far two tensors are apart.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <random>
#include <string>
#include <tuple>

#include "engine/errors.h"
#include "engine/safetensors.h"
#include "engine/transformer.h"
#include "tests/engine/temporary_folder.h"

namespace palimpsest::engine {

// The tests of the arithmetic run once on the CPU, and once more where PALIMPSEST_TEST_DEVICE is "cuda" on the first
// graphics card.
inline bool testsCuda() {
  const char* device = std::getenv("PALIMPSEST_TEST_DEVICE");
  return device && std::string(device) == "cuda";
}
inline std::unique_ptr<Backend> testBackend(Precision precision) {
  if (testsCuda()) return makeCudaBackend(0, precision);
  return makeCpuBackend(2, precision);
}
// Whether this device cannot do what is to be tested.
inline bool lacks(Precision precision) {
  if (testsCuda()) {
    try {
      makeCudaBackend(0, precision);
      return false;
    } catch (const ModelError&) {
      return true;
    }
  }
  return precision == Precision::BFloat16 && !cpuMultipliesBFloat16();
}

// A backend of one precision and a stream on it, and beside them what else a test varies; skipped where the device cannot.
template <typename Other>
class OnDevice : public testing::TestWithParam<std::tuple<Precision, Other>> {
 protected:
  void SetUp() override {
    if (lacks(precision())) GTEST_SKIP() << "this device cannot";
    backend_ = testBackend(precision());
    stream_ = backend_->makeStream();
  }
  Precision precision() const { return std::get<0>(this->GetParam()); }

  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Stream> stream_;
};

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

// Of mean 0 and that size.
inline std::vector<float> normalValues(std::size_t count, std::mt19937& random, float size = 1) {
  std::normal_distribution<float> normal(0, size);
  std::vector<float> values(count);
  for (float& value : values) value = normal(random);
  return values;
}
inline std::vector<float> normalValues(std::size_t count, unsigned seed, float size) {
  std::mt19937 random(seed);
  return normalValues(count, random, size);
}

inline std::vector<float> copyOf(std::span<const float> values) { return {values.begin(), values.end()}; }

}  // namespace palimpsest::engine
