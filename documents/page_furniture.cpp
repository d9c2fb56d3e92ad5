#include "documents/page_furniture.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "documents/text.h"

namespace palimpsest::documents {
namespace {

constexpr double kLargestFurniture = 1.12;  // of the body size: larger lines are headings
constexpr double kSamePlace = 4.0;          // points

// A line at the edge of a page that may be furniture.
struct Candidate {
  std::size_t page = 0, line = 0;  // indices
  bool atTop = false;
  double y = 0;
  std::string key;        // its text without the page number
  bool numbered = false;  // carried a number that counts with the pages
  bool onlyNumber = false;
};

// What may stand with a page number and still be nothing but that.
bool isPageWord(std::string_view word) {
  static constexpr std::array<std::string_view, 8> kWords = {"", "page", "seite", "p", "pageof", "s", "página", "стр"};
  return std::find(kWords.begin(), kWords.end(), word) != kWords.end();
}

struct EdgeNumber {
  int value = 0;
  std::size_t begin = 0, end = 0;  // in the line's text
};

// Numbers (arabic or lower-case roman) at the start and the end of a line: 12, - 12 -, [12], xii, Page 12 of 30.
std::vector<EdgeNumber> edgeNumbers(std::string_view text) {
  std::vector<EdgeNumber> numbers;
  constexpr std::string_view kAround = "-[]()|*~/ ";
  std::vector<std::pair<std::size_t, std::size_t>> words;
  for (std::size_t i = 0; i < text.size();) {
    const auto start = text.find_first_not_of(kAround, i);
    if (start == std::string_view::npos) break;
    const auto end = std::min(text.find_first_of(kAround, start), text.size());
    words.emplace_back(start, end);
    i = end;
  }
  const auto consider = [&](std::size_t index) {
    const auto [start, end] = words[index];
    const std::string_view word = text.substr(start, end - start);
    int value = 0;
    const auto [stop, error] = std::from_chars(word.data(), word.data() + word.size(), value);
    if (error != std::errc() || stop != word.data() + word.size())
      value = isLower(firstCodePoint(word)) ? romanNumeral(word) : 0;
    if (value > 0 && value < 20'000) numbers.push_back({value, start, end});
  };
  for (std::size_t i = 0; i < words.size(); ++i) {
    const bool pageWord =
        i == 1 && isPageWord(lowerCase(text.substr(words[0].first, words[0].second - words[0].first)));
    if (i == 0 || i + 1 == words.size() || pageWord) consider(i);  // "12 Title", "Title 12", "Page 12 of 30"
  }
  return numbers;
}

std::vector<Candidate> edgeLines(const std::vector<PageLayout>& pages) {
  std::vector<Candidate> candidates;
  for (std::size_t p = 0; p < pages.size(); ++p) {
    const auto& lines = pages[p].lines;
    if (lines.empty()) continue;
    double top = 1e9, bottom = -1e9;
    for (const auto& line : lines) {
      top = std::min(top, line.top);
      bottom = std::max(bottom, line.bottom);
    }
    for (std::size_t i = 0; i < lines.size(); ++i) {
      const double tolerance = 0.7 * lines[i].height();
      const bool atTop = lines[i].top < top + tolerance;
      if (atTop || lines[i].bottom > bottom - tolerance)
        candidates.push_back({p, i, atTop, atTop ? lines[i].top : lines[i].bottom, "", false, false});
    }
  }
  return candidates;
}

// Differences between printed and counted page numbers that hold on several pages.
std::set<int> numberOffsets(const std::vector<PageLayout>& pages, const std::vector<Candidate>& candidates) {
  std::map<int, std::set<std::size_t>> pagesWith;
  for (const auto& candidate : candidates)
    for (const auto& number : edgeNumbers(pages[candidate.page].lines[candidate.line].text))
      pagesWith[number.value - pages[candidate.page].page].insert(candidate.page);
  std::set<int> offsets;
  for (const auto& [offset, where] : pagesWith) {
    // Chance hits are scattered; page numbers stand on one page after the other (or on every second).
    std::size_t linked = 0;
    for (const std::size_t page : where)
      linked += where.count(page + 1) || where.count(page + 2) || where.count(page - 1);
    if (linked >= (pages.size() <= 5 ? 2u : 3u) || (pages.size() == 1 && offset == 0)) offsets.insert(offset);
  }
  return offsets;
}

void describe(Candidate& candidate, const PageLayout& page, const std::set<int>& offsets) {
  std::string text = page.lines[candidate.line].text;
  const auto numbers = edgeNumbers(text);
  for (auto it = numbers.rbegin(); it != numbers.rend(); ++it)
    if (offsets.count(it->value - page.page)) {
      text.erase(it->begin, it->end - it->begin);
      candidate.numbered = true;
    }
  candidate.key = foldedForComparison(text);
  std::string words;
  for (const char c : candidate.key)
    if (c < '0' || c > '9') words += c;
  candidate.onlyNumber = candidate.numbered && isPageWord(words);
}

// Places (top or bottom, height on the page) where many pages have furniture.
bool isKnownPlace(const std::map<std::pair<bool, int>, std::set<std::size_t>>& places, const Candidate& candidate,
                  std::size_t pages) {
  std::set<std::size_t> with;
  for (int shift = -1; shift <= 1; ++shift) {
    const auto it = places.find({candidate.atTop, static_cast<int>(std::lround(candidate.y)) + shift});
    if (it != places.end()) with.insert(it->second.begin(), it->second.end());
  }
  return with.size() >= 4 && with.size() * 3 >= pages;
}

// The usual distance of lines on the page; 0 if it has too few to tell.
double usualPitch(const PageLayout& page) {
  std::vector<double> pitches;
  for (std::size_t i = 1; i < page.lines.size(); ++i)
    if (page.lines[i].column == page.lines[i - 1].column && page.lines[i].bottom > page.lines[i - 1].bottom + 1)
      pitches.push_back(page.lines[i].bottom - page.lines[i - 1].bottom);
  if (pitches.size() < 3) return 0;
  std::nth_element(pitches.begin(), pitches.begin() + static_cast<std::ptrdiff_t>(pitches.size() / 2), pitches.end());
  return pitches[pitches.size() / 2];
}

// More white space between the line and its nearest neighbour than between the lines of the text.
bool standsApart(const PageLayout& page, const Candidate& candidate) {
  const Line& line = page.lines[candidate.line];
  double nearest = 1e9;
  for (const Line& other : page.lines) {
    const double distance = candidate.atTop ? other.bottom - line.bottom : line.bottom - other.bottom;
    if (&other != &line && distance > 1) nearest = std::min(nearest, distance);
  }
  return nearest > 1.35 * std::max(usualPitch(page), line.size);
}

// `outermost`: the lines that nothing was removed around yet; behind them only repeated lines and numbers are
// furniture.
void removeOnce(std::vector<PageLayout>& pages, double body, bool outermost) {
  std::vector<Candidate> candidates = edgeLines(pages);
  const std::set<int> offsets = numberOffsets(pages, candidates);
  std::map<std::string, std::vector<const Candidate*>> byKey;
  for (auto& candidate : candidates) {
    describe(candidate, pages[candidate.page], offsets);
    byKey[candidate.key].push_back(&candidate);
  }
  const auto repeats = [&](const Candidate& candidate) {
    if (candidate.key.empty()) return false;
    std::set<std::size_t> where;
    for (const auto* other : byKey[candidate.key])
      if (other->atTop == candidate.atTop && std::abs(other->y - candidate.y) < kSamePlace) where.insert(other->page);
    return where.size() >= (pages.size() <= 4 ? 2 : 3);
  };
  std::map<std::pair<bool, int>, std::set<std::size_t>> places;
  std::vector<bool> doomed(candidates.size());
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    const Candidate& candidate = candidates[i];
    const bool small = pages[candidate.page].lines[candidate.line].size <= kLargestFurniture * body;
    const bool numbered =
        outermost && candidate.numbered && pages.size() > 2 && standsApart(pages[candidate.page], candidate);
    doomed[i] = candidate.onlyNumber || (small && (numbered || repeats(candidate)));
    if (doomed[i]) places[{candidate.atTop, static_cast<int>(std::lround(candidate.y))}].insert(candidate.page);
  }
  std::map<std::size_t, std::set<std::size_t>, std::greater<>> lines;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    const Candidate& candidate = candidates[i];
    const Line& line = pages[candidate.page].lines[candidate.line];
    if (!doomed[i] && outermost && line.size <= kLargestFurniture * body &&
        isKnownPlace(places, candidate, pages.size()) && standsApart(pages[candidate.page], candidate))
      doomed[i] = true;
    if (doomed[i]) lines[candidate.page].insert(candidate.line);
  }
  for (const auto& [page, indices] : lines)
    for (auto it = indices.rbegin(); it != indices.rend(); ++it)
      pages[page].lines.erase(pages[page].lines.begin() + static_cast<std::ptrdiff_t>(*it));
}

}  // namespace

double bodySize(const std::vector<PageLayout>& pages) {
  std::map<int, std::size_t> letters;  // by tenths of a point
  for (const auto& page : pages)
    for (const auto& line : page.lines) letters[static_cast<int>(std::lround(line.size * 10))] += line.text.size();
  const auto most = std::max_element(letters.begin(), letters.end(),
                                     [](const auto& a, const auto& b) { return a.second < b.second; });
  return most == letters.end() ? 10 : most->first / 10.0;
}

void removeFurniture(std::vector<PageLayout>& pages) {
  const double body = bodySize(pages);
  removeOnce(pages, body, true);
  removeOnce(pages, body, false);  // a head of two lines, a number below a foot
}

}  // namespace palimpsest::documents
