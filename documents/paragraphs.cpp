#include "documents/paragraphs.h"

#include <algorithm>
#include <array>

#include "documents/hyphenation.h"
#include "documents/line_runs.h"
#include "documents/text.h"

namespace palimpsest::documents {
namespace {

constexpr std::size_t kMostFloats = 60;  // runs of notes and figures that may interrupt a paragraph

bool beginsLower(std::string_view text) { return isLower(firstCodePoint(text)); }

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

  // Of a section, as opposed to a caption: a paragraph before it is over.
  bool isHeading(const Run& run) const {
    return !isCaption(run.first().text) && ((run.first().size > bodySize_ && !sameSize(run.first().size, bodySize_)) ||
                                            (run.first().bold && run.lines.size() <= 2));
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
  const std::string font = commonFont(pages, bodySize);
  const std::vector<Run> runs = splitRuns(pages, bodySize, font);
  ParagraphBuilder builder(words, bodySize, font, marksByIndent(runs, bodySize));
  for (const auto& run : runs) builder.add(run);
  return builder.take();
}

}  // namespace palimpsest::documents
