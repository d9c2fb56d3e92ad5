#include <cuda_fp8.h>

#include <cstring>

#include "engine/cuda_device.cuh"
#include "engine/cuda_float8.h"
#include "engine/cuda_ptx.cuh"

namespace palimpsest::engine::cuda {

namespace {

constexpr int kRun = 16;  // numbers of e4m3 in 16 bytes, which a lane loads or stores at once
constexpr int kTypicalThreads = 256, kMostThreads = 1024, kMostRuns = 4;  // of a block that quantises a row
constexpr int kWarps = 8;  // of a block of 16 outputs: runs of 64 inputs are dealt out to them in turn
constexpr int kHalf = kTileRows / 2;

// Bytes 2 `pair` and 2 `pair` + 1 of a word, which are e4m3, as two bf16 of the same values: exponent and fraction of
// e4m3 at their places in a bf16 mean 2^(e - 127) instead of 2^(e - 7), without a fraction below as well as with one.
__device__ std::uint32_t pairOf(std::uint32_t word, int pair) {
  const std::uint32_t upper = __byte_perm(word, 0, pair == 0 ? 0x1404 : 0x3424);  // in the upper byte of each half
  const std::uint32_t bits = (upper & 0x80008000U) | (upper >> 4 & 0x07F007F0U), shift = 0x7B807B80U;  // 2^120
  __nv_bfloat162 a, b;
  memcpy(&a, &bits, sizeof a);
  memcpy(&b, &shift, sizeof b);
  a = __hmul2(a, b);
  std::uint32_t both;
  memcpy(&both, &a, sizeof both);
  return both;
}

__device__ float2 floatsOf(std::uint32_t pair) {
  return {__uint_as_float(pair << 16), __uint_as_float(pair & 0xFFFF0000U)};
}

// A lane for 16 inputs of a row.
template <class T>
__global__ void dequantizeKernel(QuantizedMatrix weight, int begin, int rows, T* out) {
  const int across = weight.inputs / kRun;
  const std::size_t run = static_cast<std::size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  const std::size_t row = run / across;
  if (row >= static_cast<std::size_t>(rows)) return;
  const float scale = static_cast<const float*>(weight.scales)[begin + row];
  const uint4 got = __ldcs(static_cast<const uint4*>(weight.values) + static_cast<std::size_t>(begin) * across + run);
  alignas(16) T values[kRun];
#pragma unroll
  for (int i = 0; i < kRun / 2; ++i) {
    const float2 two = floatsOf(pairOf(wordOf(got, i / 2), i % 2));
    values[2 * i] = fromFloat<T>(scale * two.x);
    values[2 * i + 1] = fromFloat<T>(scale * two.y);
  }
  uint4* to = reinterpret_cast<uint4*>(out + run * kRun);
#pragma unroll
  for (int i = 0; i < kRun * static_cast<int>(sizeof(T)) / 16; ++i) to[i] = reinterpret_cast<const uint4*>(values)[i];
}

// sums [16 x 8] += a [16 x 16] b [16 x 8]; a lane's parts as PTX has them for mma.m16n8k16.
__device__ void multiplyTile(float (&sums)[4], const std::uint32_t (&a)[4], std::uint32_t b0, std::uint32_t b1) {
#if __CUDA_ARCH__ >= 800
  multiplyAdd(sums, a, b0, b1);
#endif
}

// Lane 4 r + c loads inputs 16 c..16 c + 15 of a run of 64, of rows r and r + 8. The rows of a matrix are padded to 16,
// so that all of them are there.
template <int kEights, class Out>
__global__ void __launch_bounds__(kWarps* kWarp)
    productOfFewKernel(QuantizedMatrix weight, int rows, Rows<const Bf16> in, Rows<Out> out, bool add) {
  constexpr int kAhead = kEights == 1 ? 4 : 2;  // runs whose loads are on their way together
  __shared__ float partial[kWarps][8 * kEights][kTileRows];
  const int warp = static_cast<int>(threadIdx.x) / kWarp, lane = static_cast<int>(threadIdx.x) % kWarp;
  const int r = lane / 4, c = lane % 4, first = static_cast<int>(blockIdx.x) * kTileRows;
  const std::uint8_t* upper =
      static_cast<const std::uint8_t*>(weight.values) + static_cast<std::size_t>(first + r) * weight.inputs;
  const std::uint8_t* lower = upper + static_cast<std::size_t>(kHalf) * weight.inputs;
  float sums[kEights][4] = {};
  for (int begin = warp * kTileInputs; begin < weight.inputs; begin += kWarps * kAhead * kTileInputs) {
    uint4 w[kAhead][2], x[kAhead][kEights][2];
#pragma unroll
    for (int a = 0; a < kAhead; ++a) {
      const int k = begin + a * kWarps * kTileInputs + c * kRun;
      if (k - c * kRun >= weight.inputs) break;
      const bool there = k < weight.inputs;
      w[a][0] = w[a][1] = {0, 0, 0, 0};
      if (there) {
        w[a][0] = __ldcs(reinterpret_cast<const uint4*>(upper + k));  // no other block reads them
        w[a][1] = __ldcs(reinterpret_cast<const uint4*>(lower + k));
      }
#pragma unroll
      for (int n = 0; n < kEights; ++n) {
        const int token = 8 * n + r;
        x[a][n][0] = x[a][n][1] = {0, 0, 0, 0};
        if (!there || token >= rows) continue;
        const auto* from = reinterpret_cast<const uint4*>(at(in, token, k));
        x[a][n][0] = from[0];
        x[a][n][1] = from[1];
      }
    }
#pragma unroll
    for (int a = 0; a < kAhead; ++a) {
      if (begin + a * kWarps * kTileInputs >= weight.inputs) break;
#pragma unroll
      for (int step = 0; step < 4; ++step) {  // of 16 inputs: 4 of each lane
        const std::uint32_t mine = wordOf(w[a][0], step), below = wordOf(w[a][1], step);
        const std::uint32_t left[4] = {pairOf(mine, 0), pairOf(below, 0), pairOf(mine, 1), pairOf(below, 1)};
#pragma unroll
        for (int n = 0; n < kEights; ++n) {
          const uint4& right = x[a][n][step / 2];
          multiplyTile(sums[n], left, wordOf(right, step % 2 * 2), wordOf(right, step % 2 * 2 + 1));
        }
      }
    }
  }
#pragma unroll
  for (int n = 0; n < kEights; ++n)
#pragma unroll
    for (int i = 0; i < 4; ++i) partial[warp][8 * n + 2 * c + i % 2][r + (i < 2 ? 0 : kHalf)] = sums[n][i];
  __syncthreads();
  // Sums of all warps, in their order.
  for (int i = static_cast<int>(threadIdx.x); i < rows * kTileRows; i += kWarps * kWarp) {
    const int token = i / kTileRows, row = i % kTileRows, output = first + row;
    if (output >= weight.outputs) continue;
    float sum = 0.0F;
#pragma unroll
    for (int w = 0; w < kWarps; ++w) sum += partial[w][token][row];
    sum *= static_cast<const float*>(weight.scales)[output];
    Out* to = at(out, token, output);
    *to = fromFloat<Out>(add ? toFloat(*to) + sum : sum);
  }
}

// A block for a row, kRuns times 16 inputs for a lane, which keeps them.
template <int kRuns>
__global__ void __launch_bounds__(kRuns == kMostRuns ? kMostThreads : kTypicalThreads)
    quantizeKernel(int inputs, Rows<const Bf16> in, std::uint8_t* values, float* scales) {
  constexpr float kLargest = 448.0F, kLeast = 1e-30F;  // as quantize() of quantized.cpp has them
  __shared__ float largest[kMostThreads / kWarp];
  const int row = static_cast<int>(blockIdx.x), lane = static_cast<int>(threadIdx.x) % kWarp;
  const int warps = static_cast<int>(blockDim.x) / kWarp;
  const auto* from = reinterpret_cast<const uint4*>(at(in, row));
  uint4 kept[kRuns][2];
  float most = 0.0F;
#pragma unroll
  for (int j = 0; j < kRuns; ++j) {
    const int run = static_cast<int>(j * blockDim.x + threadIdx.x);
    kept[j][0] = kept[j][1] = {0, 0, 0, 0};
    if (run >= inputs / kRun) continue;
    kept[j][0] = from[2 * run];
    kept[j][1] = from[2 * run + 1];
#pragma unroll
    for (int i = 0; i < kRun / 2; ++i) {
      const float2 two = floatsOf(wordOf(kept[j][i / 4], i % 4));
      most = fmaxf(most, fmaxf(fabsf(two.x), fabsf(two.y)));
    }
  }
  for (int step = kWarp / 2; step > 0; step /= 2) most = fmaxf(most, __shfl_xor_sync(0xffffffffU, most, step));
  if (lane == 0) largest[threadIdx.x / kWarp] = most;
  __syncthreads();
  for (int warp = 0; warp < warps; ++warp) most = fmaxf(most, largest[warp]);
  const bool nothing = most < kLeast;
  const float inverse = nothing ? 1.0F : kLargest / most;
  if (threadIdx.x == 0) scales[row] = nothing ? 1.0F : most / kLargest;
  auto* to = reinterpret_cast<uint4*>(values + static_cast<std::size_t>(row) * inputs);
#pragma unroll
  for (int j = 0; j < kRuns; ++j) {
    const int run = static_cast<int>(j * blockDim.x + threadIdx.x);
    if (run >= inputs / kRun) continue;
    std::uint32_t words[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const uint4& run16 = kept[j][i / 2];
      const float2 a = floatsOf(wordOf(run16, i % 2 * 2)), b = floatsOf(wordOf(run16, i % 2 * 2 + 1));
      const std::uint32_t low = __nv_cvt_float2_to_fp8x2({a.x * inverse, a.y * inverse}, __NV_SATFINITE, __NV_E4M3);
      const std::uint32_t high = __nv_cvt_float2_to_fp8x2({b.x * inverse, b.y * inverse}, __NV_SATFINITE, __NV_E4M3);
      words[i] = low | high << 16;
    }
    to[run] = {words[0], words[1], words[2], words[3]};
  }
}

template <int kRuns>
void launchQuantize(int rows, int inputs, Rows<const Bf16> in, std::uint8_t* values, float* scales,
                    cudaStream_t stream) {
  const int lanes = (inputs / kRun + kRuns - 1) / kRuns, threads = (lanes + kWarp - 1) / kWarp * kWarp;
  quantizeKernel<kRuns><<<rows, threads, 0, stream>>>(inputs, in, values, scales);
}

bool beginsWith16Bytes(Rows<const Bf16> in) {
  return in.columns * sizeof(Bf16) % 16 == 0 && reinterpret_cast<std::uintptr_t>(in.data) % 16 == 0;
}

}  // namespace

template <class T>
void dequantizeFloat8(const QuantizedMatrix& weight, int begin, int rows, T* out, cudaStream_t stream) {
  constexpr unsigned kThreads = 256;
  const std::size_t runs = static_cast<std::size_t>(rows) * static_cast<std::size_t>(weight.inputs / kRun);
  dequantizeKernel<T><<<blocksFor(runs, kThreads), kThreads, 0, stream>>>(weight, begin, rows, out);
}

bool multipliesFewFloat8(const QuantizedMatrix& weight, int rows, Rows<const Bf16> in) {
  return rows <= kMostRows && weight.inputs % kRun == 0 && beginsWith16Bytes(in);
}

template <class Out>
void float8ProductOfFew(const QuantizedMatrix& weight, int rows, Rows<const Bf16> in, Rows<Out> out, bool add,
                        cudaStream_t stream) {
  const auto kernel = rows <= 8 ? productOfFewKernel<1, Out> : productOfFewKernel<2, Out>;
  kernel<<<(weight.outputs + kTileRows - 1) / kTileRows, kWarps * kWarp, 0, stream>>>(weight, rows, in, out, add);
}

bool quantizesRows(int inputs, Rows<const Bf16> in) {
  return inputs % kRun == 0 && inputs <= kRun * kMostThreads * kMostRuns && beginsWith16Bytes(in);
}

void quantizeRows(int rows, int inputs, Rows<const Bf16> in, std::uint8_t* values, float* scales, cudaStream_t stream) {
  const int runs = inputs / kRun;
  const auto launch = runs <= kTypicalThreads       ? launchQuantize<1>
                      : runs <= 2 * kTypicalThreads ? launchQuantize<2>
                                                    : launchQuantize<kMostRuns>;
  launch(rows, inputs, in, values, scales, stream);
}

template void dequantizeFloat8<float>(const QuantizedMatrix&, int, int, float*, cudaStream_t);
template void dequantizeFloat8<Bf16>(const QuantizedMatrix&, int, int, Bf16*, cudaStream_t);
template void float8ProductOfFew<float>(const QuantizedMatrix&, int, Rows<const Bf16>, Rows<float>, bool, cudaStream_t);
template void float8ProductOfFew<Bf16>(const QuantizedMatrix&, int, Rows<const Bf16>, Rows<Bf16>, bool, cudaStream_t);

}  // namespace palimpsest::engine::cuda
