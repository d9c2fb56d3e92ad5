// What the kernels of the CUDA back end share on the device.
#pragma once

#include <cuda_bf16.h>

#include <cmath>
#include <type_traits>

#include "engine/cuda_kernels.h"

namespace palimpsest::engine::cuda {

using Bf16 = __nv_bfloat16;

constexpr int kWarp = 32;

__device__ inline float toFloat(float x) { return x; }
__device__ inline float toFloat(Bf16 x) { return __bfloat162float(x); }
template <class T>
__device__ T fromFloat(float x);
template <>
__device__ inline float fromFloat<float>(float x) {
  return x;
}
template <>
__device__ inline Bf16 fromFloat<Bf16>(float x) {
  return __float2bfloat16_rn(x);
}

__device__ inline unsigned wordOf(const uint4& words, int i) {
  return i == 0 ? words.x : i == 1 ? words.y : i == 2 ? words.z : words.w;
}

__device__ inline float sigma(float x) { return x > 0.0F ? x + 1.0F : expf(x); }  // ELU + 1

// (size / rms)^power of a row of A with this mean of squares, see Stream::memoryRead.
__device__ inline float memoryScale(const MemoryReader& head, float square, float epsilon) {
  return powf(head.size / sqrtf(square + epsilon * epsilon), head.power);
}

__device__ inline float warpSum(float x) {
  for (int lane = kWarp / 2; lane > 0; lane /= 2) x += __shfl_xor_sync(0xffffffffU, x, lane);
  return x;
}

template <class T>
__device__ T* at(Rows<T> x, int row, int column = 0) {
  return x.data + static_cast<std::size_t>(row) * x.columns + column;
}

__device__ inline void storeFour(float* to, float4 x) { *reinterpret_cast<float4*>(to) = x; }
__device__ inline void storeFour(Bf16* to, float4 x) {
  alignas(8) const __nv_bfloat162 pairs[2] = {__floats2bfloat162_rn(x.x, x.y), __floats2bfloat162_rn(x.z, x.w)};
  *reinterpret_cast<uint2*>(to) = *reinterpret_cast<const uint2*>(pairs);
}

// 16 bytes, as they are loaded and stored at once.
template <class T>
struct Run {
  static constexpr int kCount = 16 / static_cast<int>(sizeof(T));
  alignas(16) T values[kCount];
};
template <class T>
__device__ Run<T> loadRun(const T* from) {
  Run<T> run;
  *reinterpret_cast<uint4*>(run.values) = *reinterpret_cast<const uint4*>(from);
  return run;
}
template <class T>
__device__ void storeRun(T* to, const Run<T>& run) {
  *reinterpret_cast<uint4*>(to) = *reinterpret_cast<const uint4*>(run.values);
}

// Programmatic dependent launch, of compute capability 9.0: a kernel that launchEarly() queued may begin when each
// block of the kernel before it has called letNextKernelBegin() or has ended. All of its threads call
// waitForEarlierKernels(), which returns when the kernel before it has ended and what it wrote can be seen. Before that
// a thread may read only what no kernel of this pass writes, and write nothing but shared memory. (What earlier passes
// wrote is there: a pass begins with a copy, which waits for all kernels before it and which those behind it wait for.)
//
// So no block ends before all earlier kernels have: the one before did not end without waiting for its own. And a
// kernel that waits cannot keep an earlier one from a multiprocessor, since all blocks of that are there already.
constexpr int kFirstWithEarlyLaunch = 9;  // major number

__device__ inline void letNextKernelBegin() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  cudaTriggerProgrammaticLaunchCompletion();
#endif
}

__device__ inline void waitForEarlierKernels() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  cudaGridDependencySynchronize();
#endif
}

// `early`: where the card is of that compute capability and the kernel was compiled for it; else as any other kernel.
template <class... Parameters>
void launchEarly(void (*kernel)(Parameters...), dim3 grid, dim3 block, std::size_t sharedBytes, bool early,
                 cudaStream_t stream, std::type_identity_t<Parameters>... arguments) {
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = sharedBytes;
  config.stream = stream;
  config.attrs = &attribute;
  config.numAttrs = early ? 1 : 0;
  cudaLaunchKernelEx(&config, kernel, arguments...);
}

inline unsigned blocksFor(std::size_t count, unsigned threads) {
  return static_cast<unsigned>((count + threads - 1) / threads);
}

}  // namespace palimpsest::engine::cuda
