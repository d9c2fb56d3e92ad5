#include <algorithm>
#include <cstdint>

#include "engine/cuda_device.cuh"
#include "engine/cuda_few.h"
#include "engine/cuda_few_reader.cuh"
#include "engine/cuda_ptx.cuh"

namespace palimpsest::engine::cuda {

namespace {

using namespace few;

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800

constexpr int kHalf = kTileRows / 2;
constexpr int kSteps = kTileInputs / 16;  // products of a tile

// (x & mask) | bits, in the one instruction that the compiler makes two of where both are constants.
__device__ unsigned masked(unsigned x, unsigned mask, unsigned bits) {
  constexpr unsigned kAndOr = (0xF0 & 0xCC) | 0xAA;
  return bitwise<kAndOr>(x, mask, bits);
}

// Of tile `tile` of a stage, a lane's part of the left side of the product of step `step`: pairs of bf16.
template <WeightType kType>
__device__ void leftOf(const uint4 (&chunks)[chunksOf(kType)], int tile, int step, unsigned (&left)[4]) {
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int half = i % 2, pair = 2 * step + i / 2;  // row r or r + 8; of the 8 pairs of a row
    if constexpr (kType == WeightType::Full) {
      left[i] = wordOf(chunks[4 * tile + 2 * half + pair / 4], pair % 4);
    } else if constexpr (kType == WeightType::Int4) {
      // 128 + n is the bf16 whose last bits are n; n = q + 8. What is too much is taken off as a whole.
      left[i] = masked(wordOf(chunks[tile], 2 * half + pair / 4) >> 4 * (pair % 4), 0x000F000FU, 0x43004300U);
    } else {
      const std::uint32_t bytes =
          __byte_perm(wordOf(chunks[2 * tile + half], pair / 2), 0, pair % 2 == 0 ? 0x4140 : 0x4342);
      const std::uint32_t bits = masked(bytes, 0x007F007FU, 0x43004300U);  // 128 + the lower seven bits,
      const std::uint32_t less = masked(bytes, 0x00800080U, 0x43004300U);  // less 128, or 256 where the sign is set
      __nv_bfloat162 a, b;
      memcpy(&a, &bits, sizeof a);
      memcpy(&b, &less, sizeof b);
      a = __hsub2(a, b);
      memcpy(&left[i], &a, sizeof a);
    }
  }
}

// A lane's part of the right side of the same product; `runs` are those of a tile.
__device__ void rightOf(const uint4 (&runs)[2], int step, unsigned (&pairs)[2]) {
#pragma unroll
  for (int i = 0; i < 2; ++i) pairs[i] = wordOf(runs[step / 2], 2 * (step % 2) + i);
}

// all += the product of a stage of Int4. kGroup tiles have the same scale, `scales` are those of this lane's rows in
// the stage's groups. What the products are too large by is in `excess` for this lane's rows of the pass, if it is
// kSummed; else the tensor cores, which have the time for it, sum it up.
template <int kGroup, bool kSummed, int kTiles, int kEights>
__device__ void multiplyGroups(const uint4 (&chunks)[chunksOf(WeightType::Int4)],
                               const uint4 (&right)[kTiles][kEights][2], const unsigned char* scales,
                               const float* excess, float (&all)[kEights][4]) {
  constexpr int kGroups = kTiles / kGroup, kTokens = kEight * kEights;
  constexpr unsigned kLess = 0xC308C308U;  // -kExcess, twice
  constexpr unsigned kLeftLess[4] = {kLess, kLess, kLess, kLess};
  float sums[kGroups][kEights][4], less[kGroups][kEights][4] = {};
#pragma unroll
  for (int g = 0; g < kGroups; ++g) {
#pragma unroll
    for (int n = 0; n < kEights; ++n) {
      float2 begin = {0.0F, 0.0F};
      if constexpr (kSummed) {
#pragma unroll
        for (int t = g * kGroup; t < (g + 1) * kGroup; ++t) {
          const float2 own = *reinterpret_cast<const float2*>(excess + t * kTokens + kEight * n);
          begin = {begin.x + own.x, begin.y + own.y};
        }
      }
      sums[g][n][0] = sums[g][n][2] = begin.x;
      sums[g][n][1] = sums[g][n][3] = begin.y;
    }
  }
  // Groups take turns, so that products which wait for each other stand apart.
#pragma unroll
  for (int i = 0; i < kGroup * kSteps; ++i) {
#pragma unroll
    for (int g = 0; g < kGroups; ++g) {
      const int tile = g * kGroup + i / kSteps, step = i % kSteps;
      unsigned left[4], pairs[2];
      leftOf<WeightType::Int4>(chunks, tile, step, left);
#pragma unroll
      for (int n = 0; n < kEights; ++n) {
        rightOf(right[tile][n], step, pairs);
        multiplyAdd(sums[g][n], left, pairs[0], pairs[1]);
        if constexpr (!kSummed) multiplyAdd(less[g][n], kLeftLess, pairs[0], pairs[1]);
      }
    }
  }
#pragma unroll
  for (int g = 0; g < kGroups; ++g) {
    const float2 two = __bfloat1622float2(*reinterpret_cast<const __nv_bfloat162*>(scales + g * kGroupBytes));
#pragma unroll
    for (int n = 0; n < kEights; ++n)
#pragma unroll
      for (int i = 0; i < 4; ++i)
        all[n][i] += (i < 2 ? two.x : two.y) * (kSummed ? sums[g][n][i] : sums[g][n][i] + less[g][n][i]);
  }
}

// The right side: rows of the pass in bf16. Lane 4 r + c has of a tile of row r (and r + 8) the same inputs that it has
// of the weight, in two runs of 16 bytes: where they are in a row of `in`, and in shared memory, where those that lanes
// read together are next to each other.
template <WeightType kType, bool kStaged>
struct Right {
  static constexpr bool kApart = kStaged || kType == WeightType::Full;  // the second run is that of lane column c + 4
  static constexpr int kTileBytes = kTileInputs * static_cast<int>(sizeof(Bf16));
  static constexpr int kColumn = kApart ? kRun : 2 * kRun, kSecond = kApart ? 4 * kRun : kRun;
};

// What Int4's left side is more than its numbers, n - q and what makes a bf16 of n.
constexpr float kExcess = 136.0F;

__device__ float sumOfPair(unsigned pair) { return __uint_as_float(pair << 16) + __uint_as_float(pair & 0xFFFF0000U); }

constexpr int kRunInputs = 8;
// Of a row, or of a norm's weight.
struct InputRun {
  float4 first = {}, second = {};
};
__device__ InputRun loadInputs(const float* from) {
  return {*reinterpret_cast<const float4*>(from), *reinterpret_cast<const float4*>(from + 4)};
}
__device__ float sumOfSquares(const InputRun& x) {
  const float4 &a = x.first, &b = x.second;
  return a.x * a.x + a.y * a.y + a.z * a.z + a.w * a.w + b.x * b.x + b.y * b.y + b.z * b.z + b.w * b.w;
}

// Puts normed rows into shared memory, and for Int4 what each tile's products with them are too large by, as
// [tiles x kTokens]; both with zeros to the end of the last stage. All threads of a block call it.
template <WeightType kType, int kTokens>
class NormedRows {
 public:
  __device__ NormedRows(const FewRowsProduct& product, int tiles, unsigned char* staged, float* excess)
      : product_(product),
        inputs_(product.weight.inputs),
        tiles_(tiles),
        runs_(wholeStages<kType>(tiles) * (kTileInputs / kRunInputs)),
        staged_(staged),
        excess_(excess) {}

  // What no kernel writes: it may be called before those before this one have ended.
  __device__ void loadNorm() {
    constexpr int kLine = 32;  // floats
    if (isSingle()) {
#pragma unroll
      for (int j = 0; j < kOwnRuns; ++j)
        if (const int k = (thread_ + j * kThreads) * kRunInputs; k < inputs_) norm_[j] = loadInputs(product_.norm + k);
    } else {
      for (int i = thread_ * kLine; i < inputs_; i += kThreads * kLine) prefetchToL2(product_.norm + i);
    }
  }

  // `sums` has room for [kMostRows x kWarps].
  __device__ void stage(float* sums) const {
    if (isSingle()) {
      stageSingle(sums);
    } else {
      stageAll(sums);
    }
    __syncthreads();
  }

 private:
  static constexpr int kOwnRuns = 4;  // that a thread keeps of a row in registers
  __device__ bool isSingle() const { return product_.rows == 1 && runs_ <= kOwnRuns * kThreads; }

  __device__ void stageSingle(float* sums) const {
    InputRun x[kOwnRuns];
    float sum = 0.0F;
#pragma unroll
    for (int j = 0; j < kOwnRuns; ++j) {
      if (const int k = (thread_ + j * kThreads) * kRunInputs; k < inputs_) x[j] = loadInputs(at(product_.x, 0, k));
      sum += sumOfSquares(x[j]);
    }
    noteSum(0, sum, sums);
    __syncthreads();
    const float factor = factorOf(0, sums);
#pragma unroll
    for (int j = 0; j < kOwnRuns; ++j)
      if (const int i = thread_ + j * kThreads; i < runs_) put(0, i, x[j], norm_[j], factor);
  }

  __device__ void stageAll(float* sums) const {
    for (int row = 0; row < product_.rows; ++row) {
      float sum = 0.0F;
#pragma unroll 2
      for (int k = thread_ * kRunInputs; k < inputs_; k += kThreads * kRunInputs)
        sum += sumOfSquares(loadInputs(at(product_.x, row, k)));
      noteSum(row, sum, sums);
    }
    __syncthreads();
    for (int row = 0; row < product_.rows; ++row) {
      const float factor = factorOf(row, sums);
#pragma unroll 2
      for (int i = thread_; i < runs_; i += kThreads) {
        InputRun x, norm;
        if (const int k = i * kRunInputs; k < inputs_)
          x = loadInputs(at(product_.x, row, k)), norm = loadInputs(product_.norm + k);
        put(row, i, x, norm, factor);
      }
    }
  }

  __device__ void noteSum(int row, float sum, float* sums) const {
    sum = warpSum(sum);
    if (thread_ % kWarp == 0) sums[row * kWarps + thread_ / kWarp] = sum;
  }
  __device__ float factorOf(int row, const float* sums) const {
    float sum = 0.0F;
#pragma unroll
    for (int warp = 0; warp < kWarps; ++warp) sum += sums[row * kWarps + warp];
    return rsqrtf(sum / static_cast<float>(inputs_) + product_.epsilon);
  }

  // Run i of a row; of Int4 a warp has the runs of four tiles.
  __device__ void put(int row, int i, const InputRun& x, const InputRun& norm, float factor) const {
    const auto pair = [&](float a, float v, float b, float w) { return pairOf(a * factor * v, b * factor * w); };
    const float4 &a = x.first, &b = x.second, &v = norm.first, &w = norm.second;
    const uint4 run = {pair(a.x, v.x, a.y, v.y), pair(a.z, v.z, a.w, v.w), pair(b.x, w.x, b.y, w.y),
                       pair(b.z, w.z, b.w, w.w)};
    const int tile = i / 8, half = kType == WeightType::Full ? i % 8 / 4 : i % 2;
    const int c = kType == WeightType::Full ? i % 4 : i % 8 / 2;
    if constexpr (kType == WeightType::Int4) {
      float sum = (sumOfPair(run.x) + sumOfPair(run.y)) + (sumOfPair(run.z) + sumOfPair(run.w));
      for (int lane = 1; lane < kTileInputs / kRunInputs; lane *= 2) sum += __shfl_xor_sync(0xffffffffU, sum, lane);
      if (i % 8 == 0) excess_[tile * kTokens + row] = -kExcess * sum;
      if (tile >= tiles_) return;
    }
    using R = Right<kType, true>;
    *reinterpret_cast<uint4*>(staged_ + row * stagedRowBytes(tiles_) + tile * R::kTileBytes + half * R::kSecond +
                              c * R::kColumn) = run;
  }

  const FewRowsProduct& product_;
  int inputs_, tiles_, runs_;
  unsigned char* staged_;
  float* excess_;
  int thread_ = static_cast<int>(threadIdx.x);
  InputRun norm_[kOwnRuns];
};

#endif

// Each block takes strips in turn, or of a gated product pairs of strips: g, then the u that belongs to it. Its warps
// read on over the ends of strips. The rows of the pass are the columns of the tensor cores' product: 8, or kEights
// times as many; those that are not there are the last one again.
template <WeightType kType, int kEights, bool kNormed>
__global__ void __launch_bounds__(kThreads, blocksOf(kType, kEights))
    fewRowsKernel(FewRowsProduct product, Shape shape) {
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
  constexpr int kTiles = tilesOfStage(kType), kTokens = kEight * kEights;
  constexpr int kSlots = slotsOf(kType), kChunks = chunksOf(kType);
  using R = Right<kType, kNormed>;
  extern __shared__ __align__(128) unsigned char memory[];
  auto* const partial = reinterpret_cast<float*>(memory + kWarps * kSlots * slotBytes(kType));
  unsigned char* const staged = memory + kWarps * kSlots * slotBytes(kType) + partialBytes(kEights);
  const QuantizedMatrix& weight = product.weight;
  const int thread = static_cast<int>(threadIdx.x), warp = thread / kWarp, lane = thread % kWarp;
  const int r = lane / 4, c = lane % 4;
  const unsigned char* const ring = memory + warp * kSlots * slotBytes(kType);
  const int parts = product.gated ? 2 : 1;

  // What is in the weight and the norm was there before any of these kernels began.
  Reader<kType> reader(product, shape, sharedAddress(ring), warp, lane);
#pragma unroll
  for (int i = 0; i < kSlots - 1; ++i) reader.queueNext();
  auto* const excess = reinterpret_cast<float*>(staged + product.rows * stagedRowBytes(shape.tiles));
  if constexpr (kNormed) {
    NormedRows<kType, kTokens> normed(product, shape.tiles, staged, excess);
    normed.loadNorm();
    letNextKernelBegin();
    waitForEarlierKernels();
    normed.stage(partial);
  } else {
    letNextKernelBegin();
    waitForEarlierKernels();
  }
  const unsigned char* rights[kEights];  // this lane's, of the first tile
#pragma unroll
  for (int n = 0; n < kEights; ++n) {
    const int token = min(kEight * n + r, product.rows - 1);
    rights[n] = kNormed ? staged + token * stagedRowBytes(shape.tiles)
                        : reinterpret_cast<const unsigned char*>(at(product.in, token));
    rights[n] += c * R::kColumn;
  }

  // Of its output and row of the pass, thread 16 row + output has the sum.
  const int row = thread / kTileRows;
  int slot = 0, buffer = 0;
  float gate = 0.0F;
  for (int unit = static_cast<int>(blockIdx.x); unit < shape.units; unit += static_cast<int>(gridDim.x)) {
    const int column = unit * kTileRows + thread % kTileRows;
    for (int part = 0; part < parts; ++part) {
      const int output = column + part * shape.units * kTileRows;
      const bool own = row < product.rows && output < weight.outputs;
      // Loaded now, since they are needed when all is done.
      float scale = 1.0F, before = 0.0F;
      if (kType == WeightType::Int8 && own) scale = static_cast<const float*>(weight.scales)[output];
      if (product.add && own)
        before = product.floats.data ? *at(product.floats, row, column) : toFloat(*at(product.halves, row, column));

      float all[kEights][4] = {};
      for (int tile = warp * kTiles; tile < shape.limit; tile += kWarps * kTiles) {
        uint4 right[kTiles][kEights][2];
        const auto loadRight = [&](bool whole) {
#pragma unroll
          for (int t = 0; t < kTiles; ++t)
#pragma unroll
            for (int n = 0; n < kEights; ++n)
#pragma unroll
              for (int half = 0; half < 2; ++half) {
                const int byte = (tile + t) * R::kTileBytes + half * R::kSecond;  // from this lane's first one
                // In bytes of the weight's inputs; shared memory has zeros to the end of the last tile.
                const int k = kNormed ? (tile + t) * R::kTileBytes : byte + c * R::kColumn;
                right[t][n][half] = {0, 0, 0, 0};
                if (whole || k < weight.inputs * static_cast<int>(sizeof(Bf16)))
                  right[t][n][half] = *reinterpret_cast<const uint4*>(rights[n] + byte);
              }
        };
        if ((tile + kTiles) * kTileInputs <= weight.inputs) {
          loadRight(true);
        } else {
          loadRight(false);
        }
        waitForCopiesBut<kSlots - 2>();
        // Of Full all, and of Int4 the scales, are other lanes' copies.
        if constexpr (kType != WeightType::Int8) __syncwarp();
        const unsigned char* const from = ring + slot;
        uint4 chunks[kChunks];
#pragma unroll
        for (int i = 0; i < kChunks; ++i) {
          if constexpr (kType == WeightType::Full) {
            const int row = r + i / 2 % 2 * kHalf, run = i / 4 * 8 + i % 2 * 4 + c;
            chunks[i] = *reinterpret_cast<const uint4*>(from + placeOf<8 * kTiles>(row, run));
          } else {
            chunks[i] = *reinterpret_cast<const uint4*>(from + i * kChunkBytes + lane * kRun);
          }
        }
        reader.queueNext();  // into the slot before this one
        slot = slot + slotBytes(kType) == kSlots * slotBytes(kType) ? 0 : slot + slotBytes(kType);
        if (tile >= shape.tiles) continue;

        if constexpr (kType == WeightType::Int4) {
          const unsigned char* const scales =
              from + kChunks * kChunkBytes + r * static_cast<int>(sizeof(__nv_bfloat162));
          const float* const own = excess + tile * kTokens + 2 * c;
          if (shape.shift == 1) {
            multiplyGroups<2, kNormed>(chunks, right, scales, own, all);
          } else {
            multiplyGroups<1, kNormed>(chunks, right, scales, own, all);
          }
        } else {
#pragma unroll
          for (int t = 0; t < kTiles; ++t) {
#pragma unroll
            for (int i = 0; i < kSteps; ++i) {
              unsigned left[4], pairs[2];
              leftOf<kType>(chunks, t, i, left);
#pragma unroll
              for (int n = 0; n < kEights; ++n) {
                rightOf(right[t][n], i, pairs);
                multiplyAdd(all[n], left, pairs[0], pairs[1]);
              }
            }
          }
        }
      }

      float* const here = partial + buffer * (kWarps * kTokens * kPartial);
#pragma unroll
      for (int n = 0; n < kEights; ++n)
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const int token = kEight * n + 2 * c + i % 2;
          here[(warp * kTokens + token) * kPartial + r + i / 2 * kHalf] = all[n][i];
        }
      __syncthreads();
      buffer ^= 1;
      if (!own) continue;
      float sum = 0.0F;
#pragma unroll
      for (int w = 0; w < kWarps; ++w) sum += here[(w * kTokens + row) * kPartial + thread % kTileRows];
      sum = sum * scale + before;
      if (part + 1 < parts) {
        gate = sum / (1.0F + expf(-sum));
        continue;
      }
      if (product.gated) sum *= gate;
      if (product.floats.data) {
        *at(product.floats, row, column) = sum;
      } else {
        *at(product.halves, row, column) = fromFloat<Bf16>(sum);
      }
    }
  }
#endif
}

using Kernel = void (*)(FewRowsProduct, Shape);

template <WeightType kType>
Kernel kernelOf(int rows, bool normed) {
  if (rows <= kEight) return normed ? fewRowsKernel<kType, 1, true> : fewRowsKernel<kType, 1, false>;
  return normed ? fewRowsKernel<kType, 2, true> : fewRowsKernel<kType, 2, false>;
}
Kernel kernelOf(WeightType type, int rows, bool normed) {
  return type == WeightType::Int4   ? kernelOf<WeightType::Int4>(rows, normed)
         : type == WeightType::Int8 ? kernelOf<WeightType::Int8>(rows, normed)
                                    : kernelOf<WeightType::Full>(rows, normed);
}

int sharedBytes(const FewRowsProduct& product) {
  const WeightType type = product.weight.type;
  const int tiles = tilesAcross(product.weight), eights = product.rows <= kEight ? 1 : 2;
  const int bytes = kWarps * slotsOf(type) * slotBytes(type) + partialBytes(eights);
  if (!product.norm) return bytes;
  const int sums = type == WeightType::Int4 ? wholeStages<WeightType::Int4>(tiles) * kEight * eights : 0;
  return bytes + product.rows * stagedRowBytes(tiles) + sums * static_cast<int>(sizeof(float));
}

template <class T>
bool inRuns(Rows<const T> rows) {
  return rows.columns * sizeof(T) % kRun == 0 && reinterpret_cast<std::uintptr_t>(rows.data) % kRun == 0;
}

}  // namespace

FewRowsCard prepareFewRows(int device) {
  FewRowsCard card;
  const auto ask = [device](cudaDeviceAttr what) {
    int value = 0;
    cudaDeviceGetAttribute(&value, what, device);
    return value;
  };
  // A program with code for 7.5 alone runs on later cards, too, but without what these kernels need.
  cudaFuncAttributes attributes{};
  const bool known = cudaFuncGetAttributes(&attributes, kernelOf(WeightType::Full, 1, false)) == cudaSuccess;
  card.built = known && attributes.ptxVersion >= 80;
  card.startsEarly =
      card.built && attributes.ptxVersion >= 90 && ask(cudaDevAttrComputeCapabilityMajor) >= kFirstWithEarlyLaunch;
  card.processors = ask(cudaDevAttrMultiProcessorCount);
  card.blockBytes = ask(cudaDevAttrMaxSharedMemoryPerBlockOptin);
  card.processorBytes = ask(cudaDevAttrMaxSharedMemoryPerMultiprocessor);
  // As much shared memory as there is: two blocks need more than half of it, and to divide it anew between two kernels
  // takes time.
  for (const WeightType type : {WeightType::Full, WeightType::Int8, WeightType::Int4}) {
    for (const int rows : {1, kMostRows}) {
      for (const bool normed : {false, true}) {
        const Kernel kernel = kernelOf(type, rows, normed);
        card.built =
            card.built &&
            cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, card.blockBytes) == cudaSuccess &&
            cudaFuncSetAttribute(kernel, cudaFuncAttributePreferredSharedMemoryCarveout,
                                 cudaSharedmemCarveoutMaxShared) == cudaSuccess;
      }
    }
  }
  if (!card.built) cudaGetLastError();
  return card;
}

bool takesFewRows(const FewRowsCard& card, const FewRowsProduct& product) {
  const QuantizedMatrix& weight = product.weight;
  return card.built && product.rows > 0 && product.rows <= kMostRows &&
         weight.inputs % (weight.type == WeightType::Full ? 8 : 16) == 0 &&
         (!product.gated || weight.outputs % (2 * kTileRows) == 0) &&
         (product.norm ? inRuns(product.x) : inRuns(product.in)) && sharedBytes(product) <= card.blockBytes;
}

void multiplyFewRows(const FewRowsCard& card, const FewRowsProduct& product, cudaStream_t stream) {
  const QuantizedMatrix& weight = product.weight;
  const int strips = (weight.outputs + kTileRows - 1) / kTileRows;
  const int tiles = tilesAcross(weight), turn = kWarps * tilesOfStage(weight.type);
  const Shape shape = {product.gated ? strips / 2 : strips, tiles, (tiles + turn - 1) / turn * turn,
                       weight.type == WeightType::Int4 && groupOf(weight.type, weight.inputs) != kTileInputs ? 1 : 0};
  const int shared = sharedBytes(product);
  constexpr int kReserved = 1024;  // bytes of shared memory that a block has besides
  const int most = blocksOf(weight.type, product.rows <= kEight ? 1 : 2);
  const int blocks = std::clamp(card.processorBytes / (shared + kReserved), 1, most) * card.processors;
  const auto kernel = kernelOf(weight.type, product.rows, product.norm != nullptr);
  launchEarly(kernel, std::min(shape.units, blocks), kThreads, shared, card.startsEarly, stream, product, shape);
}

}  // namespace palimpsest::engine::cuda
