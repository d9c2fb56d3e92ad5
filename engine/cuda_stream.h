// The CUDA back end's streams: products with weights are those of cuda_products.h, all else is by own kernels
// (cuda_kernels.h, cuda_step.h).
#pragma once

#include <memory>

#include "engine/backend.h"

namespace palimpsest::engine::cuda {

// Of weights that a CudaBackend made on the same card. Throws ModelError.
std::unique_ptr<Stream> makeStream(int device, bool bfloat16, bool float8);
int paddedRows(int rows);

}  // namespace palimpsest::engine::cuda
