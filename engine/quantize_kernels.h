// How one group of weights becomes numbers of fewer bits: the vector loops of quantized.cpp, each compiled for several
// instruction sets and chosen at start (Highway). The same weights give the same bits on every CPU.
#pragma once

#include <cstdint>

namespace palimpsest::engine {

constexpr int kLeastInt4 = -8, kLargestInt4 = 7;

struct QuantizeKernels {
  // The weight of the largest magnitude, of two such the positive one; NaN where one is not finite.
  float (*extremeOf)(const float* weights, int count);
  // Numbers times `scale` are near the weights. extreme: extremeOf() them, and not too small to be divided by.
  // int4: count is a multiple of 16, and the scale, one of several that are tried, a bf16. fp8: the bits of E4M3, to
  // nearest, ties to even.
  void (*int4)(const float* weights, int count, float extreme, std::int8_t* numbers, float& scale);
  void (*int8)(const float* weights, int count, float extreme, std::int8_t* numbers, float& scale);
  void (*fp8)(const float* weights, int count, float extreme, std::int8_t* numbers, float& scale);
};

// The table for this CPU.
const QuantizeKernels& quantizeKernels();

}  // namespace palimpsest::engine
