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
constexpr std::size_t kWorthThreads = 1 << 15;  // packed bytes
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

std::vector<SectionMemory::Head> SectionMemory::heads() const {
  std::vector<Head> heads;
  std::size_t packed = 0, row = 0, number = 0;
  for (int layer = 0; layer < static_cast<int>(shapes_.size()); ++layer) {
    const auto& shape = shapes_[static_cast<std::size_t>(layer)];
    for (int head = 0; head < shape.heads(); ++head) {
      const auto& part = shape.partOf(head);
      const auto rows = static_cast<std::size_t>(part.keyDim), width = static_cast<std::size_t>(part.valueDim);
      heads.push_back({layer, head, rows, width, packed, row, number});
      packed += rows * packedBytes(width);
      row += rows;
      number += rows * width;
    }
  }
  return heads;
}

template <class RowAt>
void SectionMemory::round(RowAt&& rowAt) {
  const std::vector<Head> all = heads();
  const auto count = static_cast<std::ptrdiff_t>(all.size());
#pragma omp parallel for schedule(static) if (packed_.size() >= kWorthThreads)
  for (std::ptrdiff_t h = 0; h < count; ++h) {
    const Head& head = all[static_cast<std::size_t>(h)];
    std::vector<float> room(2 * head.width);
    auto* packed = packed_.data() + head.packed;
    for (std::size_t row = 0; row < head.rows; ++row, packed += packedBytes(head.width))
      scales_[head.row + row] = roundRow(rowAt(head, row, room), packed);
  }
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
  round([&](const Head& head, std::size_t row, std::span<float>) {
    return written.matrix(head.layer, head.head).subspan(row * head.width, head.width);
  });
  for (const Head& head : heads())
    std::ranges::copy(written.normalizer(head.layer, head.head), &normalizers_[head.row]);
}

SectionMemory::SectionMemory(const CompressiveMemory& later, const CompressiveMemory& earlier)
    : SectionMemory(later.shapes(), later.tokens() - earlier.tokens()) {
  if (later.shapes() != earlier.shapes()) throw std::invalid_argument("memories of different shapes");
  round([&](const Head& head, std::size_t row, std::span<float> room) {
    const auto at = [&](const CompressiveMemory& memory) {
      return memory.matrix(head.layer, head.head).subspan(row * head.width, head.width);
    };
    std::ranges::transform(at(later), at(earlier), room.begin(), std::minus<>());
    return room.first(head.width);
  });
  for (const Head& head : heads())
    std::ranges::transform(later.normalizer(head.layer, head.head), earlier.normalizer(head.layer, head.head),
                           &normalizers_[head.row], std::minus<>());
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
  for (const Head& head : section.heads()) numbers += head.rows * head.width;
  if (values.size() != numbers || scales.size() != section.scales_.size() ||
      normalizers.size() != section.normalizers_.size())
    throw std::invalid_argument("a section's numbers are not those of its shapes");
  section.round([&](const Head& head, std::size_t row, std::span<float> room) {
    const std::size_t begin = head.number + row * head.width;
    for (std::size_t i = 0; i < head.width; ++i)
      room[i] = static_cast<float>(values[begin + i]) * scales[head.row + row];
    return room.first(head.width);
  });
  section.normalizers_ = std::move(normalizers);
  return section;
}

CompressiveMemory SectionMemory::opened() const {
  CompressiveMemory memory = CompressiveMemory::unwritten(shapes_);
  for (const Head& head : heads()) {
    const std::span<float> matrix = memory.matrix(head.layer, head.head), z = memory.normalizer(head.layer, head.head);
    for (std::size_t row = 0; row < head.rows; ++row)
      openRow(&packed_[head.packed + row * packedBytes(head.width)], scales_[head.row + row],
              matrix.subspan(row * head.width, head.width));
    std::copy_n(&normalizers_[head.row], z.size(), z.begin());
  }
  memory.setTokens(tokens_);
  return memory;
}

SectionMemory SectionMemory::joined(const SectionMemory& one, const SectionMemory& other) {
  if (one.shapes_ != other.shapes_) throw std::invalid_argument("sections of different shapes");
  SectionMemory sum(one.shapes_, one.tokens_ + other.tokens_);
  sum.round([&](const Head& head, std::size_t row, std::span<float> room) {
    const std::span<float> first = room.first(head.width), second = room.last(head.width);
    const std::size_t packed = head.packed + row * packedBytes(head.width), scale = head.row + row;
    openRow(&one.packed_[packed], one.scales_[scale], first);
    openRow(&other.packed_[packed], other.scales_[scale], second);
    std::ranges::transform(first, second, first.begin(), std::plus<>());
    return first;
  });
  std::ranges::transform(one.normalizers_, other.normalizers_, sum.normalizers_.begin(), std::plus<>());
  return sum;
}

std::size_t SectionMemory::bytes() const {
  return packed_.size() + (scales_.size() + normalizers_.size()) * sizeof(float);
}

}  // namespace palimpsest::engine
