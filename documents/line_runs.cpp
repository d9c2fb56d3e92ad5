#include "documents/line_runs.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "documents/hyphenation.h"
#include "documents/text.h"

namespace palimpsest::documents {
namespace {

constexpr double kSameSize = 0.06;      // relative difference of font sizes that still counts as the same
constexpr double kWideLeading = 1.3;    // of the usual distance of lines: more begins a new run
constexpr double kWiderLeading = 1.12;  // still the same run if the sentence goes on: a tall formula, not a paragraph
constexpr double kIndent = 0.7;         // em
constexpr double kDeepestIndent = 6;    // em

double pitchBetween(const Line& a, const Line& b) { return b.bottom - a.bottom; }

// The usual distance of baselines for each font size, over the whole document.
class Leading {
 public:
  explicit Leading(const std::vector<PageLayout>& pages) {
    std::map<int, std::map<int, std::size_t>> counts;
    for (const auto& page : pages)
      for (std::size_t i = 1; i < page.lines.size(); ++i) {
        const Line &a = page.lines[i - 1], &b = page.lines[i];
        const double pitch = pitchBetween(a, b);
        if (a.column == b.column && sameSize(a.size, b.size) && pitch > 0.8 * b.size && pitch < 3 * b.size)
          ++counts[key(b.size)][static_cast<int>(std::lround(pitch * 2))];
      }
    for (const auto& [size, pitches] : counts) {
      const auto most = std::max_element(pitches.begin(), pitches.end(),
                                         [](const auto& x, const auto& y) { return x.second < y.second; });
      if (most->second >= 3) usual_[size] = most->first / 2.0;
    }
  }
  double of(double size) const {
    const auto it = usual_.find(key(size));
    return it != usual_.end() ? it->second : 1.35 * size;
  }

 private:
  static int key(double size) { return static_cast<int>(std::lround(size * 2)); }
  std::map<int, double> usual_;
};

// Lines that follow each other in one column at the usual distance, set in one size and weight.
bool sameRun(const Line& a, const Line& b, const Leading& leading) {
  const double pitch = pitchBetween(a, b);
  return a.page == b.page && a.column == b.column && sameSize(a.size, b.size) && a.bold == b.bold &&
         pitch > 0.3 * b.size && pitch < kWideLeading * leading.of(b.size) + 0.5 &&
         !(pitch > kWiderLeading * leading.of(b.size) + 0.3 && (endsSentence(a.text) || startsWithBullet(b.text)));
}

bool hasLeaders(const std::string& text) {
  return text.find(". . . .") != std::string::npos || text.find(".....") != std::string::npos;
}

// Where the columns of the document end on the right, so that a poem alone in its run is not its own measure.
class RightEdges {
 public:
  explicit RightEdges(const std::vector<PageLayout>& pages) {
    std::map<int, std::vector<double>> byColumn;
    for (const auto& page : pages) {
      std::map<int, double> edges;
      for (const auto& line : page.lines) edges[line.column] = std::max(edges[line.column], line.right);
      for (const auto& [column, right] : edges) {
        edges_[{page.page, column}] = right;
        byColumn[column].push_back(right);
      }
    }
    for (auto& [column, rights] : byColumn) {
      std::sort(rights.begin(), rights.end());
      usual_[column] = rights[rights.size() / 2];
    }
  }
  double of(const Line& line) const {
    const auto edge = edges_.find({line.page, line.column});
    const auto usual = usual_.find(line.column);
    return edge == edges_.end() ? line.right : std::max(edge->second, usual->second);
  }

 private:
  std::map<std::pair<int, int>, double> edges_;
  std::map<int, double> usual_;
};

// The line ended although the next word would have fitted before the edge. A broken word never fits.
bool endsEarly(const Line& line, const Line& next, double edge) {
  if (endsWithHyphen(line.text) && isLower(firstCodePoint(next.text))) return false;
  return line.right + 0.3 * line.size + next.firstWordWidth < edge - 0.1 * line.size;
}

// Verse, a table or code: most lines end early, and not because sentences do.
bool keepsLines(const Run& run, double edge) {
  if (run.lines.size() < 2) return false;
  std::size_t early = 0, farEarly = 0, sentences = 0, tabular = 0, capitals = 0;
  for (std::size_t i = 0; i < run.lines.size(); ++i) {
    tabular += run.lines[i].tabular || hasLeaders(run.lines[i].text);
    capitals += !isLower(firstCodePoint(run.lines[i].text));
    if (i + 1 == run.lines.size()) break;
    early += endsEarly(run.lines[i], run.lines[i + 1], run.right);
    farEarly += endsEarly(run.lines[i], run.lines[i + 1], edge);
    sentences += endsSentence(run.lines[i].text);
  }
  if (tabular * 2 >= run.lines.size()) return true;
  const std::size_t boundaries = run.lines.size() - 1;
  if (boundaries < 2 || sentences * 10 >= boundaries * 7) return false;
  // Lines of much the same length do not measure each other; then every one begins with a capital and leaves room
  // in the column.
  return early * 10 >= boundaries * 7 || (farEarly == boundaries && capitals == run.lines.size());
}

void judgeBoundaries(Run& run, double edge) {
  run.left = run.first().left;
  for (const auto& line : run.lines) {
    run.left = std::min(run.left, line.left);
    run.right = std::max(run.right, line.right);
  }
  run.lastIsShort = run.last().right < run.right - 2 * run.last().size;
  const bool keeps = keepsLines(run, edge);
  run.after.assign(run.lines.size() - 1, keeps ? Boundary::Soft : Boundary::Join);
  if (keeps) return;
  const bool hanging = isHanging(run);
  double itemLeft = -1e9;  // where the paragraph began, if with a number
  for (std::size_t i = 0; i + 1 < run.lines.size(); ++i) {
    const Line &line = run.lines[i], &next = run.lines[i + 1];
    const bool early = endsEarly(line, next, run.right);
    const bool opens = hanging ? !isIndented(run, next) : isIndented(run, next) && (!isIndented(run, line) || early);
    const bool numbered = startsWithEnumerator(next.text);
    if (i == 0 || run.after[i - 1] == Boundary::Break) itemLeft = startsWithEnumerator(line.text) ? line.left : -1e9;
    const bool sameList = numbered && std::abs(next.left - itemLeft) < 2;
    const bool item = startsWithBullet(next.text) || sameList || (numbered && (early || endsSentence(line.text)));
    const bool table = hasLeaders(line.text) || (line.tabular && next.tabular);
    if (early || opens || item || table) run.after[i] = Boundary::Break;
  }
}

// Labels of diagrams whose fonts do not say which letters they draw: "!\"# $!\"#".
bool isGarbled(std::string_view text) {
  constexpr std::string_view kSigns = "!\"#$%&'*+<=>?@\\^`|~:;/";
  std::size_t tokens = 0, garbled = 0;
  for (std::size_t i = 0; i < text.size();) {
    const auto end = std::min(text.find(' ', i), text.size());
    const std::string_view token = text.substr(i, end - i);
    i = end + 1;
    if (token.empty()) continue;
    ++tokens;
    std::string distinct;
    std::size_t signs = 0;
    for (const char c : token) {
      if (kSigns.find(c) == std::string_view::npos) continue;
      ++signs;
      if (distinct.find(c) == std::string::npos) distinct += c;
    }
    garbled += distinct.size() >= 2 && signs * 3 >= token.size();
  }
  return tokens > 0 && garbled * 10 >= tokens * 6;
}

// Axis labels and the like are too small to be read as text, or garbled.
bool isLabel(const Line& line, double bodySize, const std::string& font) {
  constexpr double kSmallestText = 0.62;
  return line.size < kSmallestText * bodySize || (line.font != font && isGarbled(line.text));
}

}  // namespace

std::vector<Run> splitRuns(const std::vector<PageLayout>& pages, double bodySize, const std::string& bodyFont) {
  const Leading leading(pages);
  const RightEdges edges(pages);
  std::vector<Run> runs;
  for (const auto& page : pages)
    for (const auto& line : page.lines) {
      if (isLabel(line, bodySize, bodyFont)) continue;
      if (runs.empty() || !sameRun(runs.back().last(), line, leading)) runs.emplace_back();
      runs.back().lines.push_back(line);
    }
  for (auto& run : runs) judgeBoundaries(run, edges.of(run.first()));
  return runs;
}

std::string commonFont(const std::vector<PageLayout>& pages, double bodySize) {
  std::map<std::string, std::size_t> letters;
  for (const auto& page : pages)
    for (const auto& line : page.lines)
      if (sameSize(line.size, bodySize)) letters[line.font] += line.text.size();
  const auto most = std::max_element(letters.begin(), letters.end(),
                                     [](const auto& a, const auto& b) { return a.second < b.second; });
  return most == letters.end() ? std::string() : most->first;
}

bool sameSize(double a, double b) { return std::abs(a - b) <= kSameSize * std::max(a, b); }

bool isIndented(const Run& run, const Line& line) {
  const double indent = line.left - run.left;
  return indent > kIndent * line.size && indent < kDeepestIndent * line.size;
}

bool isHanging(const Run& run) {
  std::size_t indented = 0, wrapped = 0;
  for (std::size_t i = 0; i < run.lines.size(); ++i) {
    indented += isIndented(run, run.lines[i]);
    // A full line that goes on without an indent is no first line of a hanging paragraph.
    wrapped += i > 0 && !isIndented(run, run.lines[i]) && !isIndented(run, run.lines[i - 1]) &&
               run.lines[i - 1].right > run.right - 2 * run.lines[i - 1].size;
  }
  return run.lines.size() >= 2 && !isIndented(run, run.first()) && indented * 2 >= run.lines.size() && wrapped == 0;
}

bool startsWithBullet(const std::string& text) {
  switch (firstCodePoint(text)) {
    case 0x2022:
    case 0x25E6:
    case 0x25AA:
    case 0x25CF:
    case 0x25CB:
    case 0x25A0:
    case 0x25A1:
    case 0x2023:
    case 0x27A2:
    case 0x2043:
    case 0xB7:
    case 0x2219:
    case 0x2756:
    case 0x25C6:
      return true;
    default:
      return text.rfind("– ", 0) == 0 || text.rfind("— ", 0) == 0;
  }
}

bool startsWithEnumerator(const std::string& text) {
  const auto end = text.find(' ');
  if (end == std::string::npos || end < 2 || end > 7) return false;
  std::string_view word = std::string_view(text).substr(0, end);
  const char last = word.back();
  if (last != '.' && last != ')' && last != ']') return false;
  word.remove_suffix(1);
  if (word.front() == '(' || word.front() == '[')
    word.remove_prefix(1);
  else if (last == ']')
    return false;
  if (word.empty()) return false;
  return word.find_first_not_of("0123456789.") == std::string_view::npos || romanNumeral(word) > 0 ||
         (word.size() == 1 && last == ')');
}

// Dots that lead the eye to a page number.
std::string withoutLeaders(const std::string& text) {
  if (!hasLeaders(text)) return text;
  std::string result;
  for (std::size_t i = 0; i < text.size();) {
    std::size_t end = i, dots = 0;
    while (end < text.size() && (text[end] == '.' || text[end] == ' ')) dots += text[end++] == '.';
    if (dots >= 4) {
      result += ' ';
      i = end;
    } else {
      result += text[i++];
    }
  }
  return result;
}

bool endsSentence(std::string_view text) {
  while (!text.empty()) {
    const char32_t last = lastCodePoint(text);
    if (isSentenceEnd(last) || last == ':') return true;
    std::size_t length = 1;
    while (length < text.size() && (static_cast<unsigned char>(text[text.size() - length]) & 0xC0) == 0x80) ++length;
    const bool closes = last == '"' || last == '\'' || last == ')' || last == ']' || last == 0x201D || last == 0x2019 ||
                        last == 0xBB || last == 0x201C;
    if (!closes) return false;
    text.remove_suffix(length);
  }
  return false;
}

}  // namespace palimpsest::documents
