#include "engine/cuda_products.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <type_traits>

#include "engine/errors.h"

namespace palimpsest::engine::cuda {

namespace {

using Bf16 = __nv_bfloat16;

}  // namespace

Products::Products(int device, bool bfloat16, bool float8, cudaStream_t stream, Records& records)
    : bfloat16_(bfloat16), stream_(stream), records_(records) {
  if (bfloat16_) fewRows_ = prepareFewRows(device);
  cublasHandle_t library = nullptr;
  check(cublasCreate(&library));
  library_.reset(library);
  check(cublasSetStream(library, stream_));
  libraryRoom_ = DeviceMemory(kLibraryRoom);
  check(cublasSetWorkspace(library, libraryRoom_.data(), kLibraryRoom));
  // f32 is f32, not tf32, and the sums of bf16 products are f32 to their end.
  check(cublasSetMathMode(
      library, static_cast<cublasMath_t>(CUBLAS_DEFAULT_MATH | CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION)));
  if (float8) float8Products_.emplace(library);
}

void Products::multiply(int rows, const CudaBuffer& in, const PackedWeight& weight, CudaBuffer& out, bool add) {
  if (in.isBFloat16() && multipliedFew(rows, {.in = in.as<const Bf16>(), .add = add}, weight, out)) return;
  if (const auto* quantized = dynamic_cast<const CudaQuantized*>(&weight))
    return ofQuantized(rows, in, quantized->matrix(), out, add);
  const CudaBuffer& w = static_cast<const CudaWeight&>(weight).values;
  byLibrary(rows, in, w.data(), w.isBFloat16(), 0, weight.outputs(), weight.inputs(), out, add);
}

bool Products::multipliedFew(int rows, FewRowsProduct product, const PackedWeight& weight, CudaBuffer& out) {
  if (!bfloat16_) return false;
  const auto* quantized = dynamic_cast<const CudaQuantized*>(&weight);
  product.weight = quantized ? quantized->matrix() : static_cast<const CudaWeight&>(weight).matrix();
  if (product.weight.type == WeightType::Fp8) return false;
  product.rows = rows;
  if (out.isBFloat16()) {
    product.halves = out.as<Bf16>();
  } else {
    product.floats = out.as<float>();
  }
  if (!takesFewRows(fewRows_, product)) return false;
  multiplyFewRows(fewRows_, product, stream_);
  check(cudaGetLastError());
  return true;
}

// Into columns [begin, begin + outputs) of `out`; w is [outputs x inputs]. cuBLAS counts columns first, so that it
// sees out^T = W in^T.
void Products::byLibrary(int rows, const CudaBuffer& in, const void* w, bool bfloat16, int begin, int outputs,
                         int inputs, CudaBuffer& out, bool add) {
  const auto typeOf = [](bool half) { return half ? CUDA_R_16BF : CUDA_R_32F; };
  const float one = 1.0F, beta = add ? 1.0F : 0.0F;
  check(cublasGemmEx(library_.get(), CUBLAS_OP_T, CUBLAS_OP_N, outputs, rows, inputs, &one, w, typeOf(bfloat16), inputs,
                     in.data(), typeOf(in.isBFloat16()), in.columns(), &beta, out.at(static_cast<std::size_t>(begin)),
                     typeOf(out.isBFloat16()), out.columns(), CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT));
}

void Products::ofQuantized(int rows, const CudaBuffer& in, const QuantizedMatrix& weight, CudaBuffer& out, bool add) {
  const bool float8 = weight.type == WeightType::Fp8;
  if (float8 && in.isBFloat16() && ofFloat8(rows, in.as<const Bf16>(), weight, out, add)) return;
  if (!float8 && !in.isBFloat16() && multipliesFew(weight, rows, in.as<const float>())) {
    productOfFew(weight, rows, in.as<const float>(), out.as<float>(), add, stream_);
    check(cudaGetLastError());
    return;
  }
  withType(in.isBFloat16(), [&]<class T>(T) {
    // As many rows at a time as there is room for dequantised ones.
    const std::size_t rowBytes = sizeof(T) * static_cast<std::size_t>(weight.inputs);
    const int most = std::max(1, static_cast<int>(kDequantizedBytes / rowBytes / kTileRows)) * kTileRows;
    T* w = static_cast<T*>(records_.room(dequantized_, rowBytes * std::min(most, weight.outputs)));
    for (int begin = 0; begin < weight.outputs; begin += most) {
      const int outputs = std::min(most, weight.outputs - begin);
      (float8 ? dequantizeFloat8<T> : dequantize<T>)(weight, begin, outputs, w, stream_);
      check(cudaGetLastError());
      byLibrary(rows, in, w, std::is_same_v<T, Bf16>, begin, outputs, weight.inputs, out, add);
    }
  });
}

// False, with nothing done, where this card or this shape has no product of its own.
bool Products::ofFloat8(int rows, Rows<const Bf16> in, const QuantizedMatrix& weight, CudaBuffer& out, bool add) {
  if (multipliesFewFloat8(weight, rows, in)) {
    withType(out.isBFloat16(),
             [&]<class Out>(Out) { float8ProductOfFew<Out>(weight, rows, in, out.as<Out>(), add, stream_); });
    check(cudaGetLastError());
    return true;
  }
  const Float8Products::Result result{out.data(), out.isBFloat16(), out.columns()};
  if (!float8Products_ || !quantizesRows(weight.inputs, in) || !Float8Products::take(weight, result)) return false;
  const auto count = static_cast<std::size_t>(rows), inputs = static_cast<std::size_t>(weight.inputs);
  auto* values = static_cast<std::uint8_t*>(records_.room(float8Rows_, count * inputs));
  auto* scales = static_cast<float*>(records_.room(float8Scales_, count * sizeof(float)));
  void* workspace = records_.room(float8Workspace_, kFloat8Workspace);
  quantizeRows(rows, weight.inputs, in, values, scales, stream_);
  check(cudaGetLastError());
  const cublasStatus_t status =
      float8Products_->multiply({weight, values, scales, rows}, result, add, workspace, kFloat8Workspace, stream_);
  if (status == CUBLAS_STATUS_NOT_SUPPORTED) {
    throw ModelError("The cuBLAS that is installed does not multiply fp8 weights of " + std::to_string(weight.outputs) +
                     " x " + std::to_string(weight.inputs) + " on this graphics card. Choose int8 or full weights.");
  }
  check(status);
  return true;
}

}  // namespace palimpsest::engine::cuda
