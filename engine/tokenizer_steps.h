// What tokenizer.json does with a text before its merges: normalizers change it, pre-tokenizers cut it into pieces.
#pragma once

#include <deque>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace palimpsest::engine {

// Views of a text, or of what a step made of it (`owned`, whose elements never move).
struct TextPieces {
  std::vector<std::string_view> list;
  std::deque<std::string> owned;
  bool atTextBegin = true;  // the first piece stands where the text begins (matters to Metaspace "first")
};

using Normalizer = std::function<void(std::string&)>;
using PreTokenizer = std::function<void(TextPieces&)>;

// Each parses one object of tokenizer.json (null = nothing) into steps to be done in order. Throws ModelError, naming
// the kind, on those that are not known. Known normalizers: NFC, NFD, NFKC, NFKD, Prepend, Replace, Sequence. Known
// pre-tokenizers: ByteLevel, Split, Digits, Metaspace, Sequence.
std::vector<Normalizer> parseNormalizers(const nlohmann::json& json, const std::string& sourceName);

struct PreTokenizers {
  std::vector<PreTokenizer> steps;
  bool byteLevel = false;  // the pieces' bytes are the alphabet of the merges
};
PreTokenizers parsePreTokenizers(const nlohmann::json& json, const std::string& sourceName);

PreTokenizer splitByPattern(const std::string& pattern,
                            const std::string& sourceName);  // matches and gaps, each a piece

}  // namespace palimpsest::engine
