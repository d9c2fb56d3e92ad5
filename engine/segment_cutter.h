// The one rule by which text becomes segments, shared with training/ (palimpsest_training/cutter.py).
//
// Version 1. Text is the stored text of a book: its paragraphs joined by "\n\n". A word is a run of non-white-space
// bytes; white space is ' ', '\t', '\n', '\r'. A segment starts at a word and ends after a word; white space between
// two segments belongs to neither. From the first word on, words are taken while the segment's token count is <= S.
// If the text ends, the segment ends. Else it ends at the last sentence end whose token offset is > 3 S / 4; else after
// the last word that fits; else (one word longer than S) after the longest run of whole characters that fits.
// A sentence end is a word whose last bytes, closing quotes and brackets put aside ( " ' ) ] } and U+2019 U+201D U+00BB ),
// are one of . ! ? or U+2026, or a word that is followed by white space holding two or more '\n' (a paragraph end).
// Each segment's text is tokenised on its own. The token offset of a word is the sum of the token counts of the pieces
// "white space + word" up to it, each piece encoded by itself (the first without its white space); where a tokenizer is
// not additive over such pieces and the whole comes out longer than S, words are dropped from the end until it fits.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/tokenizer.h"

namespace palimpsest::engine {

struct Segment {
  std::int64_t begin = 0;       // byte offsets in the stored text: [begin, end)
  std::int64_t end = 0;
  std::vector<TokenId> tokens;  // 1..S ids, BOS not among them
};

// Not thread-safe (it caches piece lengths); cheap to make.
class SegmentCutter {
 public:
  SegmentCutter(const Tokenizer& tokenizer, int segmentLength, int version = 1);

  // The segment that starts at or after `position` of `text`; nullopt when only white space is left.
  // `text` must be the whole stored text: cuts depend on what follows, never on who asks.
  std::optional<Segment> next(std::string_view text, std::int64_t position);

 private:
  int pieceTokens(std::string_view piece);

  const Tokenizer* tokenizer_;
  int segmentLength_;
  std::unordered_map<std::string, int> pieceLengths_;
};

}  // namespace palimpsest::engine
