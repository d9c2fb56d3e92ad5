// Which section of a book a question is answered from: the newest of those that are sure that the book says it, else
// the one that doubts least.
#pragma once

#include <cstddef>
#include <span>
#include <stop_token>
#include <vector>

#include "engine/compressive_memory.h"
#include "engine/transformer.h"

namespace palimpsest::engine {

// Whether a section with this doubt is chosen instead of the chosen one of those before it. sure: a section whose doubt
// is smaller is sure (InfiniAttentionConfig::sureDoubt). What a book says later holds ("Mary went to the garden"), and
// of other facts more than one section is seldom sure.
bool takesOver(double doubt, double chosenDoubt, double sure);

struct SectionChoice {
  std::size_t chosen = 0;      // place among the sections asked
  std::vector<double> doubts;  // of each of them, 0..1
  std::vector<TokenId> first;  // the likeliest first token of the answer of each
  SegmentState segment;        // the chosen one's, after the prompt
  std::vector<float> logits;   // [V] that follow there
};

// Puts `prompt` (a question, its BOS first) before each of the `sections` of a book (one or more, in the order of its
// text), many in the same passes. A section's doubt is the probability, before any bias, with which its answer would
// begin with `unknown` (see unknownToken() in prompt.h). Chosen is the newest section that is sure; where none is, the
// one of the smallest doubt, of equals the earliest. Throws ModelError, Stopped; the sections are not changed. One
// thread at a time with the same workspace.
SectionChoice chooseSection(const Transformer& transformer, Transformer::Workspace& workspace,
                            std::span<const CompressiveMemory* const> sections, std::span<const TokenId> prompt,
                            TokenId unknown, std::stop_token stop = {});

}  // namespace palimpsest::engine
