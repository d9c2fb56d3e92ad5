// The book card: a summary in lines such as "People: Weena, Filby."
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace palimpsest::engine {

// One line of a card: what it lists, and the list, best first.
struct CardLine {
  std::string label;
  std::vector<std::string> items;
  bool operator==(const CardLine&) const = default;
};

// nullopt: not a card (a summary in prose). "none" is no item.
std::optional<std::vector<CardLine>> parseCard(std::string_view text);

// How many sections' cards make the card of a text of so many tokens: one for each 4,096, 1..32. Of 131K tokens 32
// cards name 0.62 of the five most frequent people, 16 name 0.53 and 8 name 0.52 (docs/memory.md).
std::size_t cardsFor(std::int64_t tokens);

// Whether an item may stand in a merged card; one that may not makes room for the next.
using CardFilter = std::function<bool(const std::string& item)>;

// One card of several sections' cards. Each label lists what most sections name, each section once; of equals, what
// they name sooner. Its list is no longer than their longest, and what an earlier label has listed is not listed again.
// A summary that decodes the sum of many sections names the same person again and again; what several sections say by
// themselves is who runs through the book. Cards that are not in that form are left out; nullopt where none is.
std::optional<std::string> mergeCards(std::span<const std::string> cards, const CardFilter& mayStand = {});

}  // namespace palimpsest::engine
