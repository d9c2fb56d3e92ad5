#include "documents/text_pages.h"

#include <algorithm>
#include <string>
#include <unordered_map>

#include "documents/headings.h"
#include "documents/hyphenation.h"
#include "documents/line_runs.h"
#include "documents/page_furniture.h"
#include "documents/page_layout.h"
#include "documents/text.h"

namespace palimpsest::documents {
namespace {

// What fits on a sheet; between the chapters of a book lies more.
constexpr std::size_t kMostLinesOfPage = 200;
constexpr std::size_t kMostBytesOfPage = 9000;

using TextPage = std::vector<std::string_view>;  // raw lines, blank ones as well

bool isBlank(std::string_view line) { return trimmed(line).empty(); }

std::vector<TextPage> splitPages(std::string_view text) {
  std::vector<TextPage> pages(1);
  for (std::size_t i = 0; i < text.size();) {
    const auto end = std::min(text.find_first_of("\n\f", i), text.size());
    const bool pageEnds = end < text.size() && text[end] == '\f';
    if (end > i || !pageEnds) pages.back().push_back(text.substr(i, end - i));
    if (pageEnds) pages.emplace_back();
    i = end + 1;
  }
  while (pages.size() > 1 && std::all_of(pages.back().begin(), pages.back().end(), isBlank)) pages.pop_back();
  return pages;
}

bool areSheets(const std::vector<TextPage>& pages) {
  std::vector<std::size_t> lines, bytes;
  for (const auto& page : pages) {
    lines.push_back(page.size());
    bytes.push_back(0);
    for (const auto line : page) bytes.back() += line.size();
  }
  const auto middle = static_cast<std::ptrdiff_t>(pages.size() / 2);
  std::nth_element(lines.begin(), lines.begin() + middle, lines.end());
  std::nth_element(bytes.begin(), bytes.begin() + middle, bytes.end());
  return pages.size() > 1 && lines[static_cast<std::size_t>(middle)] <= kMostLinesOfPage &&
         bytes[static_cast<std::size_t>(middle)] <= kMostBytesOfPage;
}

// The page as if it were set in type: the first line always at the top, the last one always at the bottom, so that
// heads and feet stand in the same place whatever lies between.
PageLayout layOut(const TextPage& page, int number) {
  constexpr double kPitch = 12, kSize = 10, kHeight = 100'000;
  PageLayout layout{number, 600, kHeight, {}};
  std::size_t first = page.size(), last = 0;
  for (std::size_t i = 0; i < page.size(); ++i)
    if (!isBlank(page[i])) first = std::min(first, i), last = i;
  int block = 0;
  for (std::size_t i = first; i <= last && i < page.size(); ++i) {
    if (isBlank(page[i])) {
      ++block;
      continue;
    }
    Line line;
    line.text = std::string(trimmed(page[i]));
    line.top = 2 * i <= first + last ? kPitch * static_cast<double>(i - first)
                                     : kHeight - kPitch * static_cast<double>(last - i + 1);
    line.bottom = line.top + kSize;
    line.size = kSize;
    line.page = number;
    line.column = block;  // the usual distance of lines is that within paragraphs
    layout.lines.push_back(std::move(line));
  }
  return layout;
}

bool isNumber(std::string_view word) {
  return word.find_first_of("0123456789") != std::string_view::npos ||
         (isLower(firstCodePoint(word)) && romanNumeral(word) > 0);
}

bool namesNumber(std::string_view line) {
  return line.find_first_of("0123456789") != std::string_view::npos || isNumber(line.substr(0, line.find(' '))) ||
         isNumber(line.substr(line.rfind(' ') + 1));
}

// "CHAPTER IV                 57": no heading has its page number set apart.
bool hasNumberApart(std::string_view line) {
  constexpr std::string_view kGap = "   ";
  const auto gap = line.find(kGap), lastGap = line.rfind(kGap);
  return gap != std::string_view::npos &&
         (isNumber(line.substr(0, gap)) || isNumber(line.substr(lastGap + kGap.size())));
}

// Without sizes of type, a heading at the top of a page looks like a running head. Told apart by what it says.
class HeadingKeeper {
 public:
  explicit HeadingKeeper(const std::vector<TextPage>& pages) {
    for (const auto& page : pages)
      for (const auto line : page)
        if (!isBlank(line)) ++counts_[foldedForComparison(line)];
  }

  // Asked for each line in order. `doomed`: it was taken for furniture.
  bool keeps(std::string_view line, bool doomed, bool firstPage) {
    const HeadingGuess guess = guessHeading(line);
    if (guess.heading && !guess.weak && !(doomed && hasNumberApart(line))) {
      // "CHAPTER 2" over many pages is kept once, also where "PART ONE" stands on every second page.
      const std::string kind = lowerCase(line.substr(0, line.find(' ')));
      const auto [last, isNew] = last_.try_emplace(kind, guess.number);
      if (doomed && !isNew && last->second == guess.number) return false;
      last->second = guess.number;
      return true;
    }
    if (!doomed) return true;
    if (namesNumber(line)) return false;
    return firstPage || counts_[foldedForComparison(line)] == 1;
  }

 private:
  std::unordered_map<std::string, int> counts_;
  std::unordered_map<std::string, int> last_;  // kind of heading -> number of the last one
};

// A paragraph does not end with the page.
bool goesOn(std::string_view last, std::string_view next) {
  return !last.empty() && isLower(firstCodePoint(next)) && (endsWithHyphen(last) || !endsSentence(last));
}

std::vector<TextPage> withoutFurniture(const std::vector<TextPage>& pages) {
  std::vector<PageLayout> layouts;
  for (std::size_t i = 0; i < pages.size(); ++i) layouts.push_back(layOut(pages[i], static_cast<int>(i) + 1));
  const std::vector<PageLayout> whole = layouts;
  removeFurniture(layouts);
  HeadingKeeper headings(pages);
  std::vector<TextPage> result;
  for (std::size_t p = 0; p < pages.size(); ++p) {
    result.emplace_back();
    auto each = whole[p].lines.cbegin(), kept = layouts[p].lines.cbegin();
    for (const auto line : pages[p]) {
      bool stays = isBlank(line);
      if (!stays) {
        const bool doomed = kept == layouts[p].lines.cend() || kept->top != each->top;
        if (!doomed) ++kept;
        ++each;
        stays = headings.keeps(trimmed(line), doomed, p == 0);
      }
      if (stays) result.back().push_back(line);
    }
    TextPage& page = result.back();
    page.erase(page.begin(), std::find_if_not(page.begin(), page.end(), isBlank));
    while (!page.empty() && isBlank(page.back())) page.pop_back();
  }
  return result;
}

}  // namespace

std::vector<PageLine> linesOfPages(std::string_view text) {
  std::vector<TextPage> pages = splitPages(text);
  const bool sheets = areSheets(pages);
  if (sheets) pages = withoutFurniture(pages);
  std::vector<PageLine> lines;
  for (std::size_t i = 0; i < pages.size(); ++i) {
    const int page = sheets ? static_cast<int>(i) + 1 : 0;
    if (pages[i].empty()) continue;
    if (!lines.empty() && !(sheets && goesOn(trimmed(lines.back().text), trimmed(pages[i].front()))))
      lines.push_back({{}, page});
    for (const auto line : pages[i]) lines.push_back({line, page});
  }
  return lines;
}

}  // namespace palimpsest::documents
