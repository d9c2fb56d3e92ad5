// The book card: a summary in lines such as "People: Weena, Filby."
#pragma once

#include <cstddef>
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

// As many sections' cards make a book's: more of them take longer, and each knows less.
constexpr std::size_t kMostCards = 8;

// One card of several sections' cards. Each label lists what most sections name, each section once; of equals, what
// they name sooner. Its list is no longer than their longest, and what an earlier label has listed is not listed again.
// A summary that decodes the sum of many sections names the same person again and again; what several sections say by
// themselves is who runs through the book. Cards that are not in that form are left out; nullopt where none is.
std::optional<std::string> mergeCards(std::span<const std::string> cards);

}  // namespace palimpsest::engine
