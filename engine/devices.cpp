#include "engine/devices.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>

#include "engine/errors.h"
#include "engine/quantized.h"
#include "engine/transformer.h"

namespace palimpsest::engine {

namespace {

constexpr std::size_t kLibraries = 256'000'000;  // kernels, and what cuBLAS works in
constexpr int kThreads = 2;                      // one reads, one answers

// As a device keeps a weight [outputs x inputs]; `element` bytes a number where it is Full.
std::size_t bytesOf(WeightType wanted, std::size_t element, std::size_t outputs, std::size_t inputs) {
  const WeightType type = keptAs(wanted, static_cast<int>(inputs));
  if (type == WeightType::Full) return element * outputs * inputs;
  return tileBytes(type, static_cast<int>(outputs), static_cast<int>(inputs)) +
         scaleBytes(type, static_cast<int>(outputs), static_cast<int>(inputs));
}

// The weights that are asked for, or the best that fit where none are. Throws DeviceError where they do not.
DevicePlan fitOn(const GraphicsCard& card, WeightType wanted, std::size_t free,
                 const std::function<std::size_t(WeightType weights)>& needs) {
  const WeightType first = wanted == WeightType::Automatic ? WeightType::Full : wanted;
  DevicePlan plan{{DeviceChoice::Kind::Cuda, card.number}, first, "", ""};
  std::string words = card.name + ": needs " + bytesInWords(needs(first));
  if (first != WeightType::Full) words += " in " + std::string(nameOf(first));
  words += ", " + bytesInWords(free) + " free";
  plan.room = words + ".";
  if (needs(first) <= free) return plan;
  for (const WeightType fewer : {WeightType::Int8, WeightType::Int4}) {
    if (fewer <= first || needs(fewer) > free) continue;
    const std::string name(nameOf(fewer));
    plan.room = words + ": " + name + " fits, " + bytesInWords(needs(fewer)) + ".";
    plan.weights = fewer;
    if (wanted == WeightType::Automatic) return plan;
    throw DeviceError(plan.room + " Choose " + name +
                      " weights, close other programs that use the card, or compute on the CPU.");
  }
  if (first != WeightType::Int4) words += "; int4 would need " + bytesInWords(needs(WeightType::Int4));
  throw DeviceError(words + ". Close other programs that use it, choose a smaller model, or compute on the CPU.");
}

DevicePlan planCard(int number, Precision precision, WeightType weights, const ModelFolder& folder,
                    const GraphicsCards& here, const std::function<std::size_t(int card)>& freeBytes) {
  if (!builtWithCuda() && here.cards.empty())
    throw DeviceError("This program was built without CUDA. Compute on the CPU, or build it again where nvcc is.");
  const auto card = std::ranges::find(here.cards, number, &GraphicsCard::number);
  if (card == here.cards.end()) {
    if (!here.problem.empty()) throw DeviceError(here.problem);
    if (here.cards.empty()) throw DeviceError("There is no graphics card that CUDA can use here. Compute on the CPU.");
    throw DeviceError("There is no graphics card number " + std::to_string(number) + " here; there are " +
                      std::to_string(here.cards.size()) + ", counted from 0.");
  }
  if (precision == Precision::BFloat16 && !card->computesBFloat16)
    throw DeviceError(card->name + " does not compute in bf16; choose f32, or leave the precision to the program.");
  const bool bfloat16 = card->computesBFloat16 && precision != Precision::Float32;
  if (weights == WeightType::Fp8 && bfloat16 && !card->computesFp8)
    throw DeviceError(card->name +
                      " does not multiply in fp8, which takes compute capability 9.0 (H100, H200) and cuBLAS 12.9; "
                      "choose int8 weights, or compute on the CPU.");
  return fitOn(*card, weights, freeBytes(number), [&](WeightType type) { return bytesNeeded(folder, bfloat16, type); });
}

}  // namespace

std::optional<DeviceChoice> deviceOf(std::string_view words) {
  using Kind = DeviceChoice::Kind;
  if (words == "auto") return DeviceChoice{Kind::Automatic};
  if (words == "cpu") return DeviceChoice{Kind::Cpu};
  if (words == "cuda") return DeviceChoice{Kind::Cuda};
  constexpr std::string_view kNumbered = "cuda:";
  if (!words.starts_with(kNumbered)) return std::nullopt;
  words.remove_prefix(kNumbered.size());
  DeviceChoice choice{Kind::Cuda};
  const auto [end, error] = std::from_chars(words.data(), words.data() + words.size(), choice.card);
  if (error != std::errc() || end != words.data() + words.size() || choice.card < 0) return std::nullopt;
  return choice;
}

std::vector<DeviceChoice> devicesOf(std::string_view words, const std::function<GraphicsCards()>& look) {
  if (words != "cuda:all") {
    const auto one = deviceOf(words);
    return one ? std::vector{*one} : std::vector<DeviceChoice>();
  }
  std::vector<DeviceChoice> all;
  try {
    for (const GraphicsCard& card : look().cards) all.push_back({DeviceChoice::Kind::Cuda, card.number});
  } catch (const ModelError&) {
    all.clear();  // loading looks again, and says what it meets
  }
  if (all.empty()) all.push_back({DeviceChoice::Kind::Cuda, 0});
  return all;
}

std::optional<WeightType> weightsOf(std::string_view words) {
  using enum WeightType;
  for (const WeightType type : {Automatic, Full, Int8, Fp8, Int4})
    if (words == nameOf(type)) return type;
  return std::nullopt;
}

std::string_view nameOf(WeightType type) {
  switch (type) {
    case WeightType::Automatic:
      return "auto";
    case WeightType::Full:
      return "full";
    case WeightType::Int8:
      return "int8";
    case WeightType::Fp8:
      return "fp8";
    case WeightType::Int4:
      return "int4";
  }
  return "";
}

std::size_t bytesNeeded(const ModelFolder& folder, bool bfloat16, WeightType weights) {
  const ModelConfig& config = folder.config();
  const std::size_t element = bfloat16 ? 2 : 4, hidden = config.hiddenSize, middle = config.intermediateSize;
  const auto vocabulary = static_cast<std::size_t>(config.vocabSize);
  std::size_t bytes = element * vocabulary * hidden;  // the token table
  std::size_t largest = 0;                            // bytes of a weight, were it Full
  std::size_t mostInputs = 0;
  const auto count = [&](WeightType wanted, std::size_t outputs, std::size_t inputs) {
    bytes += bytesOf(wanted, element, outputs, inputs);
    largest = std::max(largest, element * outputs * inputs);
    mostInputs = std::max(mostInputs, inputs);
  };
  count(keptAsHead(weights), vocabulary, hidden);
  std::size_t widest = 0, states = 0, lastKeysAndValues = 0;
  for (int i = 0; i < config.numLayers; ++i) {
    const AttentionLayout heads = layoutOf(folder, i);
    const auto columns = static_cast<std::size_t>(heads.qkvWidth);
    count(weights, columns, hidden);
    count(weights, hidden, static_cast<std::size_t>(heads.attentionWidth));
    count(weights, 2 * middle, hidden);
    count(weights, hidden, middle);
    widest = std::max(widest, columns);
    states = std::max(states, heads.memoryShape.floats());
    if (heads.hasMemory())
      lastKeysAndValues = static_cast<std::size_t>(heads.memoryKeys.width + heads.memoryValues.width);
  }
  if (lastKeysAndValues > 0) count(weights, lastKeysAndValues, hidden);  // of the last memory, once more by themselves
  const PassSize size = passSizeOf(config, true);
  const std::size_t rows = size.rows;
  const std::size_t angles = sizeof(float) * std::max<std::size_t>(config.maxPositionEmbeddings, rows) * config.headDim;
  const std::size_t pass =
      rows * (sizeof(float) * hidden + element * (hidden + 2 * widest + 3 * middle)) +
      sizeof(float) * static_cast<std::size_t>(size.segments + 1 + config.numLayers * size.portions()) * states +
      (weights > WeightType::Full ? std::min(largest, kDequantizedBytes) : 0) +
      (weights == WeightType::Fp8 ? float8RowBytes(rows, mostInputs) + kFloat8Workspace : 0);
  // A segment that is answered keeps its keys and values of every layer.
  const std::size_t kept = element * config.numLayers * widest * rows / size.segments;
  return bytes + angles + kThreads * pass + kept + kLibraries;
}

DevicePlan planDevice(const DeviceChoice& wanted, Precision precision, WeightType weights, const ModelFolder& folder,
                      const GraphicsCards& here, const std::function<std::size_t(int card)>& freeBytes) {
  using Kind = DeviceChoice::Kind;
  DevicePlan cpu{{Kind::Cpu}, weights == WeightType::Automatic ? WeightType::Full : weights, "", ""};
  if (wanted.kind == Kind::Cpu) return cpu;
  if (wanted.kind == Kind::Cuda) return planCard(wanted.card, precision, weights, folder, here, freeBytes);
  cpu.fallback = here.problem;
  std::optional<DevicePlan> best;
  for (const GraphicsCard& card : here.cards) {
    try {
      const DevicePlan plan = planCard(card.number, precision, weights, folder, here, freeBytes);
      if (!best || plan.weights < best->weights) best = plan;
      if (weights != WeightType::Automatic || plan.weights == WeightType::Full) break;
    } catch (const ModelError& error) {
      if (cpu.fallback.empty()) cpu.fallback = error.what();
    }
  }
  return best ? *best : cpu;
}

std::string bytesInWords(std::size_t bytes) {
  std::array<char, 32> words{};
  if (bytes >= 1'000'000'000) {
    std::snprintf(words.data(), words.size(), "%.1f GB", static_cast<double>(bytes) / 1e9);
  } else {
    std::snprintf(words.data(), words.size(), "%.0f MB", static_cast<double>(bytes) / 1e6);
  }
  return words.data();
}

}  // namespace palimpsest::engine
