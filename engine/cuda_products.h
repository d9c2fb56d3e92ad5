// Products of a pass with weights. What computes them depends on how many rows there are and how a weight is kept: few
// rows go to kernels that read it once, as it is (cuda_few.h, cuda_quantized.h, cuda_float8.h), many to cuBLAS.
#pragma once

#include <cublas_v2.h>
#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <cstddef>
#include <memory>
#include <optional>
#include <type_traits>

#include "engine/cuda_buffers.h"
#include "engine/cuda_few.h"
#include "engine/cuda_float8.h"
#include "engine/cuda_records.h"

namespace palimpsest::engine::cuda {

// Of one stream, and on the device of the calling thread. It goes before `records` does, when all that was queued is
// done and nothing is recorded any more.
class Products {
 public:
  // float8: the card has such products of many rows.
  Products(int device, bool bfloat16, bool float8, cudaStream_t stream, Records& records);

  // Whether a kernel of few rows may start while the one before it comes to its end.
  bool startsEarly() const { return fewRows_.startsEarly; }

  // out = in W^T, or += with `add`, for the first `rows` rows.
  void multiply(int rows, const CudaBuffer& in, const PackedWeight& weight, CudaBuffer& out, bool add);
  // With a norm before it or a gate behind, as `product` says, which holds all but what is in the other arguments.
  // Queues it if the rows are few, and says whether it did.
  bool multipliedFew(int rows, FewRowsProduct product, const PackedWeight& weight, CudaBuffer& out);

 private:
  static constexpr std::size_t kLibraryRoom = std::size_t{32} << 20;  // what cuBLAS asks for on Hopper

  struct Destroy {
    void operator()(cublasHandle_t library) const { cublasDestroy(library); }
  };

  void byLibrary(int rows, const CudaBuffer& in, const void* w, bool bfloat16, int begin, int outputs, int inputs,
                 CudaBuffer& out, bool add);
  void ofQuantized(int rows, const CudaBuffer& in, const QuantizedMatrix& weight, CudaBuffer& out, bool add);
  bool ofFloat8(int rows, Rows<const __nv_bfloat16> in, const QuantizedMatrix& weight, CudaBuffer& out, bool add);

  bool bfloat16_;
  cudaStream_t stream_;
  Records& records_;
  FewRowsCard fewRows_;
  DeviceMemory libraryRoom_, dequantized_, float8Rows_, float8Scales_, float8Workspace_;
  std::unique_ptr<std::remove_pointer_t<cublasHandle_t>, Destroy> library_;
  std::optional<Float8Products> float8Products_;  // where the card has them
};

}  // namespace palimpsest::engine::cuda
