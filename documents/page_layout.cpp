#include "documents/page_layout.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>

#include "documents/gutters.h"
#include "documents/text.h"

namespace palimpsest::documents {
namespace {

constexpr double kSpaceGap = 0.13;    // em: a wider gap between two words is a space
constexpr double kTableGap = 2.0;     // em: a wider one stands between the cells of a table
constexpr double kRaisedSize = 0.85;  // of the line's size: smaller and higher is a superscript
constexpr double kInitialSize = 1.8;  // of the page's size: a single larger letter is a painted initial

double middle(const Word& word) { return (word.top + word.bottom) / 2; }

double overlap(double a0, double a1, double b0, double b1) { return std::min(a1, b1) - std::max(a0, b0); }

double medianSize(const std::vector<Word>& words) {
  std::map<double, std::size_t> letters;
  std::size_t total = 0;
  for (const auto& word : words) {
    letters[word.size] += word.text.size();
    total += word.text.size();
  }
  std::size_t seen = 0;
  for (const auto& [size, count] : letters)
    if ((seen += count) * 2 >= total) return size;
  return 10;
}

// Words of one line; the box is that of its largest words, so that an exponent does not reach into the line above.
struct Row {
  std::vector<Word> words;
  double top = 0, bottom = 0, size = 0;
  int column = 0;
};

// The row that a word belongs to: one that it overlaps by half its height. An exponent or index may overlap two rows
// and goes to the one with a word right before it.
Row* rowFor(std::vector<Row>& rows, std::size_t firstOpen, const Word& word, int column, bool small) {
  Row* best = nullptr;
  double bestShare = 0.5;
  for (std::size_t i = firstOpen; i < rows.size(); ++i) {
    if (rows[i].column != column) continue;
    const double least = std::min(rows[i].bottom - rows[i].top, word.bottom - word.top);
    const double share = overlap(rows[i].top, rows[i].bottom, word.top, word.bottom) / std::max(least, 0.1);
    if (share <= 0.15) continue;
    const double em = rows[i].size;
    const bool attached = small && word.size < kRaisedSize * em &&
                          std::any_of(rows[i].words.begin(), rows[i].words.end(), [&](const Word& other) {
                            const double gap = std::max(word.left - other.right, other.left - word.right);
                            return gap > -0.3 * em && gap < 0.25 * em && other.size > word.size;
                          });
    const double rank = share + (attached ? 1 : 0);
    if (rank > bestShare) bestShare = rank, best = &rows[i];
  }
  return best;
}

// `words` sorted by top. Small ones come last, so that they find the rows that they belong to.
std::vector<Row> groupRows(const std::vector<Word>& words, const std::vector<Gutter>& gutters, double size) {
  std::vector<Row> rows;
  for (const bool small : {false, true}) {
    std::size_t firstOpen = 0;  // rows before it end above the words still to come
    std::stable_sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) { return a.top < b.top; });
    for (const auto& word : words) {
      if ((word.size < kRaisedSize * size) != small) continue;
      const int column = columnAt(gutters, (word.left + word.right) / 2, middle(word));
      while (firstOpen < rows.size() && rows[firstOpen].bottom + 4 * word.size < word.top) ++firstOpen;
      Row* row = rowFor(rows, firstOpen, word, column, small);
      if (!row) {
        rows.push_back({{}, word.top, word.bottom, word.size, column});
        row = &rows.back();
      } else if (word.size > row->size * 1.05) {
        row->top = word.top, row->bottom = word.bottom, row->size = word.size;
      }
      row->words.push_back(word);
    }
  }
  return rows;
}

bool isRightToLeftText(const std::vector<Word>& words) {
  std::size_t right = 0, left = 0;
  for (const auto& word : words)
    for (std::size_t i = 0; i < word.text.size();) {
      const char32_t c = nextCodePoint(word.text, i);
      if (isRightToLeft(c))
        ++right;
      else
        left += isLetter(c);
    }
  return right > left;
}

bool hasRightToLeft(const std::string& text) {
  for (std::size_t i = 0; i < text.size();)
    if (isRightToLeft(nextCodePoint(text, i))) return true;
  return false;
}

// Right-to-left lines read from the right, but numbers and foreign words within them from the left.
void orderWords(std::vector<Word>& words, bool rightToLeft) {
  std::stable_sort(words.begin(), words.end(), [](const Word& a, const Word& b) { return a.left < b.left; });
  if (!rightToLeft) return;
  std::reverse(words.begin(), words.end());
  for (auto it = words.begin(); it != words.end();) {
    const auto end = std::find_if(it, words.end(), [](const Word& word) { return hasRightToLeft(word.text); });
    std::reverse(it, end);
    it = end == words.end() ? end : end + 1;
  }
}

bool isUnit(std::string_view word) {
  return word == "m" || word == "km" || word == "cm" || word == "mm" || word == "dm" || word == "nm" || word == "ft" ||
         word == "mi" || word == "in" || word == "sec";
}

std::string lettersAtEnd(std::string_view text) {
  std::string letters;
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t start = i;
    const char32_t c = nextCodePoint(text, i);
    if (isLetter(c))
      letters.append(text.substr(start, i - start));
    else if (c != '.' && c != ',' && c != ')' && c != '"' && c != 0x201D && c != 0x2019)
      letters.clear();
  }
  return letters;
}

bool isOnlySigns(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const char32_t c = nextCodePoint(text, i);
    if (isLetter(c) || isDigit(c)) return false;
  }
  return true;
}

// The digits of an exponent are written as such; the marker of a footnote is not part of the text.
std::string raisedText(const Word& word, const std::string& before) {
  const std::string letters = lettersAtEnd(before);
  const std::size_t count = countCodePoints(letters);
  if (isNoteMarker(word.text) && count >= 2 && !isUnit(letters)) return {};
  if (isOnlySigns(word.text) && count >= 3) return {};
  const std::string small = superscript(word.text);
  return small.empty() ? word.text : small;
}

std::string loweredText(const Word& word) {
  const std::string small = subscript(word.text);
  return small.empty() ? word.text : small;
}

// Font size and name of most letters.
std::pair<double, std::string> commonLook(const std::vector<Word>& words) {
  std::map<std::pair<double, std::string>, std::size_t> looks;
  for (const auto& word : words) looks[{word.size, word.font}] += word.text.size();
  return std::max_element(looks.begin(), looks.end(), [](const auto& a, const auto& b) { return a.second < b.second; })
      ->first;
}

bool needsSpace(const Word& before, const Word& word, bool rightToLeft, double& gap) {
  const bool reversed = rightToLeft && !hasRightToLeft(word.text) && word.left > before.left;
  gap = rightToLeft && !reversed ? before.left - word.right : word.left - before.right;
  return before.spaceAfter || gap > kSpaceGap * std::max(word.size, before.size);
}

Line makeLine(Row row, int page, double pageWidth) {
  Line line;
  line.page = page;
  line.column = row.column;
  const bool rightToLeft = isRightToLeftText(row.words);
  orderWords(row.words, rightToLeft);
  std::tie(line.size, line.font) = commonLook(row.words);
  // The box of the line is that of its usual words: symbols and exponents reach far above and below.
  const auto usual = std::find_if(row.words.begin(), row.words.end(),
                                  [&](const Word& word) { return word.size == line.size && word.font == line.font; });
  line.top = usual->top, line.bottom = usual->bottom;
  line.left = row.words.front().left, line.right = row.words.front().right;
  std::size_t bold = 0, total = 0;
  const Word* base = &*usual;  // the last word that is neither raised nor lowered
  for (std::size_t i = 0; i < row.words.size(); ++i) {
    const Word& word = row.words[i];
    total += word.text.size();
    bold += word.bold ? word.text.size() : 0;
    line.left = std::min(line.left, word.left);
    line.right = std::max(line.right, word.right);
    const double shift = middle(word) - middle(*base);  // downwards
    const bool small = word.size < kRaisedSize * line.size;
    const bool raised = small && shift < -0.05 * line.size, lowered = small && shift > 0.05 * line.size;
    double gap = 0;
    const bool afterMarker = i == 1 && row.words[0].size < kRaisedSize * word.size && isNoteMarker(row.words[0].text);
    if (i > 0 && (needsSpace(row.words[i - 1], word, rightToLeft, gap) || afterMarker) && !line.text.empty())
      line.text += ' ';
    if (i > 0 && gap > kTableGap * std::max(word.size, row.words[i - 1].size)) line.tabular = true;
    line.text += i > 0 && raised ? raisedText(word, base->text) : i > 0 && lowered ? loweredText(word) : word.text;
    if (!small) base = &word;
  }
  line.text = cleanText(line.text, LineBreaks::Join);
  line.bold = bold == total;
  line.firstWordWidth = row.words.front().right - row.words.front().left;
  if (rightToLeft)
    line.left = pageWidth - line.left, line.right = pageWidth - line.right, std::swap(line.left, line.right);
  return line;
}

// The white strip between columns may begin a line too early, where the last line above it is short.
void returnLastLines(std::vector<Line>& lines) {
  for (std::size_t i = 1; i < lines.size(); ++i) {
    Line& line = lines[i];
    const Line& above = lines[i - 1];
    const double pitch = line.bottom - above.bottom;
    const bool alone = std::none_of(lines.begin(), lines.end(), [&](const Line& other) {
      return &other != &line && overlap(line.top, line.bottom, other.top, other.bottom) > 0;
    });
    if (line.column != above.column && alone && line.size == above.size && line.font == above.font && pitch > 0 &&
        pitch < 1.45 * line.size && std::abs(line.left - above.left) < 0.5 * line.size && above.right > line.right)
      line.column = above.column;
  }
}

// A large first letter belongs to the line whose top it shares.
void takeInitials(std::vector<Word>& words, double size, std::vector<Word>& initials) {
  const auto isInitial = [&](const Word& word) {
    return word.size > kInitialSize * size && countCodePoints(word.text) == 1 && isLetter(firstCodePoint(word.text));
  };
  for (const auto& word : words)
    if (isInitial(word) && std::any_of(words.begin(), words.end(), [&](const Word& other) {
          return other.size < word.size / kInitialSize && other.left >= word.right - size &&
                 other.left - word.right < size && overlap(word.top, word.bottom, other.top, other.bottom) > 0;
        }))
      initials.push_back(word);
  if (initials.empty()) return;
  words.erase(std::remove_if(words.begin(), words.end(),
                             [&](const Word& word) {
                               return std::any_of(initials.begin(), initials.end(), [&](const Word& initial) {
                                 return initial.left == word.left && initial.top == word.top &&
                                        initial.size == word.size;
                               });
                             }),
              words.end());
}

void giveInitials(std::vector<Line>& lines, const std::vector<Word>& initials) {
  for (const auto& initial : initials) {
    Line* best = nullptr;
    for (auto& line : lines)
      if (line.left >= initial.right - line.size && line.left - initial.right < 1.5 * line.size &&
          overlap(initial.top, initial.bottom, line.top, line.bottom) > 0 && (!best || line.top < best->top))
        best = &line;
    if (best) best->text.insert(0, initial.text), best->left = initial.left;
  }
}

}  // namespace

PageLayout layOutPage(std::vector<Word> words, int page, double width, double height) {
  PageLayout layout{page, width, height, {}};
  words.erase(std::remove_if(words.begin(), words.end(), [](const Word& word) { return trimmed(word.text).empty(); }),
              words.end());
  if (words.empty()) return layout;
  const double size = medianSize(words);
  std::vector<Word> initials;
  takeInitials(words, size, initials);
  std::stable_sort(words.begin(), words.end(), [](const Word& a, const Word& b) { return a.top < b.top; });
  const std::vector<Gutter> gutters = findGutters(words, size);
  for (auto& row : groupRows(words, gutters, size)) layout.lines.push_back(makeLine(std::move(row), page, width));
  giveInitials(layout.lines, initials);
  layout.lines.erase(
      std::remove_if(layout.lines.begin(), layout.lines.end(), [](const Line& line) { return line.text.empty(); }),
      layout.lines.end());
  const auto inReadingOrder = [](const Line& a, const Line& b) {
    return a.column != b.column ? a.column < b.column : a.top < b.top;
  };
  std::stable_sort(layout.lines.begin(), layout.lines.end(), inReadingOrder);
  if (!gutters.empty()) {
    returnLastLines(layout.lines);
    std::stable_sort(layout.lines.begin(), layout.lines.end(), inReadingOrder);
  }
  return layout;
}

}  // namespace palimpsest::documents
