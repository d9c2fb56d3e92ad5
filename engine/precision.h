// The arithmetic of matrix products. Everything that is summed, and the memory itself, is f32 in either.
#pragma once

namespace palimpsest::engine {

enum class Precision { Automatic, Float32, BFloat16 };  // Automatic: bf16 where the device computes in it, else f32

// How weights are kept. Full: in the precision that products are computed in. Int8, Fp8, Int4: see quantized.h.
// Automatic: the best that fits on the graphics card, but never Fp8; Full on a CPU, which gains nothing from fewer bits
// here. The later, the fewer bits or the larger errors.
enum class WeightType { Automatic, Full, Int8, Fp8, Int4 };

}  // namespace palimpsest::engine
