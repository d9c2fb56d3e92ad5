// The arithmetic of matrix products. Everything that is summed, and the memory itself, is f32 in either.
#pragma once

namespace palimpsest::engine {

enum class Precision { Automatic, Float32, BFloat16 };  // Automatic: bf16 where the device computes in it, else f32

}  // namespace palimpsest::engine
