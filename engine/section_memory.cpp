#include "engine/section_memory.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <stdexcept>
#include <utility>

namespace palimpsest::engine {

namespace {

constexpr float kLargest = 127;

float largestOf(std::span<const float> row) {
  constexpr std::size_t kLanes = 16;  // maxima side by side, for the compiler to make vectors of
  std::array<float, kLanes> largest{};
  std::size_t i = 0;
  for (; i + kLanes <= row.size(); i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      const float size = std::abs(row[i + lane]);
      largest[lane] = largest[lane] < size ? size : largest[lane];
    }
  }
  for (; i < row.size(); ++i) largest[0] = std::max(largest[0], std::abs(row[i]));
  return *std::ranges::max_element(largest);
}

// Returns the row's scale. What is no number becomes 0.
float roundRow(std::span<const float> row, std::int8_t* to) {
  const float scale = largestOf(row) / kLargest;
  const float inverse = scale > 0 && std::isfinite(scale) ? 1 / scale : 0;
  // A float of this size has no digits behind the point, so that adding it rounds to the nearest whole number.
  constexpr float kWhole = 12582912.0F;  // 1.5 * 2^23
  for (std::size_t i = 0; i < row.size(); ++i) {
    const float number = (row[i] * inverse + kWhole) - kWhole;
    to[i] = number >= -kLargest && number <= kLargest ? static_cast<std::int8_t>(number) : std::int8_t{0};
  }
  return scale;
}

}  // namespace

template <class Visit>
void SectionMemory::eachHead(Visit&& visit) const {
  for (int layer = 0; layer < static_cast<int>(shapes_.size()); ++layer) {
    const auto& shape = shapes_[static_cast<std::size_t>(layer)];
    for (int head = 0; head < shape.heads(); ++head)
      visit(layer, head, static_cast<std::size_t>(shape.partOf(head).valueDim));
  }
}

SectionMemory::Sizes SectionMemory::sizesOf(const Shapes& shapes) {
  Sizes sizes;
  for (const auto& shape : shapes) {
    for (const auto* part : {&shape.base, &shape.added}) {
      const std::size_t rows = static_cast<std::size_t>(part->kvHeads) * static_cast<std::size_t>(part->keyDim);
      sizes.rows += rows;
      sizes.values += rows * static_cast<std::size_t>(part->valueDim);
    }
  }
  return sizes;
}

void SectionMemory::allocate() {
  const Sizes sizes = sizesOf(shapes_);
  values_.resize(sizes.values);
  scales_.resize(sizes.rows);
  normalizers_.resize(sizes.rows);
}

SectionMemory::SectionMemory(const CompressiveMemory& written) : shapes_(written.shapes()), tokens_(written.tokens()) {
  allocate();
  auto* value = values_.data();
  auto scale = scales_.begin();
  auto normalizer = normalizers_.begin();
  eachHead([&](int layer, int head, std::size_t width) {
    const std::span<const float> matrix = written.matrix(layer, head);
    for (std::size_t row = 0; row + width <= matrix.size(); row += width, value += width)
      *scale++ = roundRow(matrix.subspan(row, width), value);
    normalizer = std::ranges::copy(written.normalizer(layer, head), normalizer).out;
  });
}

SectionMemory::SectionMemory(Shapes shapes, std::int64_t tokens, std::vector<std::int8_t> values,
                             std::vector<float> scales, std::vector<float> normalizers)
    : shapes_(std::move(shapes)),
      tokens_(tokens),
      values_(std::move(values)),
      scales_(std::move(scales)),
      normalizers_(std::move(normalizers)) {
  const Sizes sizes = sizesOf(shapes_);
  if (values_.size() != sizes.values || scales_.size() != sizes.rows || normalizers_.size() != sizes.rows)
    throw std::invalid_argument("a section's numbers are not those of its shapes");
}

CompressiveMemory SectionMemory::opened() const {
  CompressiveMemory memory = CompressiveMemory::unwritten(shapes_);
  const auto* value = values_.data();
  auto scale = scales_.begin();
  auto normalizer = normalizers_.begin();
  eachHead([&](int layer, int head, std::size_t width) {
    const std::span<float> matrix = memory.matrix(layer, head), z = memory.normalizer(layer, head);
    for (std::size_t row = 0; row + width <= matrix.size(); row += width, value += width) {
      const float factor = *scale++;
      for (std::size_t i = 0; i < width; ++i) matrix[row + i] = static_cast<float>(value[i]) * factor;
    }
    std::copy_n(normalizer, z.size(), z.begin());
    normalizer += static_cast<std::ptrdiff_t>(z.size());
  });
  memory.setTokens(tokens_);
  return memory;
}

SectionMemory SectionMemory::joined(const SectionMemory& one, const SectionMemory& other) {
  if (one.shapes_ != other.shapes_) throw std::invalid_argument("sections of different shapes");
  SectionMemory sum;
  sum.shapes_ = one.shapes_;
  sum.tokens_ = one.tokens_ + other.tokens_;
  sum.allocate();
  std::vector<float> row;
  std::size_t value = 0, scale = 0;
  sum.eachHead([&](int layer, int head, std::size_t width) {
    row.resize(width);
    const int rows = sum.shapes_[static_cast<std::size_t>(layer)].partOf(head).keyDim;
    for (int d = 0; d < rows; ++d, ++scale, value += width) {
      const float first = one.scales_[scale], second = other.scales_[scale];
      for (std::size_t i = 0; i < width; ++i)
        row[i] =
            static_cast<float>(one.values_[value + i]) * first + static_cast<float>(other.values_[value + i]) * second;
      sum.scales_[scale] = roundRow(row, sum.values_.data() + value);
    }
  });
  std::ranges::transform(one.normalizers_, other.normalizers_, sum.normalizers_.begin(), std::plus<>());
  return sum;
}

std::size_t SectionMemory::bytes() const {
  return values_.size() + (scales_.size() + normalizers_.size()) * sizeof(float);
}

}  // namespace palimpsest::engine
