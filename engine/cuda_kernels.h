// The kernels of the CUDA back end, as functions of pointers on the device; each only queues its work on `stream`.
// Implemented in cuda_kernels.cu. T is float or __nv_bfloat16; sums, softmax, M and z are f32.
//
// A span of heads (columns of the buffers, as in backend.h) is given as a pointer on the device and a count.
#pragma once

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <cstdint>

#include "engine/backend.h"

namespace palimpsest::engine::cuda {

// Rows of a matrix on the device: row-major, `columns` to a row.
template <class T>
struct Rows {
  T* data;
  int columns;
};

// The segments of a pass, and of each row of the pass its segment; both on the device.
struct Pass {
  const PassSegment* segments;
  const int* segmentOfRow;
  int count = 0, rows = 0;
  int longest = 0;  // rows of the longest segment
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
// cosines, sines [positions x dim / 2]
template <class T>
void rope(const Pass& pass, Rows<T> x, const RotatedColumns* runs, int runCount, int dim, const float* cosines,
          const float* sines, cudaStream_t stream);

// Causal softmax attention of each segment with itself; a warp for each query row and head. dim <= 256.
template <class T, class Out>
void localAttention(const Pass& pass, Rows<const T> queries, Rows<const T> keys, Rows<const T> values,
                    const LocalHead* heads, int headCount, int dim, Rows<Out> out, cudaStream_t stream);

// A_mem (size / rms)^power, see Stream::memoryRead. dims.value <= 1024.
template <class T, class Out>
void memoryRead(const Pass& pass, Rows<const T> queries, const MemoryReader* heads, int headCount, MemoryDims dims,
                float epsilon, Rows<const float> states, Rows<Out> out, cudaStream_t stream);

// states[s + 1] = what segment s writes by the linear rule: sigma(K)^T V and the sum of sigma(K).
template <class T>
void memoryWrite(const Pass& pass, Rows<const T> keys, Rows<const T> values, const MemoryWriter* heads, int headCount,
                 MemoryDims dims, Rows<float> states, cudaStream_t stream);
// Then states[s + 1] += states[s], segment after segment.
void sumStates(int segments, const MemoryWriter* heads, int headCount, MemoryDims dims, Rows<float> states,
               cudaStream_t stream);
// One segment by the delta rule: `room` holds V - sigma(K) M / (sigma(K) z + eps) on the way, [heads x rows x dv].
template <class T>
void memoryWriteDelta(const Pass& pass, int segment, int segmentRows, Rows<const T> keys, Rows<const T> values,
                      const MemoryWriter* heads, int headCount, MemoryDims dims, float epsilon, Rows<float> states,
                      float* room, cudaStream_t stream);

// out = g A_mem + (1 - g) A_dot; on an empty memory a gate strictly between 0 and 1 counts as 0.
template <class Out>
void combine(const Pass& pass, Rows<const float> memory, Rows<const float> local, const GatedColumns* runs,
             int runCount, Rows<Out> out, cudaStream_t stream);

}  // namespace palimpsest::engine::cuda
