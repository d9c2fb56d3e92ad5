// Words with boxes -> lines in reading order, without Poppler.
#include "documents/gutters.h"
#include "documents/page_furniture.h"
#include "documents/page_layout.h"
#include "documents/paragraphs.h"
#include "samples.h"

namespace palimpsest::documents::tests {
namespace {

using testing::ElementsAre;

Word word(const std::string& text, double left, double baseline, double size = 10, double advance = 5) {
  Word result;
  result.text = text;
  result.left = left;
  result.right = left + advance * static_cast<double>(text.size());
  result.top = baseline - 0.75 * size;
  result.bottom = baseline + 0.25 * size;
  result.size = size;
  result.font = "Body";
  return result;
}

std::vector<std::string> linesOf(const PageLayout& page) {
  std::vector<std::string> lines;
  for (const auto& line : page.lines) lines.push_back(line.text);
  return lines;
}

TEST(PageLayout, PutsWordsInLines) {
  EXPECT_THAT(
      linesOf(layOutPage({word("world", 140, 100), word("Hello", 100, 100), word("below", 100, 112)}, 1, 600, 800)),
      ElementsAre("Hello world", "below"));
}

TEST(PageLayout, WritesExponentsAndDropsNoteMarkers) {
  EXPECT_THAT(
      linesOf(layOutPage({word("x", 100, 100), word("2", 105, 96, 7, 3.5), word("is", 115, 100), word("area", 130, 100),
                          word("3", 150, 96, 7, 3.5), word("a", 160, 100), word("i", 165, 102, 7, 3.5)},
                         1, 600, 800)),
      ElementsAre("x² is area ai"));
}

TEST(PageLayout, TakesAnExponentToItsOwnLine) {
  // The exponent of the second line overlaps the first one.
  EXPECT_THAT(linesOf(layOutPage({word("first", 100, 100), word("line", 130, 100), word("q", 100, 110),
                                  word("2", 105, 105, 7, 3.5), word("end", 112, 110)},
                                 1, 600, 800)),
              ElementsAre("first line", "q² end"));
}

TEST(PageLayout, GivesAPaintedInitialToItsLine) {
  EXPECT_THAT(linesOf(layOutPage({word("W", 100, 124, 36, 28), word("e", 130, 100), word("went", 140, 100),
                                  word("away", 130, 112), word("then.", 130, 124)},
                                 1, 600, 800)),
              ElementsAre("We went", "away", "then."));
}

TEST(PageLayout, ReadsRightToLeftLinesFromTheRight) {
  const PageLayout page = layOutPage(
      {word("שלום", 500, 100), word("עולם", 440, 100), word("12", 410, 100), word("34", 425, 100)}, 1, 600, 800);
  EXPECT_THAT(linesOf(page), ElementsAre("שלום עולם 12 34"));
}

std::vector<Word> column(double left, double top, int lines, const std::string& mark) {
  std::vector<Word> words;
  for (int i = 0; i < lines; ++i)
    for (int k = 0; k < 8; ++k)
      words.push_back(word(mark + std::to_string(i) + "x" + std::to_string(k), left + 25 * k, top + 12 * i));
  return words;
}

TEST(Gutters, AreFoundBetweenProseButNotBetweenCells) {
  std::vector<Word> words = column(50, 100, 20, "a");
  for (auto& w : column(265, 103, 20, "b")) words.push_back(w);
  std::stable_sort(words.begin(), words.end(), [](const Word& a, const Word& b) { return a.top < b.top; });
  EXPECT_EQ(findGutters(words, 10).size(), 1u);
  std::vector<Word> table;
  for (int i = 0; i < 20; ++i) {
    table.push_back(word("cell", 50, 100 + 12 * i));
    table.push_back(word("value", 300, 100 + 12 * i));
  }
  EXPECT_TRUE(findGutters(table, 10).empty());
}

TEST(Furniture, LeavesPagesWithoutItAlone) {
  std::vector<PageLayout> pages;
  for (int page = 1; page <= 4; ++page)
    pages.push_back(layOutPage(column(50, 100, 5, std::string(1, static_cast<char>('a' + page))), page, 600, 800));
  removeFurniture(pages);
  for (const auto& page : pages) EXPECT_EQ(page.lines.size(), 5u);
}

TEST(Furniture, CountsRomanAndArabicNumbers) {
  std::vector<PageLayout> pages;
  const char* roman[] = {"i", "ii", "iii", "iv"};
  for (int page = 1; page <= 8; ++page) {
    auto words = column(50, 100, 5, std::string(1, static_cast<char>('a' + page)));
    words.push_back(word(page <= 4 ? roman[page - 1] : std::to_string(page - 4), 300, 700));
    pages.push_back(layOutPage(std::move(words), page, 600, 800));
  }
  removeFurniture(pages);
  for (const auto& page : pages) EXPECT_EQ(page.lines.size(), 5u) << page.page;
}

}  // namespace
}  // namespace palimpsest::documents::tests
