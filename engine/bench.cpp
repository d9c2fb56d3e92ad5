#include "engine/bench.h"

#include <algorithm>
#include <chrono>
#include <vector>

#include "engine/errors.h"
#include "engine/generator.h"
#include "engine/transformer.h"

namespace palimpsest::engine {

namespace {

constexpr std::string_view kQuestion = "Who is the story about?";

class Stopwatch {
 public:
  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

// Passes and their products alone take turns, so that whatever else the machine does slows both alike.
void benchReading(const std::shared_ptr<const Model>& model, std::string_view text, double seconds,
                  std::stop_token stop, CompressiveMemory& memory, BenchReport& report) {
  const Transformer& transformer = model->transformer();
  Generator generator(model);
  const auto workspace = transformer.makeWorkspace();
  const int bos = model->tokenizer().bosToken() ? 1 : 0;
  ReadingPosition reading;
  double readingSeconds = 0, productSeconds = 0, tokens = 0, operations = 0;
  for (int pass = 0; readingSeconds < seconds; ++pass) {
    if (reading.complete) reading = {};  // the same text once more, behind the one before
    const ReadingPosition before = reading;
    const Stopwatch whole;
    reading = generator.read(memory, text, reading, stop);
    const double passSeconds = whole.seconds();
    const double passTokens = static_cast<double>(reading.tokens - before.tokens);
    if (passTokens == 0) throw ModelError("The text to measure with holds no words. Give one that does.");
    const int rows = static_cast<int>(reading.tokens - before.tokens + (reading.segments - before.segments) * bos);
    const Stopwatch alone;
    const double passOperations = transformer.runReadingProducts(*workspace, rows);
    if (pass == 0) continue;  // kernels were made, pages were touched
    productSeconds += alone.seconds();
    readingSeconds += passSeconds;
    tokens += passTokens;
    operations += passOperations;
  }
  report.readingTokensPerSecond = tokens / readingSeconds;
  report.ceilingTokensPerSecond = tokens / productSeconds;
  report.ceilingGflops = operations / productSeconds / 1e9;
  report.shareOfCeiling = productSeconds / readingSeconds;
}

void benchAnswer(const std::shared_ptr<const Model>& model, const CompressiveMemory& memory,
                 const BenchOptions& options, std::stop_token stop, BenchReport& report) {
  const Transformer& transformer = model->transformer();
  const ModelConfig& config = model->config();
  const auto workspace = transformer.makeWorkspace();
  const int answerTokens = std::min(options.answerTokens, config.maxPositionEmbeddings / 2);
  const std::vector<TokenId> prompt = questionPrompt(config, model->tokenizer(), {std::string(kQuestion), {}, {}},
                                                     config.maxPositionEmbeddings - answerTokens)
                                          .tokens;
  std::vector<std::byte> blob = model->hasMemory() ? saveSnapshot(*model, memory, {}) : std::vector<std::byte>();
  report.snapshotBytes = blob.size();
  const bool kept = options.keep && options.fetch && !blob.empty();
  if (kept) options.keep(std::move(blob));

  for (int round = 0; round < 2; ++round) {  // the first one warms up
    const Stopwatch opening;
    if (kept) blob = options.fetch();
    const CompressiveMemory opened =
        blob.empty() ? CompressiveMemory(transformer.memoryShapes()) : loadSnapshot(*model, blob).memory;
    SegmentState segment = transformer.beginSegment(*workspace, &opened);
    auto logits = transformer.extend(*workspace, segment, prompt, stop);
    report.millisecondsToFirstToken = opening.seconds() * 1e3;
    const Stopwatch answering;
    for (int i = 0; i < answerTokens; ++i) {
      const auto token = static_cast<TokenId>(std::max_element(logits.begin(), logits.end()) - logits.begin());
      logits = transformer.extend(*workspace, segment, std::span(&token, 1), stop);
    }
    report.answerTokensPerSecond = answerTokens / answering.seconds();
  }
}

}  // namespace

BenchReport runBench(std::shared_ptr<const Model> model, std::string_view text, const BenchOptions& options,
                     std::stop_token stop) {
  BenchReport report;
  report.model = model->name();
  report.device = model->device();
  report.segmentLength = model->config().infiniAttention ? model->config().infiniAttention->segmentLength : 0;
  report.segmentsPerPass = model->transformer().passSegments();
  report.weightBytes = model->transformer().weightBytes();
  CompressiveMemory memory = model->emptyMemory();
  if (model->hasMemory()) benchReading(model, text, options.seconds, stop, memory, report);
  report.tokensRead = static_cast<std::size_t>(memory.tokens());
  report.memoryBytes = memory.bytes();
  benchAnswer(model, memory, options, stop, report);
  return report;
}

}  // namespace palimpsest::engine
