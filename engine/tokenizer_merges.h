// Byte-pair encoding of one piece of text: the merges, whatever alphabet they work on.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/tokenizer.h"

namespace palimpsest::engine {

struct StringHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
};
template <typename Value>
using StringMap = std::unordered_map<std::string, Value, StringHash, std::equal_to<>>;

// (left id, right id) -> rank and id of the merged token; a flat hash table, since this look-up is what encoding costs.
class MergeTable {
 public:
  struct Merge {
    std::uint64_t pair = kEmpty;
    std::int32_t rank = 0;  // lower merges first
    TokenId merged = 0;
  };

  void reserve(std::size_t merges);
  // Of two entries for one pair the later one stays, as in the tokenizers library.
  void add(TokenId left, TokenId right, std::int32_t rank, TokenId merged);
  const Merge* find(TokenId left, TokenId right) const;
  std::size_t size() const { return size_; }

 private:
  static constexpr std::uint64_t kEmpty = ~std::uint64_t{0};
  static std::uint64_t keyOf(TokenId left, TokenId right);
  std::size_t slotOf(std::uint64_t pair) const;

  std::vector<Merge> slots_;
  std::size_t size_ = 0;
};

// Merges `symbols` in place: always the pair of lowest rank, of equals the leftmost. n log n in the number of symbols.
void applyMerges(const MergeTable& merges, std::vector<TokenId>& symbols);

// The tokens of pieces seen before. Bounded: it starts anew when full. Not thread-safe.
class PieceCache {
 public:
  // nullptr when the piece is not there.
  const std::vector<TokenId>* find(std::string_view piece) const;
  void add(std::string_view piece, const std::vector<TokenId>& tokens);

 private:
  static constexpr std::size_t kMaxPieces = 1 << 16;
  static constexpr std::size_t kMaxPieceBytes = 64;
  StringMap<std::vector<TokenId>> pieces_;
};

}  // namespace palimpsest::engine
