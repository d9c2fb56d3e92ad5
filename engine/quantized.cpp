#include "engine/quantized.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <utility>

#include "engine/errors.h"
#include "engine/quantize_kernels.h"

namespace palimpsest::engine {

namespace {

constexpr int kFloat8Inputs = 16;               // a row begins where 16 bytes do
constexpr std::size_t kWorthThreads = 1 << 17;  // weights; of fewer, other threads are waited for longer than they help
// What is smaller counts as zero: scales far from the end of f32, whose inverses are numbers.
constexpr float kLeastWeight = 1e-30F;

// Eight numbers of Int4 as they stand in a tile: those at even places in the lower half of the word, then the others.
std::uint32_t nibblesOf(const std::int8_t* numbers) {
  std::uint32_t word = 0;
  for (int i = 0; i < 8; ++i)
    word |= static_cast<std::uint32_t>(numbers[i] - kLeastInt4) << (4 * (i / 2 + 4 * (i % 2)));
  return word;
}

std::size_t roundedUp(int count, int multiple) {
  return static_cast<std::size_t>((count + multiple - 1) / multiple) * static_cast<std::size_t>(multiple);
}

}  // namespace

int groupOf(WeightType type, int inputs) {
  constexpr int kLong = 128, kShort = 64;
  if (type != WeightType::Int4) return inputs;
  return inputs % kLong == 0 ? kLong : kShort;
}

WeightType keptAs(WeightType wanted, int inputs) {
  if (wanted == WeightType::Automatic) return WeightType::Full;
  const int multiple = wanted == WeightType::Int4 ? groupOf(wanted, inputs) : kFloat8Inputs;
  const bool wantsMultiple = wanted == WeightType::Int4 || wanted == WeightType::Fp8;
  return wantsMultiple && inputs % multiple != 0 ? WeightType::Full : wanted;
}

WeightType keptAsHead(WeightType wanted) {
  return wanted == WeightType::Int4 || wanted == WeightType::Fp8 ? WeightType::Int8 : wanted;
}

float fromE4m3(std::uint8_t bits) {
  const std::uint32_t size = bits & 0x7FU;
  const float value = size < 8 ? static_cast<float>(size) * 0x1p-9F
                               : std::bit_cast<float>((size << 20) + (std::uint32_t{127 - 7} << 23));
  return (bits & 0x80U) != 0 ? -value : value;
}

QuantizedRows quantize(std::span<const float> rows, int inputs, WeightType type) {
  QuantizedRows made{type, inputs, std::vector<std::int8_t>(rows.size()), {}};
  const int group = made.group();
  const auto groups = static_cast<std::int64_t>(rows.size()) / group;
  made.scales.resize(static_cast<std::size_t>(groups));
  const QuantizeKernels& kernels = quantizeKernels();
  const auto quantizeGroup = type == WeightType::Int4  ? kernels.int4
                             : type == WeightType::Fp8 ? kernels.fp8
                                                       : kernels.int8;
  bool finite = true;
#pragma omp parallel for schedule(static) reduction(&& : finite) if (rows.size() >= kWorthThreads)
  for (std::int64_t g = 0; g < groups; ++g) {
    const float* weights = rows.data() + g * group;
    std::int8_t* values = made.values.data() + g * group;
    const float extreme = kernels.extremeOf(weights, group);
    if (std::isnan(extreme)) {
      finite = false;
    } else if (std::abs(extreme) >= kLeastWeight) {
      quantizeGroup(weights, group, extreme, values, made.scales[static_cast<std::size_t>(g)]);
    }
  }
  if (!finite) {
    throw ModelError(
        "This model has weights that are not finite numbers, which cannot be kept in fewer bits. Choose full weights, "
        "or another model.");
  }
  return made;
}

void dequantize(const QuantizedRows& rows, std::span<float> out) {
  const auto group = static_cast<std::size_t>(rows.group());
  const bool fp8 = rows.type == WeightType::Fp8;
  for (std::size_t g = 0; g < rows.scales.size(); ++g) {
    for (std::size_t i = g * group; i < (g + 1) * group; ++i) {
      const std::int8_t q = rows.values[i];
      out[i] = rows.scales[g] * (fp8 ? fromE4m3(static_cast<std::uint8_t>(q)) : static_cast<float>(q));
    }
  }
}

RowSource quantizedSource(RowSource source, int inputs, WeightType type) {
  if (type == WeightType::Full) return source;
  return [source = std::move(source), inputs, type](std::int64_t begin, std::int64_t rows, std::span<float> out) {
    source(begin, rows, out);
    dequantize(quantize(out, inputs, type), out);
  };
}

std::size_t tileBytes(WeightType type, int outputs, int inputs) {
  if (type == WeightType::Fp8) return roundedUp(outputs, kTileRows) * static_cast<std::size_t>(inputs);
  const std::size_t weights = roundedUp(outputs, kTileRows) * roundedUp(inputs, kTileInputs);
  return type == WeightType::Int4 ? weights / 2 : weights;
}

std::size_t scaleBytes(WeightType type, int outputs, int inputs) {
  const std::size_t rows = roundedUp(outputs, kTileRows);
  if (type != WeightType::Int4) return rows * sizeof(float);
  return rows * static_cast<std::size_t>(inputs / groupOf(type, inputs)) * sizeof(std::uint16_t);
}

QuantizedTiles tilesOf(const QuantizedRows& rows) {
  constexpr int kLaneInputs = 16, kHalf = kTileRows / 2, kLanes = kHalf * kTileInputs / kLaneInputs;
  const int count = rows.rows(), inputs = rows.inputs, group = rows.group();
  const bool int4 = rows.type == WeightType::Int4;
  QuantizedTiles made{std::vector<std::byte>(tileBytes(rows.type, count, inputs)),
                      std::vector<std::byte>(scaleBytes(rows.type, count, inputs))};
  if (rows.type == WeightType::Fp8) {
    std::memcpy(made.values.data(), rows.values.data(), rows.values.size());
    std::memcpy(made.scales.data(), rows.scales.data(), rows.scales.size() * sizeof(float));
    return made;
  }
  const auto tiles = static_cast<std::int64_t>(roundedUp(inputs, kTileInputs)) / kTileInputs;
  const std::size_t bytes = static_cast<std::size_t>(kTileRows * kTileInputs) / (int4 ? 2 : 1);
  const auto put = [&](std::size_t index, float scale) {
    if (int4) {
      const auto upper = static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(scale) >> 16);
      std::memcpy(made.scales.data() + index * sizeof upper, &upper, sizeof upper);
    } else {
      std::memcpy(made.scales.data() + index * sizeof scale, &scale, sizeof scale);
    }
  };
#pragma omp parallel for schedule(static) if (rows.values.size() >= kWorthThreads)
  for (std::int64_t strip = 0; strip < (count + kTileRows - 1) / kTileRows; ++strip) {
    for (int r = 0; r < kTileRows && strip * kTileRows + r < count; ++r) {
      const auto row = static_cast<std::size_t>(strip * kTileRows + r);
      const std::int8_t* from = rows.values.data() + row * static_cast<std::size_t>(inputs);
      const int half = r / kHalf;
      for (int k = 0; k < inputs; k += kLaneInputs) {
        std::byte* tile = made.values.data() + static_cast<std::size_t>(strip * tiles + k / kTileInputs) * bytes;
        const int lane = r % kHalf * (kTileInputs / kLaneInputs) + k % kTileInputs / kLaneInputs;
        if (int4) {  // of whole runs: groups are
          const std::array words = {nibblesOf(from + k), nibblesOf(from + k + kLaneInputs / 2)};
          std::memcpy(tile + lane * kLaneInputs + half * sizeof words, words.data(), sizeof words);
        } else {
          std::memcpy(tile + (half * kLanes + lane) * kLaneInputs, from + k,
                      static_cast<std::size_t>(std::min(kLaneInputs, inputs - k)));
        }
      }
      const auto groups = static_cast<std::size_t>(inputs / group);
      for (std::size_t g = 0; g < groups; ++g) {
        const std::size_t index =
            int4 ? ((static_cast<std::size_t>(strip) * groups + g) * kHalf + r % kHalf) * 2 + half : row;
        put(index, rows.scales[row * groups + g]);
      }
    }
  }
  return made;
}

}  // namespace palimpsest::engine
