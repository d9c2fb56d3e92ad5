#include "documents/paragraphs.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include "documents/hyphenation.h"
#include "documents/text.h"

namespace palimpsest::documents {
namespace {

constexpr double kSameSize = 0.06;       // relative difference of font sizes that still counts as the same
constexpr double kWideLeading = 1.3;     // of the usual distance of lines: more begins a new block
constexpr double kIndent = 0.7;          // em
constexpr double kDeepestIndent = 6;     // em
constexpr std::size_t kMostFloats = 60;  // runs of notes and figures that may interrupt a paragraph

using Lines = std::vector<Line>;

bool sameSize(double a, double b) { return std::abs(a - b) <= kSameSize * std::max(a, b); }

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
         pitch > 0.3 * b.size && pitch < kWideLeading * leading.of(b.size) + 0.5;
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

// 1. 2) (iii) [4] a)
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

bool hasLeaders(const std::string& text) {
  return text.find(". . . .") != std::string::npos || text.find(".....") != std::string::npos;
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

bool beginsLower(std::string_view text) { return isLower(firstCodePoint(text)); }

// What lies between two lines of a run.
enum class Boundary { Join, Soft, Break };  // Soft: the line ended although the next word would have fitted

struct Run {
  Lines lines;
  double left = 1e9, right = 0;
  std::vector<Boundary> after;  // after[i]: between line i and i + 1
  bool lastIsShort = false;     // the last line leaves room: a paragraph ends there

  const Line& first() const { return lines.front(); }
  const Line& last() const { return lines.back(); }
};

bool isIndented(const Run& run, const Line& line) {
  const double indent = line.left - run.left;
  return indent > kIndent * line.size && indent < kDeepestIndent * line.size;
}

bool isSoftEnd(const Run& run, const Line& line, const Line& next) {
  return line.right + 0.3 * line.size + next.firstWordWidth < run.right - 0.1 * line.size;
}

bool isHanging(const Run& run) {
  std::size_t indented = 0;
  for (const auto& line : run.lines) indented += isIndented(run, line);
  return run.lines.size() >= 2 && !isIndented(run, run.first()) && indented * 2 >= run.lines.size();
}

// Verse, a table or code: most lines end early, and not because sentences do.
bool keepsLines(const Run& run) {
  std::size_t soft = 0, sentences = 0, tabular = 0;
  for (std::size_t i = 0; i < run.lines.size(); ++i) {
    tabular += run.lines[i].tabular || hasLeaders(run.lines[i].text);
    if (i + 1 == run.lines.size()) break;
    soft += isSoftEnd(run, run.lines[i], run.lines[i + 1]);
    sentences += endsSentence(run.lines[i].text);
  }
  if (run.lines.size() >= 2 && tabular * 2 >= run.lines.size()) return true;
  const std::size_t boundaries = run.lines.size() - 1;
  return boundaries >= 2 && soft * 10 >= boundaries * 7 && sentences * 10 < boundaries * 7;
}

void judgeBoundaries(Run& run) {
  for (const auto& line : run.lines) {
    run.left = std::min(run.left, line.left);
    run.right = std::max(run.right, line.right);
  }
  run.lastIsShort = run.last().right < run.right - 2 * run.last().size;
  run.after.assign(run.lines.size() - 1, Boundary::Join);
  if (run.lines.size() < 2) return;
  if (keepsLines(run)) {
    run.after.assign(run.lines.size() - 1, Boundary::Soft);
    return;
  }
  const bool hanging = isHanging(run);
  double itemLeft = -1e9;  // where the paragraph began, if with a number
  for (std::size_t i = 0; i + 1 < run.lines.size(); ++i) {
    const Line &line = run.lines[i], &next = run.lines[i + 1];
    const bool soft = isSoftEnd(run, line, next);
    const bool opens = hanging ? !isIndented(run, next) : isIndented(run, next) && (!isIndented(run, line) || soft);
    const bool numbered = startsWithEnumerator(next.text);
    if (i == 0 || run.after[i - 1] == Boundary::Break) itemLeft = startsWithEnumerator(line.text) ? line.left : -1e9;
    const bool sameList = numbered && std::abs(next.left - itemLeft) < 2;
    const bool item = startsWithBullet(next.text) || sameList || (numbered && (soft || endsSentence(line.text)));
    const bool table = hasLeaders(line.text) || (line.tabular && next.tabular);
    if (soft || opens || item || table) run.after[i] = Boundary::Break;
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

std::string bodyFont(const std::vector<PageLayout>& pages, double bodySize) {
  std::map<std::string, std::size_t> letters;
  for (const auto& page : pages)
    for (const auto& line : page.lines)
      if (sameSize(line.size, bodySize)) letters[line.font] += line.text.size();
  const auto most = std::max_element(letters.begin(), letters.end(),
                                     [](const auto& a, const auto& b) { return a.second < b.second; });
  return most == letters.end() ? std::string() : most->first;
}

// Axis labels and the like are too small to be read as text, or garbled.
bool isLabel(const Line& line, double bodySize, const std::string& font) {
  constexpr double kSmallestText = 0.62;
  return line.size < kSmallestText * bodySize || (line.font != font && isGarbled(line.text));
}

std::vector<Run> splitRuns(const std::vector<PageLayout>& pages, double bodySize, const std::string& font) {
  const Leading leading(pages);
  std::vector<Run> runs;
  for (const auto& page : pages)
    for (const auto& line : page.lines) {
      if (isLabel(line, bodySize, font)) continue;
      if (runs.empty() || !sameRun(runs.back().last(), line, leading)) runs.emplace_back();
      runs.back().lines.push_back(line);
    }
  for (auto& run : runs) judgeBoundaries(run);
  return runs;
}

bool isCaption(const std::string& text) {
  static constexpr std::array<std::string_view, 9> kWords = {
      "Figure ", "Fig. ", "Table ", "Listing ", "Abbildung ", "Abb. ", "Tabelle ", "Algorithm ", "Plate "};
  return std::any_of(kWords.begin(), kWords.end(), [&](std::string_view word) {
    return text.compare(0, word.size(), word) == 0 && text.size() > word.size() &&
           isDigit(firstCodePoint(text.substr(word.size())));
  });
}

class ParagraphBuilder {
 public:
  // `indents`: the document marks paragraphs by first-line indents.
  ParagraphBuilder(const WordStock& words, double bodySize, std::string font, bool indents)
      : words_(words), bodySize_(bodySize), bodyFont_(std::move(font)), indents_(indents) {}

  void add(const Run& run) {
    // Italics are body text as well: one line of it may begin or end a paragraph.
    const bool sameFont = run.first().font == bodyFont_ || run.last().font == bodyFont_;
    const bool body =
        sameSize(run.first().size, bodySize_) && sameFont && !run.first().bold && !isCaption(run.first().text);
    const bool continues = body && open_.index != kNone && continuesWith(run);
    if (body && !continues) open_.index = kNone;
    if (!body && open_.index != kNone && ++open_.floats > kMostFloats) open_.index = kNone;
    if (isHeading(run)) open_.behindHeading = true;
    for (std::size_t i = 0; i < run.lines.size(); ++i) {
      const Line& line = run.lines[i];
      if (i == 0 && continues) {
        words_.appendLine(paragraphs_[open_.index].text, line.text);
        current_ = open_.index;
      } else if (i == 0 || run.after[i - 1] == Boundary::Break) {
        begin(line);
      } else if (run.after[i - 1] == Boundary::Soft) {
        (paragraphs_[current_].text += '\n') += withoutLeaders(line.text);
      } else {
        words_.appendLine(paragraphs_[current_].text, line.text);
        paragraphs_[current_].prose = true;
      }
    }
    if (body)
      open_ = {current_, run.last(), run.lastIsShort || (!run.after.empty() && run.after.back() == Boundary::Soft), 0,
               false};
  }

  std::vector<PageParagraph> take() { return std::move(paragraphs_); }

 private:
  static constexpr std::size_t kNone = static_cast<std::size_t>(-1);

  // The last paragraph of body text: it may go on in the next column.
  struct Open {
    std::size_t index = kNone;
    Line last;
    bool ended = false;  // its last line leaves room
    std::size_t floats = 0;
    bool behindHeading = false;  // a heading came since
  };

  void begin(const Line& line) {
    PageParagraph paragraph;
    paragraph.text = withoutLeaders(line.text);
    paragraph.page = line.page;
    paragraph.left = line.left;
    paragraph.top = line.top;
    paragraph.size = line.size;
    paragraph.bold = line.bold;
    current_ = paragraphs_.size();
    paragraphs_.push_back(std::move(paragraph));
  }

  bool continuesWith(const Run& run) const {
    const Line& first = run.first();
    if (startsWithBullet(first.text) || startsWithEnumerator(first.text) || first.tabular || open_.last.tabular)
      return false;
    const bool nearby = first.page <= open_.last.page + 1 + static_cast<int>(open_.floats);
    if (!nearby) return false;
    const bool elsewhere = first.page != open_.last.page || first.column != open_.last.column;
    if (endsWithHyphen(open_.last.text) && beginsLower(first.text)) return true;
    const bool sentence = endsSentence(open_.last.text);
    if (!sentence && beginsLower(first.text)) return !open_.ended || elsewhere;
    // A full last line, and a first line without the indent of a new paragraph. After a sentence that only tells where
    // the document does indent its paragraphs.
    const bool full = !open_.ended && open_.last.right - open_.last.left > 0.9 * (run.right - run.left);
    const bool unindented = run.lines.size() >= 2 && run.after[0] == Boundary::Join && !isIndented(run, first);
    return elsewhere && full && unindented && !open_.behindHeading && (!sentence || indents_);
  }

  bool isHeading(const Run& run) const {
    return !isCaption(run.first().text) &&
           (run.first().size > (1 + kSameSize) * bodySize_ || (run.first().bold && run.lines.size() <= 2));
  }

  const WordStock& words_;
  double bodySize_;
  std::string bodyFont_;
  bool indents_;
  std::vector<PageParagraph> paragraphs_;
  std::size_t current_ = 0;
  Open open_;
};

// Counts the paragraphs of body text that begin with an indent within their run.
bool marksByIndent(const std::vector<Run>& runs, double bodySize) {
  std::size_t indented = 0, breaks = 0;
  for (const auto& run : runs) {
    if (!sameSize(run.first().size, bodySize) || isHanging(run)) continue;
    for (std::size_t i = 0; i + 1 < run.lines.size(); ++i) {
      if (run.after[i] != Boundary::Break) continue;
      ++breaks;
      indented += isIndented(run, run.lines[i + 1]);
    }
  }
  return breaks >= 3 && indented * 2 >= breaks;
}

}  // namespace

std::vector<PageParagraph> buildParagraphs(const std::vector<PageLayout>& pages, double bodySize) {
  WordStock words;
  for (const auto& page : pages)
    for (const auto& line : page.lines) words.learn(line.text);
  const std::string font = bodyFont(pages, bodySize);
  const std::vector<Run> runs = splitRuns(pages, bodySize, font);
  ParagraphBuilder builder(words, bodySize, font, marksByIndent(runs, bodySize));
  for (const auto& run : runs) builder.add(run);
  return builder.take();
}

}  // namespace palimpsest::documents
