// The inside of Transformer::Workspace, shared by Transformer's .cpp files.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "engine/transformer.h"

namespace palimpsest::engine {

class Transformer::Workspace {
 public:
  // Layers may differ in their number of heads; those of the same width share a buffer.
  using ByWidth = std::map<int, std::unique_ptr<Buffer>>;

  explicit Workspace(std::unique_ptr<Stream> own) : stream(std::move(own)) {}

  // For Stream::replay(): what the operations are, and which buffers of this workspace and of others they name.
  enum class Operations : std::uint64_t { Reading, Step };
  std::uint64_t buffers = 0;  // counts how often those below were made anew

  std::unique_ptr<Stream> stream;
  std::vector<PassSegment> segments;
  std::vector<TokenId> tokens;                   // of all segments, BOS included
  int rows = 0;                                  // that the buffers below have room for
  std::unique_ptr<Buffer> x;                     // [T x D]    f32, the residual stream
  std::unique_ptr<Buffer> normed;                // [T x D]    compute
  ByWidth qkv;                                   // [T x QKV]  heads
  ByWidth fromMemory;                            // [T x A]    f32, A_mem
  ByWidth fromSegment;                           // [T x A]    f32, A_dot
  ByWidth attention;                             // [T x A]    compute, A
  ByWidth rowQkv, rowAttention;                  // [1 x ..]   of one row of those, in a pass of its own
  std::unique_ptr<Buffer> gateUp;                // [T x 2 F]  compute
  std::unique_ptr<Buffer> activated;             // [T x F]    compute
  std::unique_ptr<Buffer> memoryKv;              // [T x K, V of the last memory layer]  heads
  std::unique_ptr<Buffer> states;                // [segments + 1 x floats of M and z]  f32
  std::unique_ptr<Buffer> carried;               // [layers x floats of M and z]  f32, between passes that read
  std::uint64_t carriedContents = 0;             // of the memory whose values `carried` holds; 0 = of none
  CompressiveMemory next;                        // where a pass that reads puts the memory after it
  std::span<PassPlace> places;                   // of the pass, whose memories are wanted too
  std::span<CompressiveMemory> portions;         // of the pass, see Transformer::read()
  std::unique_ptr<Buffer> portionStates;         // [layers x portions of a pass x floats of M and z]  f32
  std::unique_ptr<Buffer> placeStates;           // [2 x floats of M and z]  f32, before and after a part of a segment
  std::unique_ptr<Buffer> lastRows, lastNormed;  // [rows x D] f32 and compute
  std::unique_ptr<Buffer> logits;                // [rows x V] f32
  std::vector<float> hostLogits;
  std::shared_ptr<float[]> stepLogits;  // [V], of a single step
  SegmentState::Spare spare;
};

}  // namespace palimpsest::engine
