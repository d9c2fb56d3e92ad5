#include "engine/section_memory.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <stdexcept>
#include <utility>

namespace palimpsest::engine {

namespace {

constexpr float kLargest = 7;
constexpr std::uint32_t kBits = 4, kMask = 15, kSign = 8;

float largestOf(std::span<const float> row) {
  float largest = 0;
#pragma omp simd reduction(max : largest)
  for (std::size_t i = 0; i < row.size(); ++i) largest = std::max(largest, std::abs(row[i]));
  return largest;
}

// The nearest whole number, in four bits; 0 for what is no number or out of range.
std::uint32_t fourBitsOf(float number) {
  // Compared as whole numbers and without a branch, for the compiler to make vectors of.
  constexpr auto kTooLarge = std::bit_cast<std::int32_t>(kLargest + 0.25F);
  const auto bits = std::bit_cast<std::int32_t>(number);
  const std::int32_t kept = bits & -static_cast<std::int32_t>((bits & 0x7fffffff) < kTooLarge);
  // A float of this size has no digits behind the point, and its last bits are 0: what is added to it stands in them,
  // rounded.
  constexpr float kWhole = 12582912.0F;  // 1.5 * 2^23
  return std::bit_cast<std::uint32_t>(std::bit_cast<float>(kept) + kWhole) & kMask;
}

float numberOf(std::uint32_t fourBits) {
  return static_cast<float>(static_cast<std::int32_t>(fourBits ^ kSign) - static_cast<std::int32_t>(kSign));
}

// Returns the row's scale.
float roundRow(std::span<const float> row, std::uint8_t* to) {
  const float scale = largestOf(row) / kLargest;
  const float inverse = scale > 0 && std::isfinite(scale) ? 1 / scale : 0;
  const std::size_t bytes = SectionMemory::packedBytes(row.size()), whole = row.size() - bytes;
  const float *lower = row.data(), *upper = lower + bytes;
  for (std::size_t i = 0; i < whole; ++i)
    to[i] = static_cast<std::uint8_t>(fourBitsOf(lower[i] * inverse) | fourBitsOf(upper[i] * inverse) << kBits);
  if (whole < bytes) to[whole] = static_cast<std::uint8_t>(fourBitsOf(lower[whole] * inverse));
  return scale;
}

void openRow(const std::uint8_t* packed, float scale, std::span<float> to) {
  const std::size_t bytes = SectionMemory::packedBytes(to.size()), whole = to.size() - bytes;
  float *lower = to.data(), *upper = lower + bytes;
  for (std::size_t i = 0; i < bytes; ++i) lower[i] = numberOf(packed[i] & kMask) * scale;
  for (std::size_t i = 0; i < whole; ++i) upper[i] = numberOf(packed[i] >> kBits) * scale;
}

// -8 has no opposite: rounding never makes it.
bool holdsMinusEight(std::span<const std::uint8_t> packed) {
  unsigned found = 0;
  for (const unsigned byte : packed)
    found |= static_cast<unsigned>((byte & kMask) == kSign) | static_cast<unsigned>(byte >> kBits == kSign);
  return found != 0;
}

}  // namespace

template <class Visit>
void SectionMemory::eachHead(Visit&& visit) const {
  for (int layer = 0; layer < static_cast<int>(shapes_.size()); ++layer) {
    const auto& shape = shapes_[static_cast<std::size_t>(layer)];
    for (int head = 0; head < shape.heads(); ++head) {
      const auto& part = shape.partOf(head);
      visit(layer, head, static_cast<std::size_t>(part.keyDim), static_cast<std::size_t>(part.valueDim));
    }
  }
}

template <class RowAt>
void SectionMemory::round(RowAt&& rowAt) {
  auto* packed = packed_.data();
  auto scale = scales_.begin();
  eachHead([&](int layer, int head, std::size_t rows, std::size_t width) {
    for (std::size_t row = 0; row < rows; ++row, packed += packedBytes(width))
      *scale++ = roundRow(rowAt(layer, head, row, width), packed);
  });
}

SectionMemory::SectionMemory(Shapes shapes, std::int64_t tokens) : shapes_(std::move(shapes)), tokens_(tokens) {
  std::size_t bytes = 0, rows = 0;  // a row has a scale and an entry of z
  for (const auto& shape : shapes_) {
    for (const auto* part : {&shape.base, &shape.added}) {
      const std::size_t own = static_cast<std::size_t>(part->kvHeads) * static_cast<std::size_t>(part->keyDim);
      rows += own;
      bytes += own * packedBytes(static_cast<std::size_t>(part->valueDim));
    }
  }
  packed_.resize(bytes);
  scales_.resize(rows);
  normalizers_.resize(rows);
}

SectionMemory::SectionMemory(const CompressiveMemory& written) : SectionMemory(written.shapes(), written.tokens()) {
  round([&](int layer, int head, std::size_t row, std::size_t width) {
    return written.matrix(layer, head).subspan(row * width, width);
  });
  auto normalizer = normalizers_.begin();
  eachHead([&](int layer, int head, std::size_t, std::size_t) {
    normalizer = std::ranges::copy(written.normalizer(layer, head), normalizer).out;
  });
}

SectionMemory::SectionMemory(Shapes shapes, std::int64_t tokens, std::vector<std::uint8_t> packed,
                             std::vector<float> scales, std::vector<float> normalizers)
    : SectionMemory(std::move(shapes), tokens) {
  if (packed.size() != packed_.size() || scales.size() != scales_.size() || normalizers.size() != normalizers_.size())
    throw std::invalid_argument("a section's numbers are not those of its shapes");
  if (holdsMinusEight(packed)) throw std::invalid_argument("a section holds -8, and its numbers are -7 to 7");
  packed_ = std::move(packed);
  scales_ = std::move(scales);
  normalizers_ = std::move(normalizers);
}

SectionMemory SectionMemory::fromEightBits(Shapes shapes, std::int64_t tokens, std::span<const std::int8_t> values,
                                           std::span<const float> scales, std::vector<float> normalizers) {
  SectionMemory section(std::move(shapes), tokens);
  std::size_t numbers = 0;
  section.eachHead([&](int, int, std::size_t rows, std::size_t width) { numbers += rows * width; });
  if (values.size() != numbers || scales.size() != section.scales_.size() ||
      normalizers.size() != section.normalizers_.size())
    throw std::invalid_argument("a section's numbers are not those of its shapes");
  std::vector<float> row;
  section.round([&](int, int, std::size_t, std::size_t width) -> std::span<const float> {
    row.resize(width);
    for (std::size_t i = 0; i < width; ++i) row[i] = static_cast<float>(values[i]) * scales.front();
    values = values.subspan(width);
    scales = scales.subspan(1);
    return row;
  });
  section.normalizers_ = std::move(normalizers);
  return section;
}

CompressiveMemory SectionMemory::opened() const {
  CompressiveMemory memory = CompressiveMemory::unwritten(shapes_);
  const auto* packed = packed_.data();
  auto scale = scales_.begin();
  auto normalizer = normalizers_.begin();
  eachHead([&](int layer, int head, std::size_t rows, std::size_t width) {
    const std::span<float> matrix = memory.matrix(layer, head), z = memory.normalizer(layer, head);
    for (std::size_t row = 0; row < rows; ++row, packed += packedBytes(width))
      openRow(packed, *scale++, matrix.subspan(row * width, width));
    std::copy_n(normalizer, z.size(), z.begin());
    normalizer += static_cast<std::ptrdiff_t>(z.size());
  });
  memory.setTokens(tokens_);
  return memory;
}

SectionMemory SectionMemory::joined(const SectionMemory& one, const SectionMemory& other) {
  if (one.shapes_ != other.shapes_) throw std::invalid_argument("sections of different shapes");
  SectionMemory sum(one.shapes_, one.tokens_ + other.tokens_);
  std::vector<float> row, second;
  std::size_t at = 0, scale = 0;
  sum.round([&](int, int, std::size_t, std::size_t width) -> std::span<const float> {
    row.resize(width);
    second.resize(width);
    openRow(one.packed_.data() + at, one.scales_[scale], row);
    openRow(other.packed_.data() + at, other.scales_[scale], second);
    std::ranges::transform(row, second, row.begin(), std::plus<>());
    at += packedBytes(width);
    ++scale;
    return row;
  });
  std::ranges::transform(one.normalizers_, other.normalizers_, sum.normalizers_.begin(), std::plus<>());
  return sum;
}

std::size_t SectionMemory::bytes() const {
  return packed_.size() + (scales_.size() + normalizers_.size()) * sizeof(float);
}

}  // namespace palimpsest::engine
