#include "engine/compressive_memory.h"

#include <algorithm>

namespace palimpsest::engine {

namespace {

std::size_t matrixFloats(const CompressiveMemory::PartShape& part) {
  return static_cast<std::size_t>(part.keyDim) * static_cast<std::size_t>(part.valueDim);
}

}  // namespace

std::size_t CompressiveMemory::LayerShape::matrixOffset(int head) const {
  const auto before = static_cast<std::size_t>(std::min(head, base.kvHeads));
  return before * matrixFloats(base) + (static_cast<std::size_t>(head) - before) * matrixFloats(added);
}

std::size_t CompressiveMemory::LayerShape::normalizerOffset(int head) const {
  const auto before = static_cast<std::size_t>(std::min(head, base.kvHeads));
  return matrixOffset(heads()) + before * static_cast<std::size_t>(base.keyDim) +
         (static_cast<std::size_t>(head) - before) * static_cast<std::size_t>(added.keyDim);
}

std::size_t CompressiveMemory::LayerShape::floats() const { return normalizerOffset(heads()); }

CompressiveMemory::CompressiveMemory(std::vector<LayerShape> shapes) : shapes_(std::move(shapes)) {
  std::size_t end = 0;
  for (const LayerShape& shape : shapes_) {
    offsets_.push_back(end);
    end += shape.floats();
  }
  values_.assign(end, 0.0F);
}

CompressiveMemory CompressiveMemory::clone() const {
  CompressiveMemory copy(shapes_);
  copy.values_ = values_;
  copy.tokens_ = tokens_;
  return copy;
}

void CompressiveMemory::clear() {
  std::fill(values_.begin(), values_.end(), 0.0F);
  tokens_ = 0;
}

std::span<const float> CompressiveMemory::layer(int layer) const {
  const auto l = static_cast<std::size_t>(layer);
  return std::span(values_).subspan(offsets_.at(l), shapes_[l].floats());
}

std::span<const float> CompressiveMemory::matrix(int layer, int head) const {
  const LayerShape& shape = shapes_.at(static_cast<std::size_t>(layer));
  return this->layer(layer).subspan(shape.matrixOffset(head), matrixFloats(shape.partOf(head)));
}

std::span<const float> CompressiveMemory::normalizer(int layer, int head) const {
  const LayerShape& shape = shapes_.at(static_cast<std::size_t>(layer));
  return this->layer(layer).subspan(shape.normalizerOffset(head), static_cast<std::size_t>(shape.partOf(head).keyDim));
}

std::span<float> CompressiveMemory::layer(int layer) {
  const auto l = static_cast<std::size_t>(layer);
  return std::span(values_).subspan(offsets_.at(l), shapes_[l].floats());
}

std::span<float> CompressiveMemory::matrix(int layer, int head) {
  const LayerShape& shape = shapes_.at(static_cast<std::size_t>(layer));
  return this->layer(layer).subspan(shape.matrixOffset(head), matrixFloats(shape.partOf(head)));
}

std::span<float> CompressiveMemory::normalizer(int layer, int head) {
  const LayerShape& shape = shapes_.at(static_cast<std::size_t>(layer));
  return this->layer(layer).subspan(shape.normalizerOffset(head), static_cast<std::size_t>(shape.partOf(head).keyDim));
}

}  // namespace palimpsest::engine
