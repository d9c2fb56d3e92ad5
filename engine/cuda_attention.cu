// Local attention in bf16 as in FlashAttention-2 (Dao 2023, arXiv 2307.08691): a block has a tile of query rows and
// goes over tiles of 64 keys; scores stay in registers, softmax is online, both products are made by tensor cores.
//
// Query heads that read the same key and value (GQA) stand in one tile, a row for each query row and head, so that
// what is loaded of K and V serves all of them. Few rows with many earlier keys (decoding) have their keys split over
// blocks (Flash-Decoding), whose results a second kernel puts together.
#include <algorithm>

#include "engine/cuda_attention.cuh"

namespace palimpsest::engine::cuda {

namespace {

constexpr int kWarps = 4, kThreads = kWarps * kWarp;
constexpr int kBlockRows = kWarps * 16;  // times kRowTiles
constexpr int kKeyTile = 64;             // two of K and two of V are in shared memory
constexpr int kChunk = 8;                // bf16 of 16 bytes, what is copied and swizzled as one

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800

// Where chunk `chunk` of row `row` of a tile [rows x kDim] stands, in bytes. Eight rows' chunks of one number are in
// eight different groups of banks, for ldmatrix, and so are eight neighbours of a row, for the copy.
template <int kDim>
__device__ unsigned swizzled(int row, int chunk) {
  return static_cast<unsigned>(row * (kDim / kChunk) + (chunk ^ (row & 7))) * 16U;
}

// The address of chunk 2 k + c, where `address` is that of chunk c, 0 or 1.
__device__ unsigned along(unsigned address, int k) {
  return (address ^ static_cast<unsigned>(k % 4 * 32)) + static_cast<unsigned>(k / 4 * 128);
}

// Keys or values [from, from + 64) of a segment, whose row 0 `rows` is; zeros from `end` on.
template <int kDim>
__device__ void copyTile(unsigned to, Rows<const Bf16> rows, int from, int end) {
  constexpr int kChunks = kDim / kChunk;
#pragma unroll
  for (int i = static_cast<int>(threadIdx.x); i < kKeyTile * kChunks; i += kThreads) {
    const int row = i / kChunks, chunk = i % kChunks;
    const bool there = from + row < end;
    copyChunk(to + swizzled<kDim>(row, chunk), at(rows, there ? from + row : from, chunk * kChunk), there);
  }
}

#endif

// The largest score (times log2 e) and the sum of weights 2^(score - largest) of a row and head over a split.
struct Softmax {
  float largest, sum;
};

// Of split s, row r and head h: mean [splits x rows x heads x dim], not yet divided by its sum, and softmax without
// dim.
struct Partial {
  float* mean;
  Softmax* softmax;
};

__device__ std::size_t partialOf(int split, int row, int head, int rows, int heads) {
  return (static_cast<std::size_t>(split) * rows + row) * heads + head;
}

// Blocks: x a group and a split, y a tile of query rows, z a segment. A warp has kRowTiles x 16 rows of the tile.
template <int kDim, int kRowTiles, class Out>
__global__ void __launch_bounds__(kThreads)
    flashAttentionKernel(Pass pass, Rows<const Bf16> queries, Rows<const Bf16> keys, Rows<const Bf16> values,
                         const LocalHead* heads, int headCount, const HeadGroup* groups, int groupCount, int splitKeys,
                         Partial partial, Rows<Out> out) {
  letNextKernelBegin();
  waitForEarlierKernels();
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
  constexpr int kRows = kBlockRows * kRowTiles, kChunks = kDim / kChunk;
  constexpr unsigned kTileBytes = kKeyTile * kDim * sizeof(Bf16);
  extern __shared__ __align__(128) unsigned char shared[];
  const unsigned queryTile = sharedAddress(shared), keyTiles = queryTile + kRows * kDim * sizeof(Bf16),
                 valueTiles = keyTiles + 2 * kTileBytes;

  const PassSegment segment = pass.segments[blockIdx.z];
  const HeadGroup group = groups[static_cast<int>(blockIdx.x) % groupCount];
  const int split = static_cast<int>(blockIdx.x) / groupCount;
  const LocalHead* own = heads + group.first;
  // Row p of all tiles is query row p / group.count and head p % group.count. The longest tiles come first.
  const int first = static_cast<int>(gridDim.y - 1 - blockIdx.y) * kRows, end = segment.rows * group.count;
  if (first >= end) return;
  const auto positionOf = [&](int p) { return segment.firstPosition + min(p, end - 1) / group.count; };
  const int keysFrom = split * splitKeys;
  const int keysEnd = min(positionOf(first + kRows - 1) + 1, keysFrom + splitKeys);
  if (keysFrom >= keysEnd) return;  // no row of the tile sees them

  const int lane = static_cast<int>(threadIdx.x) % kWarp, warp = static_cast<int>(threadIdx.x) / kWarp;
  const int warpRow = warp * 16 * kRowTiles;
  const bool idle = first + warpRow >= end;
  const int firstPosition = positionOf(first + warpRow),
            lastPosition = positionOf(first + warpRow + 16 * kRowTiles - 1);

  for (int i = static_cast<int>(threadIdx.x); i < kRows * kChunks; i += kThreads) {
    const int row = i / kChunks, chunk = i % kChunks, p = min(first + row, end - 1);
    copyChunk(queryTile + swizzled<kDim>(row, chunk),
              at(queries, segment.begin + p / group.count, own[p % group.count].query + chunk * kChunk),
              first + row < end);
  }
  const Rows<const Bf16> keyRows = {at(keys, segment.keysBegin, own->key), keys.columns};
  const Rows<const Bf16> valueRows = {at(values, segment.keysBegin, own->value), values.columns};
  copyTile<kDim>(keyTiles, keyRows, keysFrom, keysEnd);
  copyTile<kDim>(valueTiles, valueRows, keysFrom, keysEnd);

  // Of rows lane / 4 and lane / 4 + 8 of each of its 16 x 8 tiles the thread has columns 2 (lane % 4) and the next.
  float mean[kRowTiles][kDim / 8][4] = {}, largest[kRowTiles][2], sum[kRowTiles][2] = {};
#pragma unroll
  for (int m = 0; m < kRowTiles; ++m) largest[m][0] = largest[m][1] = -INFINITY;
  // Of each lane, the rows of its first matrices: loadMatrices() and loadTransposed() of row tile 0 and chunk 0.
  constexpr unsigned kRowBytes = kDim * sizeof(Bf16);
  const unsigned queryRow = queryTile + swizzled<kDim>(warpRow + lane % 16, lane / 16);
  const unsigned keyRow = keyTiles + swizzled<kDim>(lane / 16 * 8 + lane % 8, lane / 8 % 2);
  const unsigned valueRow = valueTiles + swizzled<kDim>(lane % 16, lane / 16);
  const float scale = kLog2E * rsqrtf(static_cast<float>(kDim));  // exp(x) = 2^(x log2 e)

  for (int from = keysFrom, buffer = 0; from < keysEnd; from += kKeyTile, buffer ^= 1) {
    waitForCopies();
    __syncthreads();  // the tile is whole, and no warp is still at the last one, whose room the next tile takes
    if (const int next = from + kKeyTile; next < keysEnd) {
      copyTile<kDim>(keyTiles + (buffer ^ 1) * kTileBytes, keyRows, next, keysEnd);
      copyTile<kDim>(valueTiles + (buffer ^ 1) * kTileBytes, valueRows, next, keysEnd);
    }
    if (idle || from > lastPosition) continue;  // none of the warp's rows sees the tile
    const unsigned inBuffer = static_cast<unsigned>(buffer) * kTileBytes;

    // Q K^T; with all of a head unrolled at once registers would be spilled.
    float score[kRowTiles][kKeyTile / 8][4] = {};
#pragma unroll 4
    for (int k = 0; k < kDim / 16; ++k) {
      unsigned q[kRowTiles][4];
#pragma unroll
      for (int m = 0; m < kRowTiles; ++m) loadMatrices(q[m], along(queryRow, k) + m * 16 * kRowBytes);
#pragma unroll
      for (int n = 0; n < kKeyTile / 16; ++n) {
        unsigned b[4];  // K has a row for each column of K^T, so that it needs no transposing
        loadMatrices(b, along(keyRow + inBuffer, k) + n * 16 * kRowBytes);
#pragma unroll
        for (int m = 0; m < kRowTiles; ++m) {
          multiplyAdd(score[m][2 * n], q[m], b[0], b[1]);
          multiplyAdd(score[m][2 * n + 1], q[m], b[2], b[3]);
        }
      }
    }

    // Keys after the row's own, and those that are not there: a tile that ends behind keysEnd is the last of all rows.
    if (from + kKeyTile - 1 > firstPosition) {
#pragma unroll
      for (int m = 0; m < kRowTiles; ++m) {
#pragma unroll
        for (int half = 0; half < 2; ++half)
          maskAfter(score[m], half, positionOf(first + warpRow + m * 16 + half * 8 + lane / 4) - from);
      }
    }
#pragma unroll
    for (int m = 0; m < kRowTiles; ++m) weigh(score[m], scale, largest[m], sum[m], mean[m]);

      // Weights V
#pragma unroll
    for (int k = 0; k < kKeyTile / 16; ++k) {
      unsigned weight[kRowTiles][4];
#pragma unroll
      for (int m = 0; m < kRowTiles; ++m) weightTile(score[m], k, weight[m]);
#pragma unroll
      for (int n = 0; n < kDim / 16; ++n) {
        unsigned b[4];
        loadTransposed(b, along(valueRow + inBuffer, n) + k * 16 * kRowBytes);
#pragma unroll
        for (int m = 0; m < kRowTiles; ++m) {
          multiplyAdd(mean[m][2 * n], weight[m], b[0], b[1]);
          multiplyAdd(mean[m][2 * n + 1], weight[m], b[2], b[3]);
        }
      }
    }
  }
  if (idle) return;

#pragma unroll
  for (int m = 0; m < kRowTiles; ++m) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const float whole = rowSum(sum[m][half]);
      const int p = first + warpRow + m * 16 + half * 8 + lane / 4;
      if (p >= end) continue;
      const int row = segment.begin + p / group.count, head = p % group.count, column = lane % 4 * 2;
      if (partial.mean) {
        const std::size_t index = partialOf(split, row, group.first + head, pass.rows, headCount);
        if (column == 0) partial.softmax[index] = {largest[m][half] * scale, whole};
#pragma unroll
        for (int d = 0; d < kDim / 8; ++d)
          putPair(partial.mean + index * kDim + d * 8 + column, mean[m][d][2 * half], mean[m][d][2 * half + 1]);
      } else {
        const float factor = 1.0F / whole;
        Out* to = at(out, row, own[head].out + column);
#pragma unroll
        for (int d = 0; d < kDim / 8; ++d)
          putPair(to + d * 8, mean[m][d][2 * half] * factor, mean[m][d][2 * half + 1] * factor);
      }
    }
  }
#endif
}

// The mean over the splits that a row sees keys of; a warp for each row and head.
template <int kDim, class Out>
__global__ void __launch_bounds__(kThreads)
    mergeSplitsKernel(Pass pass, const LocalHead* heads, int headCount, int splitKeys, Partial partial, Rows<Out> out) {
  letNextKernelBegin();
  waitForEarlierKernels();
  constexpr int kPerLane = kDim / kWarp;
  const int index = static_cast<int>(blockIdx.x) * kWarps + static_cast<int>(threadIdx.x) / kWarp;
  const int row = index / headCount, head = index % headCount, lane = static_cast<int>(threadIdx.x) % kWarp;
  if (row >= pass.rows || pass.segmentOfRow[row] < 0) return;
  const PassSegment segment = pass.segments[pass.segmentOfRow[row]];
  const int splits = (segment.firstPosition + row - segment.begin) / splitKeys + 1;
  float largest = -INFINITY, sum = 0.0F, mean[kPerLane] = {};
  for (int s = lane; s < splits; s += kWarp)
    largest = fmaxf(largest, partial.softmax[partialOf(s, row, head, pass.rows, headCount)].largest);
  for (int step = kWarp / 2; step > 0; step /= 2) largest = fmaxf(largest, __shfl_xor_sync(0xffffffffU, largest, step));
#pragma unroll 4
  for (int s = 0; s < splits; ++s) {
    const std::size_t from = partialOf(s, row, head, pass.rows, headCount);
    const Softmax softmax = partial.softmax[from];
    const float weight = exp2f(softmax.largest - largest);
    sum += weight * softmax.sum;
#pragma unroll
    for (int i = 0; i < kPerLane; ++i) mean[i] += weight * partial.mean[from * kDim + i * kWarp + lane];
  }
#pragma unroll
  for (int i = 0; i < kPerLane; ++i) at(out, row, heads[head].out)[i * kWarp + lane] = fromFloat<Out>(mean[i] / sum);
}

template <int kDim, int kRowTiles, class Out>
void launch(const Pass& pass, Rows<const Bf16> queries, Rows<const Bf16> keys, Rows<const Bf16> values,
            const LocalHead* heads, int headCount, const HeadGroup* groups, const FlashPlan& plan, float* room,
            Rows<Out> out, cudaStream_t stream) {
  constexpr int kShared = (kBlockRows * kRowTiles + 4 * kKeyTile) * kDim * static_cast<int>(sizeof(Bf16));
  if constexpr (kShared > 48 * 1024)
    cudaFuncSetAttribute(flashAttentionKernel<kDim, kRowTiles, Out>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                         kShared);
  Partial partial = {};
  if (plan.splits > 1) {
    partial.softmax = reinterpret_cast<Softmax*>(room);
    partial.mean = room + 2 * static_cast<std::size_t>(plan.splits) * pass.rows * headCount;
  }
  const dim3 grid(plan.groups * plan.splits,
                  blocksFor(static_cast<std::size_t>(pass.longest) * plan.largestGroup, kBlockRows * kRowTiles),
                  pass.count);
  launchEarly(flashAttentionKernel<kDim, kRowTiles, Out>, grid, kThreads, kShared, pass.early, stream, pass, queries,
              keys, values, heads, headCount, groups, plan.groups, plan.splitKeys, partial, out);
  if (plan.splits > 1) {
    launchEarly(mergeSplitsKernel<kDim, Out>, blocksFor(static_cast<std::size_t>(pass.rows) * headCount, kWarps),
                kThreads, 0, pass.early, stream, pass, heads, headCount, plan.splitKeys, partial, out);
  }
}

}  // namespace

bool flashAttentionIsBuilt() {
  // A program with code for 7.5 alone runs on later cards, too, but without what these kernels need.
  cudaFuncAttributes attributes{};
  const auto kernel = flashAttentionKernel<64, 1, float>;
  const bool known = cudaFuncGetAttributes(&attributes, kernel) == cudaSuccess;
  if (!known) cudaGetLastError();
  return known && attributes.ptxVersion >= 80;
}

bool takesFlashAttention(std::span<const LocalHead> heads, int dim, int queryColumns, int keyColumns, int valueColumns,
                         int outColumns) {
  if (dim != 64 && dim != 128) return false;
  if ((queryColumns | keyColumns | valueColumns) % kChunk != 0 || outColumns % 2 != 0) return false;
  return std::ranges::all_of(
      heads, [](const LocalHead& h) { return (h.query | h.key | h.value) % kChunk == 0 && h.out % 2 == 0; });
}

std::vector<HeadGroup> groupHeads(std::span<const LocalHead> heads) {
  std::vector<HeadGroup> groups;
  for (int h = 0; h < static_cast<int>(heads.size()); ++h) {
    if (h == 0 || heads[h].key != heads[h - 1].key || heads[h].value != heads[h - 1].value) groups.push_back({h, 0});
    ++groups.back().count;
  }
  return groups;
}

FlashPlan planFlashAttention(const Pass& pass, std::span<const HeadGroup> groups, int headCount, int dim,
                             int processors) {
  FlashPlan plan;
  plan.groups = static_cast<int>(groups.size());
  for (const HeadGroup& group : groups) plan.largestGroup = std::max(plan.largestGroup, group.count);
  const auto blocks = [&](int rowTiles) {
    return static_cast<std::size_t>(plan.groups) * pass.count *
           blocksFor(static_cast<std::size_t>(pass.longest) * plan.largestGroup, kBlockRows * rowTiles);
  };
  // Two blocks fit on a multiprocessor. Large tiles load less of K and V, if there are enough of them.
  const std::size_t fitting = 2 * static_cast<std::size_t>(processors);
  plan.rowTiles = blocks(2) >= fitting ? 2 : 1;
  const int keyTiles = static_cast<int>(blocksFor(pass.mostKeys, kKeyTile));
  int splits = 1;
  if (keyTiles >= 8 && blocks(plan.rowTiles) * 2 <= fitting)
    splits = static_cast<int>(std::min<std::size_t>(keyTiles / 2, fitting / blocks(plan.rowTiles)));
  const int tilesOfSplit = (keyTiles + splits - 1) / splits;
  plan.splitKeys = tilesOfSplit * kKeyTile;
  plan.splits = (keyTiles + tilesOfSplit - 1) / tilesOfSplit;
  if (plan.splits > 1) plan.roomFloats = static_cast<std::size_t>(plan.splits) * pass.rows * headCount * (dim + 2);
  return plan;
}

template <class Out>
void flashAttention(const Pass& pass, Rows<const Bf16> queries, Rows<const Bf16> keys, Rows<const Bf16> values,
                    const LocalHead* heads, int headCount, const HeadGroup* groups, int dim, const FlashPlan& plan,
                    float* room, Rows<Out> out, cudaStream_t stream) {
  const auto run = [&](auto kernelLaunch) {
    kernelLaunch(pass, queries, keys, values, heads, headCount, groups, plan, room, out, stream);
  };
  if (dim == 64) {
    plan.rowTiles == 1 ? run(launch<64, 1, Out>) : run(launch<64, 2, Out>);
  } else {
    plan.rowTiles == 1 ? run(launch<128, 1, Out>) : run(launch<128, 2, Out>);
  }
}

template void flashAttention<float>(const Pass&, Rows<const Bf16>, Rows<const Bf16>, Rows<const Bf16>, const LocalHead*,
                                    int, const HeadGroup*, int, const FlashPlan&, float*, Rows<float>, cudaStream_t);
template void flashAttention<Bf16>(const Pass&, Rows<const Bf16>, Rows<const Bf16>, Rows<const Bf16>, const LocalHead*,
                                   int, const HeadGroup*, int, const FlashPlan&, float*, Rows<Bf16>, cudaStream_t);

}  // namespace palimpsest::engine::cuda
