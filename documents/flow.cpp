#include "documents/flow.h"

#include <algorithm>
#include <array>

#include "documents/text.h"

namespace palimpsest::documents {
namespace {

using Words = std::initializer_list<std::string_view>;

bool isOneOf(std::string_view word, Words words) { return std::find(words.begin(), words.end(), word) != words.end(); }

bool isBlockElement(std::string_view name) {
  return isOneOf(
      name, {"address", "article", "aside",  "blockquote", "body",    "caption",  "center",     "dd",     "details",
             "dialog",  "dir",     "div",    "dl",         "dt",      "fieldset", "figcaption", "figure", "footer",
             "form",    "h1",      "h2",     "h3",         "h4",      "h5",       "h6",         "header", "hgroup",
             "hr",      "html",    "legend", "li",         "main",    "menu",     "nav",        "ol",     "option",
             "p",       "pre",     "search", "section",    "summary", "table",    "tbody",      "td",     "tfoot",
             "th",      "thead",   "tr",     "ul",         "title",   "dl",       "listing",    "svg"});
}

bool isSkippedElement(std::string_view name) {
  return isOneOf(name,
                 {"script",  "style",    "template", "noscript", "iframe",   "object",     "embed",          "audio",
                  "video",   "canvas",   "button",   "select",   "textarea", "input",      "datalist",       "rt",
                  "rp",      "rtc",      "nav",      "head",     "frameset", "annotation", "annotation-xml", "colgroup",
                  "noembed", "noframes", "applet",   "map"});
}

// Parts of an e-book that are about the book, not of it.
bool isApparatus(std::string_view types) {
  return hasWord(types, {"titlepage", "halftitlepage", "imprint", "colophon", "copyright-page", "toc", "landmarks",
                         "page-list", "loi", "lot", "loa", "lov", "cover", "z3998:title-page", "z3998:halftitle-page"});
}

bool isFurnitureClass(std::string_view classes, FlowBuilder::Style style) {
  // The licence of Project Gutenberg, whose header names title and author of a page (see gutenberg.h), and of DocBook.
  if (style == FlowBuilder::Style::Book && hasWord(classes, {"pg-boilerplate", "pgheader", "legalnotice"})) return true;
  // Line numbers of verse, previous/next links of DocBook and DITA.
  return hasWord(classes, {"lnum", "linenum", "line-number", "linenumber", "navheader", "navfooter", "related-links",
                           "pgfooter", "visually-hidden", "mw-editsection"});
}

bool isHidden(const Attribute& attribute) {
  const std::string_view style = attribute("style");
  const auto display = style.find("display");
  return attribute("hidden").data() != nullptr ||
         (display != std::string_view::npos && style.substr(display, 16).find("none") != std::string_view::npos);
}

// Longer "lines" than this between <br> are paragraphs in disguise, not verse.
constexpr std::size_t kLongestVerseLine = 120;

std::vector<std::string> splitAtBreaks(std::string_view text) {
  std::vector<std::string> paragraphs(1);
  bool anyLong = false;
  std::size_t emptyLines = 0;
  for (std::size_t i = 0; i <= text.size();) {
    const auto end = std::min(text.find('\n', i), text.size());
    const std::string_view line = trimmed(text.substr(i, end - i));
    i = end + 1;
    if (line.empty()) {
      ++emptyLines;
      continue;
    }
    if (emptyLines > 0 && !paragraphs.back().empty()) paragraphs.emplace_back();
    emptyLines = 0;
    if (!paragraphs.back().empty()) paragraphs.back() += '\n';
    paragraphs.back() += line;
    anyLong = anyLong || countCodePoints(line) > kLongestVerseLine;
  }
  if (!anyLong) return paragraphs;
  std::vector<std::string> lines;
  for (const auto& paragraph : paragraphs)
    for (std::size_t i = 0; i <= paragraph.size();) {
      const auto end = std::min(paragraph.find('\n', i), paragraph.size());
      lines.push_back(paragraph.substr(i, end - i));
      i = end + 1;
    }
  return lines;
}

}  // namespace

const FlowBuilder::Frame& FlowBuilder::top() const {
  static const Frame kOutside;
  return frames_.empty() ? kOutside : frames_.back();
}

bool FlowBuilder::insideHeading() const { return top().heading > 0; }

bool FlowBuilder::midParagraph() const { return !pending_.empty() && !insideHeading(); }

void FlowBuilder::anchor(std::string_view id) {
  if (!id.empty()) flow_.anchors.emplace(id, flow_.blocks.size() + (midParagraph() ? 1 : 0));
}

void FlowBuilder::markPage(int page) {
  if (page > 0) flow_.pageMarks.push_back({flow_.blocks.size() + (midParagraph() ? 1 : 0), page});
}

void FlowBuilder::open(std::string_view name, const Attribute& attribute) {
  const Frame& outer = top();
  Frame frame;
  frame.name = name;
  frame.skip = outer.skip;
  frame.capture = outer.capture;
  frame.preformatted = outer.preformatted || isOneOf(name, {"pre", "listing"});
  frame.math = outer.math;
  frame.drawing = outer.drawing || name == "svg";
  frame.link = outer.link;
  frame.heading = outer.heading;
  frame.raised = outer.raised || name == "sup";
  frame.block = isBlockElement(name);
  if (frame.block && !frame.capture) flush();

  const std::string_view types = attribute("epub:type"), role = attribute("role"), classes = attribute("class");
  if (!frame.capture) {
    anchor(attribute("id"));
    if (name == "a") anchor(attribute("name"));
  }
  if (name == "html" || name == "body")
    if (flow_.language.empty()) flow_.language = attribute(attribute("lang").empty() ? "xml:lang" : "lang");
  if (isSkippedElement(name) || isHidden(attribute) || isFurnitureClass(classes, style_) || role == "navigation" ||
      (style_ == Style::Book && isApparatus(types)))
    frame.skip = true;
  // A motto or dedication on the title page is the author's text.
  if (hasWord(types, {"epigraph", "dedication"}) || role == "doc-epigraph" || role == "doc-dedication")
    frame.skip = false;
  if (name == "meta") openMeta(attribute);
  if (name == "title" && frames_.size() >= 1 && frames_.back().name == "head") {
    frame.skip = false;
    frame.capture = true;
    captured_.clear();
  }
  if (hasWord(types, {"pagebreak", "z3998:pagebreak"}) || role == "doc-pagebreak" ||
      hasWord(classes, {"pagenum", "pageno", "page-number", "pagebreak"}))
    openPageBreak(frame, attribute);
  frame.start = pending_.size();
  if (!frame.skip && !frame.capture) {
    if (name.size() == 2 && name[0] == 'h' && name[1] >= '1' && name[1] <= '6') frame.heading = name[1] - '0';
    if (name == "br") pending_ += '\n', space_ = 0;
    if (name == "a") openLink(frame, attribute);
    if (name == "img" && countCodePoints(attribute("alt")) == 1) append(attribute("alt"), false);  // a painted initial
    if (name == "math" || frame.math) openMath(frame, attribute);
    if (frame.drawing) openDrawing(frame, attribute);
    openSink(frame, attribute);
  }
  frames_.push_back(std::move(frame));
}

void FlowBuilder::openDrawing(Frame& frame, const Attribute& attribute) {
  if (frame.name == "text") drawing_.openText(attribute("transform"), attribute("x"), attribute("y"));
  if (frame.name == "tspan") drawing_.openSpan(attribute("x"), attribute("y"));
  if (frame.name == "title" || frame.name == "desc" || frame.name == "defs" || frame.name == "metadata")
    frame.skip = true;
}

void FlowBuilder::openMeta(const Attribute& attribute) {
  const std::string name = lowerCase(attribute(attribute("name").empty() ? "property" : "name"));
  const std::string_view content = attribute("content");
  if (isOneOf(name, {"author", "dc.creator", "dcterms.creator", "article:author", "citation_author"})) {
    if (flow_.author.empty()) flow_.author = content;
  } else if (isOneOf(name, {"date", "dc.date", "dcterms.date", "dcterms.created", "article:published_time"})) {
    if (flow_.date.empty()) flow_.date = content.substr(0, 10);
  }
}

void FlowBuilder::openSink(Frame& frame, const Attribute& attribute) {
  const std::string_view types = attribute("epub:type"), classes = attribute("class");
  if (frame.name == "tr") {
    sinks_.push_back({Sink::Kind::Row, {}, false});
    frame.sink = true;
  } else if (isOneOf(frame.name, {"td", "th"}) && !sinks_.empty() && sinks_.back().kind == Sink::Kind::Row) {
    Sink& row = sinks_.back();
    if (row.cells.empty()) row.persona = hasWord(types, {"z3998:persona"}) || hasWord(classes, {"persona", "speaker"});
    row.cells.emplace_back();
  } else if (frame.block &&
             (hasWord(types, {"z3998:stanza", "stanza"}) ||
              hasWord(classes, {"linegroup", "line-group", "linegrp", "stanza", "lg"})) &&
             (sinks_.empty() || sinks_.back().kind != Sink::Kind::Lines)) {
    sinks_.push_back({Sink::Kind::Lines, {{}}, false});
    frame.sink = true;
  } else if (frame.block && !sinks_.empty() && sinks_.back().kind == Sink::Kind::Lines &&
             hasWord(classes, {"linegroup", "line-group", "linegrp", "stanza", "lg"}) &&
             !sinks_.back().cells.back().empty()) {
    // A stanza within a group of stanzas: a new block begins.
    sinks_.back().cells.emplace_back();
  }
}

void FlowBuilder::text(std::string_view utf8) {
  const Frame& frame = top();
  if (frame.capture) {
    captured_ += utf8;
    return;
  }
  if (frame.skip) return;
  if (frame.math && !isOneOf(frame.name, {"mi", "mn", "mo", "mtext", "ms"})) return;
  if (frame.math && frame.name != "mtext") utf8 = trimmed(utf8);
  if (style_ == Style::Book) {
    const std::size_t size = trimmed(utf8).size();
    letters_ += size;
    if (frame.link) linkLetters_ += size;
  }
  if (!frame.drawing)
    append(utf8, frame.preformatted);
  else if (frame.name == "text" || frame.name == "tspan")
    drawing_.text(utf8);
}

void FlowBuilder::append(std::string_view utf8, bool preformatted) {
  for (std::size_t i = 0; i < utf8.size();) {
    const std::size_t start = i;
    const char32_t c = nextCodePoint(utf8, i);
    if (preformatted && c == '\n') {
      pending_ += '\n';
      space_ = 0;
    } else if (c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f') {
      space_ = std::max(space_, c == '\n' ? 2 : 1);
    } else {
      // A line end in the source between two ideographs is no space.
      const bool glued = (space_ == 2 && joinsWithoutSpace(lastCodePoint(pending_), c)) ||
                         (afterMath_ && (c == ',' || c == '.' || c == ';' || c == ':' || c == ')'));
      afterMath_ = false;
      if (space_ > 0 && !glued && !pending_.empty() && pending_.back() != '\n') pending_ += ' ';
      space_ = 0;
      pending_.append(utf8.substr(start, i - start));
    }
  }
}

void FlowBuilder::close() {
  if (frames_.empty()) return;
  const Frame frame = std::move(frames_.back());
  frames_.pop_back();
  const bool captures = frame.capture && !top().capture;
  if (captures && frame.name == "title" && top().name == "head") {
    if (flow_.title.empty()) flow_.title = cleanText(captured_, LineBreaks::Join);
  } else if (captures) {
    closePageBreak(frame);
  }
  if (!frame.capture && !frame.skip) {
    if (frame.name == "a") closeLink(frame);
    if (frame.name == "sup" || frame.name == "sub") closeScript(frame);
    if (frame.math) closeMath(frame);
  }
  if (frame.name == "svg" && !top().drawing)
    for (auto& paragraph : drawing_.paragraphs()) emit({std::move(paragraph), 0});
  if (frame.block && !frame.capture) {
    frames_.push_back(frame);  // its heading level belongs to what it ends
    flush();
    frames_.pop_back();
  }
  if (frame.sink) closeSink();
}

void FlowBuilder::flush() {
  std::string text;
  std::swap(text, pending_);
  space_ = 0;
  if (trimmed(text).empty()) return;
  const int heading = top().heading;
  if (heading > 0) {
    std::replace(text.begin(), text.end(), '\n', ' ');
    emit({std::string(trimmed(text)), heading});
    return;
  }
  for (auto& paragraph : splitAtBreaks(text)) emit({std::move(paragraph), 0});
}

void FlowBuilder::emit(Block block) {
  if (sinks_.empty()) {
    flow_.blocks.push_back(std::move(block));
    return;
  }
  Sink& sink = sinks_.back();
  if (sink.cells.empty()) sink.cells.emplace_back();
  sink.cells.back().push_back(std::move(block));
}

void FlowBuilder::closeSink() {
  const Sink sink = std::move(sinks_.back());
  sinks_.pop_back();
  if (sink.kind == Sink::Kind::Lines) {
    for (const auto& stanza : sink.cells) {
      Block joined;
      for (const auto& line : stanza) {
        if (!joined.text.empty()) joined.text += '\n';
        joined.text += line.text;
      }
      if (!joined.text.empty()) emit(std::move(joined));
    }
    return;
  }
  const bool plain =
      std::all_of(sink.cells.begin(), sink.cells.end(), [](const auto& cell) { return cell.size() <= 1; });
  if (sink.persona && sink.cells.size() == 2 && sink.cells[0].size() == 1 && !sink.cells[1].empty()) {
    // A speech of a play: the speaker, then what is said.
    Block first = sink.cells[1].front();
    const bool verse = first.text.find('\n') != std::string::npos;
    emit({sink.cells[0][0].text + (verse ? ":\n" : ": ") + first.text, 0});
    for (std::size_t i = 1; i < sink.cells[1].size(); ++i) emit(sink.cells[1][i]);
  } else if (plain) {
    Block row;
    for (const auto& cell : sink.cells)
      if (!cell.empty()) {
        if (!row.text.empty()) row.text += " | ";
        row.text += cell[0].text;
      }
    if (!row.text.empty()) emit(std::move(row));
  } else {
    for (const auto& cell : sink.cells)
      for (const auto& block : cell) emit(block);
  }
}

Flow FlowBuilder::finish() {
  while (!frames_.empty()) close();
  flush();
  flow_.onlyNavigation = links_ >= 5 && linkLetters_ * 10 > letters_ * 7;
  return std::move(flow_);
}

std::vector<Chapter> chaptersFromHeadings(const std::vector<Block>& blocks, std::vector<int>& chapterOf) {
  std::array<std::size_t, 7> count{};
  for (const auto& block : blocks) ++count[static_cast<std::size_t>(block.heading)];
  int first = 1;
  while (first < 6 && count[static_cast<std::size_t>(first)] == 0) ++first;
  // One single top heading over many others is the title of the work.
  std::size_t deeper = 0;
  for (int level = first + 1; level <= 6; ++level) deeper += count[static_cast<std::size_t>(level)];
  const bool titleOnly = count[static_cast<std::size_t>(first)] == 1 && deeper >= 2;
  if (titleOnly)
    for (++first; first < 6 && count[static_cast<std::size_t>(first)] == 0;) ++first;

  std::vector<Chapter> chapters;
  chapterOf.assign(blocks.size(), -1);
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    const int level = blocks[i].heading - first;
    if (blocks[i].heading > 0 && level >= 0 && level < 3) chapters.push_back({blocks[i].text, level});
    chapterOf[i] = static_cast<int>(chapters.size()) - 1;
  }
  return chapters;
}

}  // namespace palimpsest::documents
