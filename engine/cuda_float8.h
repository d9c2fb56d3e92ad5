// Weights in e4m3 (Fp8 of quantized.h) on a graphics card. Long passes multiply e4m3 by e4m3 in cuBLAS, few rows bf16
// by the weights as they are, in a kernel of cuda_float8.cu. Each function only queues its work on `stream`.
#pragma once

#include <cublas_v2.h>

#include <compare>
#include <cstdint>
#include <map>
#include <memory>

#include "engine/cuda_kernels.h"
#include "engine/cuda_quantized.h"

namespace palimpsest::engine::cuda {

// Rows [begin, begin + rows) of the weight into out [rows x inputs]. T is float or __nv_bfloat16.
template <class T>
void dequantizeFloat8(const QuantizedMatrix& weight, int begin, int rows, T* out, cudaStream_t stream);

// Whether float8ProductOfFew() takes this pass: few enough rows that what takes time is to read the weight once.
bool multipliesFewFloat8(const QuantizedMatrix& weight, int rows, Rows<const __nv_bfloat16> in);

// out = in W^T, or += with `add`, for the first `rows` rows, by tensor cores for bf16: compute capability 8.0.
template <class Out>
void float8ProductOfFew(const QuantizedMatrix& weight, int rows, Rows<const __nv_bfloat16> in, Rows<Out> out, bool add,
                        cudaStream_t stream);

// Whether quantizeRows() takes rows of so many inputs.
bool quantizesRows(int inputs, Rows<const __nv_bfloat16> in);

// Each row as e4m3 times a scale, which gives its largest number 448; 1 where all of it is next to nothing.
// values [rows x inputs], scales [rows].
void quantizeRows(int rows, int inputs, Rows<const __nv_bfloat16> in, std::uint8_t* values, float* scales,
                  cudaStream_t stream);

// Products of cuBLAS with a scale for each row of both factors, which need compute capability 9.0 (later ones lack
// them: cuBLAS has them for Hopper only) and cuBLAS 12.9.
class Float8Products {
 public:
  static bool areBuilt(int computeCapabilityMajor);

  // `library` outlives it, and its stream is that of the products.
  explicit Float8Products(cublasHandle_t library);
  ~Float8Products();

  struct Factors {
    QuantizedMatrix weight;
    const void* rows;  // e4m3 [count x inputs of the weight]
    const float* rowScales;
    int count;
  };
  struct Result {
    void* data;
    bool bfloat16;  // else f32
    int columns;
  };
  // Whether all runs begin where 16 bytes do, which cuBLAS wants. The number of rows is free.
  static bool take(const QuantizedMatrix& weight, const Result& out);

  // out = rows W^T, or += with `add`. CUBLAS_STATUS_NOT_SUPPORTED where the library has no such product. The first of a
  // shape chooses how; after that nothing is allocated, so that it may be a part of a CUDA graph.
  cublasStatus_t multiply(const Factors& factors, const Result& out, bool add, void* workspace,
                          std::size_t workspaceBytes, cudaStream_t stream);

 private:
  struct Shape {
    int outputs, inputs, rows, columns;
    bool bfloat16;
    auto operator<=>(const Shape&) const = default;
  };
  struct Plan;

  cublasHandle_t library_;
  std::map<Shape, std::unique_ptr<Plan>> plans_;
};

}  // namespace palimpsest::engine::cuda
