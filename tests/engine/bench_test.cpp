#include "engine/bench.h"

#include <gtest/gtest.h>

#include "engine/errors.h"
#include "tests/engine/transformer_fixture.h"

namespace palimpsest::engine {
namespace {

TEST(Bench, MeasuresReadingBesideTheProductsAlone) {
  const auto model = Model::load(tinyFolder(), {.threads = 2, .precision = Precision::Float32, .progress = {}});
  std::string text;
  for (int i = 0; i < 900; ++i) text += "The clock had stopped at noon. ";
  const BenchReport report = runBench(model, text, {.seconds = 0.05, .answerTokens = 8});
  EXPECT_EQ(report.model, "tiny-model");
  EXPECT_EQ(report.segmentLength, 32);
  EXPECT_GT(report.readingTokensPerSecond, 0);
  EXPECT_GT(report.ceilingTokensPerSecond, report.readingTokensPerSecond);  // products are a part of reading
  EXPECT_NEAR(report.shareOfCeiling, report.readingTokensPerSecond / report.ceilingTokensPerSecond, 1e-9);
  EXPECT_GT(report.ceilingGflops, 0);
  EXPECT_GT(report.millisecondsToFirstToken, 0);
  EXPECT_GT(report.answerTokensPerSecond, 0);
  EXPECT_EQ(report.memoryBytes, model->emptyMemory().bytes());
  EXPECT_GT(report.snapshotBytes, report.memoryBytes);
  EXPECT_GT(report.weightBytes, 0U);
}

TEST(Bench, NeedsAText) {
  const auto model = Model::load(tinyFolder(), {.threads = 1, .precision = Precision::Float32, .progress = {}});
  EXPECT_THROW(runBench(model, " \n ", {.seconds = 0.05, .answerTokens = 1}), ModelError);
}

TEST(Bench, StopsWhenAsked) {
  const auto model = Model::load(tinyFolder(), {.threads = 1, .precision = Precision::Float32, .progress = {}});
  std::stop_source source;
  source.request_stop();
  EXPECT_THROW(runBench(model, "Some words.", {}, source.get_token()), Stopped);
}

}  // namespace
}  // namespace palimpsest::engine
