// Weights of fewer bits, without a zero point, made when a model is loaded; activations keep their precision, but in
// the long passes of Fp8 on a graphics card.
//
//   Int8  value = scale q, q in -127..127. An f32 scale for each output row: four bytes a row are nothing, and a folder
//         whose rows are int8 already comes out as it was, but for the last bit of f32 (and where rows of two weights
//         are joined to one, as those of o and memory_o are).
//   Fp8   value = scale q, q an e4m3 number (three bits of fraction, up to 448, steps of 2^-9 below 2^-6). An f32 scale
//         for each output row, which gives its largest weight 448. Errors are larger than those of Int8 (a weight errs
//         by up to 1/16 of itself), but a graphics card that multiplies e4m3 does so twice as fast as bf16: see
//         cuda_float8.h. There, and not on a CPU, the rows of a long pass are quantised in the same way.
//   Int4  value = scale q, q in -8..7. A bf16 scale for each group of 128 inputs of a row, or of 64 where the inputs
//         are no multiple of 128: 4.125 or 4.25 bits a weight. bf16 reaches as far as f32 does, f16 would not; that its
//         steps are coarse costs next to nothing, since q is rounded for the scale as it is kept.
//
// q is rounded to nearest. The scale of a group of Int4 may be negative, so that its largest weight of either sign gets
// -8; of a few scales the one of the least squared error is taken.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/backend.h"
#include "engine/precision.h"

namespace palimpsest::engine {

// Inputs of a row that share a scale: `inputs` for Int8 and Fp8, 128 or 64 for Int4.
int groupOf(WeightType type, int inputs);
// What becomes of a weight where `wanted` is asked for: the same, but Full where neither group of Int4 fits its inputs,
// or where they are no multiple of 16, which products of Fp8 want.
WeightType keptAs(WeightType wanted, int inputs);
// The output head is Int8 where the rest is Int4 or Fp8. What the other weights err is a part of what is added to a sum
// and goes through a norm; the head's errors are those of the logits. In an 8B model the difference to Int4 is 0.26 GB
// of 5; to Fp8 there is none, and its speed is of long passes, which have no logits.
WeightType keptAsHead(WeightType wanted);

// Rows of a weight, each group times its scale.
struct QuantizedRows {
  WeightType type = WeightType::Int8;
  int inputs = 0;
  std::vector<std::int8_t> values;  // [rows x inputs], a byte each also for Int4; of Fp8 the bits of e4m3
  std::vector<float> scales;        // [rows x inputs / group]; those of Int4 are bf16 in value
  int group() const { return groupOf(type, inputs); }
  int rows() const { return static_cast<int>(values.size() / static_cast<std::size_t>(inputs)); }
};

float fromE4m3(std::uint8_t bits);

// `type` is Int8, Fp8, or Int4 with inputs that a group fits. rows.size() is a multiple of inputs. Every row is
// computed by itself, with the same bits on every machine. Throws ModelError where a weight is not finite.
QuantizedRows quantize(std::span<const float> rows, int inputs, WeightType type);
void dequantize(const QuantizedRows& rows, std::span<float> out);

// What `source` gives, quantised and dequantised: on a device that computes with full weights, the values are those of
// the one that keeps fewer bits. `type` as keptAs() gives it; of Full, the source itself.
RowSource quantizedSource(RowSource source, int inputs, WeightType type);

// The order in which a graphics card reads them (cuda_few.cu, cuda_quantized.cu): tiles of 16 rows x 64 inputs, those
// of the same rows next to each other, with zeros behind the last row and the last input. A tile is for 32 lanes, lane
// 4 r + c with inputs 16 c..16 c + 15 of the rows r and r + 8, so that a warp loads 512 bytes in a run:
//   Int8  two halves of 512 bytes, rows 0..7 and 8..15; 16 bytes a lane, in the order of the inputs.
//   Int4  16 bytes a lane: 8 of row r, 8 of row r + 8. Of 8 inputs in a little-endian word of 32 bits, input i is kept
//         as q + 8 in bits 4 n..4 n + 3 with n = i / 2 + 4 (i % 2): inputs 2 j and 2 j + 1 are 16 bits apart.
//   Fp8   no tiles but row-major, with rows of zeros up to a multiple of 16: cuBLAS multiplies it as it is.
// Scales: of Int8 and Fp8 f32 [rows]; of Int4 bf16 [rows / 16 x groups x 8 x 2], the last two for rows r and r + 8.
constexpr int kTileRows = 16, kTileInputs = 64;
struct QuantizedTiles {
  std::vector<std::byte> values, scales;
};
QuantizedTiles tilesOf(const QuantizedRows& rows);
// Of a whole weight; rows in multiples of 16 add up.
std::size_t tileBytes(WeightType type, int outputs, int inputs);
std::size_t scaleBytes(WeightType type, int outputs, int inputs);
// Long passes multiply by dequantised rows, as many at a time as fit into so much: a stream's room for it.
constexpr std::size_t kDequantizedBytes = std::size_t{64} << 20;
// What products of Fp8 get to work in, of each stream; and the room for the quantised rows of a pass.
constexpr std::size_t kFloat8Workspace = std::size_t{32} << 20;
constexpr std::size_t float8RowBytes(std::size_t rows, std::size_t inputs) { return rows * (inputs + sizeof(float)); }

}  // namespace palimpsest::engine
