// Weights as a model has them, and what of them is left in fewer bits.
#pragma once

#include <span>
#include <vector>

#include "engine/quantized.h"
#include "tests/engine/transformer_fixture.h"

namespace palimpsest::engine {

inline std::vector<float> normalWeights(std::size_t count, unsigned seed = 1, float size = 0.02F) {
  return normalValues(count, seed, size);
}

inline std::vector<float> backAndForth(std::span<const float> weights, int inputs, WeightType type) {
  std::vector<float> out(weights.size());
  dequantize(quantize(weights, inputs, type), out);
  return out;
}

}  // namespace palimpsest::engine
