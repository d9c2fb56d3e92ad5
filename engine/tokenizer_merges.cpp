#include "engine/tokenizer_merges.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <queue>

namespace palimpsest::engine {

namespace {

constexpr std::int32_t kNoMerge = std::numeric_limits<std::int32_t>::max();

std::int32_t rankOf(const MergeTable& merges, TokenId left, TokenId right) {
  const MergeTable::Merge* merge = merges.find(left, right);
  return merge == nullptr ? kNoMerge : merge->rank;
}

// Words are short: looking through all pairs for the lowest rank beats any cleverness.
void mergeShort(const MergeTable& merges, std::vector<TokenId>& symbols) {
  constexpr std::size_t kMost = 32;
  std::int32_t ranks[kMost];
  std::size_t count = symbols.size();
  for (std::size_t i = 0; i + 1 < count; ++i) ranks[i] = rankOf(merges, symbols[i], symbols[i + 1]);
  while (count > 1) {
    const std::size_t at = static_cast<std::size_t>(std::min_element(ranks, ranks + count - 1) - ranks);
    if (ranks[at] == kNoMerge) break;
    symbols[at] = merges.find(symbols[at], symbols[at + 1])->merged;
    std::copy(symbols.begin() + static_cast<std::ptrdiff_t>(at) + 2,
              symbols.begin() + static_cast<std::ptrdiff_t>(count),
              symbols.begin() + static_cast<std::ptrdiff_t>(at) + 1);
    std::copy(ranks + at + 1, ranks + count - 1, ranks + at);
    --count;
    if (at > 0) ranks[at - 1] = rankOf(merges, symbols[at - 1], symbols[at]);
    if (at + 1 < count) ranks[at] = rankOf(merges, symbols[at], symbols[at + 1]);
  }
  symbols.resize(count);
}

// A list of symbols and a heap of possible merges; entries whose symbols have changed since are skipped.
void mergeLong(const MergeTable& merges, std::vector<TokenId>& symbols) {
  constexpr TokenId kGone = -1;
  struct Candidate {
    std::int32_t rank;
    std::uint32_t at;
    TokenId left, right;
    bool operator<(const Candidate& other) const { return rank != other.rank ? rank > other.rank : at > other.at; }
  };
  const auto count = static_cast<std::uint32_t>(symbols.size());
  std::vector<std::uint32_t> next(count), previous(count);
  std::priority_queue<Candidate> heap;
  const auto offer = [&](std::uint32_t left, std::uint32_t right) {
    const std::int32_t rank = rankOf(merges, symbols[left], symbols[right]);
    if (rank != kNoMerge) heap.push({rank, left, symbols[left], symbols[right]});
  };
  for (std::uint32_t i = 0; i < count; ++i) {
    next[i] = i + 1;
    previous[i] = i - 1;  // of the first: never followed
    if (i + 1 < count) offer(i, i + 1);
  }
  while (!heap.empty()) {
    const Candidate best = heap.top();
    heap.pop();
    const std::uint32_t right = next[best.at];
    if (symbols[best.at] != best.left || right >= count || symbols[right] != best.right) continue;
    symbols[best.at] = merges.find(best.left, best.right)->merged;
    symbols[right] = kGone;
    next[best.at] = next[right];
    if (next[right] < count) {
      previous[next[right]] = best.at;
      offer(best.at, next[right]);
    }
    if (best.at > 0) offer(previous[best.at], best.at);
  }
  std::erase(symbols, kGone);
}

}  // namespace

std::uint64_t MergeTable::keyOf(TokenId left, TokenId right) {
  return (static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32) | static_cast<std::uint32_t>(right);
}

std::size_t MergeTable::slotOf(std::uint64_t pair) const {
  const std::uint64_t mixed = pair * 0x9E3779B97F4A7C15ULL;
  return static_cast<std::size_t>(mixed ^ (mixed >> 32)) & (slots_.size() - 1);
}

void MergeTable::reserve(std::size_t merges) {
  const std::size_t wanted = std::bit_ceil(std::max<std::size_t>(16, 2 * merges + 2));
  if (wanted <= slots_.size()) return;
  std::vector<Merge> old = std::move(slots_);
  slots_.assign(wanted, Merge{});
  for (const Merge& merge : old) {
    if (merge.pair == kEmpty) continue;
    std::size_t slot = slotOf(merge.pair);
    while (slots_[slot].pair != kEmpty) slot = (slot + 1) & (slots_.size() - 1);
    slots_[slot] = merge;
  }
}

void MergeTable::add(TokenId left, TokenId right, std::int32_t rank, TokenId merged) {
  reserve(size_ + 1);
  const std::uint64_t pair = keyOf(left, right);
  std::size_t slot = slotOf(pair);
  while (slots_[slot].pair != kEmpty) {
    if (slots_[slot].pair == pair) {
      slots_[slot] = {pair, rank, merged};
      return;
    }
    slot = (slot + 1) & (slots_.size() - 1);
  }
  slots_[slot] = {pair, rank, merged};
  ++size_;
}

const MergeTable::Merge* MergeTable::find(TokenId left, TokenId right) const {
  if (slots_.empty()) return nullptr;
  const std::uint64_t pair = keyOf(left, right);
  for (std::size_t slot = slotOf(pair); slots_[slot].pair != kEmpty; slot = (slot + 1) & (slots_.size() - 1)) {
    if (slots_[slot].pair == pair) return &slots_[slot];
  }
  return nullptr;
}

void applyMerges(const MergeTable& merges, std::vector<TokenId>& symbols) {
  if (symbols.size() < 2) return;
  if (symbols.size() <= 32) {
    mergeShort(merges, symbols);
  } else {
    mergeLong(merges, symbols);
  }
}

const std::vector<TokenId>* PieceCache::find(std::string_view piece) const {
  const auto found = pieces_.find(piece);
  return found == pieces_.end() ? nullptr : &found->second;
}

void PieceCache::add(std::string_view piece, const std::vector<TokenId>& tokens) {
  if (piece.size() > kMaxPieceBytes) return;
  if (pieces_.size() >= kMaxPieces) pieces_.clear();
  pieces_.emplace(piece, tokens);
}

}  // namespace palimpsest::engine
