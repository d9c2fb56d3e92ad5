#include "engine/segment_cutter.h"

#include <algorithm>
#include <stdexcept>
#include <string>

#include "engine/errors.h"
#include "engine/model_config.h"
#include "engine/utf8.h"

namespace palimpsest::engine {

namespace {

constexpr std::size_t kMaxCachedPieces = 1 << 18;
constexpr std::size_t kMaxCachedBytes = 64;
constexpr std::size_t kMostBytesPerToken = 64;

bool isWhiteSpace(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

// The end of the piece (white space + word) that begins at `begin`, or `limit` if it is longer.
std::size_t pieceEnd(std::string_view text, std::size_t begin, std::size_t limit) {
  std::size_t at = begin;
  while (at < limit && isWhiteSpace(text[at])) ++at;
  while (at < limit && !isWhiteSpace(text[at])) ++at;
  return at;
}

// Whether the word that ends at `end` closes a sentence or a paragraph.
bool isSentenceEnd(std::string_view text, std::size_t end) {
  int lines = 0;
  for (std::size_t at = end; at < text.size() && isWhiteSpace(text[at]); ++at) {
    if (text[at] == '\n' && ++lines == 2) return true;
  }
  std::string_view word = text.substr(0, end);
  const auto takeOff = [&](std::string_view closer) {
    const bool found = word.ends_with(closer);
    if (found) word.remove_suffix(closer.size());
    return found;
  };
  const auto closer = [&] {
    if (word.empty()) return false;
    if (static_cast<unsigned char>(word.back()) < 0x80)
      return std::string_view("\"')]}").find(word.back()) != std::string_view::npos &&
             takeOff(word.substr(word.size() - 1));
    return takeOff("\xE2\x80\x99") || takeOff("\xE2\x80\x9D") || takeOff("\xC2\xBB");  // U+2019 U+201D U+00BB
  };
  while (closer()) {
  }
  return word.ends_with('.') || word.ends_with('!') || word.ends_with('?') || word.ends_with("\xE2\x80\xA6");  // U+2026
}

// Bytes of the first `count` characters (an ill-formed sequence counts as one), and how many there are.
std::size_t bytesOfCharacters(std::string_view text, std::size_t count) {
  std::size_t at = 0;
  for (std::size_t i = 0; i < count && at < text.size(); ++i) at += utf8At(text, at).length;
  return at;
}

}  // namespace

SegmentCutter::SegmentCutter(const Tokenizer& tokenizer, int segmentLength, int version)
    : tokenizer_(&tokenizer), segmentLength_(segmentLength) {
  if (segmentLength < kMinSegmentLength) {
    throw std::invalid_argument("a segment must have at least " + std::to_string(kMinSegmentLength) + " tokens, not " +
                                std::to_string(segmentLength));
  }
  if (version != 1)
    throw std::invalid_argument("the segment cutter's version " + std::to_string(version) + " is not known");
  maxPieceBytes_ = kMostBytesPerToken * static_cast<std::size_t>(segmentLength);
}

int SegmentCutter::pieceTokens(std::string_view piece) {
  const auto known = pieceLengths_.find(piece);
  if (known != pieceLengths_.end()) return known->second;
  const int count = static_cast<int>(tokenizer_->encode(piece).size());
  if (piece.size() > kMaxCachedBytes) return count;
  if (pieceLengths_.size() >= kMaxCachedPieces) pieceLengths_.clear();
  pieceLengths_.emplace(piece, count);
  return count;
}

std::size_t SegmentCutter::cutInside(std::string_view piece) const {
  piece = piece.substr(0, maxPieceBytes_ + 3);
  const auto limit = static_cast<std::size_t>(segmentLength_);
  const auto fits = [&](std::size_t characters) {
    const std::size_t bytes = bytesOfCharacters(piece, characters);
    return bytes <= maxPieceBytes_ && tokenizer_->encode(piece.substr(0, bytes)).size() <= limit;
  };
  std::size_t most = 0;
  for (std::size_t at = 0; at < piece.size(); ++most) at += utf8At(piece, at).length;

  std::size_t fitting = 1;         // this many characters fit
  std::size_t tooMany = most + 1;  // this many do not
  for (std::size_t tried = limit; fitting + 1 < tooMany; tried *= 2) {
    tried = std::min(tried, tooMany - 1);
    if (!fits(tried)) {
      tooMany = tried;
      break;
    }
    fitting = tried;
  }
  while (fitting + 1 < tooMany) {
    const std::size_t middle = (fitting + tooMany) / 2;
    (fits(middle) ? fitting : tooMany) = middle;
  }
  return bytesOfCharacters(piece, fitting);
}

std::optional<Segment> SegmentCutter::next(std::string_view text, std::int64_t position) {
  text = text.substr(0, text.find_last_not_of(" \t\n\r") + 1);  // nothing when there is only white space
  // A normalizer may leave nothing of some characters: such text belongs to no segment.
  while (position >= 0 && static_cast<std::size_t>(position) < text.size()) {
    Segment segment = segmentAt(text, static_cast<std::size_t>(position));
    if (!segment.tokens.empty()) return segment;
    position = segment.end;
  }
  return std::nullopt;
}

Segment SegmentCutter::segmentAt(std::string_view text, std::size_t begin) {
  const auto limit = segmentLength_;
  std::vector<std::size_t> ends;  // of the pieces that fit
  std::size_t sentence = 0;       // how many pieces up to the last sentence end in the final quarter
  int used = 0;
  bool whole = false;
  for (std::size_t at = begin; !whole;) {
    const std::size_t end = pieceEnd(text, at, std::min(text.size(), at + maxPieceBytes_ + 1));
    if (end - at > maxPieceBytes_) break;
    const int tokens = pieceTokens(text.substr(at, end - at));
    if (tokens > limit - used) break;
    used += tokens;
    ends.push_back(end);
    if (used > 3 * limit / 4 && isSentenceEnd(text, end)) sentence = ends.size();
    whole = end == text.size();
    at = end;
  }
  if (!whole && sentence > 0) ends.resize(sentence);

  Segment segment;
  segment.begin = static_cast<std::int64_t>(begin);
  std::size_t end = ends.empty() ? begin + cutInside(text.substr(begin, maxPieceBytes_ + 3)) : ends.back();
  segment.tokens = tokenizer_->encode(text.substr(begin, end - begin));
  while (segment.tokens.size() > static_cast<std::size_t>(limit) && ends.size() > 1) {  // not additive over pieces
    ends.pop_back();
    end = ends.back();
    segment.tokens = tokenizer_->encode(text.substr(begin, end - begin));
  }
  if (segment.tokens.size() > static_cast<std::size_t>(limit)) {
    throw ModelError("One character of the text has more than " + std::to_string(limit) +
                     " tokens: the tokenizer cannot be used with segments so short. Choose another model.");
  }
  segment.end = static_cast<std::int64_t>(end);
  return segment;
}

}  // namespace palimpsest::engine
