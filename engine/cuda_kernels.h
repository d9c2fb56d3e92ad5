// The kernels of the CUDA back end, as functions of pointers on the device; each only queues its work on `stream`.
// Implemented in cuda_kernels.cu, for any shape, and for the shapes of most models in cuda_attention.cu (local
// attention; on Hopper cuda_attention_hopper.cu) and cuda_memory.cu (M by the linear rule). T is float or
// __nv_bfloat16; sums, softmax, M and z are f32.
//
// A span of heads (columns of the buffers, as in backend.h) is given as a pointer on the device and a count.
#pragma once

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/backend.h"

namespace palimpsest::engine::cuda {

// Rows of a matrix on the device: row-major, `columns` to a row.
template <class T>
struct Rows {
  T* data;
  int columns;
};

// The segments of a pass, and of each row of the pass its segment; both on the device.
// The numbers are what kernels are launched for: a pass that is played again may have fewer rows and keys. Rows that
// only fill up are of no segment, which is -1; whatever is in them is computed with and never read.
struct Pass {
  const PassSegment* segments;
  const int* segmentOfRow;
  int count = 0, rows = 0;
  int longest = 0;     // rows of a segment, at most
  int mostKeys = 0;    // of a segment, those of earlier passes counted in, at most
  bool early = false;  // few rows on a card where a kernel may begin before the one before it has ended
};

template <class From, class To>
void convert(const From* from, To* to, std::size_t count, cudaStream_t stream);

template <class T>
void embed(const std::int32_t* tokens, int rows, Rows<const T> table, Rows<float> x, cudaStream_t stream);
template <class T>
void rmsNorm(int rows, Rows<const float> x, const float* weight, float epsilon, Rows<T> out, cudaStream_t stream);
// gateUp [rows x 2 columns of out]
template <class T>
void siluMul(int rows, Rows<const T> gateUp, Rows<T> out, cudaStream_t stream);
// cosines, sines [positions x dim / 2]; alignedRuns: every run's column is a multiple of 8.
template <class T>
void rope(const Pass& pass, Rows<T> x, const RotatedColumns* runs, int runCount, bool alignedRuns, int dim,
          const float* cosines, const float* sines, cudaStream_t stream);

// The rows of a segment of the pass, into rows firstPosition.. of caches.
template <class T>
struct KeptRows {
  static constexpr int kMost = 4;
  struct Run {
    int column, width;
    Rows<T> cache;
  } runs[kMost];
  int count = 0;
};
template <class T>
void keep(const Pass& pass, int segment, Rows<const T> from, const KeptRows<T>& kept, cudaStream_t stream);

// Causal softmax attention of each segment with itself; a warp for each query row and head. dim <= 256.
template <class T, class Out>
void localAttention(const Pass& pass, Rows<const T> queries, Rows<const T> keys, Rows<const T> values,
                    const LocalHead* heads, int headCount, int dim, Rows<Out> out, cudaStream_t stream);

// The same for bf16 and dimensions 64 and 128 by tensor cores, on cards of compute capability 8.0 and later.
bool flashAttentionIsBuilt();  // for the card of the calling thread
// Whether heads begin where 16 bytes do. `...Columns`: of the whole buffers.
bool takesFlashAttention(std::span<const LocalHead> heads, int dim, int queryColumns, int keyColumns, int valueColumns,
                         int outColumns);
// Query heads next to each other in a list that read the same key and value.
struct HeadGroup {
  int first, count;
};
std::vector<HeadGroup> groupHeads(std::span<const LocalHead> heads);
struct FlashPlan {
  int groups = 0, largestGroup = 0;
  int rowTiles = 1;               // a block has 64 rows times that
  int splits = 1, splitKeys = 0;  // the keys of a segment are split over so many blocks, with so many keys each
  std::size_t roomFloats = 0;     // of results of splits
};
// It depends on the shape of the pass and the number of multiprocessors only, and so do the bits of the result.
FlashPlan planFlashAttention(const Pass& pass, std::span<const HeadGroup> groups, int headCount, int dim,
                             int processors);
template <class Out>
void flashAttention(const Pass& pass, Rows<const __nv_bfloat16> queries, Rows<const __nv_bfloat16> keys,
                    Rows<const __nv_bfloat16> values, const LocalHead* heads, int headCount, const HeadGroup* groups,
                    int dim, const FlashPlan& plan, float* room, Rows<Out> out, cudaStream_t stream);

// The same again on Hopper, where keys are not split and there are rows enough for its tiles (plan.rowTiles > 1): the
// plan is that of planFlashAttention().
bool hopperAttentionIsBuilt();  // for the card of the calling thread
template <class Out>
void hopperAttention(const Pass& pass, Rows<const __nv_bfloat16> queries, Rows<const __nv_bfloat16> keys,
                     Rows<const __nv_bfloat16> values, const LocalHead* heads, const HeadGroup* groups, int dim,
                     const FlashPlan& plan, Rows<Out> out, cudaStream_t stream);

// A_mem (size / rms)^power, see Stream::memoryRead. dims.value <= 1024.
template <class T, class Out>
void memoryRead(const Pass& pass, Rows<const T> queries, const MemoryReader* heads, int headCount, MemoryDims dims,
                float epsilon, Rows<const float> states, Rows<Out> out, cudaStream_t stream);

// The same in tiles, where everything is a multiple of 4 and A is not scaled or dims.value <= 128.
bool takesMemoryReadTiles(std::span<const MemoryReader> heads, MemoryDims dims, int queryColumns, int stateColumns,
                          int outColumns);
template <class T, class Out>
void memoryReadTiles(const Pass& pass, Rows<const T> queries, const MemoryReader* heads, int headCount, MemoryDims dims,
                     float epsilon, Rows<const float> states, Rows<Out> out, cudaStream_t stream);

// states[s + 1] = what segment s writes by the linear rule: sigma(K)^T V and the sum of sigma(K).
template <class T>
void memoryWrite(const Pass& pass, Rows<const T> keys, Rows<const T> values, const MemoryWriter* heads, int headCount,
                 MemoryDims dims, Rows<float> states, cudaStream_t stream);
// Then states[s + 1] += states[s], segment after segment.
void sumStates(int segments, const MemoryWriter* heads, int headCount, MemoryDims dims, Rows<float> states,
               cudaStream_t stream);
// Both in one, in tiles, where everything is a multiple of 4: rows are split into chunks, so that there is work for
// every multiprocessor, and `room` holds what each of them gives.
bool takesMemoryWriteTiles(std::span<const MemoryWriter> heads, MemoryDims dims, int keyColumns, int valueColumns);
struct MemoryWritePlan {
  int chunks = 1, chunkRows = 0;
  std::size_t roomFloats = 0;
};
MemoryWritePlan planMemoryWrite(const Pass& pass, int headCount, MemoryDims dims, int processors);
template <class T>
void memoryWriteTiles(const Pass& pass, Rows<const T> keys, Rows<const T> values, const MemoryWriter* heads,
                      int headCount, MemoryDims dims, const MemoryWritePlan& plan, float* room, Rows<float> states,
                      cudaStream_t stream);
// One segment by the delta rule: `room` holds V - sigma(K) M / (sigma(K) z + eps) on the way, [heads x rows x dv].
template <class T>
void memoryWriteDelta(const Pass& pass, int segment, Rows<const T> keys, Rows<const T> values,
                      const MemoryWriter* heads, int headCount, MemoryDims dims, float epsilon, Rows<float> states,
                      float* room, cudaStream_t stream);

// out = g A_mem + (1 - g) A_dot; on an empty memory a gate strictly between 0 and 1 counts as 0.
template <class Out>
void combine(const Pass& pass, Rows<const float> memory, Rows<const float> local, const GatedColumns* runs,
             int runCount, Rows<Out> out, cudaStream_t stream);

}  // namespace palimpsest::engine::cuda
