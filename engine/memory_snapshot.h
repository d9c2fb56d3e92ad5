// A memory saved with its header: a safetensors blob that says which model made it and how far it had read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "engine/compressive_memory.h"
#include "engine/model.h"
#include "engine/precision.h"
#include "engine/section_memory.h"

namespace palimpsest::engine {

// How far reading has come. position is a byte offset in the stored text; complete = the whole text is in the memory.
struct ReadingPosition {
  std::int64_t position = 0;
  std::int64_t tokens = 0;
  std::int64_t segments = 0;
  bool complete = false;
};

// The arithmetic that wrote a memory: only a Generator with the same goes on with the same bits. The loops of the CPU
// back end give the same with any number of threads, and so do oneDNN's products with AVX-512 as far as was tried; with
// AVX2 alone, theirs differ in the last bits. Cards of the same name give the same bits, those of a CPU are others.
struct SnapshotArithmetic {
  Precision precision = Precision::Float32;  // Float32 or BFloat16
  int threads = 1;
  std::string card;  // name of the graphics card; "" = the CPU
  WeightType weights = WeightType::Full;
  bool operator==(const SnapshotArithmetic&) const = default;
};

struct MemorySnapshot {
  CompressiveMemory memory;
  ReadingPosition reading;
  std::string fingerprint;
  SnapshotArithmetic arithmetic;
};

// Safetensors bytes: tensors "layers.{i}.{part}.M" [heads, keyDim, valueDim], "layers.{i}.{part}.z" [heads, keyDim],
// F32, with part "base" (gated heads) or "added" (memory heads), each where the layer has it; metadata: format version,
// fingerprint, rule, cutter, tokens, position, segments, precision, threads, card (where it is not the CPU), weights
// (where they are not full), the blob's size, SHA-256 over all with its own place zeroed. `arithmetic` is what read;
// not given, what this model reads with.
std::vector<std::byte> saveSnapshot(const Model& model, const CompressiveMemory& memory, const ReadingPosition& reading,
                                    const std::optional<SnapshotArithmetic>& arithmetic = std::nullopt);

// Throws SnapshotError: truncated, damaged (checksum, shapes), made by another model, version or rule.
MemorySnapshot loadSnapshot(const Model& model, std::span<const std::byte> blob);

// What was written between two places of one reading.
struct SectionSnapshot {
  SectionMemory memory;
  ReadingPosition begin, end;  // of `end` whether the text is complete is not known
};

// The same kind of blob: "layers.{i}.{part}.M" [heads, keyDim, packedBytes(valueDim)] U8 (section_memory.h) and
// ".scale" [heads, keyDim] F32 instead of M in F32, and in the metadata bits (4), begin_tokens, begin_position and
// begin_segments instead of the arithmetic. Without bits in its metadata, one that was saved earlier: M is [heads,
// keyDim, valueDim] I8 then, and is rounded again as it is loaded.
std::vector<std::byte> saveSection(const Model& model, const SectionSnapshot& section);

// Whether it is one of saveSection(); of what is damaged, false.
bool isSection(std::span<const std::byte> blob);

// Either kind. Throws SnapshotError like loadSnapshot.
std::variant<MemorySnapshot, SectionSnapshot> loadPart(const Model& model, std::span<const std::byte> blob);

// What a blob says of its arithmetic, before any model is loaded: with this precision and a Generator of so many
// threads a job that was interrupted goes on with the same bits. Throws SnapshotError like loadSnapshot, except for
// what needs a model to tell.
SnapshotArithmetic arithmeticOf(std::span<const std::byte> blob);
// What this model writes with its own number of threads. Where it is not that of a snapshot, going on from there is
// right, but not bit by bit.
SnapshotArithmetic arithmeticOf(const Model& model);

}  // namespace palimpsest::engine
