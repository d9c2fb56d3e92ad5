// The compressive memory of Infini-attention (arXiv 2404.07143, section 2.2): what a book leaves behind.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "engine/model_config.h"

namespace palimpsest::engine {

// M and z of every layer and of every KV head that has a memory; fp32, zero at the start of a book.
//
//   layer l, memory KV head h:   M  [keyDim x valueDim], row-major      z  [keyDim]
//
// A layer's heads are in two parts: base heads that a gate opens to the memory, then the added memory heads. Within
// a layer every M comes first, then every z.
//
// A value: moving is cheap, copying is the explicit clone(). Its size depends on the model only, never on
// the length of the text. Not thread-safe; one owner at a time.
class CompressiveMemory {
 public:
  // One part of a layer. kvHeads counts only heads with a memory (KV groups whose every gate is 0 have none).
  struct PartShape {
    int kvHeads = 0;
    int keyDim = 0;
    int valueDim = 0;
    bool operator==(const PartShape&) const = default;
  };
  struct LayerShape {
    PartShape base;
    PartShape added;
    bool operator==(const LayerShape&) const = default;

    int heads() const { return base.kvHeads + added.kvHeads; }
    const PartShape& partOf(int head) const { return head < base.kvHeads ? base : added; }
    std::size_t matrixOffset(int head) const;      // where head's M starts in the layer, in floats
    std::size_t normalizerOffset(int head) const;  // where its z starts
    std::size_t floats() const;                    // of the whole layer
  };

  CompressiveMemory() = default;
  // room: for floatsOf(shapes) zeros, where they should stand (Backend::hostFloats()); else they are made.
  explicit CompressiveMemory(std::vector<LayerShape> shapes, std::shared_ptr<float[]> room = nullptr);
  // Not zeros: the caller writes every M and every z.
  static CompressiveMemory unwritten(std::vector<LayerShape> shapes);
  static std::size_t floatsOf(std::span<const LayerShape> shapes);
  bool roomWasGiven() const { return roomGiven_; }
  CompressiveMemory(CompressiveMemory&& other) noexcept { *this = std::move(other); }
  CompressiveMemory& operator=(CompressiveMemory&& other) noexcept;
  CompressiveMemory(const CompressiveMemory&) = delete;
  CompressiveMemory& operator=(const CompressiveMemory&) = delete;

  CompressiveMemory clone() const;
  void clear();  // back to the empty memory

  int layers() const { return static_cast<int>(shapes_.size()); }
  const std::vector<LayerShape>& shapes() const { return shapes_; }

  std::span<float> matrix(int layer, int head);  // M
  std::span<const float> matrix(int layer, int head) const;
  std::span<float> normalizer(int layer, int head);  // z
  std::span<const float> normalizer(int layer, int head) const;

  // All floats of one layer: every M, then every z.
  std::span<float> layer(int layer);
  std::span<const float> layer(int layer) const;
  std::span<const float> values() const { return {values_.get(), floats_}; }
  std::span<float> values();

  // Tokens written so far, the BOS of each segment not counted. 0 = the empty memory.
  std::int64_t tokens() const { return tokens_; }
  void setTokens(std::int64_t tokens) { tokens_ = tokens; }
  bool empty() const { return tokens_ == 0; }

  // Not 0: two memories with the same number hold the same values, so that a device knows what it has already. Who
  // has written all values gives it; every access through which they could change ends it.
  std::uint64_t contents() const { return contents_; }
  void setContents(std::uint64_t number) { contents_ = number; }

  std::size_t bytes() const { return floats_ * sizeof(float); }

 private:
  std::vector<LayerShape> shapes_;
  std::vector<std::size_t> offsets_;  // where each layer starts in values_
  std::shared_ptr<float[]> values_;   // never shared with another memory
  std::size_t floats_ = 0;
  std::int64_t tokens_ = 0;
  std::uint64_t contents_ = 0;
  bool roomGiven_ = false;
};

}  // namespace palimpsest::engine
