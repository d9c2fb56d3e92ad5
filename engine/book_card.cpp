#include "engine/book_card.h"

#include <algorithm>
#include <cstddef>

namespace palimpsest::engine {

namespace {

struct Candidate {
  std::string item;
  int votes = 0;
  double sooner = 0;  // sum of 1 / rank
  int standing = 0;   // how often it stands in the text, of a name that an index knows
};

struct Tally {
  std::string label;
  std::vector<Candidate> candidates;
  std::size_t longest = 0;
};

std::string_view stripped(std::string_view text, std::string_view around = " \t\r.") {
  const auto begin = text.find_first_not_of(around);
  return begin == text.npos ? std::string_view{} : text.substr(begin, text.find_last_not_of(around) + 1 - begin);
}

std::vector<std::string> itemsOf(std::string_view list) {
  std::vector<std::string> items;
  for (std::size_t begin = 0; begin <= list.size();) {
    const std::size_t end = std::min(list.find(',', begin), list.size());
    const std::string item(stripped(list.substr(begin, end - begin), " \t\r.:;"));
    if (!item.empty() && item != "none") items.push_back(item);
    begin = end + 1;
  }
  return items;
}

template <typename T, typename Projection>
T& findOrAdd(std::vector<T>& all, const std::string& name, Projection projection, T fresh) {
  const auto found = std::ranges::find(all, name, projection);
  return found != all.end() ? *found : all.emplace_back(std::move(fresh));
}

void count(std::vector<Tally>& tallies, const CardLine& line) {
  Tally& tally = findOrAdd(tallies, line.label, &Tally::label, Tally{line.label, {}, 0});
  tally.longest = std::max(tally.longest, line.items.size());
  for (std::size_t rank = 0; rank < line.items.size(); ++rank) {
    const std::string& item = line.items[rank];
    if (std::find(line.items.begin(), line.items.begin() + static_cast<std::ptrdiff_t>(rank), item) !=
        line.items.begin() + static_cast<std::ptrdiff_t>(rank))
      continue;  // said before
    Candidate& candidate = findOrAdd(tally.candidates, item, &Candidate::item, Candidate{item});
    candidate.votes += 1;
    candidate.sooner += 1.0 / static_cast<double>(rank + 1);
  }
}

bool isName(std::string_view item) {
  const auto first = static_cast<unsigned char>(item.front());
  return (first < 'a' || first > 'z') && (first < '0' || first > '9');
}

int votesOf(const Tally& tally, const std::string& item) {
  const auto found = std::ranges::find(tally.candidates, item, &Candidate::item);
  return found == tally.candidates.end() ? 0 : found->votes;
}

// The label that most sections give an item, of equals the first.
const Tally& homeOf(const std::vector<Tally>& tallies, const std::string& item) {
  return *std::ranges::max_element(tallies, {}, [&](const Tally& tally) { return votesOf(tally, item); });
}

bool before(const Candidate& a, const Candidate& b) {
  if (a.standing != b.standing) return a.standing > b.standing;
  return a.votes != b.votes ? a.votes > b.votes : a.sooner > b.sooner;
}

}  // namespace

std::size_t cardsFor(std::int64_t tokens) {
  constexpr std::int64_t kTokens = 4096, kMost = 32;
  return static_cast<std::size_t>(std::clamp<std::int64_t>(tokens / kTokens, 1, kMost));
}

std::optional<std::vector<CardLine>> parseCard(std::string_view text) {
  std::vector<CardLine> lines;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view line = stripped(text.substr(begin, end - begin));
    begin = end + 1;
    if (line.empty()) continue;
    const std::size_t colon = line.find(':');
    if (colon == line.npos || colon == 0 || line.substr(0, colon).find_first_of(" ,.") != line.npos) return {};
    lines.push_back({std::string(line.substr(0, colon)), itemsOf(line.substr(colon + 1))});
  }
  if (lines.empty()) return {};
  return lines;
}

std::optional<std::string> mergeCards(std::span<const std::string> cards, const CardIndex& index) {
  std::vector<Tally> tallies;
  for (const std::string& card : cards)
    for (const CardLine& line : parseCard(card).value_or(std::vector<CardLine>{})) count(tallies, line);
  if (tallies.empty()) return {};
  std::string text;
  for (const Tally& tally : tallies) {
    std::vector<Candidate> listed;
    for (Candidate candidate : tally.candidates) {
      if (&homeOf(tallies, candidate.item) != &tally) continue;
      if (index) {
        const std::optional<int> standing = index(candidate.item);
        if (!standing) continue;
        if (isName(candidate.item)) candidate.standing = *standing;
      }
      listed.push_back(std::move(candidate));
    }
    std::ranges::stable_sort(listed, before);
    listed.resize(std::min(listed.size(), tally.longest));
    text += (text.empty() ? "" : "\n") + tally.label + ": ";
    for (const Candidate& candidate : listed) text += (&candidate == &listed.front() ? "" : ", ") + candidate.item;
    text += listed.empty() ? "none." : ".";
  }
  return text;
}

}  // namespace palimpsest::engine
