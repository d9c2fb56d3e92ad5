// A memory saved with its header: a safetensors blob that says which model made it and how far it had read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "engine/compressive_memory.h"
#include "engine/model.h"

namespace palimpsest::engine {

// How far reading has come. position is a byte offset in the stored text; complete = the whole text is in the memory.
struct ReadingPosition {
  std::int64_t position = 0;
  std::int64_t tokens = 0;
  std::int64_t segments = 0;
  bool complete = false;
};

struct MemorySnapshot {
  CompressiveMemory memory;
  ReadingPosition reading;
  std::string fingerprint;
  std::string precision;  // "f32" or "bf16": arithmetic that wrote it
  int threads = 0;        // thread count of the job, fixed so that a resumed job gives the same bits
};

// Safetensors bytes: tensors "layers.{i}.{part}.M" [heads, keyDim, valueDim], "layers.{i}.{part}.z" [heads, keyDim],
// F32, with part "base" (gated heads) or "added" (memory heads), each where the layer has it; metadata: format version,
// fingerprint, rule, cutter, tokens, position, segments, precision, threads, the blob's size, SHA-256 over all with its
// own place zeroed.
std::vector<std::byte> saveSnapshot(const Model& model, const CompressiveMemory& memory,
                                    const ReadingPosition& reading);

// Throws SnapshotError: truncated, damaged (checksum, shapes), made by another model, version or rule.
MemorySnapshot loadSnapshot(const Model& model, std::span<const std::byte> blob);

}  // namespace palimpsest::engine
