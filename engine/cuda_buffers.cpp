#include "engine/cuda_buffers.h"

#include <algorithm>
#include <string>

#include "engine/errors.h"

namespace palimpsest::engine::cuda {

namespace {

[[noreturn]] void fail(const std::string& what) {
  throw ModelError("The graphics card failed (" + what + "). Try again, or compute on the CPU.");
}

}  // namespace

void check(cudaError_t error) {
  if (error == cudaSuccess) return;
  cudaGetLastError();  // the next call must not see it
  if (error == cudaErrorMemoryAllocation) {
    throw ModelError(
        "The graphics card has no room left. Close other programs that use it, choose a smaller model, or "
        "compute on the CPU.");
  }
  fail(cudaGetErrorString(error));
}

void* pinned(std::size_t bytes) {
  void* made = nullptr;
  if (const cudaError_t error = cudaMallocHost(&made, std::max<std::size_t>(bytes, 1)); error != cudaSuccess) {
    cudaGetLastError();
    throw ModelError("The computer has no memory left that a graphics card can copy from and to (" +
                     std::string(cudaGetErrorString(error)) + "). Close other programs, or compute on the CPU.");
  }
  return made;
}

void check(cublasStatus_t status) {
  if (status == CUBLAS_STATUS_ALLOC_FAILED) check(cudaErrorMemoryAllocation);
  if (status != CUBLAS_STATUS_SUCCESS) fail(cublasGetStatusString(status));
}

}  // namespace palimpsest::engine::cuda
