#include <cstdint>
#include <type_traits>

#include "engine/cuda_quantized.h"

namespace palimpsest::engine::cuda {

namespace {

using Bf16 = __nv_bfloat16;

constexpr int kWarp = 32;
constexpr int kWarps = 8;        // of a block: its 16 outputs' tiles are dealt out to them in turn
constexpr int kLaneInputs = 16;  // inputs in a row that a lane has of a tile
constexpr int kHalf = kTileRows / 2;

// What a lane has of a tile: 16 inputs of row r, and of row r + 8.
template <bool kInt4>
struct Lane {
  uint4 words[kInt4 ? 1 : 2];
};

__device__ uint4 loadOnce(const uint4* from) { return __ldcs(from); }  // no other block reads it

template <bool kInt4>
__device__ Lane<kInt4> laneOf(const QuantizedMatrix& weight, std::size_t tile, int lane) {
  Lane<kInt4> got;
  const uint4* from = static_cast<const uint4*>(weight.values) + tile * (kInt4 ? kWarp : 2 * kWarp) + lane;
  got.words[0] = loadOnce(from);
  if constexpr (!kInt4) got.words[1] = loadOnce(from + kWarp);
  return got;
}

// Word `index` of the 8 (Int4) or 4 (Int8) inputs in each word, of row r (half 0) or r + 8 (half 1).
template <bool kInt4>
__device__ std::uint32_t wordOf(const Lane<kInt4>& lane, int half, int index) {
  const uint4& words = lane.words[kInt4 ? 0 : half];
  const int number = kInt4 ? 2 * half + index : index;
  return number == 0 ? words.x : number == 1 ? words.y : number == 2 ? words.z : words.w;
}

int strips(int outputs) { return (outputs + kTileRows - 1) / kTileRows; }
// Int4's groups are of 2^groupShift tiles.
int groupShift(const QuantizedMatrix& weight) { return groupOf(weight.type, weight.inputs) == kTileInputs ? 0 : 1; }

// Scales of rows r and r + 8 of a strip, at one of its tiles. Those of Int8 are the same at all of them.
template <bool kInt4>
__device__ float2 scalesOf(const QuantizedMatrix& weight, int strip, int tile, int shift, int row) {
  if constexpr (kInt4) {
    const int groups = weight.inputs / (kTileInputs << shift);
    const std::size_t at = (static_cast<std::size_t>(strip) * groups + (tile >> shift)) * kHalf + row;
    return __bfloat1622float2(static_cast<const __nv_bfloat162*>(weight.scales)[at]);
  } else {
    const float* scales = static_cast<const float*>(weight.scales) + static_cast<std::size_t>(strip) * kTileRows;
    return {scales[row], scales[row + kHalf]};
  }
}

// The 16 inputs of a lane's row as numbers, not yet scaled.
template <bool kInt4>
__device__ void unpack(const Lane<kInt4>& lane, int half, float (&q)[kLaneInputs]) {
#pragma unroll
  for (int i = 0; i < kLaneInputs; ++i) {
    if constexpr (kInt4) {
      // 2^23 + n is the float whose last bits are n.
      const std::uint32_t n = wordOf(lane, half, i / 8) >> 4 * (i % 8 / 2 + 4 * (i % 2)) & 0xFU;
      q[i] = __uint_as_float(0x4B000000U | n) - 8388616.0F;
    } else {
      q[i] = static_cast<float>(static_cast<signed char>(wordOf(lane, half, i / 4) >> 8 * (i % 4)));
    }
  }
}

__device__ void store(Bf16* to, float x) { *to = __float2bfloat16_rn(x); }
__device__ void store(float* to, float x) { *to = x; }

// A warp for a tile.
template <bool kInt4, class T>
__global__ void dequantizeKernel(QuantizedMatrix weight, int begin, int rows, int tiles, int shift, T* out) {
  const int warp = static_cast<int>(blockIdx.x) * kWarps + static_cast<int>(threadIdx.x) / kWarp;
  const int lane = static_cast<int>(threadIdx.x) % kWarp, strip = warp / tiles, tile = warp % tiles;
  if (strip * kTileRows >= rows) return;
  const int here = begin / kTileRows + strip;
  const Lane<kInt4> got = laneOf<kInt4>(weight, static_cast<std::size_t>(here) * tiles + tile, lane);
  const float2 scale = scalesOf<kInt4>(weight, here, tile, shift, lane / 4);
  const int k = tile * kTileInputs + lane % 4 * kLaneInputs;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int row = strip * kTileRows + half * kHalf + lane / 4;
    if (row >= rows) continue;
    float q[kLaneInputs];
    unpack(got, half, q);
    alignas(16) T values[kLaneInputs];
#pragma unroll
    for (int i = 0; i < kLaneInputs; ++i) store(values + i, q[i] * (half == 0 ? scale.x : scale.y));
    T* to = out + static_cast<std::size_t>(row) * weight.inputs + k;
    if (weight.inputs % kLaneInputs == 0) {
      if (k >= weight.inputs) continue;
#pragma unroll
      for (int i = 0; i < kLaneInputs * static_cast<int>(sizeof(T)) / 16; ++i)
        reinterpret_cast<uint4*>(to)[i] = reinterpret_cast<const uint4*>(values)[i];
    } else {
#pragma unroll
      for (int i = 0; i < kLaneInputs; ++i)
        if (k + i < weight.inputs) to[i] = values[i];
    }
  }
}

// Sums of all warps, in their order, into `out`. partial [kWarps x tokens x kTileRows].
template <bool kInt4, int kTokens>
__device__ void finish(const QuantizedMatrix& weight, const float (&partial)[kWarps][kTokens][kTileRows], int rows,
                       Rows<float> out, bool add) {
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < rows * kTileRows; i += kWarps * kWarp) {
    const int token = i / kTileRows, r = i % kTileRows, output = static_cast<int>(blockIdx.x) * kTileRows + r;
    if (output >= weight.outputs) continue;
    float sum = 0.0F;
#pragma unroll
    for (int w = 0; w < kWarps; ++w) sum += partial[w][token][r];
    if constexpr (!kInt4) sum *= static_cast<const float*>(weight.scales)[output];
    float* to = out.data + static_cast<std::size_t>(token) * out.columns + output;
    *to = add ? *to + sum : sum;
  }
}

// A block for 16 outputs. The four lanes of a row add what they have of its inputs in the end.
template <bool kInt4, int kTokens>
__global__ void __launch_bounds__(kWarps* kWarp)
    productOfFewKernel(QuantizedMatrix weight, int rows, int tiles, int shift, Rows<const float> in, Rows<float> out,
                       bool add) {
  __shared__ float partial[kWarps][kTokens][kTileRows];
  const int warp = static_cast<int>(threadIdx.x) / kWarp, lane = static_cast<int>(threadIdx.x) % kWarp;
  const int r = lane / 4, c = lane % 4, strip = static_cast<int>(blockIdx.x);
  float sums[2][kTokens] = {};
  for (int tile = warp; tile < tiles; tile += kWarps) {
    const int k = tile * kTileInputs + c * kLaneInputs;
    if (k >= weight.inputs) continue;
    const Lane<kInt4> w = laneOf<kInt4>(weight, static_cast<std::size_t>(strip) * tiles + tile, lane);
    float2 scale = {1.0F, 1.0F};
    if constexpr (kInt4) scale = scalesOf<kInt4>(weight, strip, tile, shift, r);
    float q[2][kLaneInputs];
    unpack(w, 0, q[0]);
    unpack(w, 1, q[1]);
#pragma unroll
    for (int t = 0; t < kTokens; ++t) {
      if (t >= rows) break;
      const auto* from = reinterpret_cast<const float4*>(in.data + static_cast<std::size_t>(t) * in.columns + k);
      float own[2] = {};
#pragma unroll
      for (int i = 0; i < kLaneInputs / 4; ++i) {
        const float4 x = from[i];
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          const float* four = q[half] + 4 * i;
          own[half] += four[0] * x.x + four[1] * x.y + four[2] * x.z + four[3] * x.w;
        }
      }
      sums[0][t] += scale.x * own[0];
      sums[1][t] += scale.y * own[1];
    }
  }
#pragma unroll
  for (int half = 0; half < 2; ++half)
#pragma unroll
    for (int t = 0; t < kTokens; ++t) {
      float sum = sums[half][t];
      sum += __shfl_xor_sync(0xffffffffU, sum, 1);
      sum += __shfl_xor_sync(0xffffffffU, sum, 2);
      if (c == 0) partial[warp][t][r + half * kHalf] = sum;
    }
  finish<kInt4>(weight, partial, rows, out, add);
}

template <bool kInt4>
void launchProduct(const QuantizedMatrix& weight, int rows, Rows<const float> in, Rows<float> out, bool add,
                   cudaStream_t stream) {
  const auto kernel = rows == 1   ? productOfFewKernel<kInt4, 1>
                      : rows <= 4 ? productOfFewKernel<kInt4, 4>
                                  : productOfFewKernel<kInt4, kMostRows>;
  kernel<<<strips(weight.outputs), kWarps * kWarp, 0, stream>>>(weight, rows, tilesAcross(weight), groupShift(weight),
                                                                in, out, add);
}

}  // namespace

template <class T>
void dequantize(const QuantizedMatrix& weight, int begin, int rows, T* out, cudaStream_t stream) {
  const int tiles = tilesAcross(weight), blocks = (strips(rows) * tiles + kWarps - 1) / kWarps;
  const auto kernel = weight.type == WeightType::Int4 ? dequantizeKernel<true, T> : dequantizeKernel<false, T>;
  kernel<<<blocks, kWarps * kWarp, 0, stream>>>(weight, begin, rows, tiles, groupShift(weight), out);
}

bool multipliesFew(const QuantizedMatrix& weight, int rows, Rows<const float> in) {
  constexpr std::size_t kRun = 16;  // bytes
  return rows <= kMostRows && weight.inputs % kLaneInputs == 0 && in.columns * sizeof(float) % kRun == 0 &&
         reinterpret_cast<std::uintptr_t>(in.data) % kRun == 0;
}

void productOfFew(const QuantizedMatrix& weight, int rows, Rows<const float> in, Rows<float> out, bool add,
                  cudaStream_t stream) {
  const auto launch = weight.type == WeightType::Int4 ? launchProduct<true> : launchProduct<false>;
  launch(weight, rows, in, out, add, stream);
}

template void dequantize<float>(const QuantizedMatrix&, int, int, float*, cudaStream_t);
template void dequantize<Bf16>(const QuantizedMatrix&, int, int, Bf16*, cudaStream_t);

}  // namespace palimpsest::engine::cuda
