// One answer being written: a segment that grows token by token and reads the memory, or a clone once it is written to.
#pragma once

#include <optional>
#include <span>
#include <stop_token>
#include <vector>

#include "engine/compressive_memory.h"
#include "engine/model.h"
#include "engine/transformer.h"

namespace palimpsest::engine {

// Belongs to one thread; model, workspace and memory must outlive it, and the memory must not change.
class AnswerWriter {
 public:
  // memory == nullptr: the empty one.
  AnswerWriter(const Model& model, Transformer::Workspace& workspace, const CompressiveMemory* memory);
  // Goes on with a segment that was begun from `memory` and holds `written` so far, BOS included.
  AnswerWriter(const Model& model, Transformer::Workspace& workspace, const CompressiveMemory& memory,
               SegmentState segment, std::vector<TokenId> written);

  // Appends tokens (the first ones with their BOS) and returns the logits after them, valid until the workspace is used
  // again. Where the context is full, its first half is written to a clone, and the rest opens a fresh segment that
  // reads it. Throws Stopped.
  std::span<const float> put(std::span<const TokenId> tokens, std::stop_token stop);

  const CompressiveMemory* memory() const { return memory_ ? &*memory_ : begun_; }  // what the segment reads

 private:
  const Model& model_;
  Transformer::Workspace& workspace_;
  const CompressiveMemory* begun_;
  std::optional<CompressiveMemory> memory_;  // of begun_, and what was written to it
  SegmentState segment_;
  std::vector<TokenId> written_;  // the tokens of segment_, BOS included
};

}  // namespace palimpsest::engine
