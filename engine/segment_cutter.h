// The one rule by which text becomes segments, shared with training/ (palimpsest_training/cutter.py).
//
// Version 1. Text is the stored text of a book: its paragraphs joined by "\n\n". White space is ' ', '\t', '\n', '\r'.
// A piece is a run of white space (it may be empty at the start of the text) and the run of other bytes after it: a
// word with what stands before it. Segments are whole pieces and follow each other without a gap: a segment ends after
// a word, and the white space after it opens the next one (so that the first word of a segment has the same tokens as
// any other word). White space at the end of the text belongs to no segment.
// From the segment's begin on, pieces are taken while its token count is <= S. If the text ends, the segment ends.
// Else it ends at the last sentence end whose token offset is > 3 S / 4 (integer division); else after the last piece
// that fits; else (one piece longer than S) after the longest run of whole UTF-8 characters of it that fits. A piece of
// more than 64 S bytes counts as longer than S. The run is looked for by doubling from S characters while it fits, then
// by halving, and has at most 64 S bytes; what is left of the piece is the first piece of the next segment.
// A sentence end is a word whose last bytes, closing quotes and brackets put aside ( " ' ) ] } and U+2019 U+201D
// U+00BB ), are one of . ! ? or U+2026, or a word followed by white space that holds two or more '\n' (a paragraph
// end). Each segment's text is tokenised on its own. The token offset of a piece's end is the sum of the token counts
// of the pieces up to it, each encoded by itself; where a tokenizer is not additive over pieces and the whole comes out
// longer than S, pieces are dropped from the end until it fits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "engine/tokenizer.h"
#include "engine/tokenizer_merges.h"

namespace palimpsest::engine {

struct Segment {
  std::int64_t begin = 0;  // byte offsets in the stored text: [begin, end)
  std::int64_t end = 0;
  std::vector<TokenId> tokens;  // 1..S ids, BOS not among them
};

// Not thread-safe (it caches piece lengths); cheap to make. The time for a segment depends on S, not on the text.
class SegmentCutter {
 public:
  // Throws std::invalid_argument: segmentLength < kMinSegmentLength or an unknown version.
  SegmentCutter(const Tokenizer& tokenizer, int segmentLength, int version = 1);

  // The segment that begins at `position` of `text`; nullopt when nothing is left that has tokens.
  // `text` must be the whole stored text: cuts depend on what follows, never on who asks.
  // Throws ModelError when one character alone has more than S tokens.
  std::optional<Segment> next(std::string_view text, std::int64_t position);

 private:
  Segment segmentAt(std::string_view text, std::size_t begin);  // tokens may be empty
  int pieceTokens(std::string_view piece);
  std::size_t cutInside(std::string_view piece) const;

  const Tokenizer* tokenizer_;
  int segmentLength_;
  std::size_t maxPieceBytes_;
  StringMap<int> pieceLengths_;
};

}  // namespace palimpsest::engine
