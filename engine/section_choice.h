// Which section of a book a question is answered from: the one that doubts least that the book says it.
#pragma once

#include <cstddef>
#include <span>
#include <stop_token>
#include <vector>

#include "engine/compressive_memory.h"
#include "engine/transformer.h"

namespace palimpsest::engine {

struct SectionChoice {
  std::size_t chosen = 0;      // place among the sections asked
  std::vector<double> doubts;  // of each of them, 0..1
  SegmentState segment;        // the chosen one's, after the prompt
  std::vector<float> logits;   // [V] that follow there
};

// Puts `prompt` (a question, its BOS first) before each of the `sections` (one or more), many in the same passes. A
// section's doubt is the probability, before any bias, with which its answer would begin with `unknown` (see
// unknownToken() in prompt.h). The smallest doubt is chosen, of several the earliest. Throws ModelError, Stopped; the
// sections are not changed. One thread at a time with the same workspace.
SectionChoice chooseSection(const Transformer& transformer, Transformer::Workspace& workspace,
                            std::span<const CompressiveMemory* const> sections, std::span<const TokenId> prompt,
                            TokenId unknown, std::stop_token stop = {});

}  // namespace palimpsest::engine
