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

std::size_t CompressiveMemory::floatsOf(std::span<const LayerShape> shapes) {
  std::size_t floats = 0;
  for (const LayerShape& shape : shapes) floats += shape.floats();
  return floats;
}

CompressiveMemory::CompressiveMemory(std::vector<LayerShape> shapes, std::shared_ptr<float[]> room)
    : shapes_(std::move(shapes)), values_(std::move(room)), roomGiven_(values_ != nullptr) {
  for (const LayerShape& shape : shapes_) {
    offsets_.push_back(floats_);
    floats_ += shape.floats();
  }
  if (!values_) values_ = std::make_shared<float[]>(floats_);
}

CompressiveMemory CompressiveMemory::unwritten(std::vector<LayerShape> shapes) {
  const std::size_t floats = floatsOf(shapes);
  CompressiveMemory memory(std::move(shapes), std::make_shared_for_overwrite<float[]>(floats));
  memory.roomGiven_ = false;
  return memory;
}

CompressiveMemory& CompressiveMemory::operator=(CompressiveMemory&& other) noexcept {
  shapes_ = std::exchange(other.shapes_, {});
  offsets_ = std::exchange(other.offsets_, {});
  values_ = std::exchange(other.values_, nullptr);
  floats_ = std::exchange(other.floats_, 0);
  tokens_ = std::exchange(other.tokens_, 0);
  contents_ = std::exchange(other.contents_, 0);
  roomGiven_ = std::exchange(other.roomGiven_, false);
  return *this;
}

CompressiveMemory CompressiveMemory::clone() const {
  CompressiveMemory copy = unwritten(shapes_);
  std::ranges::copy(values(), copy.values_.get());
  copy.tokens_ = tokens_;
  copy.contents_ = contents_;
  return copy;
}

void CompressiveMemory::clear() {
  std::ranges::fill(values(), 0.0F);
  tokens_ = 0;
}

std::span<float> CompressiveMemory::values() {
  contents_ = 0;
  return {values_.get(), floats_};
}

std::span<const float> CompressiveMemory::layer(int layer) const {
  const auto l = static_cast<std::size_t>(layer);
  return values().subspan(offsets_.at(l), shapes_[l].floats());
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
  return values().subspan(offsets_.at(l), shapes_[l].floats());
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
