// Local attention and the memory's two operations on the CPU. Tiles are small enough for the caches, and each is one
// task.
#include <algorithm>
#include <cmath>

#include "engine/cpu_stream.h"

namespace palimpsest::engine {

namespace {

constexpr int kQueryTile = 24;  // rows of queries whose scores stay in cache together; a multiple of the products' tile
constexpr int kReadTile = 48;   // rows that read one M together
constexpr int kFewQueries = 4;  // up to here packing the keys costs more than it saves

int keysOf(const PassSegment& segment) { return segment.firstPosition + segment.rows; }

// states[s + 1] += states[s] for one head
void accumulate(const CpuKernels& kernels, int s, const MemoryWriter& head, MemoryDims dims, CpuBuffer& states) {
  kernels.add(states.floats(s, head.matrix), dims.key * dims.value, states.floats(s + 1, head.matrix));
  kernels.add(states.floats(s, head.normalizer), dims.key, states.floats(s + 1, head.normalizer));
}

}  // namespace

void CpuStream::cutTiles(int heads, int tileRows) {
  tiles_.clear();
  for (int s = 0; s < static_cast<int>(segments_.size()); ++s) {
    for (int h = 0; h < heads; ++h) {
      for (int row = 0; row < segments_[s].rows; row += tileRows) {
        tiles_.push_back({s, h, row, std::min(tileRows, segments_[s].rows - row)});
      }
    }
  }
}

CpuStream::PackedSize CpuStream::packedSize(int keys, int dim) const {
  if (settings_.tiles) return tilePackedSize(keys, dim);
  return {static_cast<std::size_t>(roundedUp(keys, kKeyPanel)) * dim, static_cast<std::size_t>(keys) * dim};
}

// Keys go to transposed panels and values to rows without gaps, once per KV head, for all query heads and tiles that
// read them.
void CpuStream::packHeads(const CpuBuffer& keys, const CpuBuffer& values, std::span<const LocalHead> heads, int dim) {
  packedHeads_.clear();
  headKv_.clear();
  std::size_t end = 0;
  int perSegment = 0;
  for (int s = 0; s < static_cast<int>(segments_.size()); ++s) {
    const std::size_t first = packedHeads_.size();
    for (const LocalHead& head : heads) {
      const auto same = [&](const PackedHead& p) { return p.key == head.key && p.value == head.value; };
      auto found = std::find_if(packedHeads_.begin() + static_cast<std::ptrdiff_t>(first), packedHeads_.end(), same);
      if (found == packedHeads_.end()) {
        const PackedSize size = packedSize(keysOf(segments_[s]), dim);
        packedHeads_.push_back({s, head.key, head.value, end, end + size.keys});
        end += size.keys + size.values;
        found = packedHeads_.end() - 1;
      }
      if (s == 0) headKv_.push_back(static_cast<int>(found - packedHeads_.begin()));
    }
    if (s == 0) perSegment = static_cast<int>(packedHeads_.size());
  }
  for (std::size_t h = 0; h < heads.size(); ++h) headKv_[h] %= std::max(perSegment, 1);
  needPacked(end);
  if (settings_.tiles) return packHeadsForTiles(keys, values, dim);

#pragma omp parallel for schedule(static)
  for (int i = 0; i < static_cast<int>(packedHeads_.size()); ++i) {
    const PackedHead& p = packedHeads_[i];
    const PassSegment& segment = segments_[p.segment];
    kernels_.packKeys(keys.floats(segment.keysBegin, p.key), keys.columns(), keysOf(segment), dim,
                      packed_->floats() + p.panels);
    for (int j = 0; j < keysOf(segment); ++j) {
      std::copy_n(values.floats(segment.keysBegin + j, p.value), dim,
                  packed_->floats() + p.rows + static_cast<std::size_t>(j) * dim);
    }
  }
}

// softmax(Q K^T / sqrt(d)) V for a tile of queries, keys after each query's own position left out.
void CpuStream::attendTile(const Tile& tile, const PackedHead& packed, const CpuBuffer& queries, const LocalHead& head,
                           int dim, CpuBuffer& out) {
  const PassSegment& segment = segments_[tile.segment];
  const int row = segment.begin + tile.row;
  const int before = segment.firstPosition + tile.row;  // keys that every query of the tile sees, besides its own
  const int keys = before + tile.rows;                  // seen by the last one
  const int stride = roundedUp(keys, kKeyPanel);
  float* scores = scratch();  // [tile.rows x stride]
  for (int j = 0; j < keys; j += kKeyPanel) {
    kernels_.product(tile.rows, std::min(kKeyPanel, stride - j), dim, queries.floats(row, head.query),
                     queries.columns(), 1, packed_->floats() + packed.panels + static_cast<std::size_t>(j) * dim,
                     kKeyPanel, scores + j, stride, false);
  }
  float sums[kQueryTile];
  for (int i = 0; i < tile.rows; ++i) {
    float* own = scores + static_cast<std::size_t>(i) * stride;
    sums[i] = kernels_.softmax(own, before + i + 1, 1.0F / std::sqrt(static_cast<float>(dim)));
    std::fill(own + before + i + 1, own + keys, 0.0F);
  }
  float* mixed = scores + static_cast<std::size_t>(kQueryTile) * stride;  // [tile.rows x dim]
  kernels_.product(tile.rows, dim, keys, scores, stride, 1, packed_->floats() + packed.rows, dim, mixed, dim, false);
  for (int i = 0; i < tile.rows; ++i) {
    put(1.0F / sums[i], mixed + static_cast<std::size_t>(i) * dim, dim, out, row + i, head.out);
  }
}

// The same for one query, straight from the cache.
void CpuStream::attendRow(const Tile& tile, const CpuBuffer& queries, const CpuBuffer& keys, const CpuBuffer& values,
                          const LocalHead& head, int dim, CpuBuffer& out) {
  const PassSegment& segment = segments_[tile.segment];
  const int row = segment.begin + tile.row;
  const int seen = segment.firstPosition + tile.row + 1;
  float* room = scratch();  // for the query, then for the result
  float* scores = room + dim;
  const float* query = floatsOf(queries, row, head.query, dim, room);
  const float factor = 1.0F / std::sqrt(static_cast<float>(dim));
  const int first = segment.keysBegin;
  float sum = 0;
  if (keys.isBFloat16()) {
    kernels_.scoreRowsBFloat16(query, keys.halves(first, head.key), keys.columns(), seen, dim, scores);
    sum = kernels_.softmax(scores, seen, factor);
    kernels_.weighRowsBFloat16(scores, values.halves(first, head.value), values.columns(), seen, dim, room);
  } else {
    kernels_.scoreRows(query, keys.floats(first, head.key), keys.columns(), seen, dim, scores);
    sum = kernels_.softmax(scores, seen, factor);
    kernels_.weighRows(scores, values.floats(first, head.value), values.columns(), seen, dim, room);
  }
  put(1.0F / sum, room, dim, out, row, head.out);
}

void CpuStream::localAttention(const Buffer& queries, const Buffer& keys, const Buffer& values,
                               std::span<const LocalHead> heads, int dim, Buffer& out) {
  if (heads.empty()) return;
  int longest = 0;
  for (const PassSegment& segment : segments_) longest = std::max(longest, keysOf(segment));
  const bool few = rows_ <= kFewQueries;
  if (settings_.tiles && !few) return localAttentionInTiles(cpu(queries), cpu(keys), cpu(values), heads, dim, cpu(out));
  needScratch(static_cast<std::size_t>(few ? 1 : kQueryTile) * static_cast<std::size_t>(longest + kKeyPanel + dim));
  cutTiles(static_cast<int>(heads.size()), few ? 1 : kQueryTile);
  if (!few) packHeads(cpu(keys), cpu(values), heads, dim);
  const int perSegment = few ? 0 : static_cast<int>(packedHeads_.size() / segments_.size());

#pragma omp parallel for schedule(dynamic)
  for (int i = 0; i < static_cast<int>(tiles_.size()); ++i) {
    const Tile& tile = tiles_[i];
    const LocalHead& head = heads[tile.head];
    if (few) {
      attendRow(tile, cpu(queries), cpu(keys), cpu(values), head, dim, cpu(out));
    } else {
      attendTile(tile, packedHeads_[tile.segment * perSegment + headKv_[tile.head]], cpu(queries), head, dim, cpu(out));
    }
  }
}

// after = sigma(K)^T V of one segment and KV head; with the delta rule V less what the memory before already gives for
// K.
void CpuStream::writeSegment(const PassSegment& segment, const CpuBuffer& keys, const CpuBuffer& values,
                             const MemoryWriter& head, MemoryDims dims, const float* before, MemoryUpdate rule,
                             float epsilon, float* after) {
  const int rows = segment.rows - segment.unwritten;
  const int first = segment.keysBegin + segment.firstPosition + segment.unwritten;
  const int dk = dims.key, dv = dims.value;
  float* sigmaK = scratch();                                // [rows x dk]
  float* v = sigmaK + static_cast<std::size_t>(rows) * dk;  // [rows x dv]
  float* z = after + head.normalizer;
  std::fill_n(z, dk, 0.0F);
  for (int t = 0; t < rows; ++t) {
    float* k = sigmaK + static_cast<std::size_t>(t) * dk;
    kernels_.sigma(floatsOf(keys, first + t, head.key, dk, k), dk, k);
    kernels_.add(k, dk, z);
    float* own = v + static_cast<std::size_t>(t) * dv;
    const float* from = floatsOf(values, first + t, head.value, dv, own);
    if (from != own) std::copy_n(from, dv, own);
  }
  if (rule == MemoryUpdate::Delta) {
    float* known = v + static_cast<std::size_t>(rows) * dv;  // [rows x dv]
    kernels_.product(rows, dv, dk, sigmaK, dk, 1, before + head.matrix, dv, known, dv, false);
    for (int t = 0; t < rows; ++t) {
      const float weight =
          kernels_.dot(sigmaK + static_cast<std::size_t>(t) * dk, before + head.normalizer, dk) + epsilon;
      const std::size_t at = static_cast<std::size_t>(t) * dv;
      kernels_.mix(1.0F, v + at, -1.0F / weight, known + at, dv, v + at);
    }
  }
  kernels_.product(dk, dv, rows, sigmaK, 1, dk, v, dv, after + head.matrix, dv, false);
}

// Turns what each segment writes into the states that the segments read.
void CpuStream::sumStates(std::span<const MemoryWriter> heads, MemoryDims dims, CpuBuffer& states) {
  const int headCount = static_cast<int>(heads.size());
#pragma omp parallel for schedule(static) if (headCount > 1)
  for (int h = 0; h < headCount; ++h) {
    for (int s = 0; s < static_cast<int>(segments_.size()); ++s) accumulate(kernels_, s, heads[h], dims, states);
  }
}

void CpuStream::memoryWrite(const Buffer& keys, const Buffer& values, std::span<const MemoryWriter> heads,
                            MemoryDims dims, MemoryUpdate rule, float epsilon, Buffer& states) {
  const int segments = static_cast<int>(segments_.size());
  const int headCount = static_cast<int>(heads.size());
  if (settings_.tiles && rule == MemoryUpdate::Linear) {
    return memoryWriteInTiles(cpu(keys), cpu(values), heads, dims, cpu(states));
  }
  int longest = 0;
  for (const PassSegment& segment : segments_) longest = std::max(longest, segment.rows);
  needScratch(static_cast<std::size_t>(longest) * (dims.key + 2 * dims.value));
  CpuBuffer& all = cpu(states);
  const auto write = [&](int s, const MemoryWriter& head) {
    writeSegment(segments_[s], cpu(keys), cpu(values), head, dims, all.floats(s), rule, epsilon, all.floats(s + 1));
  };
  if (rule == MemoryUpdate::Linear) {  // what a segment writes does not depend on the others: all at once, then sum up
#pragma omp parallel for schedule(dynamic) if (segments * headCount > 1)
    for (int i = 0; i < segments * headCount; ++i) write(i / headCount, heads[i % headCount]);
    sumStates(heads, dims, all);
  } else {
#pragma omp parallel for schedule(static) if (headCount > 1)
    for (int h = 0; h < headCount; ++h) {
      for (int s = 0; s < segments; ++s) {
        write(s, heads[h]);
        accumulate(kernels_, s, heads[h], dims, all);
      }
    }
  }
}

// What sigma(Q) M has to be multiplied by; weight = sigma(Q) z + eps.
float CpuStream::readFactor(const float* read, int dim, float weight, float epsilon, const MemoryReader& head) const {
  if (head.power == 0.0F) return 1.0F / weight;
  const float square = kernels_.dot(read, read, dim) / static_cast<float>(dim) / (weight * weight);
  return std::pow(head.size / std::sqrt(square + epsilon * epsilon), head.power) / weight;
}

void CpuStream::memoryRead(const Buffer& queries, std::span<const MemoryReader> heads, MemoryDims dims, float epsilon,
                           const Buffer& states, Buffer& out) {
  if (heads.empty()) return;
  if (settings_.tiles && rows_ > kFewQueries) {
    return memoryReadInTiles(cpu(queries), heads, dims, epsilon, cpu(states), cpu(out));
  }
  const int dk = dims.key, dv = dims.value;
  needScratch(static_cast<std::size_t>(kReadTile) * (dk + dv));
  cutTiles(static_cast<int>(heads.size()), kReadTile);
#pragma omp parallel for schedule(static) if (rows_ > 1)
  for (int i = 0; i < static_cast<int>(tiles_.size()); ++i) {
    const Tile& tile = tiles_[i];
    const MemoryReader& head = heads[tile.head];
    const float* state = cpu(states).floats(tile.segment);
    const int row = segments_[tile.segment].begin + tile.row;
    float* sigmaQ = scratch();                                        // [tile.rows x dk]
    float* read = sigmaQ + static_cast<std::size_t>(kReadTile) * dk;  // [tile.rows x dv]
    for (int t = 0; t < tile.rows; ++t) {
      float* own = sigmaQ + static_cast<std::size_t>(t) * dk;
      kernels_.sigma(floatsOf(cpu(queries), row + t, head.query, dk, own), dk, own);
    }
    kernels_.product(tile.rows, dv, dk, sigmaQ, dk, 1, state + head.matrix, dv, read, dv, false);
    for (int t = 0; t < tile.rows; ++t) {
      const float* own = read + static_cast<std::size_t>(t) * dv;
      const float weight =
          kernels_.dot(sigmaQ + static_cast<std::size_t>(t) * dk, state + head.normalizer, dk) + epsilon;
      put(readFactor(own, dv, weight, epsilon, head), own, dv, cpu(out), row + t, head.out);
    }
  }
}

}  // namespace palimpsest::engine
