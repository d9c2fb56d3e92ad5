#include "engine/bench.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <thread>

#include "engine/errors.h"
#include "tests/engine/generator_fixture.h"

namespace palimpsest::engine {
namespace {

TEST(Bench, MeasuresReadingBesideTheProductsAlone) {
  const auto model = Model::load(tinyFolder(), {.threads = 2, .precision = Precision::Float32, .progress = {}});
  std::string text;
  for (int i = 0; i < 900; ++i) text += "The clock had stopped at noon. ";
  const BenchReport report = runBench(model, text, {.seconds = 0.05, .answerTokens = 8, .keep = {}, .fetch = {}});
  EXPECT_EQ(report.model, "tiny-model");
  EXPECT_EQ(report.segmentLength, 32);
  EXPECT_GT(report.readingTokensPerSecond, 0);
  EXPECT_GT(report.ceilingTokensPerSecond, report.readingTokensPerSecond);  // products are a part of reading
  EXPECT_NEAR(report.shareOfCeiling, report.readingTokensPerSecond / report.ceilingTokensPerSecond, 1e-9);
  EXPECT_GT(report.ceilingGflops, 0);
  EXPECT_GT(report.millisecondsToFirstToken, 0);
  EXPECT_GT(report.answerTokensPerSecond, 0);
  EXPECT_GT(report.tokensRead, 0U);
  EXPECT_EQ(report.memoryBytes, model->emptyMemory().bytes());
  ASSERT_FALSE(report.stretches.empty());
  EXPECT_EQ(report.stretches.front().until, 16384U);
  for (const auto& stretch : report.stretches) EXPECT_GT(stretch.tokensPerSecond, 0);
  EXPECT_GT(report.passRows, 0);
  ASSERT_FALSE(report.operations.empty());
  EXPECT_TRUE(std::ranges::is_sorted(report.operations, std::greater(), &BenchReport::Operation::milliseconds));
  for (const char* name : {"rmsNorm", "linear 256 x 64", "linearAdd 64 x 128", "localAttention", "memoryWrite"})
    EXPECT_NE(std::ranges::find(report.operations, name, &BenchReport::Operation::name), report.operations.end())
        << name;
  EXPECT_GT(report.answerBytesPerSecond, 0);
  EXPECT_GT(report.snapshotBytes, report.memoryBytes);
  EXPECT_GT(report.weightBytes, 0U);
}

TEST(Bench, FetchesTheMemoryFromWhereItIsKept) {
  const auto model = Model::load(tinyFolder(), {.threads = 1, .precision = Precision::Float32, .progress = {}});
  SavedBook kept;
  int fetched = 0;
  BenchOptions options{.seconds = 0.01, .answerTokens = 2, .keep = {}, .fetch = {}};
  options.keep = [&](SavedBook saved) { kept = std::move(saved); };
  options.fetch = [&] {
    ++fetched;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    return kept;
  };
  const BenchReport report = runBench(model, "The clock had stopped at noon, and nobody knew why.", options);
  EXPECT_EQ(report.snapshotBytes, kept.whole.size());
  EXPECT_EQ(report.sections, 1);
  EXPECT_GE(fetched, 2);
  EXPECT_GE(report.millisecondsToFirstToken, 20);  // fetching counts
}

TEST(Bench, AsksEverySectionOfAMemoryThatIsKeptInSections) {
  const ChangedModel changed("config.json", [](Json& config) { config["infini_attention"]["sections"] = 3; });
  const auto model = load(changed.path());
  SavedBook kept;
  BenchOptions options{.seconds = 0.5, .answerTokens = 2, .keep = {}, .fetch = {}};
  options.keep = [&](SavedBook saved) { kept = std::move(saved); };
  options.fetch = [&] { return kept; };
  const BenchReport report = runBench(model, "The clock had stopped at noon, and nobody knew why.", options);
  EXPECT_EQ(report.sections, 3);
  ASSERT_EQ(kept.sections.size(), 3U);
  EXPECT_EQ(report.memoryBytes, BookMemory::load(model, kept.whole, kept.sections).bytes());
  std::size_t bytes = kept.whole.size();
  for (const SavedPart& section : kept.sections) bytes += section.snapshot->size();
  EXPECT_EQ(report.snapshotBytes, bytes);
  EXPECT_GT(report.millisecondsToFirstToken, 0);
}

TEST(Bench, NeedsAText) {
  const auto model = Model::load(tinyFolder(), {.threads = 1, .precision = Precision::Float32, .progress = {}});
  EXPECT_THROW(runBench(model, " \n ", {.seconds = 0.05, .answerTokens = 1, .keep = {}, .fetch = {}}), ModelError);
}

TEST(Bench, TellsThePerplexityOfAText) {
  const auto perplexity = [](WeightType weights, std::string_view text) {
    const auto model =
        Model::load(tinyFolder(), {.threads = 1, .precision = Precision::Float32, .weights = weights, .progress = {}});
    return perplexityOf(*model, text);
  };
  const std::string text = bookText(500);
  const double full = perplexity(WeightType::Full, text);
  EXPECT_GT(full, 512);  // of 512 tokens: its weights are random, and it is sure of what is wrong
  EXPECT_LT(full, 512 * 32);
  EXPECT_NEAR(perplexity(WeightType::Int8, text) / full, 1, 0.02);
  EXPECT_NEAR(perplexity(WeightType::Fp8, text) / full, 1, 0.1);
  EXPECT_NE(perplexity(WeightType::Int4, text), full);
  EXPECT_THROW(perplexity(WeightType::Full, ""), ModelError);
}

TEST(Bench, SeveralModelsReadAtOnce) {
  const auto load = [] {
    return Model::load(tinyFolder(), {.threads = 1, .precision = Precision::Float32, .progress = {}});
  };
  const std::vector models{load(), load()};
  const ReadingTogether report = benchTogether(models, bookText(500), 0.1);
  EXPECT_GT(report.alone, 0);
  ASSERT_EQ(report.each.size(), 2U);
  EXPECT_GT(std::min(report.each[0], report.each[1]), 0);
  EXPECT_GT(report.together, std::max(report.each[0], report.each[1]) / 2) << "the time is that of the last";
  EXPECT_LE(report.together, (report.each[0] + report.each[1]) * 1.001);
}

TEST(Bench, DevicesThatTheModelDoesNotFitOnAreLeftOut) {
  using Kind = DeviceChoice::Kind;
  constexpr DeviceChoice kCpu{Kind::Cpu}, kMissing{Kind::Cuda, 99};
  const LoadOptions options{.threads = 1, .progress = {}};
  std::vector<std::string> out;
  const auto leftOut = [&](const std::string& why) { out.push_back(why); };
  for (const auto& devices : {std::vector{kCpu, kMissing, kCpu}, std::vector{kMissing, kCpu, kCpu}}) {
    EXPECT_EQ(loadOnEach(tinyFolder(), options, devices, leftOut).size(), 2U);
    ASSERT_EQ(out.size(), 1U);
    EXPECT_FALSE(out[0].empty());
    out.clear();
  }
  EXPECT_THROW(loadOnEach(tinyFolder(), options, std::vector{kMissing}, leftOut), DeviceError);
  EXPECT_TRUE(out.empty());
}

TEST(Bench, WhereOneOfSeveralFailsTheOthersDoNotWaitForIt) {
  const auto model = Model::load(tinyFolder(), {.threads = 1, .precision = Precision::Float32, .progress = {}});
  const TemporaryFolder folder;
  const auto plain = loadWithoutMemory(folder);
  const auto refusal = [](std::vector<std::shared_ptr<const Model>> models, std::string_view text) -> std::string {
    try {
      benchTogether(models, text, 0.05);
    } catch (const ModelError& error) {
      return error.what();
    }
    return {};
  };
  EXPECT_NE(refusal({model, plain}, "Some words.").find("has no memory"), std::string::npos);
  EXPECT_NE(refusal({plain, model}, "Some words.").find("has no memory"), std::string::npos);
  EXPECT_NE(refusal({model}, " \n ").find("holds no words"), std::string::npos);
  std::stop_source source;
  source.request_stop();
  EXPECT_THROW(benchTogether(std::vector{model, model}, "Some words.", 0.05, source.get_token()), Stopped);
}

TEST(Bench, StopsWhenAsked) {
  const auto model = Model::load(tinyFolder(), {.threads = 1, .precision = Precision::Float32, .progress = {}});
  std::stop_source source;
  source.request_stop();
  EXPECT_THROW(runBench(model, "Some words.", {}, source.get_token()), Stopped);
}

}  // namespace
}  // namespace palimpsest::engine
