// Products of few rows of bf16 with a weight, by tensor cores: what takes time is to read the weight once, so a step of
// decoding has as few other kernels around them as can be. A norm before the product and a gate behind it are part of
// it. Implemented in cuda_few.cu; sums are f32 and always taken in the same order, whatever the rows and the card. (But
// not every card takes as many normed rows, which it keeps in shared memory: 8 or 16 of 4096 need 140 or 220 KB.)
#pragma once

#include "engine/cuda_quantized.h"

namespace palimpsest::engine::cuda {

// What a card has for them.
struct FewRowsCard {
  bool built = false;        // the program has code that they can be made of
  bool startsEarly = false;  // a kernel may start while the one before it comes to its end
  int processors = 0;
  int blockBytes = 0, processorBytes = 0;  // of shared memory, at most
};
FewRowsCard prepareFewRows(int device);  // which is that of the calling thread

struct FewRowsProduct {
  QuantizedMatrix weight = {};        // of Full: bf16, row-major
  int rows = 0;                       // of the pass
  Rows<const __nv_bfloat16> in = {};  // of a product without a norm
  Rows<const float> x = {};           // of one with a norm, whose right side is x / sqrt(mean(x^2) + epsilon) * norm
  const float* norm = nullptr;
  float epsilon = 0;
  bool gated = false;  // out = silu(g) * u, with [g | u] the product
  bool add = false;    // out += instead
  // out, one of both
  Rows<float> floats = {};
  Rows<__nv_bfloat16> halves = {};
};

// Whether the rows are few enough, and all of it can be loaded 16 bytes at a time.
bool takesFewRows(const FewRowsCard& card, const FewRowsProduct& product);
void multiplyFewRows(const FewRowsCard& card, const FewRowsProduct& product, cudaStream_t stream);

}  // namespace palimpsest::engine::cuda
