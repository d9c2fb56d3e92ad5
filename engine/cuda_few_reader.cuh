// How a warp of cuda_few.cu gets the weight: what a stage of it is, and the ring of slots in shared memory that the
// reads of the next stages go to.
#pragma once

#include <cstdint>

#include "engine/cuda_device.cuh"
#include "engine/cuda_few.h"
#include "engine/cuda_ptx.cuh"

namespace palimpsest::engine::cuda::few {

constexpr int kEight = 8;  // columns of a tensor core's product, which here are rows of the pass
constexpr int kWarps = 8;  // of a block: a strip's stages are dealt out to them in turn
constexpr int kThreads = kWarps * kWarp;
// Blocks of a multiprocessor, where its shared memory has room for them; what its registers have room for.
__host__ __device__ constexpr int blocksOf(WeightType type, int eights) {
  return type == WeightType::Int4 && eights > 1 ? 1 : 2;
}
// The weight comes through a ring of slots that each warp has for itself, so that its reads are never waited for by
// anything but their use. 16 warps with three stages of 2 KB on their way, or 8 with two of 4 KB, are 64 to 96 KB for
// each multiprocessor, and what a card of 5 TB/s brings in the time that a read takes is about 30 KB of it.
//
// Full weights stand row by row as cuBLAS wants them, so that a stage takes 256 bytes of each of its rows: with half of
// that, from rows that are far apart, a card reads a tenth slower.
__host__ __device__ constexpr int slotsOf(WeightType type) { return type == WeightType::Full ? 3 : 4; }
constexpr int kRun = 16;                                       // bytes that a lane copies at a time
__host__ __device__ constexpr int chunksOf(WeightType type) {  // such runs of a lane in a stage
  return type == WeightType::Full ? 8 : 4;
}
constexpr int kChunkBytes = kRun * kWarp;
constexpr int kPartial = kTileRows + 4;  // floats from one row of sums to the next: lanes write to banks of their own
constexpr int kGroupBytes = kTileRows * static_cast<int>(sizeof(Bf16));  // scales of a strip's group of Int4

// A strip is 16 outputs, a tile 64 inputs of them. What a lane 4 r + c has of a tile is of the rows r and r + 8:
//   Int8, Int4  the inputs from 16 c on, as tilesOf() has them: a run of 16 bytes for each row, or for both
//   Full        the inputs from 8 c on, and from 32 + 8 c on: two runs of 16 bytes for each row
// The order of the inputs within a tile is free as long as both sides of a product have the same.
__host__ __device__ constexpr int tilesOfStage(WeightType type) { return type == WeightType::Int4 ? 4 : 2; }
__host__ __device__ constexpr int slotBytes(WeightType type) {
  return chunksOf(type) * kChunkBytes + (type == WeightType::Int4 ? tilesOfStage(type) * kGroupBytes : 0);
}
__host__ __device__ constexpr int partialBytes(int eights) {  // of two strips: one is added up while the other is made
  return 2 * kWarps * kEight * eights * kPartial * static_cast<int>(sizeof(float));
}

// As many as whole stages of Int4 have, for which sums are kept; of other types only those that there are.
template <WeightType kType>
__host__ __device__ constexpr int wholeStages(int tiles) {
  constexpr int kTiles = kType == WeightType::Int4 ? tilesOfStage(kType) : 1;
  return (tiles + kTiles - 1) / kTiles * kTiles;
}

// Of the right side in shared memory: rows begin in banks of their own.
__host__ __device__ constexpr int stagedRowBytes(int tiles) {
  return tiles * kTileInputs * static_cast<int>(sizeof(Bf16)) + 4 * kRun;
}

struct Shape {
  int units;  // strips, or of a gated product pairs of them
  int tiles;  // across
  int limit;  // the same, filled up so that each warp of a block has as many stages of a strip as the others
  int shift;  // Int4's groups are of 2^shift tiles
};

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800

// Where run `run` of row `row` of a stage of Full stands, in bytes: lanes 4 r + c and 4 (r + 1) + c, which read
// together, find theirs in different banks.
template <int kRowRuns>
__device__ unsigned placeOf(int row, int run) {
  return static_cast<unsigned>(row * kRowRuns + (run ^ (row % 2 * 4))) * kRun;
}

// What a warp reads: a lane's place in the stage that is to be queued next, and the slot of the ring that it goes to.
template <WeightType kType>
class Reader {
 public:
  __device__ Reader(const FewRowsProduct& product, const Shape& shape, unsigned ring, int warp, int lane)
      : weight_(product.weight),
        shape_(shape),
        parts_(product.gated ? 2 : 1),
        first_(warp * tilesOfStage(kType)),
        lane_(lane),
        scaleRuns_((kTiles >> shape.shift) * (kGroupBytes / kRun)),
        begin_(ring),
        end_(ring + slotsOf(kType) * slotBytes(kType)),
        slot_(ring),
        unit_(static_cast<int>(blockIdx.x)) {
    beginStrip();
  }

  // Always a group of copies, but none in it where there is nothing left.
  __device__ void queueNext() {
    if (unit_ < shape_.units && tile_ < shape_.tiles) queue();
    closeCopies();
    slot_ += slotBytes(kType);
    if (slot_ == end_) slot_ = begin_;
    tile_ += kStride;
    values_ += kType == WeightType::Full ? kStride * kTileBytes : kWarps * kChunks * kChunkBytes;
    if constexpr (kType == WeightType::Int4) scales_ += (kStride >> shape_.shift) * kGroupBytes;
    if (tile_ < shape_.limit) return;
    if (++part_ == parts_) {
      part_ = 0;
      unit_ += static_cast<int>(gridDim.x);
    }
    beginStrip();
  }

 private:
  static constexpr int kTiles = tilesOfStage(kType), kStride = kTiles * kWarps, kChunks = chunksOf(kType);
  static constexpr int kTileBytes = kTileInputs * static_cast<int>(sizeof(Bf16));              // of a row, of Full
  static constexpr int kRowRuns = kTiles * kTileBytes / kRun, kRowsAtOnce = kWarp / kRowRuns;  // of a stage of Full

  __device__ void beginStrip() {
    strip_ = unit_ + part_ * shape_.units;
    tile_ = first_;
    const auto* values = static_cast<const unsigned char*>(weight_.values);
    if constexpr (kType == WeightType::Full) {
      const std::size_t row = strip_ * kTileRows + lane_ / kRowRuns;
      values_ = values + row * weight_.inputs * sizeof(Bf16) + tile_ * kTileBytes + lane_ % kRowRuns * kRun;
    } else {
      constexpr int kOfTile = kChunks / kTiles;
      values_ =
          values + (static_cast<std::size_t>(strip_) * shape_.tiles + tile_) * (kOfTile * kChunkBytes) + lane_ * kRun;
    }
    if constexpr (kType == WeightType::Int4) {
      const std::size_t groups = static_cast<std::size_t>(shape_.tiles >> shape_.shift);
      scales_ = static_cast<const unsigned char*>(weight_.scales) +
                (strip_ * groups + (tile_ >> shape_.shift)) * kGroupBytes + lane_ * kRun;
    }
  }

  __device__ void queue() const {
    if constexpr (kType == WeightType::Full) {
      const int row = lane_ / kRowRuns, run = lane_ % kRowRuns;
      const std::size_t down = static_cast<std::size_t>(weight_.inputs) * (kRowsAtOnce * sizeof(Bf16));
      const bool whole =
          (tile_ + kTiles) * kTileInputs <= weight_.inputs && (strip_ + 1) * kTileRows <= weight_.outputs;
      const bool across = tile_ * kTileBytes + run * kRun < weight_.inputs * static_cast<int>(sizeof(Bf16));
#pragma unroll
      for (int i = 0; i < kChunks; ++i) {
        const unsigned to = slot_ + placeOf<kRowRuns>(i * kRowsAtOnce + row, run);
        const bool there = whole || (across && strip_ * kTileRows + i * kRowsAtOnce + row < weight_.outputs);
        copyChunk(to, there ? values_ + i * down : weight_.values, there);
      }
    } else {
      const unsigned to = slot_ + lane_ * kRun;
      // What is not copied where tiles end is multiplied by zeros, and any bits are numbers.
      constexpr int kOfTile = kChunks / kTiles;
      const int runs = min(kChunks, (shape_.tiles - tile_) * kOfTile);
#pragma unroll
      for (int i = 0; i < kChunks; ++i)
        if (i < runs) copyChunk(to + i * kChunkBytes, values_ + i * kChunkBytes, true);
      if constexpr (kType == WeightType::Int4) {
        // Zeros, too, where groups end: not any bits are numbers of these.
        if (lane_ < scaleRuns_) {
          const bool there = tile_ + (lane_ * kRun / kGroupBytes << shape_.shift) < shape_.tiles;
          copyChunk(to + kChunks * kChunkBytes, there ? scales_ : weight_.scales, there);
        }
      }
    }
  }

  const QuantizedMatrix& weight_;
  const Shape& shape_;
  int parts_, first_, lane_;
  int scaleRuns_;  // of a stage of Int4
  unsigned begin_, end_, slot_;
  int unit_, part_ = 0, strip_ = 0, tile_ = 0;
  const unsigned char *values_ = nullptr, *scales_ = nullptr;
};

#endif

}  // namespace palimpsest::engine::cuda::few
