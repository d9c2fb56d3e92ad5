#include "engine/bench.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <functional>
#include <future>
#include <latch>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/errors.h"
#include "engine/generator.h"
#include "engine/sampler.h"
#include "engine/section_choice.h"
#include "engine/text_passes.h"
#include "engine/timed_stream.h"
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

// The text again and again, always further than a pass reads: a book without an end.
class EndlessText {
 public:
  EndlessText(std::shared_ptr<const Model> model, std::string_view once) : model_(std::move(model)), once_(once) {
    const auto& infini = model_->config().infiniAttention;
    const int segment = infini ? infini->segmentLength : 0;
    ahead_ = kBytesPerToken * static_cast<std::size_t>(segment * model_->transformer().passSize().segments);
  }
  // Valid until the next call.
  TextPasses& beyond(std::int64_t position) {
    const std::size_t needed = static_cast<std::size_t>(position) + 2 * ahead_;  // of this pass and the next one
    if (text_.size() < needed) {
      passes_.reset();
      while (text_.size() < 2 * needed) text_.append(once_).append("\n\n");
    }
    if (!passes_) passes_.emplace(model_, text_);
    return *passes_;
  }

 private:
  static constexpr std::size_t kBytesPerToken = 64;  // more than there are in any prose
  std::shared_ptr<const Model> model_;
  std::string_view once_;
  std::size_t ahead_ = 0;
  std::string text_;
  std::optional<TextPasses> passes_;
};

std::vector<BenchReport::Operation> timeOperations(const Model& model, std::span<const std::vector<TokenId>> segments,
                                                   const std::stop_token& stop) {
  constexpr int kPasses = 4;  // and one before, in which kernels are made
  auto own = std::make_unique<TimedStream>(model.transformer().backend().makeStream());
  TimedStream& stream = *own;
  const auto workspace = model.transformer().makeWorkspace(std::move(own));
  CompressiveMemory memory = model.emptyMemory();
  std::map<std::string, double> seconds;
  for (int pass = 0; pass <= kPasses; ++pass) {
    model.transformer().read(*workspace, segments, memory, stop);
    for (const auto& [name, time] : stream.take())
      if (pass > 0) seconds[name] += time / kPasses;
  }
  std::vector<BenchReport::Operation> operations;
  for (const auto& [name, time] : seconds) operations.push_back({name, time * 1e3});
  std::ranges::sort(operations, std::greater(), &BenchReport::Operation::milliseconds);
  return operations;
}

void needWords(std::string_view text) {
  if (text.find_first_not_of(" \t\r\n") == std::string_view::npos)
    throw ModelError("The text to measure with holds no words. Give one that does.");
}

struct Share {
  double tokens = 0, seconds = 0;
  double rate() const { return tokens / seconds; }
};

constexpr std::size_t kFirstStretch = 16384;

// Passes and their products alone take turns, so that whatever else the machine does slows both alike.
void benchReading(const std::shared_ptr<const Model>& model, std::string_view text, double seconds,
                  std::stop_token stop, BookMemory& book, BenchReport& report) {
  needWords(text);
  const Transformer& transformer = model->transformer();
  Generator generator(model);
  const auto workspace = transformer.makeWorkspace();
  const int bos = model->tokenizer().bosToken() ? 1 : 0;
  EndlessText endless(model, text);
  {
    CompressiveMemory memory = model->emptyMemory();
    transformer.read(*workspace, endless.beyond(0).take(0).segments, memory, stop);
  }
  double readingSeconds = 0, productSeconds = 0, tokens = 0, operations = 0;
  std::map<std::size_t, Share> parts;  // by where they end
  for (int pass = 0; readingSeconds < seconds; ++pass) {
    const ReadingPosition before = book.reading();
    TextPasses& passes = endless.beyond(before.position);
    const Stopwatch whole;
    book.advance(generator, passes, stop);
    const double passSeconds = whole.seconds();
    const ReadingPosition& reading = book.reading();
    const double passTokens = static_cast<double>(reading.tokens - before.tokens);
    const int rows = static_cast<int>(reading.tokens - before.tokens + (reading.segments - before.segments) * bos);
    const Stopwatch alone;
    const double passOperations = transformer.runReadingProducts(*workspace, rows);
    if (pass == 0) continue;  // kernels were made, pages were touched
    productSeconds += alone.seconds();
    readingSeconds += passSeconds;
    tokens += passTokens;
    operations += passOperations;
    Share& part = parts[std::bit_ceil(std::max(kFirstStretch, static_cast<std::size_t>(reading.tokens)))];
    part.tokens += passTokens;
    part.seconds += passSeconds;
  }
  report.readingTokensPerSecond = tokens / readingSeconds;
  report.ceilingTokensPerSecond = tokens / productSeconds;
  report.ceilingGflops = operations / productSeconds / 1e9;
  report.shareOfCeiling = productSeconds / readingSeconds;
  for (const auto& [until, part] : parts) report.stretches.push_back({until, part.rate()});
  const auto first = endless.beyond(0).take(0).segments;
  for (const auto& segment : first) report.passRows += static_cast<int>(segment.size()) + bos;
  report.operations = timeOperations(*model, first, stop);
}

// One thread of several that begin together.
Share readShare(std::shared_ptr<const Model> model, std::string_view text, double seconds, std::stop_token stop,
                std::latch& begin) {
  struct Arrival {
    ~Arrival() {
      if (!arrived) begin.count_down();  // of one that failed: the others need not wait
    }
    void wait() {
      arrived = true;
      begin.arrive_and_wait();
    }
    std::latch& begin;
    bool arrived = false;
  } arrival{begin};
  Generator generator(model);
  EndlessText endless(model, text);
  BookMemory book(model);
  const auto pass = [&] { book.advance(generator, endless.beyond(book.reading().position), stop); };
  pass();  // kernels are made, pages touched
  arrival.wait();
  const std::int64_t before = book.reading().tokens;
  const Stopwatch watch;
  while (watch.seconds() < seconds) pass();
  return {static_cast<double>(book.reading().tokens - before), watch.seconds()};
}

std::vector<Share> readAtOnce(std::span<const std::shared_ptr<const Model>> models, std::string_view text,
                              double seconds, std::stop_token stop) {
  std::latch begin(std::ssize(models));
  std::vector<std::future<Share>> threads;  // go before what they use: each waits for its own
  for (const auto& model : models)
    threads.push_back(
        std::async(std::launch::async, [&, model] { return readShare(model, text, seconds, stop, begin); }));
  std::vector<Share> shares;
  for (auto& thread : threads) shares.push_back(thread.get());
  return shares;
}

std::size_t bytesOf(const SavedBook& saved) {
  std::size_t bytes = saved.whole.size();
  for (const SavedPart& section : saved.sections) bytes += section.snapshot->size();
  return bytes;
}

// As Generator::answer() begins one: with the section that is chosen, where there are several.
SegmentState beginAnswer(const Model& model, Transformer::Workspace& workspace, const BookMemory& book,
                         std::span<const TokenId> prompt, std::stop_token stop, std::vector<float>& logits) {
  const auto sections = book.sections();
  const auto unknown = unknownToken(model.config(), model.tokenizer());
  if (sections.size() > 1 && unknown) {
    SectionChoice choice = chooseSection(model.transformer(), workspace, sections, prompt, *unknown, stop);
    logits = std::move(choice.logits);
    return std::move(choice.segment);
  }
  SegmentState segment = model.transformer().beginSegment(workspace, &book.whole());
  const auto after = model.transformer().extend(workspace, segment, prompt, stop);
  logits.assign(after.begin(), after.end());
  return segment;
}

void benchAnswer(const std::shared_ptr<const Model>& model, const BookMemory& book, const BenchOptions& options,
                 std::stop_token stop, BenchReport& report) {
  const Transformer& transformer = model->transformer();
  const ModelConfig& config = model->config();
  const auto workspace = transformer.makeWorkspace();
  const int answerTokens = std::min(options.answerTokens, config.maxPositionEmbeddings / 2);
  const std::vector<TokenId> prompt = questionPrompt(config, model->tokenizer(), {std::string(kQuestion), {}, {}},
                                                     config.maxPositionEmbeddings - answerTokens)
                                          .tokens;
  SavedBook saved = model->hasMemory() ? book.save() : SavedBook();
  report.snapshotBytes = bytesOf(saved);
  const bool kept = options.keep && options.fetch && model->hasMemory();
  if (kept) options.keep(std::move(saved));

  std::vector<float> first;
  for (int round = 0; round < 2; ++round) {  // the first one warms up
    const Stopwatch opening;
    if (kept) saved = options.fetch();
    const BookMemory opened =
        model->hasMemory() ? BookMemory::load(model, saved.whole, saved.sections) : BookMemory(model);
    SegmentState segment = beginAnswer(*model, *workspace, opened, prompt, stop, first);
    report.millisecondsToFirstToken = opening.seconds() * 1e3;
    std::span<const float> logits = first;
    const Stopwatch answering;
    for (int i = 0; i < answerTokens; ++i) {
      const TokenId token = likeliest(logits);
      logits = transformer.extend(*workspace, segment, std::span(&token, 1), stop);
    }
    report.answerTokensPerSecond = answerTokens / answering.seconds();
    report.answerBytesPerSecond =
        report.answerTokensPerSecond * static_cast<double>(report.weightBytes + opened.whole().bytes());
  }
}

}  // namespace

BenchReport runBench(std::shared_ptr<const Model> model, std::string_view text, const BenchOptions& options,
                     std::stop_token stop) {
  BenchReport report;
  report.model = model->name();
  report.device = model->device();
  report.segmentLength = model->config().infiniAttention ? model->config().infiniAttention->segmentLength : 0;
  report.segmentsPerPass = model->transformer().passSize().segments;
  report.weightBytes = model->transformer().weightBytes();
  BookMemory book(model);
  if (model->hasMemory()) benchReading(model, text, options.seconds, stop, book, report);
  report.tokensRead = static_cast<std::size_t>(book.whole().tokens());
  report.memoryBytes = book.bytes();
  report.sections = static_cast<int>(book.sections().size());
  benchAnswer(model, book, options, stop, report);
  return report;
}

std::vector<std::shared_ptr<const Model>> loadOnEach(const std::filesystem::path& folder, LoadOptions load,
                                                     std::span<const DeviceChoice> devices,
                                                     const std::function<void(const std::string& why)>& leftOut) {
  std::vector<std::shared_ptr<const Model>> models;
  for (std::size_t i = 0; i < devices.size(); ++i) {
    load.device = devices[i];
    try {
      models.push_back(Model::load(folder, load));
    } catch (const ModelError& error) {
      if (models.empty() && i + 1 == devices.size()) throw;
      leftOut(error.what());
    }
  }
  return models;
}

ReadingTogether benchTogether(std::span<const std::shared_ptr<const Model>> models, std::string_view text,
                              double seconds, std::stop_token stop) {
  needWords(text);
  ReadingTogether report;
  report.alone = readAtOnce(models.first(1), text, seconds, stop).front().rate();
  Share all;
  for (const Share& share : readAtOnce(models, text, seconds, stop)) {
    report.each.push_back(share.rate());
    all.tokens += share.tokens;
    all.seconds = std::max(all.seconds, share.seconds);
  }
  report.together = all.rate();
  return report;
}

double perplexityOf(const Model& model, std::string_view text, std::size_t most) {
  constexpr std::size_t kBytesPerToken = 16,
                        kSegment = 256;  // more bytes than a token has; where no memory says how long
  const std::vector<TokenId> tokens = model.tokenizer().encode(text.substr(0, most * kBytesPerToken));
  const auto& infini = model.config().infiniAttention;
  const std::size_t length = infini ? static_cast<std::size_t>(infini->segmentLength) : kSegment;
  const auto vocab = static_cast<std::size_t>(model.config().vocabSize);
  const auto workspace = model.transformer().makeWorkspace();
  double sum = 0;
  std::size_t count = 0;
  for (std::size_t begin = 0; begin < std::min(most, tokens.size()); begin += length) {
    std::vector<TokenId> segment;
    if (const auto bos = model.tokenizer().bosToken()) segment.push_back(*bos);
    segment.insert(segment.end(), tokens.begin() + static_cast<std::ptrdiff_t>(begin),
                   tokens.begin() + static_cast<std::ptrdiff_t>(std::min({begin + length, most, tokens.size()})));
    SegmentState state = model.transformer().beginSegment(*workspace, nullptr);
    const auto logits = model.transformer().extend(*workspace, state, segment, {}, static_cast<int>(segment.size()));
    for (std::size_t i = 0; i + 1 < segment.size(); ++i, ++count) {
      const std::span<const float> row = logits.subspan(i * vocab, vocab);
      const double largest = *std::ranges::max_element(row);
      double all = 0;
      for (const float logit : row) all += std::exp(logit - largest);
      sum += largest + std::log(all) - row[static_cast<std::size_t>(segment[i + 1])];
    }
  }
  if (count == 0) throw ModelError("The text to measure with is too short to tell a perplexity. Give a longer one.");
  return std::exp(sum / static_cast<double>(count));
}

}  // namespace palimpsest::engine
