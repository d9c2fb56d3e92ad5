// The engine's benchmark without Qt, for machines that have a graphics card and no desktop:
//   palimpsest-engine-bench MODEL TEXT [--device cuda:0] [--seconds 5] [--precision f32] [--weights int4]
// prints one "name value" a line. palimpsest-cli bench measures the same, with the library's database between.
// --device cuda:all measures reading alone: by the first card, then by all that the model fits on at the same time.
//   palimpsest-engine-bench MODEL --cases FILE.jsonl [--answers OUT.jsonl [--knock-out] [--forced] [--by-section]]
// reads a file of cases and asks its questions: a line for each row, with the shares that palimpsest-cli eval prints.
// --answers writes what was answered (engine/answers_file.h), of which python -m palimpsest_training.answers makes the
// cells of evaluation.json; --knock-out asks the same of an empty memory and of another document's as well, --forced
// asks once more what was refused, to know what another unknown_bias would have given, --by-section asks each section
// that might answer, to know what another sure_doubt would have.
#include <charconv>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "engine/answers_file.h"
#include "engine/bench.h"
#include "engine/cases.h"
#include "engine/errors.h"

namespace {

using namespace palimpsest::engine;

constexpr const char* kUsage =
    "usage: palimpsest-engine-bench MODEL TEXT [--seconds S] [--device auto|cpu|cuda|cuda:N|cuda:all] [--precision "
    "auto|f32|bf16] [--weights auto|full|int8|fp8|int4]\n"
    "       palimpsest-engine-bench MODEL --cases FILE.jsonl [--answers OUT.jsonl [--knock-out] [--forced] "
    "[--by-section]] [--device ...] [--precision ...] [--weights ...]\n";

const std::map<std::string, Precision> kPrecisions = {
    {"auto", Precision::Automatic}, {"f32", Precision::Float32}, {"bf16", Precision::BFloat16}};

const std::set<std::string> kWithValue = {"--device", "--precision", "--weights", "--seconds", "--cases", "--answers"};

struct Arguments {
  std::string model, text, cases;  // one of text and cases is empty
  std::string answers;             // empty: what is answered is not kept
  bool knockOut = false, forced = false, bySection = false;
  LoadOptions load;
  BenchOptions bench;
  std::vector<DeviceChoice> allCards;  // of cuda:all, which reading alone is measured on
};

void line(std::string_view name, const auto& value) { std::cout << name << ' ' << value << '\n'; }

double secondsSince(std::chrono::steady_clock::time_point began) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
}

// Loads the model and prints what is to be known of it.
std::shared_ptr<const Model> loaded(const Arguments& arguments) {
  std::string room;
  LoadOptions load = arguments.load;
  load.planned = [&](const DevicePlan& plan) { room = plan.room; };
  const auto began = std::chrono::steady_clock::now();
  auto model = Model::load(arguments.model, load);
  const double seconds = secondsSince(began);
  line("model", model->name());
  line("device", model->device());
  if (!room.empty()) line("room", room);
  if (!model->deviceFallback().empty()) line("fallback", model->deviceFallback());
  line("load_s", seconds);
  return model;
}

void print(const BenchReport& report, double perplexity) {
  line("perplexity", perplexity);
  line("reading_tokens_per_s", report.readingTokensPerSecond);
  line("products_tokens_per_s", report.ceilingTokensPerSecond);
  line("products_gflops", report.ceilingGflops);
  line("share_of_products", report.shareOfCeiling);
  for (const auto& [until, speed] : report.stretches)
    line("reading_tokens_per_s until " + std::to_string(until) + ":", speed);
  line("pass_rows", report.passRows);
  for (const auto& [name, milliseconds] : report.operations) line("pass_ms " + name + ":", milliseconds);
  line("sections", report.sections);
  line("first_token_ms", report.millisecondsToFirstToken);
  line("answer_tokens_per_s", report.answerTokensPerSecond);
  line("answer_gb_per_s", report.answerBytesPerSecond / 1e9);
  line("tokens_read", report.tokensRead);
  line("memory_bytes", report.memoryBytes);
  line("weight_bytes", report.weightBytes);
}

void measureTogether(const std::vector<std::shared_ptr<const Model>>& models, const std::string& text, double seconds) {
  const ReadingTogether report = benchTogether(models, text, seconds);
  line("model", models.front()->name());
  for (const auto& model : models) line("device", model->device());
  line("reading_tokens_per_s_alone", report.alone);
  for (std::size_t i = 0; i < report.each.size(); ++i)
    line("reading_tokens_per_s_" + std::to_string(i), report.each[i]);
  line("reading_tokens_per_s_together", report.together);
  line("together_by_alone", report.together / report.alone);
}

std::optional<double> positive(const std::string& words) {
  double number = 0;
  const auto [end, error] = std::from_chars(words.data(), words.data() + words.size(), number);
  if (error != std::errc() || end != words.data() + words.size() || !(number > 0)) return std::nullopt;
  return number;
}

Arguments argumentsOf(int count, char** words) {
  if (count < 3) throw std::invalid_argument(kUsage);
  Arguments arguments{
      .model = words[1], .text = {}, .cases = {}, .answers = {}, .load = {}, .bench = {}, .allCards = {}};
  const std::map<std::string, bool*> flags = {
      {"--knock-out", &arguments.knockOut}, {"--forced", &arguments.forced}, {"--by-section", &arguments.bySection}};
  const bool withText = !std::string_view(words[2]).starts_with("--");
  if (withText) arguments.text = words[2];
  for (int i = withText ? 3 : 2; i < count; ++i) {
    const std::string name = words[i];
    if (const auto flag = flags.find(name); flag != flags.end()) {
      *flag->second = true;
      continue;
    }
    const std::string value = ++i < count ? words[i] : "";
    if (value.empty() && kWithValue.contains(name)) {
      throw std::invalid_argument(name + " needs a value.\n" + kUsage);
    } else if (name == "--device" && deviceOf(value)) {
      arguments.load.device = *deviceOf(value);
    } else if (name == "--device" && withText && !devicesOf(value).empty()) {
      arguments.allCards = devicesOf(value);
    } else if (name == "--precision" && kPrecisions.contains(value)) {
      arguments.load.precision = kPrecisions.at(value);
    } else if (name == "--weights" && weightsOf(value)) {
      arguments.load.weights = *weightsOf(value);
    } else if (name == "--seconds" && withText && positive(value)) {
      arguments.bench.seconds = *positive(value);
    } else if (name == "--cases" && !withText) {
      arguments.cases = value;
    } else if (name == "--answers" && !withText) {
      arguments.answers = value;
    } else {
      throw std::invalid_argument(kUsage);
    }
  }
  if (arguments.text.empty() == arguments.cases.empty()) throw std::invalid_argument(kUsage);
  for (const auto& [name, flag] : flags)
    if (*flag && arguments.answers.empty())
      throw std::invalid_argument(name + " needs --answers, the file that it is written to.\n" + kUsage);
  return arguments;
}

void measure(const Arguments& arguments) {
  std::ifstream file(arguments.text, std::ios::binary);
  if (!file) throw std::invalid_argument(arguments.text + " cannot be read.\n");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  if (!arguments.allCards.empty()) {
    LoadOptions load = arguments.load;
    load.planned = [](const DevicePlan& plan) { line("room", plan.room); };
    const auto leftOut = [](const std::string& why) { line("left_out", why); };
    const auto models = loadOnEach(arguments.model, load, arguments.allCards, leftOut);
    return measureTogether(models, text, arguments.bench.seconds);
  }
  const auto model = loaded(arguments);
  print(runBench(model, text, arguments.bench), perplexityOf(*model, text));
}

double shareOf(int part, int whole) { return whole == 0 ? 0 : static_cast<double>(part) / whole; }

// "facts-8 2K n 28 exact 0.8929 ...": of names and numbers, then of all that can be answered.
void print(const CaseTally& tally) {
  std::cout << tally.row << ' ' << tally.size << " n " << tally.open << " exact "
            << shareOf(tally.openExact, tally.open) << " all_n " << tally.answerable << " all_exact "
            << shareOf(tally.answerableExact, tally.answerable) << " answered_anyway "
            << shareOf(tally.answeredAnyway, tally.unanswerable) << " false_unknown "
            << shareOf(tally.falseUnknown, tally.answerable) << '\n';
}

void examine(const Arguments& arguments) {
  checkCases(arguments.cases);
  CasesFile file(arguments.cases);
  CasesOptions options{.knockOut = arguments.knockOut, .forced = arguments.forced, .bySection = arguments.bySection};
  std::optional<AnswersFile> answers;  // opened before anything is computed
  if (!arguments.answers.empty()) {
    std::error_code unknown;
    if (std::filesystem::equivalent(arguments.cases, arguments.answers, unknown))
      throw CasesError("“" + arguments.answers + "” holds the cases: the answers need a file of their own.");
    answers.emplace(arguments.answers);
    options.answered = [&](const RowAnswers& asked) { answers->write(asked); };
  }
  const auto model = loaded(arguments);
  const auto began = std::chrono::steady_clock::now();
  const CasesReport report = runCases(model, file, options);
  const double seconds = secondsSince(began);
  std::cout << std::fixed << std::setprecision(4);
  for (const CaseTally& tally : report.tallies) print(tally);
  line("tokens_read", report.tokens);
  line("cases_seconds", seconds);
}

}  // namespace

int main(int count, char** words) {
  try {
    const Arguments arguments = argumentsOf(count, words);
    arguments.cases.empty() ? measure(arguments) : examine(arguments);
    return 0;
  } catch (const ModelError& error) {
    std::cerr << error.what() << '\n';
    return 1;
  } catch (const CasesError& error) {
    std::cerr << error.what() << '\n';
    return 1;
  } catch (const std::invalid_argument& error) {
    std::cerr << error.what();
    return 2;
  }
}
