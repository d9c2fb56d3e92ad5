#include "engine/devices.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>

#include "engine/errors.h"
#include "engine/transformer.h"

namespace palimpsest::engine {

namespace {

constexpr std::size_t kLibraries = 256'000'000;  // kernels, and what cuBLAS works in
constexpr int kThreads = 2;                      // one reads, one answers

std::string notEnough(const GraphicsCard& card, std::size_t free, std::size_t needed) {
  return card.name + " has " + bytesInWords(free) + " free, and this model needs " + bytesInWords(needed);
}

DevicePlan planCard(int number, Precision precision, const ModelFolder& folder, const GraphicsCards& here,
                    const std::function<std::size_t(int card)>& freeBytes) {
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
  const std::size_t needed = bytesNeeded(folder, card->computesBFloat16 && precision != Precision::Float32);
  const std::size_t free = freeBytes(number);
  if (free < needed) {
    throw DeviceError(notEnough(*card, free, needed) +
                      ". Close other programs that use it, choose a smaller model, or compute on the CPU.");
  }
  return {{DeviceChoice::Kind::Cuda, number}, ""};
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

std::size_t bytesNeeded(const ModelFolder& folder, bool bfloat16) {
  const ModelConfig& config = folder.config();
  const std::size_t element = bfloat16 ? 2 : 4, hidden = config.hiddenSize, middle = config.intermediateSize;
  std::size_t numbers = 2 * hidden * static_cast<std::size_t>(config.vocabSize);  // embedding and head, tied or not
  std::size_t widest = 0, states = 0, lastKeysAndValues = 0;
  for (int i = 0; i < config.numLayers; ++i) {
    const AttentionLayout heads = layoutOf(folder, i);
    numbers += hidden * (static_cast<std::size_t>(heads.qkvWidth + heads.attentionWidth) + 3 * middle);
    widest = std::max(widest, static_cast<std::size_t>(heads.qkvWidth));
    states = std::max(states, heads.memoryShape.floats());
    if (heads.hasMemory())
      lastKeysAndValues = static_cast<std::size_t>(heads.memoryKeys.width + heads.memoryValues.width);
  }
  numbers += hidden * lastKeysAndValues;  // of the last layer with a memory, once more by themselves
  const PassSize size = passSizeOf(config, true);
  const std::size_t rows = size.rows;
  const std::size_t angles = sizeof(float) * std::max<std::size_t>(config.maxPositionEmbeddings, rows) * config.headDim;
  const std::size_t pass = rows * (sizeof(float) * hidden + element * (hidden + 2 * widest + 3 * middle)) +
                           sizeof(float) * (static_cast<std::size_t>(size.segments) + 1) * states;
  // A segment that is answered keeps its keys and values of every layer.
  const std::size_t kept = element * config.numLayers * widest * rows / size.segments;
  return element * numbers + angles + kThreads * pass + kept + kLibraries;
}

DevicePlan planDevice(const DeviceChoice& wanted, Precision precision, const ModelFolder& folder,
                      const GraphicsCards& here, const std::function<std::size_t(int card)>& freeBytes) {
  using Kind = DeviceChoice::Kind;
  if (wanted.kind == Kind::Cpu) return {{Kind::Cpu}, ""};
  if (wanted.kind == Kind::Cuda) return planCard(wanted.card, precision, folder, here, freeBytes);
  std::string why = here.problem;
  for (const GraphicsCard& card : here.cards) {
    try {
      return planCard(card.number, precision, folder, here, freeBytes);
    } catch (const ModelError& error) {
      if (why.empty()) why = error.what();
    }
  }
  return {{Kind::Cpu}, why};
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
