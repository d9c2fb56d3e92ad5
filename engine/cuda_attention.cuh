// What both kernels of local attention do with the scores of a warp's rows, between the two products.
//
// A tile C [16 x 8] of a product is in the lanes of a warp as cuda_ptx.cuh has it: of lane l, rows l / 4 (half 0) and
// l / 4 + 8 (half 1), columns 2 (l % 4) and the next.
#pragma once

#include "engine/cuda_device.cuh"
#include "engine/cuda_ptx.cuh"

namespace palimpsest::engine::cuda {

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800

constexpr float kLog2E = 1.4426950408889634F;

// Of the scores [16 x 8 kTiles] those after column `last` of the lane's rows count for nothing.
template <int kTiles>
__device__ void maskAfter(float (&score)[kTiles][4], int half, int last) {
#pragma unroll
  for (int n = 0; n < kTiles; ++n) {
#pragma unroll
    for (int i = 0; i < 2; ++i)
      if (n * 8 + i > last - static_cast<int>(threadIdx.x) % 4 * 2) score[n][2 * half + i] = -INFINITY;
  }
}

// One step of online softmax: scores become weights 2^(scale score - largest), and what was summed before is scaled to
// the new largest score. `sum` is the lane's part of its row's.
template <int kTiles, int kMeans>
__device__ void weigh(float (&score)[kTiles][4], float scale, float (&largest)[2], float (&sum)[2],
                      float (&mean)[kMeans][4]) {
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    float now = largest[half];
#pragma unroll
    for (int n = 0; n < kTiles; ++n) now = fmaxf(now, fmaxf(score[n][2 * half], score[n][2 * half + 1]));
    now = fmaxf(now, __shfl_xor_sync(0xffffffffU, now, 1));  // the four lanes of a row
    now = fmaxf(now, __shfl_xor_sync(0xffffffffU, now, 2));
    // A row may see none of a split's keys: not -inf less -inf.
    const float shift = now == -INFINITY ? 0.0F : now * scale;
    const float old = exp2Approximate(largest[half] * scale - shift);
    largest[half] = now;
    float added = 0.0F;
#pragma unroll
    for (int n = 0; n < kTiles; ++n) {
#pragma unroll
      for (int i = 2 * half; i < 2 * half + 2; ++i) {
        score[n][i] = exp2Approximate(score[n][i] * scale - shift);
        added += score[n][i];
      }
    }
    sum[half] = sum[half] * old + added;
#pragma unroll
    for (int d = 0; d < kMeans; ++d) mean[d][2 * half] *= old, mean[d][2 * half + 1] *= old;
  }
}

// Two tiles C of weights are, as they stand in the lanes, one tile A [16 x 16] of the second product.
template <int kTiles>
__device__ void weightTile(const float (&score)[kTiles][4], int k, unsigned (&weight)[4]) {
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const auto& tile = score[2 * k + i / 2];
    weight[i] = pairOf(tile[i % 2 * 2], tile[i % 2 * 2 + 1]);
  }
}

__device__ inline float rowSum(float x) {  // of the four lanes of a row
  x += __shfl_xor_sync(0xffffffffU, x, 1);
  return x + __shfl_xor_sync(0xffffffffU, x, 2);
}

__device__ inline void putPair(float* to, float low, float high) {
  *reinterpret_cast<float2*>(to) = make_float2(low, high);
}
__device__ inline void putPair(Bf16* to, float low, float high) {
  *reinterpret_cast<unsigned*>(to) = pairOf(low, high);
}

#endif

}  // namespace palimpsest::engine::cuda
