// The vector loops of the CPU back end, one row or one tile at a time, each compiled for several instruction sets
// and chosen at start (Highway). No threads, no allocation: CpuStream (cpu_stream.h) cuts the work and owns the
// buffers.
#pragma once

#include <cstddef>
#include <cstdint>

namespace palimpsest::engine {

using Bf16 = std::uint16_t;  // the upper half of a float

// Columns of one panel of transposed keys; see packKeys.
constexpr int kKeyPanel = 64;

// How CPUs with matrix tiles (AMX) read the right side B [depth x columns] of a bf16 product: panels of kTilePanel
// columns, in each of which two rows stand side by side, [columns / kTilePanel][depth / 2][kTilePanel][2]. depth is a
// multiple of kTileDepth; what fills up depth and columns is zero. oneDNN calls it BA16a64b2a.
constexpr int kTilePanel = 64;
constexpr int kTileDepth = 32;
constexpr int roundedUp(int n, int multiple) { return (n + multiple - 1) / multiple * multiple; }

struct CpuKernels {
  // out[i] = x[i] / sqrt(mean(x^2) + epsilon) * weight[i]
  void (*rmsNorm)(const float* x, const float* weight, int n, float epsilon, float* out);
  // out[i] = silu(gate[i]) * up[i]
  void (*siluMul)(const float* gate, const float* up, int n, float* out);
  void (*siluMulBFloat16)(const Bf16* gate, const Bf16* up, int n, Bf16* out);
  void (*toBFloat16)(const float* x, int n, Bf16* out);  // round to nearest even
  void (*toFloat)(const Bf16* x, int n, float* out);
  // out[i] = a * x[i] + b * y[i]
  void (*mix)(float a, const float* x, float b, const float* y, int n, float* out);
  // Rotates one head in place: (x1, x2) -> (x1 c - x2 s, x2 c + x1 s) for the halves x1, x2.
  void (*rope)(float* x, const float* cosines, const float* sines, int half);
  // out[i] = ELU(x[i]) + 1
  void (*sigma)(const float* x, int n, float* out);
  // sum[i] += x[i]
  void (*add)(const float* x, int n, float* sum);
  // out[i] = factor * x[i]
  void (*scale)(float factor, const float* x, int n, float* out);
  void (*scaleToBFloat16)(float factor, const float* x, int n, Bf16* out);
  float (*dot)(const float* x, const float* y, int n);
  // x[i] = exp(scale * (x[i] - max)) for i < n; returns their sum. n >= 1.
  float (*softmax)(float* x, int n, float scale);
  // C [m x n] = A B, or C += A B; A(i, p) = a[i * aRow + p * aColumn], B and C row-major with strides bRow and cRow.
  void (*product)(int m, int n, int k, const float* a, std::ptrdiff_t aRow, std::ptrdiff_t aColumn, const float* b,
                  std::ptrdiff_t bRow, float* c, std::ptrdiff_t cRow, bool accumulate);
  // Keys [rows x dim] (stride keyRow) to panels [rows / kKeyPanel][dim][kKeyPanel], the last one filled up with zeros.
  void (*packKeys)(const float* keys, std::ptrdiff_t keyRow, int rows, int dim, float* panels);
  // scores[j] = q . k_j and out = sum_j p_j v_j over rows with strides: the form for a single query.
  void (*scoreRows)(const float* query, const float* keys, std::ptrdiff_t keyRow, int rows, int dim, float* scores);
  void (*weighRows)(const float* weights, const float* values, std::ptrdiff_t valueRow, int rows, int dim, float* out);

  // The same on bf16, for CPUs with matrix tiles. exp is good to 14 bits here; bf16 keeps 8.
  void (*ropeBFloat16)(Bf16* x, const float* cosines, const float* sines, int half);
  void (*sigmaBFloat16)(const Bf16* x, int n, Bf16* out);
  float (*dotBFloat16)(const Bf16* x, const float* y, int n);
  // out[i] = exp(factor * (x[i] - max)) for i < n, 0 for n <= i < width; returns the sum of what stands in out. n >= 1.
  float (*softmaxBFloat16)(const float* x, int n, int width, float factor, Bf16* out);
  void (*scoreRowsBFloat16)(const float* query, const Bf16* keys, std::ptrdiff_t keyRow, int rows, int dim,
                            float* scores);
  void (*weighRowsBFloat16)(const float* weights, const Bf16* values, std::ptrdiff_t valueRow, int rows, int dim,
                            float* out);
  // A right side (see kTilePanel) of the rows x [rows x columns], with `depth` >= rows.
  void (*pairRows)(const Bf16* x, std::ptrdiff_t xRow, int rows, int columns, int depth, Bf16* out);
  // The same of depth 2 `depth`: x rounded, and below it what rounding left out; together they keep 16 bits of x.
  void (*pairRowsInTwo)(const float* x, std::ptrdiff_t xRow, int rows, int columns, int depth, Bf16* out);
  // A right side of x^T: depth >= the columns of x, rows of x as columns, filled up to `width`.
  void (*pairColumns)(const Bf16* x, std::ptrdiff_t xRow, int rows, int columns, int depth, int width, Bf16* out);
  // The left side sigma(x)^T [columns x depth] of x [rows x columns], rows filled up to `depth` with zeros; sum[i] =
  // the sum of its row i.
  void (*sigmaTransposed)(const Bf16* x, std::ptrdiff_t xRow, int rows, int columns, int depth, Bf16* out, float* sum);
};

// The table for this CPU. The same on every call.
const CpuKernels& cpuKernels();

}  // namespace palimpsest::engine
