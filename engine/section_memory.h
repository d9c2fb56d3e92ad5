// What one section of a book wrote, in eight bits a number: a quarter of the room of a CompressiveMemory.
//
// Each row of an M has a scale of its own, max |M[d]| / 127, and its numbers are rounded to the nearest multiple of it;
// z stays f32, since M is divided by it and its entries span many powers of ten. The shipped model answers from
// sections of eight bits as it does from f32 (docs/memory.md). A book's whole memory is never kept so: it is summed up
// over thousands of passes, a section over a few.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/compressive_memory.h"

namespace palimpsest::engine {

// Never changes once it is made; may be shared between threads.
class SectionMemory {
 public:
  using Shapes = std::vector<CompressiveMemory::LayerShape>;

  SectionMemory() = default;
  // Rounds `written`. Depends on its values alone.
  explicit SectionMemory(const CompressiveMemory& written);
  // As it was taken apart: values() [all rows of all M, layer after layer], scales() [a row has one], normalizers()
  // [every z]. Throws std::invalid_argument where the lengths are not those of the shapes.
  SectionMemory(Shapes shapes, std::int64_t tokens, std::vector<std::int8_t> values, std::vector<float> scales,
                std::vector<float> normalizers);

  CompressiveMemory opened() const;
  // What two sections wrote together: both are opened and the sum is rounded. Throws std::invalid_argument where their
  // shapes differ.
  static SectionMemory joined(const SectionMemory& one, const SectionMemory& other);

  const Shapes& shapes() const { return shapes_; }
  std::int64_t tokens() const { return tokens_; }
  std::span<const std::int8_t> values() const { return values_; }
  std::span<const float> scales() const { return scales_; }
  std::span<const float> normalizers() const { return normalizers_; }
  std::size_t bytes() const;

 private:
  struct Sizes {
    std::size_t values = 0, rows = 0;  // a row has a scale and an entry of z
  };
  static Sizes sizesOf(const Shapes& shapes);
  void allocate();
  // visit(layer, head, number of values in a row) for every M, in the order of values().
  template <class Visit>
  void eachHead(Visit&& visit) const;

  Shapes shapes_;
  std::int64_t tokens_ = 0;
  std::vector<std::int8_t> values_;
  std::vector<float> scales_, normalizers_;
};

}  // namespace palimpsest::engine
