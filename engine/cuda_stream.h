// The CUDA back end's streams: cuBLAS for products of many rows with weights, own kernels (cuda_few.h, cuda_kernels.h)
// for the rest.
#pragma once

#include <memory>

#include "engine/backend.h"

namespace palimpsest::engine::cuda {

// Of weights that a CudaBackend made on the same card. Throws ModelError.
std::unique_ptr<Stream> makeStream(int device, bool bfloat16, bool float8);
int paddedRows(int rows);

}  // namespace palimpsest::engine::cuda
