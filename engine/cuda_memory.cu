// Writing M by the linear rule and reading it, in f32, in tiles whose sums stay in registers: each thread has 8 x 4 of
// them, so that of 12 numbers from shared memory 32 products are made. sigma of a bf16 number is no bf16 number, and
// small parts of a large M have to tell, so that none of it is left to tensor cores.
#include <algorithm>

#include "engine/cuda_device.cuh"

namespace palimpsest::engine::cuda {

namespace {

constexpr int kDepth = 32;  // of the sums, of what is in shared memory at once

// Writing: a block has a tile of M [64 x 64].
constexpr int kWriteTile = 64, kWriteThreads = 128;
// Reading: a block has 64 rows and 128 columns of A.
constexpr int kReadRows = 64, kReadColumns = 128, kReadThreads = 256;
// Reading for few rows: a block has 4 rows and 128 columns, and each of its warps a part of the sums.
constexpr int kFewRows = 4, kFewWarps = 16, kFewThreads = kFewWarps * kWarp;
constexpr int kMostFewRows = 16, kMostFewKeys = 512;

// Four numbers next to each other.
template <class T>
struct Four;
template <>
struct Four<float> {
  using Type = float4;
};
template <>
struct Four<Bf16> {
  using Type = uint2;
};

template <class T>
__device__ typename Four<T>::Type loadFour(const T* from) {
  return *reinterpret_cast<const typename Four<T>::Type*>(from);
}
__device__ float4 toFloats(float4 x) { return x; }
__device__ float4 toFloats(uint2 x) {  // a bf16 is the upper half of a float
  return make_float4(__uint_as_float(x.x << 16), __uint_as_float(x.x & 0xffff0000U), __uint_as_float(x.y << 16),
                     __uint_as_float(x.y & 0xffff0000U));
}
__device__ float4 sigmaOf(float4 x) { return make_float4(sigma(x.x), sigma(x.y), sigma(x.z), sigma(x.w)); }

__device__ void put(float (&to)[4], float4 x) { to[0] = x.x, to[1] = x.y, to[2] = x.z, to[3] = x.w; }
__device__ void put(float (&to)[8], float4 x, float4 y) {
  to[0] = x.x, to[1] = x.y, to[2] = x.z, to[3] = x.w, to[4] = y.x, to[5] = y.y, to[6] = y.z, to[7] = y.w;
}

// sums[chunk][segment][head] = sigma(K)^T V [dk x dv], then the sum of sigma(K) [dk], over the chunk's rows.
// Blocks: x a segment and head, y a tile of M, z a chunk of rows.
template <class T>
__global__ void __launch_bounds__(kWriteThreads)
    memoryWriteTilesKernel(Pass pass, Rows<const T> keys, Rows<const T> values, const MemoryWriter* heads,
                           int headCount, MemoryDims dims, int chunkRows, float* sums) {
  constexpr int kLoads = kDepth * kWriteTile / 4 / kWriteThreads;  // fours of K, and as many of V, of a thread
  __shared__ __align__(16) float k[kDepth][kWriteTile], v[kDepth][kWriteTile];
  const PassSegment segment = pass.segments[static_cast<int>(blockIdx.x) / headCount];
  const MemoryWriter head = heads[static_cast<int>(blockIdx.x) % headCount];
  const int columnTiles = (dims.value + kWriteTile - 1) / kWriteTile;
  const int d = static_cast<int>(blockIdx.y) / columnTiles * kWriteTile;
  const int c = static_cast<int>(blockIdx.y) % columnTiles * kWriteTile;
  const int first = segment.keysBegin + segment.firstPosition + segment.unwritten;
  const int begin = static_cast<int>(blockIdx.z) * chunkRows;
  const int end = min(segment.rows - segment.unwritten, begin + chunkRows);
  const int x = static_cast<int>(threadIdx.x) % 16, y = static_cast<int>(threadIdx.x) / 16;

  // The thread loads columns 4 x to 4 x + 3 of rows y, y + 8, ... of each step.
  typename Four<T>::Type nextK[kLoads], nextV[kLoads];
  const auto load = [&](int from) {
#pragma unroll
    for (int i = 0; i < kLoads; ++i) {
      const int row = from + y + i * 8;
      nextK[i] = nextV[i] = {};
      if (row < end && d + 4 * x < dims.key) nextK[i] = loadFour(at(keys, first + row, head.key + d + 4 * x));
      if (row < end && c + 4 * x < dims.value) nextV[i] = loadFour(at(values, first + row, head.value + c + 4 * x));
    }
  };
  float sum[8][4] = {};  // rows d + 4 y + {0..3} and 32 more, columns c + 4 x + {0..3}
  float4 z = {};         // of columns 4 x + {0..3} of K, of the rows that this thread loads
  load(begin);
  for (int from = begin; from < end; from += kDepth) {
    __syncthreads();  // no thread is still at the last step
#pragma unroll
    for (int i = 0; i < kLoads; ++i) {
      const int row = y + i * 8;
      const float4 weight = from + row < end ? sigmaOf(toFloats(nextK[i])) : float4{};  // not sigma(0), which is 1
      z = {z.x + weight.x, z.y + weight.y, z.z + weight.z, z.w + weight.w};
      *reinterpret_cast<float4*>(&k[row][4 * x]) = weight;
      *reinterpret_cast<float4*>(&v[row][4 * x]) = toFloats(nextV[i]);
    }
    __syncthreads();
    load(from + kDepth);
#pragma unroll 8
    for (int t = 0; t < kDepth; ++t) {
      float left[8], right[4];
      put(left, *reinterpret_cast<const float4*>(&k[t][4 * y]), *reinterpret_cast<const float4*>(&k[t][32 + 4 * y]));
      put(right, *reinterpret_cast<const float4*>(&v[t][4 * x]));
#pragma unroll
      for (int i = 0; i < 8; ++i) {
#pragma unroll
        for (int j = 0; j < 4; ++j) sum[i][j] += left[i] * right[j];
      }
    }
  }

  float* to = sums + (static_cast<std::size_t>(blockIdx.z) * gridDim.x + blockIdx.x) * dims.key * (dims.value + 1);
  if (c + 4 * x < dims.value) {
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const int row = d + 4 * y + i % 4 + i / 4 * 32;
      if (row < dims.key) {
        *reinterpret_cast<float4*>(to + static_cast<std::size_t>(row) * dims.value + c + 4 * x) =
            make_float4(sum[i][0], sum[i][1], sum[i][2], sum[i][3]);
      }
    }
  }
  if (c > 0) return;
  __syncthreads();
  *reinterpret_cast<float4*>(&k[y][4 * x]) = z;
  __syncthreads();
  const int column = static_cast<int>(threadIdx.x);
  if (column >= kWriteTile || d + column >= dims.key) return;
  float whole = 0.0F;
  for (int i = 0; i < kWriteThreads / 16; ++i) whole += k[i][column];
  to[static_cast<std::size_t>(dims.key) * dims.value + d + column] = whole;
}

// states[s + 1] = states[s] + the sum of what the chunks of segment s give, in their order.
__global__ void addSumsKernel(int segments, int chunks, const float* sums, const MemoryWriter* heads, int headCount,
                              MemoryDims dims, Rows<float> states) {
  const int h = static_cast<int>(blockIdx.y);
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x), matrix = dims.key * dims.value;
  if (i >= matrix + dims.key) return;
  const MemoryWriter head = heads[h];
  const int column = i < matrix ? head.matrix + i : head.normalizer + i - matrix;
  float state = *at(states, 0, column);
  for (int s = 0; s < segments; ++s) {
    float written = 0.0F;
#pragma unroll 8
    for (int chunk = 0; chunk < chunks; ++chunk) {
      const std::size_t block = (static_cast<std::size_t>(chunk) * segments + s) * headCount + h;
      written += sums[block * (matrix + dims.key) + i];
    }
    *at(states, s + 1, column) = state += written;
  }
}

// Blocks: x a tile of rows, y a head and a tile of columns, z a segment. A warp has 8 rows and all columns of the tile,
// so that the size of a row of A is a sum over a warp if its columns are no more than 128.
template <class T, class Out>
__global__ void __launch_bounds__(kReadThreads)
    memoryReadTilesKernel(Pass pass, Rows<const T> queries, const MemoryReader* heads, MemoryDims dims, float epsilon,
                          Rows<const float> states, Rows<Out> out) {
  constexpr int kQueryLoads = kReadRows * kDepth / 4 / kReadThreads;
  constexpr int kMatrixLoads = kDepth * kReadColumns / 4 / kReadThreads;
  // sigma(Q)^T. Row r stands at r ^ (d / 4 * 4), so that the lanes of a warp, which have 8 fours of d in 4 rows, write
  // to 32 banks; fours of rows stay next to each other.
  __shared__ __align__(16) float q[kDepth][kReadRows];
  __shared__ __align__(16) float m[kDepth][kReadColumns];
  __shared__ float weights[kReadRows];
  const PassSegment segment = pass.segments[blockIdx.z];
  const int first = static_cast<int>(blockIdx.x) * kReadRows;
  if (first >= segment.rows) return;
  const int columnTiles = (dims.value + kReadColumns - 1) / kReadColumns;
  const MemoryReader head = heads[static_cast<int>(blockIdx.y) / columnTiles];
  const int c = static_cast<int>(blockIdx.y) % columnTiles * kReadColumns;
  const float* M = at(states, static_cast<int>(blockIdx.z), head.matrix);
  const float* z = at(states, static_cast<int>(blockIdx.z), head.normalizer);
  const int thread = static_cast<int>(threadIdx.x), lane = thread % kWarp, warp = thread / kWarp;
  const int four = thread % 8, queryRow = thread / 8;  // of Q it loads d = 4 four + {0..3} of rows queryRow, + 32, ...

  typename Four<T>::Type nextQ[kQueryLoads];
  float4 nextM[kMatrixLoads];
  const auto load = [&](int from) {
#pragma unroll
    for (int i = 0; i < kQueryLoads; ++i) {
      const int row = first + queryRow + i * (kReadThreads / 8);
      nextQ[i] = {};
      if (row < segment.rows && from + 4 * four < dims.key)
        nextQ[i] = loadFour(at(queries, segment.begin + row, head.query + from + 4 * four));
    }
#pragma unroll
    for (int i = 0; i < kMatrixLoads; ++i) {
      const int d = from + warp + i * (kReadThreads / kWarp);
      nextM[i] = {};
      if (d < dims.key && c + 4 * lane < dims.value)
        nextM[i] = loadFour(M + static_cast<std::size_t>(d) * dims.value + c + 4 * lane);
    }
  };
  float sum[8][4] = {};            // rows 8 warp + {0..7}, columns c + 4 lane + {0..3}
  float weight[kQueryLoads] = {};  // its part of sigma(Q) z of the rows that it loads
  load(0);
  for (int from = 0; from < dims.key; from += kDepth) {
    __syncthreads();
    const bool there = from + 4 * four < dims.key;
    float known[4] = {};
#pragma unroll
    for (int j = 0; j < 4; ++j)
      if (there) known[j] = z[from + 4 * four + j];
#pragma unroll
    for (int i = 0; i < kQueryLoads; ++i) {
      float own[4] = {};
      if (there) put(own, sigmaOf(toFloats(nextQ[i])));
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        weight[i] += own[j] * known[j];
        q[4 * four + j][(queryRow + i * (kReadThreads / 8)) ^ (4 * four)] = own[j];
      }
    }
#pragma unroll
    for (int i = 0; i < kMatrixLoads; ++i)
      *reinterpret_cast<float4*>(&m[warp + i * (kReadThreads / kWarp)][4 * lane]) = nextM[i];
    __syncthreads();
    load(from + kDepth);
#pragma unroll 8
    for (int d = 0; d < kDepth; ++d) {
      const int moved = d / 4 * 4;
      float left[8], right[4];
      put(left, *reinterpret_cast<const float4*>(&q[d][(8 * warp) ^ moved]),
          *reinterpret_cast<const float4*>(&q[d][(8 * warp + 4) ^ moved]));
      put(right, *reinterpret_cast<const float4*>(&m[d][4 * lane]));
#pragma unroll
      for (int i = 0; i < 8; ++i) {
#pragma unroll
        for (int j = 0; j < 4; ++j) sum[i][j] += left[i] * right[j];
      }
    }
  }
#pragma unroll
  for (int i = 0; i < kQueryLoads; ++i) {
    for (int step = 4; step > 0; step /= 2) weight[i] += __shfl_xor_sync(0xffffffffU, weight[i], step);
    if (four == 0) weights[queryRow + i * (kReadThreads / 8)] = weight[i] + epsilon;
  }
  __syncthreads();

#pragma unroll
  for (int i = 0; i < 8; ++i) {
    const int row = 8 * warp + i;
    float square = 0.0F;
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      sum[i][j] /= weights[row];
      square += sum[i][j] * sum[i][j];  // 0 in columns that are not there
    }
    float factor = 1.0F;
    if (head.power != 0.0F) factor = memoryScale(head, warpSum(square) / static_cast<float>(dims.value), epsilon);
    if (first + row < segment.rows && c + 4 * lane < dims.value) {
      storeFour(at(out, segment.begin + first + row, head.out + c + 4 * lane),
                make_float4(sum[i][0] * factor, sum[i][1] * factor, sum[i][2] * factor, sum[i][3] * factor));
    }
  }
}

// The same blocks for few rows: M comes once, its rows over the warps, and the warps' sums are added in their order.
template <class T, class Out>
__global__ void __launch_bounds__(kFewThreads)
    memoryReadFewKernel(Pass pass, Rows<const T> queries, const MemoryReader* heads, MemoryDims dims, float epsilon,
                        Rows<const float> states, Rows<Out> out) {
  letNextKernelBegin();
  waitForEarlierKernels();
  extern __shared__ __align__(16) float sigmaQ[];  // [dk x kFewRows]
  __shared__ __align__(16) float parts[kFewWarps][kFewRows][kReadColumns];
  __shared__ float weights[kFewRows], squares[kFewWarps];
  static_assert(kFewThreads == kFewRows * kReadColumns);
  const PassSegment segment = pass.segments[blockIdx.z];
  const int first = static_cast<int>(blockIdx.x) * kFewRows;
  if (first >= segment.rows) return;
  const int columnTiles = (dims.value + kReadColumns - 1) / kReadColumns;
  const MemoryReader head = heads[static_cast<int>(blockIdx.y) / columnTiles];
  const int c = static_cast<int>(blockIdx.y) % columnTiles * kReadColumns;
  const float* M = at(states, static_cast<int>(blockIdx.z), head.matrix);
  const float* z = at(states, static_cast<int>(blockIdx.z), head.normalizer);
  const int thread = static_cast<int>(threadIdx.x), lane = thread % kWarp, warp = thread / kWarp;

  for (int i = thread; i < kFewRows * dims.key; i += kFewThreads) {
    const int r = i / dims.key, d = i % dims.key;
    sigmaQ[d * kFewRows + r] =
        first + r < segment.rows ? sigma(toFloat(*at(queries, segment.begin + first + r, head.query + d))) : 0.0F;
  }
  __syncthreads();
  if (warp < kFewRows) {
    float weight = 0.0F;
    for (int d = lane; d < dims.key; d += kWarp) weight += sigmaQ[d * kFewRows + warp] * z[d];
    weight = warpSum(weight);
    if (lane == 0) weights[warp] = weight + epsilon;
  }
  float sum[kFewRows][4] = {};
  if (c + 4 * lane < dims.value) {
#pragma unroll 8
    for (int d = warp; d < dims.key; d += kFewWarps) {
      float left[4], right[4];
      put(right, loadFour(M + static_cast<std::size_t>(d) * dims.value + c + 4 * lane));
      put(left, *reinterpret_cast<const float4*>(sigmaQ + d * kFewRows));
#pragma unroll
      for (int r = 0; r < kFewRows; ++r) {
#pragma unroll
        for (int j = 0; j < 4; ++j) sum[r][j] += left[r] * right[j];
      }
    }
  }
#pragma unroll
  for (int r = 0; r < kFewRows; ++r)
    *reinterpret_cast<float4*>(&parts[warp][r][4 * lane]) = make_float4(sum[r][0], sum[r][1], sum[r][2], sum[r][3]);
  __syncthreads();

  const int r = thread / kReadColumns, column = thread % kReadColumns;
  float read = 0.0F;
#pragma unroll
  for (int w = 0; w < kFewWarps; ++w) read += parts[w][r][column];
  read /= weights[r];
  if (head.power != 0.0F) {
    const float square = warpSum(read * read);
    if (lane == 0) squares[warp] = square;
    __syncthreads();
    float whole = 0.0F;
    for (int w = 0; w < kReadColumns / kWarp; ++w) whole += squares[r * (kReadColumns / kWarp) + w];
    read *= memoryScale(head, whole / static_cast<float>(dims.value), epsilon);
  }
  if (first + r < segment.rows && c + column < dims.value)
    *at(out, segment.begin + first + r, head.out + c + column) = fromFloat<Out>(read);
}

}  // namespace

bool takesMemoryWriteTiles(std::span<const MemoryWriter> heads, MemoryDims dims, int keyColumns, int valueColumns) {
  if ((dims.key | dims.value | keyColumns | valueColumns) % 4 != 0) return false;
  return std::ranges::all_of(heads, [](const MemoryWriter& h) { return (h.key | h.value) % 4 == 0; });
}

MemoryWritePlan planMemoryWrite(const Pass& pass, int headCount, MemoryDims dims, int processors) {
  const std::size_t tiles = static_cast<std::size_t>(pass.count) * headCount * blocksFor(dims.key, kWriteTile) *
                            blocksFor(dims.value, kWriteTile);
  // Two blocks for each multiprocessor, if there are rows enough.
  const int most = static_cast<int>(blocksFor(std::max(pass.longest, 1), 2 * kDepth));
  const int chunks = static_cast<int>(std::clamp<std::size_t>(2 * processors / tiles, 1, most));
  MemoryWritePlan plan;
  plan.chunkRows = static_cast<int>(blocksFor(blocksFor(std::max(pass.longest, 1), chunks), kDepth)) * kDepth;
  plan.chunks = static_cast<int>(blocksFor(std::max(pass.longest, 1), plan.chunkRows));
  plan.roomFloats = static_cast<std::size_t>(plan.chunks) * pass.count * headCount * dims.key * (dims.value + 1);
  return plan;
}

template <class T>
void memoryWriteTiles(const Pass& pass, Rows<const T> keys, Rows<const T> values, const MemoryWriter* heads,
                      int headCount, MemoryDims dims, const MemoryWritePlan& plan, float* room, Rows<float> states,
                      cudaStream_t stream) {
  const dim3 grid(pass.count * headCount, blocksFor(dims.key, kWriteTile) * blocksFor(dims.value, kWriteTile),
                  plan.chunks);
  memoryWriteTilesKernel<T>
      <<<grid, kWriteThreads, 0, stream>>>(pass, keys, values, heads, headCount, dims, plan.chunkRows, room);
  const dim3 cells(blocksFor(static_cast<std::size_t>(dims.key) * (dims.value + 1), 256), headCount);
  addSumsKernel<<<cells, 256, 0, stream>>>(pass.count, plan.chunks, room, heads, headCount, dims, states);
}

bool takesMemoryReadTiles(std::span<const MemoryReader> heads, MemoryDims dims, int queryColumns, int stateColumns,
                          int outColumns) {
  if ((dims.key | dims.value | queryColumns | stateColumns | outColumns) % 4 != 0) return false;
  return std::ranges::all_of(heads, [&](const MemoryReader& h) {
    return (h.query | h.matrix | h.out) % 4 == 0 && (h.power == 0.0F || dims.value <= kReadColumns);
  });
}

template <class T, class Out>
void memoryReadTiles(const Pass& pass, Rows<const T> queries, const MemoryReader* heads, int headCount, MemoryDims dims,
                     float epsilon, Rows<const float> states, Rows<Out> out, cudaStream_t stream) {
  const bool few = pass.longest <= kMostFewRows && dims.key <= kMostFewKeys;
  const dim3 grid(blocksFor(pass.longest, few ? kFewRows : kReadRows), headCount * blocksFor(dims.value, kReadColumns),
                  pass.count);
  if (few) {
    launchEarly(memoryReadFewKernel<T, Out>, grid, kFewThreads, sizeof(float) * kFewRows * dims.key, pass.early, stream,
                pass, queries, heads, dims, epsilon, states, out);
  } else {
    memoryReadTilesKernel<T, Out><<<grid, kReadThreads, 0, stream>>>(pass, queries, heads, dims, epsilon, states, out);
  }
}

#define PALIMPSEST_OF_TYPE(T)                                                                                        \
  template void memoryWriteTiles<T>(const Pass&, Rows<const T>, Rows<const T>, const MemoryWriter*, int, MemoryDims, \
                                    const MemoryWritePlan&, float*, Rows<float>, cudaStream_t);                      \
  template void memoryReadTiles<T, float>(const Pass&, Rows<const T>, const MemoryReader*, int, MemoryDims, float,   \
                                          Rows<const float>, Rows<float>, cudaStream_t);                             \
  template void memoryReadTiles<T, Bf16>(const Pass&, Rows<const T>, const MemoryReader*, int, MemoryDims, float,    \
                                         Rows<const float>, Rows<Bf16>, cudaStream_t);
PALIMPSEST_OF_TYPE(float)
PALIMPSEST_OF_TYPE(Bf16)

}  // namespace palimpsest::engine::cuda
