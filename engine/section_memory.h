// What one section of a book wrote, in four bits a number: an eighth of the room of a CompressiveMemory.
//
// Each row of an M has a scale of its own, max |M[d]| / 7, and its numbers are rounded to the nearest multiple of it;
// z stays f32, since M is divided by it and its entries span many powers of ten. The shipped model answers from
// sections of four bits as it does from f32 (docs/memory.md). A book's whole memory is never kept so: it is summed up
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

  // A row of w numbers takes b = packedBytes(w) bytes: byte i holds number i in its lower four bits and number b + i in
  // its upper ones, each -7..7 in two's complement. Where w is odd, the upper ones of the last byte are 0.
  static constexpr std::size_t packedBytes(std::size_t numbers) { return (numbers + 1) / 2; }

  SectionMemory() = default;
  // Rounds `written`. Depends on its values alone.
  explicit SectionMemory(const CompressiveMemory& written);
  // Rounds what `later` has beyond `earlier`, an earlier memory of the same reading. Throws std::invalid_argument where
  // their shapes differ.
  SectionMemory(const CompressiveMemory& later, const CompressiveMemory& earlier);
  // As it was taken apart: packed() [all rows of all M, layer after layer], scales() [a row has one], normalizers()
  // [every z]. Throws std::invalid_argument where the lengths are not those of the shapes, or a number is -8.
  SectionMemory(Shapes shapes, std::int64_t tokens, std::vector<std::uint8_t> packed, std::vector<float> scales,
                std::vector<float> normalizers);
  // Rounds again what was kept in eight bits: `values` [a byte for each number] of those scales. Throws
  // std::invalid_argument where the lengths are not those of the shapes.
  static SectionMemory fromEightBits(Shapes shapes, std::int64_t tokens, std::span<const std::int8_t> values,
                                     std::span<const float> scales, std::vector<float> normalizers);

  CompressiveMemory opened() const;
  // What two sections wrote together: both are opened and the sum is rounded. Throws std::invalid_argument where their
  // shapes differ.
  static SectionMemory joined(const SectionMemory& one, const SectionMemory& other);

  const Shapes& shapes() const { return shapes_; }
  std::int64_t tokens() const { return tokens_; }
  std::span<const std::uint8_t> packed() const { return packed_; }
  std::span<const float> scales() const { return scales_; }
  std::span<const float> normalizers() const { return normalizers_; }
  std::size_t bytes() const;

 private:
  SectionMemory(Shapes shapes, std::int64_t tokens);  // nothing but zeros
  // Where the M of a head stands: rows x width numbers.
  struct Head {
    int layer = 0, head = 0;
    std::size_t rows = 0, width = 0;
    std::size_t packed = 0, row = 0, number = 0;  // where it begins in packed(), in scales(), among all numbers
  };
  std::vector<Head> heads() const;  // in the order of packed()
  // Rounds every row, the heads side by side on the cores: rowAt(head, row, room for two rows).
  template <class RowAt>
  void round(RowAt&& rowAt);

  Shapes shapes_;
  std::int64_t tokens_ = 0;
  std::vector<std::uint8_t> packed_;
  std::vector<float> scales_, normalizers_;
};

}  // namespace palimpsest::engine
