// A warp takes 16 keys of a group of heads, whose queries are the columns of the tensor cores' product; a block has 16
// warps, and longer segments are split over blocks (Flash-Decoding), of which the last to come puts the parts together.
// A head of the memory has a block of its own. What earlier passes have left (keys, values, M) is loaded into registers
// before the kernel waits for the product that it follows.
#include <algorithm>

#include "engine/cuda_attention.cuh"
#include "engine/cuda_step.h"

namespace palimpsest::engine::cuda {

namespace {

constexpr int kWarps = 16, kThreads = kWarps * kWarp;
constexpr int kWarpKeys = 16, kBlockKeys = kWarps * kWarpKeys;
constexpr int kEight = 8;            // heads of a product; those that are not there are zeros
constexpr int kColumns = 4 * kWarp;  // of M, that a block reads
constexpr int kMatrixRows = 16, kMostKeys = kWarps * kMatrixRows;  // of M, that a thread and a block read
constexpr int kMostRoom = 64 << 10;                                // bytes for the warps' means

int splitsFor(const Pass& pass) { return static_cast<int>(blocksFor(pass.mostKeys, kBlockKeys)); }

// Of split s and head h: the mean of its values [splits x heads x dim], not yet divided by its sum; then softmax.
struct Softmax {
  float largest, sum;  // the largest score times log2 e, and the sum of 2^(score - largest)
};

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800

constexpr int kTile = 64;  // dimensions of which a lane has two runs of 16 bytes

__device__ Softmax* softmaxOf(const StepAttention& step, int splits) {
  return reinterpret_cast<Softmax*>(step.partial + static_cast<std::size_t>(splits) * step.headCount * step.dim);
}

// Dimension d of a head of qkv's row, rotated to `position`.
__device__ float rotated(const StepAttention& step, int column, int d, int position) {
  const int half = step.dim / 2, i = d % half;
  const std::size_t entry = static_cast<std::size_t>(position) * half + i;
  const float cosine = step.cosines[entry], sine = step.sines[entry];
  const float left = toFloat(*at(step.qkv, 0, column + i)), right = toFloat(*at(step.qkv, 0, column + half + i));
  return d < half ? left * cosine - right * sine : right * cosine + left * sine;
}

// The heads of a group over keys [256 split, 256 split + 256) of the segment.
template <int kDim>
__device__ void attendToKeys(const StepAttention& step, const PassSegment& segment, int number, int split, int splits,
                             float* means) {
  constexpr int kTiles = kDim / kTile, kRow = kDim + 8;  // of the rows in shared memory, which begin in other banks
  __shared__ __align__(16) Bf16 query[kEight][kRow];
  __shared__ __align__(16) Bf16 key[kRow];
  __shared__ __align__(16) Bf16 weights[kWarps][kEight][kWarpKeys];
  __shared__ float largests[kWarps][kEight], sums[kWarps][kEight];
  __shared__ bool isLast;
  const HeadGroup group = step.groups[number];
  const LocalHead* const own = step.heads + group.first;
  const int thread = static_cast<int>(threadIdx.x), lane = thread % kWarp, warp = thread / kWarp;
  const int r = lane / 4, c = lane % 4;
  const int position = segment.firstPosition, first = split * kBlockKeys + warp * kWarpKeys;
  const int warps = min(kWarps, (position - split * kBlockKeys) / kWarpKeys + 1);  // that have keys to see

  // Of keys first + r and + 8 the dimensions from 8 c and 32 + 8 c on of each tile; of values first + 4 c + {0..3}
  // those from 8 r on. The order of dimensions and of keys is free where both sides of a product have the same.
  uint4 k[kTiles][2][2] = {}, v[kTiles][4] = {};
#pragma unroll
  for (int t = 0; t < kTiles; ++t) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int row = first + half * 8 + r;
      if (row >= position) continue;
      const Bf16* const from = at(step.keys, segment.keysBegin + row, own->key + t * kTile + 8 * c);
      k[t][half][0] = *reinterpret_cast<const uint4*>(from);
      k[t][half][1] = *reinterpret_cast<const uint4*>(from + kTile / 2);
    }
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const int row = first + 4 * c + j;
      if (row < position)
        v[t][j] =
            *reinterpret_cast<const uint4*>(at(step.values, segment.keysBegin + row, own->value + t * kTile + 8 * r));
    }
  }
  waitForEarlierKernels();

  for (int i = thread; i < (kEight + 1) * kDim; i += kThreads) {
    const int h = i / kDim, d = i % kDim;
    if (h == kEight) {
      key[d] = fromFloat<Bf16>(rotated(step, own->key + step.keyShift, d, position));
    } else {
      query[h][d] = fromFloat<Bf16>(h < group.count ? rotated(step, own[h].query, d, position) : 0.0F);
    }
  }
  __syncthreads();
  float score[1][4] = {};
  if (warp < warps) {
#pragma unroll
    for (int t = 0; t < kTiles; ++t) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        if (first + half * 8 + r != position) continue;
        k[t][half][0] = *reinterpret_cast<const uint4*>(key + t * kTile + 8 * c);
        k[t][half][1] = *reinterpret_cast<const uint4*>(key + t * kTile + kTile / 2 + 8 * c);
      }
#pragma unroll
      for (int j = 0; j < 4; ++j)
        if (first + 4 * c + j == position)
          v[t][j] = *reinterpret_cast<const uint4*>(at(step.qkv, 0, own->value + step.valueShift + t * kTile + 8 * r));
      const uint4 q[2] = {*reinterpret_cast<const uint4*>(&query[r][t * kTile + 8 * c]),
                          *reinterpret_cast<const uint4*>(&query[r][t * kTile + kTile / 2 + 8 * c])};
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int run = i / 2, word = i % 2 * 2;
        const unsigned left[4] = {wordOf(k[t][0][run], word), wordOf(k[t][1][run], word),
                                  wordOf(k[t][0][run], word + 1), wordOf(k[t][1][run], word + 1)};
        multiplyAdd(score[0], left, wordOf(q[run], word), wordOf(q[run], word + 1));
      }
    }
    // A row is a key here and a column a head: the lane has keys r and r + 8 of heads 2 c and the next.
    const float scale = kLog2E * rsqrtf(static_cast<float>(kDim));
#pragma unroll
    for (int i = 0; i < 4; ++i) score[0][i] = first + i / 2 * 8 + r <= position ? score[0][i] * scale : -INFINITY;
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      float largest = fmaxf(score[0][i], score[0][i + 2]);
      for (int other = 4; other < kWarp; other *= 2)
        largest = fmaxf(largest, __shfl_xor_sync(0xffffffffU, largest, other));
      if (r == 0) largests[warp][2 * c + i] = largest;
    }
  }
  __syncthreads();
  if (warp < warps) {
    float mean[kDim / 16][4] = {};
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      float largest = -INFINITY;
      for (int w = 0; w < warps; ++w) largest = fmaxf(largest, largests[w][2 * c + i]);
      const float low = exp2Approximate(score[0][i] - largest), high = exp2Approximate(score[0][i + 2] - largest);
      weights[warp][2 * c + i][r] = fromFloat<Bf16>(low);
      weights[warp][2 * c + i][r + 8] = fromFloat<Bf16>(high);
      float sum = low + high;
      for (int other = 4; other < kWarp; other *= 2) sum += __shfl_xor_sync(0xffffffffU, sum, other);
      if (r == 0) sums[warp][2 * c + i] = sum;
    }
    __syncwarp();
    const uint2 weight = *reinterpret_cast<const uint2*>(&weights[warp][r][4 * c]);  // of head r, keys 4 c + {0..3}
#pragma unroll
    for (int t = 0; t < kTiles; ++t) {
#pragma unroll
      for (int m = 0; m < 4; ++m) {  // dimensions 8 r + 2 m and the next, as rows r and r + 8
        const unsigned a = wordOf(v[t][0], m), b = wordOf(v[t][1], m), d = wordOf(v[t][2], m), e = wordOf(v[t][3], m);
        constexpr unsigned kLow = 0x5410, kHigh = 0x7632;
        const unsigned left[4] = {__byte_perm(a, b, kLow), __byte_perm(a, b, kHigh), __byte_perm(d, e, kLow),
                                  __byte_perm(d, e, kHigh)};
        multiplyAdd(mean[4 * t + m], left, weight.x, weight.y);
      }
    }
#pragma unroll
    for (int n = 0; n < kDim / 16; ++n) {
      const int d = n / 4 * kTile + 8 * r + n % 4 * 2;
#pragma unroll
      for (int i = 0; i < 2; ++i)
        if (const int h = 2 * c + i; h < group.count)
          putPair(means + (warp * group.count + h) * kDim + d, mean[n][i], mean[n][i + 2]);
    }
  }
  __syncthreads();

  const int seen = position / kBlockKeys + 1;  // splits that have keys to see
  Softmax* const softmax = softmaxOf(step, splits);
  for (int i = thread; i < group.count * kDim; i += kThreads) {
    const int h = i / kDim, d = i % kDim;
    float mean = 0.0F, sum = 0.0F;
    for (int w = 0; w < warps; ++w) {
      mean += means[w * group.count * kDim + i];
      sum += sums[w][h];
    }
    if (seen == 1) {
      *at(step.out, 0, own[h].out + d) = fromFloat<Bf16>(mean / sum);
      continue;
    }
    const std::size_t part = static_cast<std::size_t>(split) * step.headCount + group.first + h;
    step.partial[part * kDim + d] = mean;
    if (d > 0) continue;
    float largest = -INFINITY;
    for (int w = 0; w < warps; ++w) largest = fmaxf(largest, largests[w][h]);
    softmax[part] = {largest, sum};
  }
  if (seen == 1) return;
  __threadfence();
  __syncthreads();
  if (thread == 0) {
    const auto last = static_cast<unsigned>(seen - 1);
    isLast = atomicInc(step.counters + number, last) == last;  // which makes it 0 again
    __threadfence();
  }
  __syncthreads();
  if (!isLast) return;
  for (int i = thread; i < group.count * kDim; i += kThreads) {
    const int h = i / kDim, d = i % kDim;
    const auto partOf = [&](int s) { return static_cast<std::size_t>(s) * step.headCount + group.first + h; };
    float largest = -INFINITY, mean = 0.0F, sum = 0.0F;
    for (int s = 0; s < seen; ++s) largest = fmaxf(largest, __ldcg(&softmax[partOf(s)].largest));
    for (int s = 0; s < seen; ++s) {
      const float weight = exp2Approximate(__ldcg(&softmax[partOf(s)].largest) - largest);
      sum += weight * __ldcg(&softmax[partOf(s)].sum);
      mean += weight * __ldcg(step.partial + partOf(s) * kDim + d);
    }
    *at(step.out, 0, own[h].out + d) = fromFloat<Bf16>(mean / sum);
  }
}

// Columns [128 tile, 128 tile + 128) of what a head reads of the memory.
__device__ void readMemory(const StepAttention& step, const MemoryReader& head, int tile) {
  __shared__ float sigmaQ[kMostKeys], parts[kWarps][kColumns], weights[kWarps], squares[kWarps];
  const int thread = static_cast<int>(threadIdx.x), lane = thread % kWarp, warp = thread / kWarp;
  const MemoryDims dims = step.dims;
  const int c = tile * kColumns + 4 * lane;
  const float* const M = at(step.states, 0, head.matrix);
  float4 m[kMatrixRows];
#pragma unroll
  for (int i = 0; i < kMatrixRows; ++i) {
    const int d = i * kWarps + warp;
    m[i] = {};
    if (d < dims.key && c < dims.value)
      m[i] = *reinterpret_cast<const float4*>(M + static_cast<std::size_t>(d) * dims.value + c);
  }
  const float z = thread < dims.key ? *at(step.states, 0, head.normalizer + thread) : 0.0F;
  waitForEarlierKernels();

  static_assert(kMostKeys <= kThreads);
  const float own = thread < dims.key ? sigma(toFloat(*at(step.qkv, 0, head.query + thread))) : 0.0F;
  if (thread < kMostKeys) sigmaQ[thread] = own;
  const float known = warpSum(own * z);
  if (lane == 0) weights[warp] = known;
  __syncthreads();
  float4 sum = {};
#pragma unroll
  for (int i = 0; i < kMatrixRows; ++i) {
    const float left = sigmaQ[i * kWarps + warp];
    sum = {sum.x + left * m[i].x, sum.y + left * m[i].y, sum.z + left * m[i].z, sum.w + left * m[i].w};
  }
  *reinterpret_cast<float4*>(&parts[warp][4 * lane]) = sum;
  __syncthreads();
  float read = 0.0F, weight = 0.0F;
  if (thread < kColumns) {
#pragma unroll
    for (int w = 0; w < kWarps; ++w) {
      read += parts[w][thread];
      weight += weights[w];
    }
    read /= weight + step.epsilon;
  }
  if (head.power != 0.0F) {  // then all columns are this tile's, and those that are not there are 0
    const float square = warpSum(read * read);
    if (lane == 0) squares[warp] = square;
    __syncthreads();
    float whole = 0.0F;
    for (int w = 0; w < kColumns / kWarp; ++w) whole += squares[w];
    read *= memoryScale(head, whole / static_cast<float>(dims.value), step.epsilon);
  }
  if (const int column = tile * kColumns + thread; thread < kColumns && column < dims.value)
    *at(step.out, 0, head.out + column) = fromFloat<Bf16>(read);
}

__device__ void keepRow(const StepAttention& step, const PassSegment& segment) {
  waitForEarlierKernels();
  for (int i = 0; i < step.kept.count; ++i) {
    const auto& run = step.kept.runs[i];
    const bool rotates = run.cache.data == step.keys.data;
    for (int c = static_cast<int>(threadIdx.x); c < run.width; c += kThreads)
      *at(run.cache, segment.keysBegin + segment.firstPosition, c) =
          rotates ? fromFloat<Bf16>(
                        rotated(step, run.column + c / step.dim * step.dim, c % step.dim, segment.firstPosition))
                  : *at(step.qkv, 0, run.column + c);
  }
}

#endif

// Blocks: the splits of each group, then the tiles of each reader, then one that keeps.
template <int kDim>
__global__ void __launch_bounds__(kThreads, 1)
    stepAttentionKernel(Pass pass, StepAttention step, int splits, int tiles) {
  letNextKernelBegin();
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
  extern __shared__ __align__(16) float means[];  // [warps x the largest group x dim]
  const PassSegment segment = pass.segments[0];
  int block = static_cast<int>(blockIdx.x);
  if (block < step.groupCount * splits) {
    const int split = block / step.groupCount;
    if (split * kBlockKeys <= segment.firstPosition)
      return attendToKeys<kDim>(step, segment, block % step.groupCount, split, splits, means);
    return waitForEarlierKernels();
  }
  block -= step.groupCount * splits;
  if (block < step.readerCount * tiles) return readMemory(step, step.readers[block / tiles], block % tiles);
  keepRow(step, segment);
#endif
}

int roomBytes(int largestGroup, int dim) { return kWarps * largestGroup * dim * static_cast<int>(sizeof(float)); }

template <int kDim>
void launch(const Pass& pass, const StepAttention& step, cudaStream_t stream) {
  const int splits = splitsFor(pass), tiles = static_cast<int>(blocksFor(step.dims.value, kColumns));
  const int blocks = step.groupCount * splits + step.readerCount * tiles + 1;
  launchEarly(stepAttentionKernel<kDim>, blocks, kThreads, roomBytes(step.largestGroup, kDim), pass.early, stream, pass,
              step, splits, tiles);
}

}  // namespace

bool stepAttentionIsBuilt() {
  for (const auto kernel : {stepAttentionKernel<64>, stepAttentionKernel<128>}) {
    cudaFuncAttributes attributes{};
    const bool built =
        cudaFuncGetAttributes(&attributes, kernel) == cudaSuccess && attributes.ptxVersion >= 80 &&
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kMostRoom) == cudaSuccess &&
        cudaFuncSetAttribute(kernel, cudaFuncAttributePreferredSharedMemoryCarveout, cudaSharedmemCarveoutMaxShared) ==
            cudaSuccess;
    if (built) continue;
    cudaGetLastError();
    return false;
  }
  return true;
}

bool takesStepAttention(std::span<const LocalHead> heads, std::span<const HeadGroup> groups, int dim,
                        std::span<const MemoryReader> readers, MemoryDims dims, const StepAttention& step) {
  if (heads.empty() || (dim != 64 && dim != 128) || step.kept.count == 0) return false;
  if ((step.qkv.columns | step.keys.columns | step.values.columns | step.keyShift | step.valueShift) % 8 != 0)
    return false;
  if ((dims.key | dims.value | step.states.columns | step.out.columns) % 4 != 0 || dims.key > kMostKeys) return false;
  return std::ranges::all_of(heads, [](const LocalHead& h) { return (h.query | h.key | h.value) % 8 == 0; }) &&
         std::ranges::all_of(
             groups, [&](const HeadGroup& g) { return g.count <= kEight && roomBytes(g.count, dim) <= kMostRoom; }) &&
         std::ranges::all_of(readers, [&](const MemoryReader& h) {
           return h.matrix % 4 == 0 && (h.power == 0.0F || dims.value <= kColumns);
         });
}

std::size_t stepRoomFloats(const Pass& pass, const StepAttention& step) {
  return static_cast<std::size_t>(splitsFor(pass)) * step.headCount * (step.dim + sizeof(Softmax) / sizeof(float));
}

void stepAttention(const Pass& pass, const StepAttention& step, cudaStream_t stream) {
  (step.dim == 64 ? launch<64> : launch<128>)(pass, step, stream);
}

}  // namespace palimpsest::engine::cuda
