// Local attention on Hopper, for passes of many rows: as cuda_attention.cu, with the matrix instructions of warpgroups,
// which read keys and values from shared memory by themselves. (FlashAttention-3, arXiv 2407.08608, does so, too; here
// all warps copy and compute, and it is the other warpgroups' products that a softmax waits beside.)
#include "engine/cuda_attention.cuh"
#include "engine/cuda_wgmma.cuh"

namespace palimpsest::engine::cuda {

namespace {

constexpr int kGroups = 3, kThreads = kGroups * 128;  // warpgroups of a block
constexpr int kGroupRows = 64, kBlockRows = kGroups * kGroupRows;
[[maybe_unused]] constexpr int kKeyTile = 64;                 // two of K and two of V are in shared memory
constexpr int kPanel = 64;                                    // columns of a panel
constexpr unsigned kPanelBytes = 64 * kPanel * sizeof(Bf16);  // of 64 rows
constexpr unsigned kAlignment = 1024;                         // of the swizzled panels

template <int kDim>
constexpr unsigned kTileBytes = kDim / kPanel* kPanelBytes;  // of 64 rows

template <int kDim>
constexpr unsigned kShared = (kGroups + 4) * kTileBytes<kDim> + kAlignment;

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

static_assert(kKeyTile == kGroupRows);  // tiles of both are kTileBytes

// Chunk `chunk` (16 bytes) of row `row` of a tile of 64 rows.
__device__ unsigned inPanels(int row, int chunk) {
  constexpr int kChunks = kPanel * sizeof(Bf16) / 16;
  return static_cast<unsigned>(chunk / kChunks) * kPanelBytes +
         static_cast<unsigned>(row * kChunks + (chunk % kChunks ^ (row & 7))) * 16U;
}

// Keys or values [from, from + 64) of a segment, whose row 0 `rows` is; zeros from `end` on.
template <int kDim>
__device__ void copyTile(unsigned to, Rows<const Bf16> rows, int from, int end) {
  constexpr int kChunks = kDim / 8;
#pragma unroll
  for (int i = static_cast<int>(threadIdx.x); i < kKeyTile * kChunks; i += kThreads) {
    const int row = i / kChunks, chunk = i % kChunks;
    const bool there = from + row < end;
    copyChunk(to + inPanels(row, chunk), at(rows, there ? from + row : from, chunk * 8), there);
  }
}

#endif

// Blocks: x a group of heads, y a tile of query rows, z a segment.
template <int kDim, class Out>
__global__ void __launch_bounds__(kThreads, 1)
    hopperAttentionKernel(Pass pass, Rows<const Bf16> queries, Rows<const Bf16> keys, Rows<const Bf16> values,
                          const LocalHead* heads, const HeadGroup* groups, Rows<Out> out) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  extern __shared__ unsigned char shared[];
  const unsigned queryTiles = (sharedAddress(shared) + kAlignment - 1) / kAlignment * kAlignment;
  const unsigned keyTiles = queryTiles + kGroups * kTileBytes<kDim>, valueTiles = keyTiles + 2 * kTileBytes<kDim>;

  const PassSegment segment = pass.segments[blockIdx.z];
  const HeadGroup group = groups[blockIdx.x];
  const LocalHead* own = heads + group.first;
  // Row p of all tiles is query row p / group.count and head p % group.count. The longest tiles come first.
  const int first = static_cast<int>(gridDim.y - 1 - blockIdx.y) * kBlockRows, end = segment.rows * group.count;
  if (first >= end) return;
  const auto positionOf = [&](int p) { return segment.firstPosition + min(p, end - 1) / group.count; };
  const int keysEnd = positionOf(first + kBlockRows - 1) + 1;
  const int lane = static_cast<int>(threadIdx.x) % kWarp, warpgroup = static_cast<int>(threadIdx.x) / 128;
  const int groupRow = first + warpgroup * kGroupRows,
            warpRow = groupRow + static_cast<int>(threadIdx.x) % 128 / kWarp * 16;
  const bool idle = groupRow >= end;
  const int firstPosition = positionOf(groupRow), lastPosition = positionOf(groupRow + kGroupRows - 1);

  constexpr int kChunks = kDim / 8;
  for (int i = static_cast<int>(threadIdx.x); i < kBlockRows * kChunks; i += kThreads) {
    const int row = i / kChunks, chunk = i % kChunks, p = min(first + row, end - 1);
    copyChunk(queryTiles + row / kGroupRows * kTileBytes<kDim> + inPanels(row % kGroupRows, chunk),
              at(queries, segment.begin + p / group.count, own[p % group.count].query + chunk * 8), first + row < end);
  }
  const Rows<const Bf16> keyRows = {at(keys, segment.keysBegin, own->key), keys.columns};
  const Rows<const Bf16> valueRows = {at(values, segment.keysBegin, own->value), values.columns};
  copyTile<kDim>(keyTiles, keyRows, 0, keysEnd);
  copyTile<kDim>(valueTiles, valueRows, 0, keysEnd);

  float mean[kDim / 8][4] = {}, largest[2] = {-INFINITY, -INFINITY}, sum[2] = {};
  const unsigned queryTile = queryTiles + warpgroup * kTileBytes<kDim>;
  const float scale = kLog2E * rsqrtf(static_cast<float>(kDim));  // exp(x) = 2^(x log2 e)
  for (int from = 0, buffer = 0; from < keysEnd; from += kKeyTile, buffer ^= 1) {
    waitForCopies();
    showToProducts();
    __syncthreads();  // the tile is whole, and no warp is still at the last one, whose room the next tile takes
    if (const int next = from + kKeyTile; next < keysEnd) {
      copyTile<kDim>(keyTiles + (buffer ^ 1) * kTileBytes<kDim>, keyRows, next, keysEnd);
      copyTile<kDim>(valueTiles + (buffer ^ 1) * kTileBytes<kDim>, valueRows, next, keysEnd);
    }
    if (idle || from > lastPosition) continue;  // none of the warpgroup's rows sees the tile
    const unsigned keyTile = keyTiles + buffer * kTileBytes<kDim>, valueTile = valueTiles + buffer * kTileBytes<kDim>;

    float score[kKeyTile / 8][4];
    holdHere(score);
    beginProducts();
#pragma unroll
    for (int k = 0; k < kDim / 16; ++k) {
      const unsigned column = k / 4 * kPanelBytes + k % 4 * 32;
      addScores(score, panels(queryTile + column, kPanelBytes), panels(keyTile + column, kPanelBytes), k > 0);
    }
    finishProducts();
    holdHere(score);

    // Keys after the row's own, and those that are not there: a tile that ends behind keysEnd is the last of all rows.
    if (from + kKeyTile - 1 > firstPosition) {
#pragma unroll
      for (int half = 0; half < 2; ++half) maskAfter(score, half, positionOf(warpRow + half * 8 + lane / 4) - from);
    }
    weigh(score, scale, largest, sum, mean);

    unsigned weight[kKeyTile / 16][4];
#pragma unroll
    for (int k = 0; k < kKeyTile / 16; ++k) weightTile(score, k, weight[k]);
    holdHere(mean);
    beginProducts();
#pragma unroll
    for (int k = 0; k < kKeyTile / 16; ++k)
      addWeighted(mean, weight[k], panels(valueTile + k * 16 * kPanel * sizeof(Bf16), kPanelBytes));
    finishProducts();
    holdHere(mean);
  }
  if (idle) return;

#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const float factor = 1.0F / rowSum(sum[half]);
    const int p = warpRow + half * 8 + lane / 4;
    if (p >= end) continue;
    Out* to = at(out, segment.begin + p / group.count, own[p % group.count].out + lane % 4 * 2);
#pragma unroll
    for (int d = 0; d < kDim / 8; ++d) putPair(to + d * 8, mean[d][2 * half] * factor, mean[d][2 * half + 1] * factor);
  }
#endif
}

template <int kDim, class Out>
void launch(const Pass& pass, Rows<const Bf16> queries, Rows<const Bf16> keys, Rows<const Bf16> values,
            const LocalHead* heads, const HeadGroup* groups, const FlashPlan& plan, Rows<Out> out,
            cudaStream_t stream) {
  cudaFuncSetAttribute(hopperAttentionKernel<kDim, Out>, cudaFuncAttributeMaxDynamicSharedMemorySize, kShared<kDim>);
  const dim3 grid(plan.groups, blocksFor(static_cast<std::size_t>(pass.longest) * plan.largestGroup, kBlockRows),
                  pass.count);
  hopperAttentionKernel<kDim, Out>
      <<<grid, kThreads, kShared<kDim>, stream>>>(pass, queries, keys, values, heads, groups, out);
}

}  // namespace

bool hopperAttentionIsBuilt() {
#ifdef PALIMPSEST_SM90A
  cudaFuncAttributes attributes{};
  const auto kernel = hopperAttentionKernel<128, Bf16>;
  const bool known = cudaFuncGetAttributes(&attributes, kernel) == cudaSuccess;
  if (!known) cudaGetLastError();
  return known && attributes.binaryVersion == 90;
#else
  return false;
#endif
}

template <class Out>
void hopperAttention(const Pass& pass, Rows<const Bf16> queries, Rows<const Bf16> keys, Rows<const Bf16> values,
                     const LocalHead* heads, const HeadGroup* groups, int dim, const FlashPlan& plan, Rows<Out> out,
                     cudaStream_t stream) {
  const auto run = dim == 64 ? launch<64, Out> : launch<128, Out>;
  run(pass, queries, keys, values, heads, groups, plan, out, stream);
}

template void hopperAttention<float>(const Pass&, Rows<const Bf16>, Rows<const Bf16>, Rows<const Bf16>,
                                     const LocalHead*, const HeadGroup*, int, const FlashPlan&, Rows<float>,
                                     cudaStream_t);
template void hopperAttention<Bf16>(const Pass&, Rows<const Bf16>, Rows<const Bf16>, Rows<const Bf16>, const LocalHead*,
                                    const HeadGroup*, int, const FlashPlan&, Rows<Bf16>, cudaStream_t);

}  // namespace palimpsest::engine::cuda
