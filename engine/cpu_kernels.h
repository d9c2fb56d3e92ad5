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
  // x[i] *= factor
  void (*scale)(float factor, int n, float* x);
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
};

// The table for this CPU. The same on every call.
const CpuKernels& cpuKernels();

}  // namespace palimpsest::engine
