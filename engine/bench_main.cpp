// The engine's benchmark without Qt, for machines that have a graphics card and no desktop:
//   palimpsest-engine-bench MODEL TEXT [--device cuda:0] [--seconds 5] [--precision f32] [--weights int4]
// prints one "name value" a line. palimpsest-cli bench measures the same, with the library's database between.
// --device cuda:all measures reading alone: by the first card, then by all that the model fits on at the same time.
#include <charconv>
#include <chrono>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "engine/bench.h"
#include "engine/errors.h"

namespace {

using namespace palimpsest::engine;

constexpr const char* kUsage =
    "usage: palimpsest-engine-bench MODEL TEXT [--device auto|cpu|cuda|cuda:N|cuda:all] [--seconds S] "
    "[--precision auto|f32|bf16] [--weights auto|full|int8|fp8|int4]\n";

const std::map<std::string, Precision> kPrecisions = {
    {"auto", Precision::Automatic}, {"f32", Precision::Float32}, {"bf16", Precision::BFloat16}};

void line(std::string_view name, const auto& value) { std::cout << name << ' ' << value << '\n'; }

void print(const BenchReport& report, const std::string& room, const std::string& fallback, double loadSeconds,
           double perplexity) {
  line("model", report.model);
  line("device", report.device);
  if (!room.empty()) line("room", room);
  if (!fallback.empty()) line("fallback", fallback);
  line("load_s", loadSeconds);
  line("perplexity", perplexity);
  line("reading_tokens_per_s", report.readingTokensPerSecond);
  line("products_tokens_per_s", report.ceilingTokensPerSecond);
  line("products_gflops", report.ceilingGflops);
  line("share_of_products", report.shareOfCeiling);
  for (const auto& [until, speed] : report.stretches)
    line(("reading_tokens_per_s until " + std::to_string(until) + ":").c_str(), speed);
  line("pass_rows", report.passRows);
  for (const auto& [name, milliseconds] : report.operations) line(("pass_ms " + name + ":").c_str(), milliseconds);
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

int run(int count, char** words) {
  if (count < 3 || count % 2 == 0) throw std::invalid_argument(kUsage);
  LoadOptions load;
  BenchOptions options;
  std::vector<DeviceChoice> devices{load.device};
  bool allCards = false;
  for (int i = 3; i < count; i += 2) {
    const std::string name = words[i], value = words[i + 1];
    if (name == "--device" && !devicesOf(value).empty()) {
      devices = devicesOf(value);
      allCards = value == "cuda:all";
    } else if (name == "--precision" && kPrecisions.contains(value)) {
      load.precision = kPrecisions.at(value);
    } else if (name == "--weights" && weightsOf(value)) {
      load.weights = *weightsOf(value);
    } else if (name == "--seconds" && positive(value)) {
      options.seconds = *positive(value);
    } else {
      throw std::invalid_argument(kUsage);
    }
  }
  std::ifstream file(words[2], std::ios::binary);
  if (!file) throw std::invalid_argument(std::string(words[2]) + " cannot be read.\n");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  if (allCards) {
    load.planned = [](const DevicePlan& plan) { line("room", plan.room); };
    const auto leftOut = [](const std::string& why) { line("left_out", why); };
    measureTogether(loadOnEach(words[1], load, devices, leftOut), text, options.seconds);
    return 0;
  }
  std::string room;
  load.device = devices.front();
  load.planned = [&](const DevicePlan& plan) { room = plan.room; };
  const auto began = std::chrono::steady_clock::now();
  const auto model = Model::load(words[1], load);
  const std::chrono::duration<double> loading = std::chrono::steady_clock::now() - began;
  print(runBench(model, text, options), room, model->deviceFallback(), loading.count(), perplexityOf(*model, text));
  return 0;
}

}  // namespace

int main(int count, char** words) {
  try {
    return run(count, words);
  } catch (const ModelError& error) {
    std::cerr << error.what() << '\n';
    return 1;
  } catch (const std::invalid_argument& error) {
    std::cerr << error.what();
    return 2;
  }
}
