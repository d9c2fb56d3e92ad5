// Plain text: paragraphs by blank lines (or indents, or one per line), verse kept, chapters by their headings, pages by
// form feeds.
#include <algorithm>
#include <map>

#include "documents/encoding.h"
#include "documents/gutenberg.h"
#include "documents/headings.h"
#include "documents/hyphenation.h"
#include "documents/line_runs.h"
#include "documents/source.h"
#include "documents/text.h"
#include "documents/text_pages.h"

namespace palimpsest::documents {
namespace {

constexpr std::size_t kLongestContents = 500;  // headings

struct TextLine {
  std::string_view text;  // trimmed
  std::size_t indent = 0;
  std::size_t length = 0;  // code points
  int page = 0;            // 0 = the text has none
};

// Lines between blank lines.
struct TextBlock {
  std::vector<TextLine> lines;
};

std::vector<TextBlock> splitBlocks(const std::vector<PageLine>& lines) {
  std::vector<TextBlock> blocks;
  bool blank = true;
  for (const auto& raw : lines) {
    const std::string_view line = trimmed(raw.text);
    if (line.empty()) {
      blank = true;
      continue;
    }
    if (blank) blocks.emplace_back();
    blank = false;
    const auto lead = raw.text.substr(0, raw.text.find_first_not_of(" \t"));
    const auto tabs = static_cast<std::size_t>(std::count(lead.begin(), lead.end(), '\t'));
    blocks.back().lines.push_back({line, lead.size() + 3 * tabs, countCodePoints(line), raw.page});
  }
  return blocks;
}

// The words of the text and its habits, if a line ends with a hyphen anywhere; else there is nothing to mend.
WordStock learnWords(const std::vector<TextBlock>& blocks, const Job& job) {
  WordStock words;
  const auto eachBreak = [&](const auto& visit) {
    for (const auto& block : blocks)
      for (std::size_t i = 0; i + 1 < block.lines.size(); ++i)
        if (endsWithHyphen(block.lines[i].text)) visit(block.lines[i].text, block.lines[i + 1].text);
  };
  bool any = false;
  eachBreak([&](auto, auto) { any = true; });
  if (!any) return words;
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    if (i % 1024 == 0) job.throwIfStopped();
    for (const auto& line : blocks[i].lines) words.learn(line.text);
  }
  eachBreak([&](std::string_view line, std::string_view next) { words.learnHabit(line, next); });
  return words;
}

// How the file was typed.
struct Layout {
  bool paragraphPerLine = false;
  std::size_t width = 0;  // where lines were broken by hand
};

Layout measure(const std::vector<TextBlock>& blocks) {
  std::size_t lines = 0, longLines = 0, wrapped = 0;
  std::map<std::size_t, std::size_t> lengths;
  for (const auto& block : blocks)
    for (std::size_t i = 0; i < block.lines.size(); ++i) {
      const auto& line = block.lines[i];
      ++lines;
      longLines += line.length > 120;
      if (i + 1 == block.lines.size()) continue;  // the last line of a block may end anywhere
      ++lengths[line.indent + line.length];
      ++wrapped;
    }
  Layout layout;
  layout.paragraphPerLine = longLines * 10 > lines || (longLines > 0 && wrapped * 10 < lines);
  // The width that all but the longest few lines keep; tables and URLs stick out.
  std::size_t seen = 0;
  for (auto it = lengths.rbegin(); it != lengths.rend(); ++it) {
    seen += it->second;
    layout.width = it->first;
    if (seen * 50 >= wrapped) break;
  }
  return layout;
}

std::size_t firstWordLength(std::string_view line) { return countCodePoints(line.substr(0, line.find(' '))); }

// The line ended although the next word would have fitted: the author meant it.
bool endsEarly(const TextLine& line, const TextLine& next, std::size_t width) {
  return !endsWithHyphen(line.text) && line.indent + line.length + 1 + firstWordLength(next.text) + 1 < width;
}

// Prose set narrower than the rest, a quotation or a column: its lines fill its own width and many go on in small
// letters.
bool isNarrowProse(const TextBlock& block) {
  std::size_t width = 0, early = 0, goingOn = 0;
  for (const auto& line : block.lines) width = std::max(width, line.indent + line.length + 1);
  for (std::size_t i = 0; i + 1 < block.lines.size(); ++i) {
    early += endsEarly(block.lines[i], block.lines[i + 1], width);
    goingOn += endsWithHyphen(block.lines[i].text) || isLower(firstCodePoint(block.lines[i + 1].text));
  }
  const std::size_t ends = block.lines.size() - 1;
  return ends >= 2 && goingOn * 10 >= ends * 4 && early * 10 <= ends * 2;
}

bool isVerse(const TextBlock& block, std::size_t width) {
  if (block.lines.size() < 2) return false;
  std::size_t early = 0;
  for (std::size_t i = 0; i + 1 < block.lines.size(); ++i)
    early += endsEarly(block.lines[i], block.lines[i + 1], width);
  return early * 10 >= (block.lines.size() - 1) * 6 && !isNarrowProse(block);
}

// Hard-wrapped lines to paragraphs. Without blank lines between them, an indent begins a new one.
std::vector<Paragraph> joinLines(const TextBlock& block, const WordStock& words) {
  std::size_t least = block.lines.front().indent, flush = 0, indented = 0, afterSentence = 0;
  for (const auto& line : block.lines) least = std::min(least, line.indent);
  for (std::size_t i = 0; i < block.lines.size(); ++i) {
    flush += block.lines[i].indent == least;
    if (i == 0 || block.lines[i].indent == least) continue;
    ++indented;
    afterSentence += endsSentence(block.lines[i - 1].text);
  }
  // Most lines of a dialogue may be first ones; the lines of a hanging indent follow no sentence.
  const bool indentsSpeak = flush * 2 > block.lines.size() || (flush > 0 && afterSentence * 10 >= indented * 8);
  std::vector<Paragraph> paragraphs;
  for (const auto& line : block.lines) {
    const bool begins = indentsSpeak && line.indent >= least + 2 && line.indent <= least + 10;
    if (begins || paragraphs.empty()) paragraphs.push_back({{}, line.page, -1});
    words.appendLine(paragraphs.back().text, line.text);
  }
  return paragraphs;
}

// Collects paragraphs and, on the way, chapters.
class TextBuilder {
 public:
  TextBuilder(Document& document, const Layout& layout, const WordStock& words)
      : document_(document), layout_(layout), words_(words) {}

  void add(const TextBlock& block) {
    if (takeHeading(block)) return;
    if (layout_.paragraphPerLine) {
      for (const auto& line : block.lines) addLine(line);
    } else if (isVerse(block, layout_.width)) {
      std::string verse;
      for (const auto& line : block.lines) (verse += verse.empty() ? "" : "\n") += line.text;
      addText(std::move(verse), block.lines.front().page);
    } else {
      for (auto& paragraph : joinLines(block, words_)) addText(std::move(paragraph.text), paragraph.page);
    }
  }

  void finish() {
    takeTitlePage();
    dropWeakHeadings();
    dropContents();
    setLevels();
    std::vector<int> newIndex(found_.size(), -1);
    int last = -1;
    for (std::size_t i = 0; i < found_.size(); ++i) {
      if (!found_[i].dropped) {
        last = static_cast<int>(document_.chapters.size());
        document_.chapters.push_back({found_[i].title, found_[i].level});
      }
      newIndex[i] = last;
    }
    for (auto& paragraph : document_.paragraphs)
      if (paragraph.chapter >= 0) paragraph.chapter = newIndex[static_cast<std::size_t>(paragraph.chapter)];
  }

 private:
  struct Found {
    std::string title;
    HeadingGuess guess;
    std::size_t paragraph = 0;  // index of the heading's own paragraph
    std::size_t body = 0;       // paragraphs below it that are no headings
    int level = 0;
    bool dropped = false;
  };

  void addText(std::string text, int page) {
    if (!found_.empty() && !awaitsTitle_) ++found_.back().body;
    document_.paragraphs.push_back({std::move(text), page, static_cast<int>(found_.size()) - 1});
  }

  void addLine(const TextLine& line) {
    if (!takeHeading({{line}})) addText(std::string(line.text), line.page);
  }

  bool takeHeading(const TextBlock& block) {
    if (block.lines.size() > 2) return awaitsTitle_ = false;
    const std::string_view line = block.lines[0].text;
    // "CHAPTER I" alone: the next short line is its title.
    if (awaitsTitle_ && block.lines.size() == 1 && looksLikeTitle(line) && !guessHeading(line).heading &&
        line.size() < 60) {
      (found_.back().title += ": ") += line;
      addText(std::string(line), block.lines[0].page);
      return !(awaitsTitle_ = false);
    }
    awaitsTitle_ = false;
    const HeadingGuess guess = guessHeading(line);
    if (!guess.heading || (block.lines.size() == 2 && (!guess.bare || !looksLikeTitle(block.lines[1].text))))
      return false;
    std::string title(line), text(line);
    if (block.lines.size() == 2) {
      (title += ": ") += block.lines[1].text;
      (text += '\n') += block.lines[1].text;
    }
    found_.push_back({title, guess, document_.paragraphs.size(), 0, 0, false});
    document_.paragraphs.push_back({std::move(text), block.lines[0].page, static_cast<int>(found_.size()) - 1});
    awaitsTitle_ = guess.bare && block.lines.size() == 1 && !guess.weak;
    return true;
  }

  // "Title", "by Author" as the first lines of the text.
  void takeTitlePage() {
    if (!document_.title.empty() || document_.paragraphs.size() < 2) return;
    const std::string& title = document_.paragraphs[0].text;
    const std::string& author = document_.paragraphs[1].text;
    const bool byLine = author.size() > 5 && author.size() < 60 && lowerCase(author.substr(0, 3)) == "by ";
    if (!byLine || !looksLikeTitle(title)) return;
    document_.title = title;
    document_.author = std::string(trimmed(author.substr(3)));
  }

  // Lone numerals are chapters if they count up from one; a single "IV" may be a page number or a list.
  void dropWeakHeadings() {
    std::size_t weak = 0, ordered = 0;
    int expected = 1;
    for (const auto& found : found_) {
      if (!found.guess.weak) continue;
      ++weak;
      if (found.guess.number == expected || found.guess.number == 1) ++ordered;
      expected = found.guess.number + 1;
    }
    const bool trusted = weak >= 2 && ordered * 10 >= weak * 9;
    for (auto& found : found_) found.dropped = found.dropped || (found.guess.weak && !trusted);
  }

  // A list of contents shows the same headings with nothing between them.
  void dropContents() {
    for (std::size_t i = 0; i < found_.size(); ++i) {
      if (found_[i].dropped || found_[i].body > 0) continue;
      const auto last = std::min(found_.size(), i + kLongestContents);
      found_[i].dropped = std::any_of(found_.begin() + static_cast<std::ptrdiff_t>(i) + 1,
                                      found_.begin() + static_cast<std::ptrdiff_t>(last),
                                      [&](const Found& later) { return sameHeading(found_[i], later); });
    }
    if (found_.size() > 1 && found_.back().body == 0) found_.back().dropped = true;
  }

  // "CHAPTER I" in the contents may be "CHAPTER I: Loomings" in the text, or the other way round.
  static bool sameHeading(const Found& a, const Found& b) {
    const std::string x = foldedForComparison(a.title), y = foldedForComparison(b.title);
    if (x == y) return true;
    const bool sameNumber =
        a.guess.number > 0 && a.guess.number == b.guess.number && a.guess.division == b.guess.division;
    return sameNumber && (x.rfind(y, 0) == 0 || y.rfind(x, 0) == 0);
  }

  void setLevels() {
    bool divided = false;
    for (auto& found : found_) {
      if (found.dropped) continue;
      if (found.guess.division) divided = true;
      found.level = divided && !found.guess.division && found.guess.number > 0 ? 1 : 0;
    }
  }

  Document& document_;
  Layout layout_;
  const WordStock& words_;
  std::vector<Found> found_;
  bool awaitsTitle_ = false;
};

// Project Gutenberg writes [Illustration] where a picture without words was.
void dropPictureMarks(std::vector<PageLine>& lines) {
  for (auto& line : lines)
    if (trimmed(line.text) == "[Illustration]") line.text = {};
}

std::string withUnixLineEnds(std::string text) {
  std::size_t out = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\r' && i + 1 < text.size() && text[i + 1] == '\n') continue;
    text[out++] = text[i] == '\r' ? '\n' : text[i];
  }
  text.resize(out);
  return text;
}

}  // namespace

Document readPlainText(const Source& source, const Job& job) {
  Document document;
  document.format = "TXT";
  const std::string text = withUnixLineEnds(decodeToUtf8(source.bytes));
  job.report(0.3);
  const std::string_view body = stripGutenberg(text, document);
  const bool gutenberg = body.size() < text.size();
  auto lines = linesOfPages(body);
  if (gutenberg) dropPictureMarks(lines);
  if (!lines.empty()) document.pageCount = lines.back().page;
  const auto blocks = splitBlocks(lines);
  const WordStock words = learnWords(blocks, job);
  TextBuilder builder(document, measure(blocks), words);
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    if (i % 1024 == 0) job.report(0.3 + 0.6 * static_cast<double>(i) / static_cast<double>(blocks.size()));
    builder.add(blocks[i]);
  }
  builder.finish();
  if (gutenberg) dropItalicMarks(document);
  if (document.paragraphs.empty())
    source.fail(ExtractionError::Reason::NoText, "holds only blank lines. There is nothing in it to read.");
  return document;
}

}  // namespace palimpsest::documents
