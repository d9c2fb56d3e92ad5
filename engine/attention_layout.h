// Where the heads of a layer stand in its buffers. Base heads and memory heads are two parts, in this order in q, k, v
// and o; each has its own group size, and memory heads may have their own dimensions.
//
//   qkv        [q base | q memory | k base | k memory | v base | v memory]
//              made by one product with the concatenated weights
//
//   attention  [base heads | memory heads]
//              what the o projection takes
#pragma once

#include <span>
#include <vector>

#include "engine/backend.h"
#include "engine/compressive_memory.h"

namespace palimpsest::engine {

struct HeadCounts {
  int heads = 0;
  int kvHeads = 0;
  int dim = 0;       // of queries and keys
  int valueDim = 0;  // 0: as theirs
  MemoryDims dims() const { return {dim, valueDim > 0 ? valueDim : dim}; }
};

struct ColumnRange {
  int begin = 0;
  int width = 0;
};

// The heads of one part that read the memory, and the KV heads that are written to it.
struct MemoryPart {
  MemoryDims dims;
  std::vector<MemoryReader> readers;
  std::vector<MemoryWriter> writers;  // key and value as columns of qkv
};

struct AttentionLayout {
  HeadCounts base, added;
  int qkvWidth = 0;
  int attentionWidth = 0;
  std::vector<LocalHead> local;  // base heads with g < 1; key and value as columns of qkv
  MemoryPart baseMemory, addedMemory;
  std::vector<GatedColumns> gates;      // covers every column of attention
  std::vector<RotatedColumns> rotated;  // q and k of the base heads
  CompressiveMemory::LayerShape memoryShape;
  ColumnRange baseKeys;      // keys of base heads in qkv
  ColumnRange values;        // all values in qkv
  ColumnRange memoryKeys;    // keys in qkv that a memory is written from (base keys among them only if a gate is open)
  ColumnRange memoryValues;  // the same for values

  bool hasMemory() const { return memoryShape.heads() > 0; }
  bool hasBaseMemory() const { return memoryShape.base.kvHeads > 0; }
  bool mixes() const;  // whether any head is both local and of the memory, with 0 < g < 1
};

// gates: g of each base head, 0..1; empty = all 0. added.heads may be 0.
AttentionLayout makeAttentionLayout(const HeadCounts& base, const HeadCounts& added, std::span<const float> gates);

// sigmoid(beta), exactly 1 and 0 at +inf and -inf.
float gateOf(float beta);

// The same heads where keys and values stand in buffers that hold only a range of qkv's columns.
std::vector<LocalHead> moved(std::vector<LocalHead> heads, int key, int value);
std::vector<MemoryWriter> moved(std::vector<MemoryWriter> heads, int key, int value);

}  // namespace palimpsest::engine
