// Plain text: paragraphs by blank lines (or indents, or one per line), verse kept, chapters by their headings.
#include <algorithm>
#include <map>

#include "documents/encoding.h"
#include "documents/gutenberg.h"
#include "documents/headings.h"
#include "documents/source.h"
#include "documents/text.h"

namespace palimpsest::documents {
namespace {

constexpr std::size_t kLongestContents = 500;  // headings

struct TextLine {
  std::string_view text;  // trimmed
  std::size_t indent = 0;
  std::size_t length = 0;  // code points
};

// Lines between blank lines; `gap` counts the blank lines before it.
struct TextBlock {
  std::vector<TextLine> lines;
  std::size_t gap = 0;
};

std::vector<TextBlock> splitBlocks(std::string_view text) {
  std::vector<TextBlock> blocks;
  std::size_t blank = 1;
  for (std::size_t i = 0; i < text.size();) {
    const auto end = std::min(text.find_first_of("\n\f", i), text.size());
    const std::string_view raw = text.substr(i, end - i);
    i = end + 1;
    const std::string_view line = trimmed(raw);
    if (line.empty()) {
      ++blank;
      continue;
    }
    if (blank > 0) blocks.push_back({{}, blank});
    blank = 0;
    const auto lead = raw.substr(0, raw.find_first_not_of(" \t"));
    const auto tabs = static_cast<std::size_t>(std::count(lead.begin(), lead.end(), '\t'));
    blocks.back().lines.push_back({line, lead.size() + 3 * tabs, countCodePoints(line)});
  }
  return blocks;
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
  return line.indent + line.length + 1 + firstWordLength(next.text) + 1 < width;
}

bool isVerse(const TextBlock& block, std::size_t width) {
  if (block.lines.size() < 2) return false;
  std::size_t early = 0;
  for (std::size_t i = 0; i + 1 < block.lines.size(); ++i)
    early += endsEarly(block.lines[i], block.lines[i + 1], width);
  return early * 10 >= (block.lines.size() - 1) * 6;
}

// Hard-wrapped lines to paragraphs. Without blank lines between them, an indent begins a new one.
void joinLines(const TextBlock& block, std::vector<std::string>& paragraphs) {
  std::size_t least = block.lines.front().indent, flush = 0;
  for (const auto& line : block.lines) least = std::min(least, line.indent);
  for (const auto& line : block.lines) flush += line.indent == least;
  const bool indentsSpeak = flush * 2 > block.lines.size();
  paragraphs.emplace_back();
  for (const auto& line : block.lines) {
    const bool begins = indentsSpeak && line.indent >= least + 2 && line.indent <= least + 10;
    if (begins && !paragraphs.back().empty()) paragraphs.emplace_back();
    std::string& paragraph = paragraphs.back();
    const bool broken = paragraph.size() > 1 && paragraph.back() == '-' && isLower(firstCodePoint(line.text)) &&
                        paragraph[paragraph.size() - 2] != '-' && paragraph[paragraph.size() - 2] != ' ';
    if (broken)
      paragraph += line.text;  // "well-\nknown": plain text keeps its hyphens
    else
      appendLine(paragraph, line.text);
  }
}

// Collects paragraphs and, on the way, chapters.
class TextBuilder {
 public:
  TextBuilder(Document& document, const Layout& layout) : document_(document), layout_(layout) {}

  void add(const TextBlock& block) {
    if (takeHeading(block)) return;
    if (layout_.paragraphPerLine) {
      for (const auto& line : block.lines) addLine(line.text);
    } else if (isVerse(block, layout_.width)) {
      std::string verse;
      for (const auto& line : block.lines) (verse += verse.empty() ? "" : "\n") += line.text;
      addText(std::move(verse));
    } else {
      std::vector<std::string> paragraphs;
      joinLines(block, paragraphs);
      for (auto& paragraph : paragraphs) addText(std::move(paragraph));
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

  void addText(std::string text) {
    if (!found_.empty() && !awaitsTitle_) ++found_.back().body;
    document_.paragraphs.push_back({std::move(text), 0, static_cast<int>(found_.size()) - 1});
  }

  void addLine(std::string_view line) {
    TextBlock one;
    one.lines.push_back({line, 0, countCodePoints(line)});
    if (!takeHeading(one)) addText(std::string(line));
  }

  bool takeHeading(const TextBlock& block) {
    if (block.lines.size() > 2) return awaitsTitle_ = false;
    const std::string_view line = block.lines[0].text;
    // "CHAPTER I" alone: the next short line is its title.
    if (awaitsTitle_ && block.lines.size() == 1 && looksLikeTitle(line) && !guessHeading(line).heading &&
        line.size() < 60) {
      (found_.back().title += ": ") += line;
      addText(std::string(line));
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
    document_.paragraphs.push_back({std::move(text), 0, static_cast<int>(found_.size()) - 1});
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
  std::vector<Found> found_;
  bool awaitsTitle_ = false;
};

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
  const auto blocks = splitBlocks(stripGutenberg(text, document));
  TextBuilder builder(document, measure(blocks));
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    if (i % 1024 == 0) job.report(0.3 + 0.6 * static_cast<double>(i) / static_cast<double>(blocks.size()));
    builder.add(blocks[i]);
  }
  builder.finish();
  if (document.paragraphs.empty())
    source.fail(ExtractionError::Reason::NoText, "holds only blank lines. There is nothing in it to read.");
  return document;
}

}  // namespace palimpsest::documents
