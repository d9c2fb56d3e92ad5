// Products with weights of fewer bits on a graphics card; each function only queues its work on `stream`. Implemented
// in cuda_quantized.cu; T is float or __nv_bfloat16, sums are f32 and always taken in the same order.
#pragma once

#include "engine/cuda_kernels.h"
#include "engine/quantized.h"

namespace palimpsest::engine::cuda {

// A weight [outputs x inputs] on the device, as tilesOf() lays it out.
struct QuantizedMatrix {
  WeightType type;     // Int8 or Int4; in cuda_few.h also Full; Fp8 is for the functions of cuda_float8.h
  const void* values;  // tiles; rows of Full and Fp8
  const void* scales;  // f32 of Int8 and Fp8, bf16 of Int4
  int outputs, inputs;
};

constexpr int kMostRows = 16;  // of a pass whose products read the weight once, as it is kept
inline int tilesAcross(const QuantizedMatrix& weight) { return (weight.inputs + kTileInputs - 1) / kTileInputs; }

// Rows [begin, begin + rows) of the weight, row-major, into out [rows x inputs]. begin is a multiple of kTileRows.
template <class T>
void dequantize(const QuantizedMatrix& weight, int begin, int rows, T* out, cudaStream_t stream);

// Whether productOfFew() takes this pass: few enough rows that what takes time is to read the weight once, and runs of
// inputs that can be loaded 16 bytes at a time.
bool multipliesFew(const QuantizedMatrix& weight, int rows, Rows<const float> in);

// out = in W^T, or += with `add`, for the first `rows` rows in f32; those of bf16 are in cuda_few.h.
void productOfFew(const QuantizedMatrix& weight, int rows, Rows<const float> in, Rows<float> out, bool add,
                  cudaStream_t stream);

}  // namespace palimpsest::engine::cuda
