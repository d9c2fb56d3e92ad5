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

// How often an item stands in the text, as an index of it tells; nullopt: it may not be listed, and makes room for the
// next.
using CardIndex = std::function<std::optional<int>(const std::string& item)>;

// One card of several sections' cards. Each label lists what most sections name, each section once; of equals, what
// they name sooner. Its list is no longer than their longest, and an item stands under the label that most sections
// give it, of equals the first. With an index, names (what begins with no small letter) are listed by how often they
// stand in the text: the sections know who is there, but not well who is there most (0.78 of the five most frequent
// people against 0.56, docs/memory.md).
// A summary that decodes the sum of many sections names the same person again and again; what several sections say by
// themselves is who runs through the book. Cards that are not in that form are left out; nullopt where none is.
std::optional<std::string> mergeCards(std::span<const std::string> cards, const CardIndex& index = {});

}  // namespace palimpsest::engine
