#include "engine/sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>
#include <stdexcept>

#include "engine/errors.h"

namespace palimpsest::engine {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

std::vector<double> shares(const SamplingOptions& options, const std::vector<float>& logits, int draws) {
  Sampler sampler(options);
  std::vector<double> counts(logits.size());
  for (int i = 0; i < draws; ++i) counts[static_cast<std::size_t>(sampler.next(logits))] += 1.0 / draws;
  return counts;
}

TEST(Sampler, GreedyTakesTheHighestAndTheLowerIdOfEquals) {
  Sampler sampler({});
  EXPECT_EQ(sampler.next(std::vector<float>{1, 3, 2}), 1);
  EXPECT_EQ(sampler.next(std::vector<float>{1, 3, 3}), 1);
  EXPECT_EQ(sampler.next(std::vector<float>{kNaN, -5, -kInfinity}), 1);
}

TEST(Sampler, LogitsWithoutAnyNumberAreAnError) {
  for (const float temperature : {0.0F, 1.0F}) {
    Sampler sampler({.temperature = temperature});
    EXPECT_THROW(sampler.next(std::vector<float>{kNaN, -kInfinity}), ModelError);
    EXPECT_THROW(sampler.next({}), ModelError);
  }
}

TEST(Sampler, AnInfiniteLogitWins) {
  Sampler sampler({.temperature = 1.0F});
  EXPECT_EQ(sampler.next(std::vector<float>{1, kInfinity, 2}), 1);
}

TEST(Sampler, DrawsFollowTheSoftmax) {
  const std::vector<float> logits{0, 1, 2, kNaN, -kInfinity, -1};
  for (const float temperature : {0.5F, 1.0F, 2.0F}) {
    double total = 0;
    for (const float logit : logits) total += std::isfinite(logit) ? std::exp(logit / temperature) : 0;
    const std::vector<double> counts = shares({.temperature = temperature, .seed = 7}, logits, 40000);
    for (std::size_t i = 0; i < logits.size(); ++i) {
      const double expected = std::isfinite(logits[i]) ? std::exp(logits[i] / temperature) / total : 0;
      EXPECT_NEAR(counts[i], expected, 0.012) << "token " << i << " at temperature " << temperature;
    }
  }
}

TEST(Sampler, TopPKeepsTheSmallestSetThatReachesIt) {
  const std::vector<float> logits{std::log(0.1F), std::log(0.5F), std::log(0.15F), std::log(0.25F)};
  const auto drawn = [&](float topP) {
    const std::vector<double> counts = shares({.temperature = 1.0F, .topP = topP, .seed = 3}, logits, 4000);
    std::set<int> ids;
    for (int i = 0; i < 4; ++i) {
      if (counts[static_cast<std::size_t>(i)] > 0) ids.insert(i);
    }
    return ids;
  };
  EXPECT_THAT(drawn(0.4F), testing::ElementsAre(1));
  EXPECT_THAT(drawn(0.7F), testing::ElementsAre(1, 3));
  EXPECT_THAT(drawn(0.85F), testing::ElementsAre(1, 2, 3));
  EXPECT_THAT(drawn(1.0F), testing::ElementsAre(0, 1, 2, 3));
}

// Written down once: another platform or compiler must draw the same tokens.
TEST(Sampler, SameSeedGivesTheSameTokensEverywhere) {
  std::vector<float> logits(100);
  for (std::size_t i = 0; i < logits.size(); ++i) logits[i] = static_cast<float>((i * 37) % 100) / 16.0F;
  std::vector<TokenId> drawn;
  Sampler sampler({.temperature = 0.75F, .topP = 0.875F, .seed = 42});
  for (int i = 0; i < 12; ++i) drawn.push_back(sampler.next(logits));
  EXPECT_THAT(drawn, testing::ElementsAre(8, 32, 24, 97, 21, 54, 78, 81, 97, 35, 5, 16));
  EXPECT_NE(shares({.temperature = 1.0F, .seed = 1}, logits, 100),
            shares({.temperature = 1.0F, .seed = 2}, logits, 100));
}

TEST(Sampler, ImpossibleOptionsAreRefused) {
  EXPECT_THROW(Sampler({.temperature = -1.0F}), std::invalid_argument);
  EXPECT_THROW(Sampler({.temperature = kNaN}), std::invalid_argument);
  EXPECT_THROW(Sampler({.temperature = kInfinity}), std::invalid_argument);
  EXPECT_THROW(Sampler({.topP = 0.0F}), std::invalid_argument);
  EXPECT_THROW(Sampler({.topP = 1.5F}), std::invalid_argument);
  EXPECT_THROW(Sampler({.topP = kNaN}), std::invalid_argument);
}

}  // namespace
}  // namespace palimpsest::engine
