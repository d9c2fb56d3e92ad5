#include "engine/cuda_device.cuh"

namespace palimpsest::engine::cuda {

namespace {

constexpr int kWarps = 4;                          // warps of a block, where a warp has a row of its own
constexpr int kReadRows = 16;                      // query rows that share what they read of M
constexpr int kWriteTile = 32;                     // M is written in tiles of so many rows and columns
constexpr int kMostPerLane = 8;                    // dimensions of a head over the lanes of a warp: 256
constexpr int kNormThreads = 256, kNormFours = 8;  // of a block that keeps a row of up to 8192 in registers

// The sum over a block, known to every thread. `room` holds one float for each warp.
__device__ float blockSum(float x, float* room) {
  x = warpSum(x);
  __syncthreads();
  if (threadIdx.x % kWarp == 0) room[threadIdx.x / kWarp] = x;
  __syncthreads();
  float sum = 0.0F;
  for (unsigned w = 0; w < blockDim.x / kWarp; ++w) sum += room[w];
  return sum;
}

template <class From, class To>
__global__ void convertKernel(const From* from, To* to, std::size_t count) {
  const std::size_t i = static_cast<std::size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < count) to[i] = fromFloat<To>(toFloat(from[i]));
}

template <class T>
__global__ void embedKernel(const std::int32_t* tokens, Rows<const T> table, Rows<float> x) {
  letNextKernelBegin();
  waitForEarlierKernels();
  const T* from = at(table, tokens[blockIdx.x]);
  float* to = at(x, static_cast<int>(blockIdx.x));
  for (int c = threadIdx.x; c < x.columns; c += blockDim.x) to[c] = toFloat(from[c]);
}

// Where a row's columns are a multiple of 4 and no more than a block keeps in registers.
template <class T>
__global__ void __launch_bounds__(kNormThreads)
    rmsNormFoursKernel(Rows<const float> x, const float* weight, float epsilon, Rows<T> out) {
  __shared__ float room[kWarp];
  const float* from = at(x, static_cast<int>(blockIdx.x));
  T* to = at(out, static_cast<int>(blockIdx.x));
  float4 own[kNormFours];
  float sum = 0.0F;
#pragma unroll
  for (int i = 0; i < kNormFours; ++i) {
    const int c = 4 * (i * kNormThreads + static_cast<int>(threadIdx.x));
    if (c >= x.columns) break;
    own[i] = *reinterpret_cast<const float4*>(from + c);
    sum += own[i].x * own[i].x + own[i].y * own[i].y + own[i].z * own[i].z + own[i].w * own[i].w;
  }
  const float factor = rsqrtf(blockSum(sum, room) / static_cast<float>(x.columns) + epsilon);
#pragma unroll
  for (int i = 0; i < kNormFours; ++i) {
    const int c = 4 * (i * kNormThreads + static_cast<int>(threadIdx.x));
    if (c >= x.columns) break;
    const float4 w = *reinterpret_cast<const float4*>(weight + c);
    storeFour(to + c, make_float4(own[i].x * factor * w.x, own[i].y * factor * w.y, own[i].z * factor * w.z,
                                  own[i].w * factor * w.w));
  }
}

template <class T>
__global__ void rmsNormKernel(Rows<const float> x, const float* weight, float epsilon, Rows<T> out) {
  __shared__ float room[kWarp];
  const float* from = at(x, static_cast<int>(blockIdx.x));
  T* to = at(out, static_cast<int>(blockIdx.x));
  float sum = 0.0F;
  for (int c = threadIdx.x; c < x.columns; c += blockDim.x) sum += from[c] * from[c];
  const float factor = rsqrtf(blockSum(sum, room) / static_cast<float>(x.columns) + epsilon);
  for (int c = threadIdx.x; c < x.columns; c += blockDim.x) to[c] = fromFloat<T>(from[c] * factor * weight[c]);
}

__device__ float siluOf(float g) { return g / (1.0F + expf(-g)); }

// Where a row's columns are a multiple of what 16 bytes hold.
template <class T>
__global__ void siluMulRunsKernel(Rows<const T> gateUp, Rows<T> out) {
  const T* from = at(gateUp, static_cast<int>(blockIdx.x));
  const int c = static_cast<int>(blockIdx.y * blockDim.x + threadIdx.x) * Run<T>::kCount;
  if (c >= out.columns) return;
  const Run<T> g = loadRun(from + c), u = loadRun(from + out.columns + c);
  Run<T> product;
#pragma unroll
  for (int i = 0; i < Run<T>::kCount; ++i)
    product.values[i] = fromFloat<T>(siluOf(toFloat(g.values[i])) * toFloat(u.values[i]));
  storeRun(at(out, static_cast<int>(blockIdx.x), c), product);
}

template <class T>
__global__ void siluMulKernel(Rows<const T> gateUp, Rows<T> out) {
  const T* from = at(gateUp, static_cast<int>(blockIdx.x));
  const int c = static_cast<int>(blockIdx.y * blockDim.x + threadIdx.x);
  if (c >= out.columns) return;
  const float g = toFloat(from[c]);
  at(out, static_cast<int>(blockIdx.x))[c] = fromFloat<T>(siluOf(g) * toFloat(from[out.columns + c]));
}

// Where half a head is a multiple of what 16 bytes hold, and every head begins where they do.
template <class T>
__global__ void ropeRunsKernel(Pass pass, Rows<T> x, const RotatedColumns* runs, int runCount, int dim,
                               const float* cosines, const float* sines) {
  letNextKernelBegin();
  waitForEarlierKernels();
  const int row = static_cast<int>(blockIdx.x), half = dim / 2;
  if (pass.segmentOfRow[row] < 0) return;
  const PassSegment& segment = pass.segments[pass.segmentOfRow[row]];
  const std::size_t position = static_cast<std::size_t>(segment.firstPosition + row - segment.begin);
  for (int r = 0; r < runCount; ++r) {
    T* head = at(x, row, runs[r].column);
    for (int i = static_cast<int>(threadIdx.x) * Run<T>::kCount; i < runs[r].heads * half;
         i += static_cast<int>(blockDim.x) * Run<T>::kCount) {
      T* first = head + i / half * dim + i % half;
      Run<T> a = loadRun(first), b = loadRun(first + half);
#pragma unroll
      for (int j = 0; j < Run<T>::kCount; ++j) {
        const float cosine = cosines[position * half + i % half + j], sine = sines[position * half + i % half + j];
        const float left = toFloat(a.values[j]), right = toFloat(b.values[j]);
        a.values[j] = fromFloat<T>(left * cosine - right * sine);
        b.values[j] = fromFloat<T>(right * cosine + left * sine);
      }
      storeRun(first, a);
      storeRun(first + half, b);
    }
  }
}

template <class T>
__global__ void ropeKernel(Pass pass, Rows<T> x, const RotatedColumns* runs, int runCount, int dim,
                           const float* cosines, const float* sines) {
  letNextKernelBegin();
  waitForEarlierKernels();
  const int row = static_cast<int>(blockIdx.x), half = dim / 2;
  if (pass.segmentOfRow[row] < 0) return;
  const PassSegment& segment = pass.segments[pass.segmentOfRow[row]];
  const std::size_t position = static_cast<std::size_t>(segment.firstPosition + row - segment.begin);
  for (int r = 0; r < runCount; ++r) {
    T* head = at(x, row, runs[r].column);
    for (int i = threadIdx.x; i < runs[r].heads * half; i += blockDim.x) {
      T* pair = head + i / half * dim + i % half;
      const float cosine = cosines[position * half + i % half], sine = sines[position * half + i % half];
      const float a = toFloat(pair[0]), b = toFloat(pair[half]);
      pair[0] = fromFloat<T>(a * cosine - b * sine);
      pair[half] = fromFloat<T>(b * cosine + a * sine);
    }
  }
}

template <class T>
__global__ void keepKernel(Pass pass, int index, Rows<const T> from, KeptRows<T> kept) {
  letNextKernelBegin();
  waitForEarlierKernels();
  const PassSegment segment = pass.segments[index];
  const int row = static_cast<int>(blockIdx.x);
  if (row >= segment.rows) return;
  const auto run = kept.runs[blockIdx.y];
  const T* own = at(from, segment.begin + row, run.column);
  T* to = at(run.cache, segment.firstPosition + row);
  for (int c = threadIdx.x; c < run.width; c += blockDim.x) to[c] = own[c];
}

// Online softmax (arXiv 1805.02867): the sum so far is scaled anew where a larger score comes.
template <class T, class Out>
__global__ void localAttentionKernel(Pass pass, Rows<const T> queries, Rows<const T> keys, Rows<const T> values,
                                     const LocalHead* heads, int dim, Rows<Out> out) {
  const int row = static_cast<int>(blockIdx.x) * kWarps + static_cast<int>(threadIdx.x) / kWarp;
  if (row >= pass.rows || pass.segmentOfRow[row] < 0) return;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const LocalHead head = heads[blockIdx.y];
  const PassSegment segment = pass.segments[pass.segmentOfRow[row]];
  const int seen = segment.firstPosition + row - segment.begin + 1;
  const float scale = rsqrtf(static_cast<float>(dim));
  float q[kMostPerLane], mean[kMostPerLane];
  for (int i = 0; i < kMostPerLane; ++i) {
    const int d = lane + i * kWarp;
    q[i] = d < dim ? toFloat(at(queries, row, head.query)[d]) * scale : 0.0F;
    mean[i] = 0.0F;
  }
  float largest = -INFINITY, sum = 0.0F;
  for (int j = 0; j < seen; ++j) {
    const T* key = at(keys, segment.keysBegin + j, head.key);
    const T* value = at(values, segment.keysBegin + j, head.value);
    float score = 0.0F;
    for (int i = 0; i < kMostPerLane; ++i)
      if (const int d = lane + i * kWarp; d < dim) score += q[i] * toFloat(key[d]);
    score = warpSum(score);
    const float now = fmaxf(largest, score), old = expf(largest - now), weight = expf(score - now);
    largest = now;
    sum = sum * old + weight;
    for (int i = 0; i < kMostPerLane; ++i)
      if (const int d = lane + i * kWarp; d < dim) mean[i] = mean[i] * old + weight * toFloat(value[d]);
  }
  for (int i = 0; i < kMostPerLane; ++i)
    if (const int d = lane + i * kWarp; d < dim) at(out, row, head.out)[d] = fromFloat<Out>(mean[i] / sum);
}

// A block for some rows of a segment and a head: thread v has column v of M.
template <class T, class Out>
__global__ void __launch_bounds__(1024)
    memoryReadKernel(Pass pass, Rows<const T> queries, const MemoryReader* heads, MemoryDims dims, float epsilon,
                     Rows<const float> states, Rows<Out> out) {
  extern __shared__ float sigmaQ[];  // [kReadRows x dk], then a float for each warp
  float* room = sigmaQ + kReadRows * dims.key;
  const PassSegment segment = pass.segments[blockIdx.y];
  const int first = static_cast<int>(blockIdx.x) * kReadRows;
  if (first >= segment.rows) return;
  const int rows = min(kReadRows, segment.rows - first);
  const MemoryReader head = heads[blockIdx.z];
  const float* M = at(states, static_cast<int>(blockIdx.y), head.matrix);
  const float* z = at(states, static_cast<int>(blockIdx.y), head.normalizer);
  for (int i = threadIdx.x; i < kReadRows * dims.key; i += blockDim.x) {
    const int r = i / dims.key;
    sigmaQ[i] = r < rows ? sigma(toFloat(at(queries, segment.begin + first + r, head.query)[i % dims.key])) : 0.0F;
  }
  __syncthreads();
  for (int r = 0; r < rows; ++r) {  // sigma(Q) z, put in the place of z's own row of sums
    float weight = 0.0F;
    for (int d = threadIdx.x; d < dims.key; d += blockDim.x) weight += sigmaQ[r * dims.key + d] * z[d];
    weight = blockSum(weight, room) + epsilon;
    if (threadIdx.x == 0) room[kWarp + r] = weight;
  }
  __syncthreads();
  const int v = static_cast<int>(threadIdx.x);
  float sums[kReadRows] = {};
  if (v < dims.value) {
    for (int d = 0; d < dims.key; ++d) {
      const float m = M[static_cast<std::size_t>(d) * dims.value + v];
      for (int r = 0; r < kReadRows; ++r) sums[r] += sigmaQ[r * dims.key + d] * m;
    }
  }
  for (int r = 0; r < rows; ++r) {
    const float read = sums[r] / room[kWarp + r];
    float factor = 1.0F;
    if (head.power != 0.0F) {
      const float square = blockSum(v < dims.value ? read * read : 0.0F, room) / static_cast<float>(dims.value);
      factor = powf(head.size / sqrtf(square + epsilon * epsilon), head.power);
    }
    if (v < dims.value) at(out, segment.begin + first + r, head.out)[v] = fromFloat<Out>(read * factor);
  }
}

// A block for a tile of M of a segment and a head: thread (v, d) has one number of it.
template <class T>
__global__ void __launch_bounds__(1024)
    memoryWriteKernel(Pass pass, Rows<const T> keys, Rows<const T> values, const MemoryWriter* heads, int headCount,
                      MemoryDims dims, Rows<float> states) {
  __shared__ float k[kWriteTile][kWriteTile + 1], v[kWriteTile][kWriteTile + 1];
  const int s = static_cast<int>(blockIdx.x) / headCount;
  const MemoryWriter head = heads[blockIdx.x % headCount];
  const PassSegment segment = pass.segments[s];
  const int rows = segment.rows - segment.unwritten;
  const int first = segment.keysBegin + segment.firstPosition + segment.unwritten;
  const int d = static_cast<int>(blockIdx.y) * kWriteTile, c = static_cast<int>(blockIdx.z) * kWriteTile;
  const int x = static_cast<int>(threadIdx.x), y = static_cast<int>(threadIdx.y);
  float sum = 0.0F, z = 0.0F;
  for (int begin = 0; begin < rows; begin += kWriteTile) {
    const bool there = begin + y < rows;
    k[y][x] = there && d + x < dims.key ? sigma(toFloat(at(keys, first + begin + y, head.key)[d + x])) : 0.0F;
    v[y][x] = there && c + x < dims.value ? toFloat(at(values, first + begin + y, head.value)[c + x]) : 0.0F;
    __syncthreads();
    for (int t = 0; t < kWriteTile; ++t) {
      sum += k[t][y] * v[t][x];
      z += k[t][y];
    }
    __syncthreads();
  }
  if (d + y >= dims.key) return;
  if (c + x < dims.value) at(states, s + 1, head.matrix)[static_cast<std::size_t>(d + y) * dims.value + c + x] = sum;
  if (c == 0 && x == 0) at(states, s + 1, head.normalizer)[d + y] = z;
}

__global__ void sumStatesKernel(int segments, const MemoryWriter* heads, MemoryDims dims, Rows<float> states) {
  const MemoryWriter head = heads[blockIdx.y];
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x), matrix = dims.key * dims.value;
  if (i >= matrix + dims.key) return;
  const int column = i < matrix ? head.matrix + i : head.normalizer + i - matrix;
  float sum = *at(states, 0, column);
  for (int s = 1; s <= segments; ++s) *at(states, s, column) = sum += *at(states, s, column);
}

// room[head][row] = v - sigma(k) M / (sigma(k) z + eps); a block for a row and a head.
template <class T>
__global__ void unknownValuesKernel(Pass pass, int index, Rows<const T> keys, Rows<const T> values,
                                    const MemoryWriter* heads, MemoryDims dims, float epsilon, Rows<float> states,
                                    float* room) {
  extern __shared__ float sigmaK[];  // [dk], then a float for each warp
  const PassSegment segment = pass.segments[index];
  const int rows = segment.rows - segment.unwritten;
  if (static_cast<int>(blockIdx.x) >= rows) return;
  const int row = segment.keysBegin + segment.firstPosition + segment.unwritten + static_cast<int>(blockIdx.x);
  const MemoryWriter head = heads[blockIdx.y];
  const float* M = at(states, index, head.matrix);
  const float* z = at(states, index, head.normalizer);
  float weight = 0.0F;
  for (int d = threadIdx.x; d < dims.key; d += blockDim.x) {
    sigmaK[d] = sigma(toFloat(at(keys, row, head.key)[d]));
    weight += sigmaK[d] * z[d];
  }
  weight = blockSum(weight, sigmaK + dims.key) + epsilon;  // and sigmaK is whole for every thread
  float* out = room + (static_cast<std::size_t>(blockIdx.y) * rows + blockIdx.x) * dims.value;
  for (int c = threadIdx.x; c < dims.value; c += blockDim.x) {
    float known = 0.0F;
    for (int d = 0; d < dims.key; ++d) known += sigmaK[d] * M[static_cast<std::size_t>(d) * dims.value + c];
    out[c] = toFloat(at(values, row, head.value)[c]) - known / weight;
  }
}

// states[index + 1] = states[index] + sigma(K)^T room; a block for a row of M and a head.
template <class T>
__global__ void writeUnknownKernel(Pass pass, int index, Rows<const T> keys, const MemoryWriter* heads, MemoryDims dims,
                                   Rows<float> states, const float* room) {
  const PassSegment segment = pass.segments[index];
  const int rows = segment.rows - segment.unwritten;
  const int first = segment.keysBegin + segment.firstPosition + segment.unwritten;
  const MemoryWriter head = heads[blockIdx.y];
  const int d = static_cast<int>(blockIdx.x);
  const float* own = room + static_cast<std::size_t>(blockIdx.y) * rows * dims.value;
  for (int c = threadIdx.x; c < dims.value; c += blockDim.x) {
    float sum = 0.0F;
    for (int t = 0; t < rows; ++t)
      sum += sigma(toFloat(at(keys, first + t, head.key)[d])) * own[static_cast<std::size_t>(t) * dims.value + c];
    const std::size_t cell = static_cast<std::size_t>(d) * dims.value + c;
    at(states, index + 1, head.matrix)[cell] = at(states, index, head.matrix)[cell] + sum;
  }
  if (threadIdx.x != 0) return;
  float sum = 0.0F;
  for (int t = 0; t < rows; ++t) sum += sigma(toFloat(at(keys, first + t, head.key)[d]));
  at(states, index + 1, head.normalizer)[d] = at(states, index, head.normalizer)[d] + sum;
}

template <class Out>
__global__ void combineKernel(Pass pass, Rows<const float> memory, Rows<const float> local, const GatedColumns* runs,
                              int runCount, Rows<Out> out) {
  letNextKernelBegin();
  waitForEarlierKernels();
  const int row = static_cast<int>(blockIdx.x);
  if (pass.segmentOfRow[row] < 0) return;
  const bool emptyMemory = pass.segments[pass.segmentOfRow[row]].emptyMemory;
  for (int r = 0; r < runCount; ++r) {
    const float gate = emptyMemory && runs[r].gate < 1.0F ? 0.0F : runs[r].gate;
    for (int c = threadIdx.x; c < runs[r].width; c += blockDim.x) {
      const int column = runs[r].column + c;
      // A side with no weight may hold anything.
      const float mixed = (gate > 0.0F ? gate * *at(memory, row, column) : 0.0F) +
                          (gate < 1.0F ? (1.0F - gate) * *at(local, row, column) : 0.0F);
      *at(out, row, column) = fromFloat<Out>(mixed);
    }
  }
}

}  // namespace

template <class From, class To>
void convert(const From* from, To* to, std::size_t count, cudaStream_t stream) {
  if (count > 0) convertKernel<<<blocksFor(count, 256), 256, 0, stream>>>(from, to, count);
}

template <class T>
void embed(const std::int32_t* tokens, int rows, Rows<const T> table, Rows<float> x, cudaStream_t stream) {
  embedKernel<T><<<rows, 256, 0, stream>>>(tokens, table, x);
}

template <class T>
void rmsNorm(int rows, Rows<const float> x, const float* weight, float epsilon, Rows<T> out, cudaStream_t stream) {
  const bool fours = x.columns % 4 == 0 && x.columns <= 4 * kNormThreads * kNormFours;
  const auto kernel = fours ? rmsNormFoursKernel<T> : rmsNormKernel<T>;
  kernel<<<rows, kNormThreads, 0, stream>>>(x, weight, epsilon, out);
}

template <class T>
void siluMul(int rows, Rows<const T> gateUp, Rows<T> out, cudaStream_t stream) {
  if (out.columns % Run<T>::kCount == 0) {
    siluMulRunsKernel<T><<<dim3(rows, blocksFor(out.columns, 256 * Run<T>::kCount)), 256, 0, stream>>>(gateUp, out);
  } else {
    siluMulKernel<T><<<dim3(rows, blocksFor(out.columns, 256)), 256, 0, stream>>>(gateUp, out);
  }
}

template <class T>
void rope(const Pass& pass, Rows<T> x, const RotatedColumns* runs, int runCount, bool alignedRuns, int dim,
          const float* cosines, const float* sines, cudaStream_t stream) {
  const bool inRuns = dim / 2 % Run<T>::kCount == 0 && x.columns % Run<T>::kCount == 0 && alignedRuns;
  const auto kernel = inRuns ? ropeRunsKernel<T> : ropeKernel<T>;
  launchEarly(kernel, pass.rows, 256, 0, pass.early, stream, pass, x, runs, runCount, dim, cosines, sines);
}

template <class T>
void keep(const Pass& pass, int segment, Rows<const T> from, const KeptRows<T>& kept, cudaStream_t stream) {
  launchEarly(keepKernel<T>, dim3(pass.longest, kept.count), 256, 0, pass.early, stream, pass, segment, from, kept);
}

template <class T, class Out>
void localAttention(const Pass& pass, Rows<const T> queries, Rows<const T> keys, Rows<const T> values,
                    const LocalHead* heads, int headCount, int dim, Rows<Out> out, cudaStream_t stream) {
  const dim3 grid(blocksFor(pass.rows, kWarps), headCount);
  localAttentionKernel<T, Out><<<grid, kWarps * kWarp, 0, stream>>>(pass, queries, keys, values, heads, dim, out);
}

template <class T, class Out>
void memoryRead(const Pass& pass, Rows<const T> queries, const MemoryReader* heads, int headCount, MemoryDims dims,
                float epsilon, Rows<const float> states, Rows<Out> out, cudaStream_t stream) {
  // As many threads as columns, so that a head's scale is a sum over its block.
  const int threads = static_cast<int>(blocksFor(dims.value, kWarp)) * kWarp;
  const std::size_t shared = sizeof(float) * (static_cast<std::size_t>(kReadRows) * dims.key + kWarp + kReadRows);
  if (shared > 48 * 1024)
    cudaFuncSetAttribute(memoryReadKernel<T, Out>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                         static_cast<int>(shared));
  const dim3 grid(blocksFor(pass.longest, kReadRows), pass.count, headCount);
  memoryReadKernel<T, Out><<<grid, threads, shared, stream>>>(pass, queries, heads, dims, epsilon, states, out);
}

template <class T>
void memoryWrite(const Pass& pass, Rows<const T> keys, Rows<const T> values, const MemoryWriter* heads, int headCount,
                 MemoryDims dims, Rows<float> states, cudaStream_t stream) {
  const dim3 grid(headCount * pass.count, blocksFor(dims.key, kWriteTile), blocksFor(dims.value, kWriteTile));
  memoryWriteKernel<T>
      <<<grid, dim3(kWriteTile, kWriteTile), 0, stream>>>(pass, keys, values, heads, headCount, dims, states);
}

void sumStates(int segments, const MemoryWriter* heads, int headCount, MemoryDims dims, Rows<float> states,
               cudaStream_t stream) {
  const dim3 grid(blocksFor(static_cast<std::size_t>(dims.key) * (dims.value + 1), 256), headCount);
  sumStatesKernel<<<grid, 256, 0, stream>>>(segments, heads, dims, states);
}

template <class T>
void memoryWriteDelta(const Pass& pass, int segment, Rows<const T> keys, Rows<const T> values,
                      const MemoryWriter* heads, int headCount, MemoryDims dims, float epsilon, Rows<float> states,
                      float* room, cudaStream_t stream) {
  unknownValuesKernel<T><<<dim3(pass.longest, headCount), 128, sizeof(float) * (dims.key + kWarp), stream>>>(
      pass, segment, keys, values, heads, dims, epsilon, states, room);
  writeUnknownKernel<T><<<dim3(dims.key, headCount), 128, 0, stream>>>(pass, segment, keys, heads, dims, states, room);
}

template <class Out>
void combine(const Pass& pass, Rows<const float> memory, Rows<const float> local, const GatedColumns* runs,
             int runCount, Rows<Out> out, cudaStream_t stream) {
  launchEarly(combineKernel<Out>, pass.rows, 256, 0, pass.early, stream, pass, memory, local, runs, runCount, out);
}

#define PALIMPSEST_OF_TYPE(T)                                                                                    \
  template void embed<T>(const std::int32_t*, int, Rows<const T>, Rows<float>, cudaStream_t);                    \
  template void rmsNorm<T>(int, Rows<const float>, const float*, float, Rows<T>, cudaStream_t);                  \
  template void siluMul<T>(int, Rows<const T>, Rows<T>, cudaStream_t);                                           \
  template void rope<T>(const Pass&, Rows<T>, const RotatedColumns*, int, bool, int, const float*, const float*, \
                        cudaStream_t);                                                                           \
  template void keep<T>(const Pass&, int, Rows<const T>, const KeptRows<T>&, cudaStream_t);                      \
  template void memoryWrite<T>(const Pass&, Rows<const T>, Rows<const T>, const MemoryWriter*, int, MemoryDims,  \
                               Rows<float>, cudaStream_t);                                                       \
  template void memoryWriteDelta<T>(const Pass&, int, Rows<const T>, Rows<const T>, const MemoryWriter*, int,    \
                                    MemoryDims, float, Rows<float>, float*, cudaStream_t);                       \
  template void combine<T>(const Pass&, Rows<const float>, Rows<const float>, const GatedColumns*, int, Rows<T>, \
                           cudaStream_t);
#define PALIMPSEST_OF_TYPES(T, Out)                                                                                \
  template void convert<T, Out>(const T*, Out*, std::size_t, cudaStream_t);                                        \
  template void localAttention<T, Out>(const Pass&, Rows<const T>, Rows<const T>, Rows<const T>, const LocalHead*, \
                                       int, int, Rows<Out>, cudaStream_t);                                         \
  template void memoryRead<T, Out>(const Pass&, Rows<const T>, const MemoryReader*, int, MemoryDims, float,        \
                                   Rows<const float>, Rows<Out>, cudaStream_t);
PALIMPSEST_OF_TYPE(float)
PALIMPSEST_OF_TYPE(Bf16)
PALIMPSEST_OF_TYPES(float, float)
PALIMPSEST_OF_TYPES(float, Bf16)
PALIMPSEST_OF_TYPES(Bf16, float)
PALIMPSEST_OF_TYPES(Bf16, Bf16)

}  // namespace palimpsest::engine::cuda
