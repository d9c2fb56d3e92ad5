// The running text of a marked-up file (XHTML, HTML, Markdown by way of HTML), built from the events of a tree walk.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "documents/document.h"
#include "documents/svg_text.h"

namespace palimpsest::documents {

struct Block {
  std::string text;  // lines of verse and code separated by '\n'; not yet cleaned
  int heading = 0;   // 1..6 for h1..h6
};

// From this block on, paragraphs begin on this printed page.
struct PageMark {
  std::size_t block = 0;
  int page = 0;
};

struct Flow {
  std::vector<Block> blocks;
  std::unordered_map<std::string, std::size_t> anchors;  // id -> first block that begins at or after it
  std::vector<PageMark> pageMarks;
  std::string title, author, language, date;  // from <head>
  bool onlyNavigation = false;                // hardly anything but links: a table of contents set as a page
};

// The value of an attribute of the element at hand, empty if it has none.
using Attribute = std::function<std::string_view(std::string_view name)>;

// Feed it elements and text in document order; it decides what a reader would call the text.
class FlowBuilder {
 public:
  enum class Style { Page, Book };  // Book: skips what epub:type names as cover, imprint, contents, ...
  explicit FlowBuilder(Style style) : style_(style) {}

  void open(std::string_view name, const Attribute& attribute);  // name without prefix, lower case
  void text(std::string_view utf8);
  void close();  // the innermost open element
  Flow finish();

 private:
  // What an open element does to the text inside it.
  struct Frame {
    std::string name;
    bool skip = false;     // nothing inside reaches the text
    bool capture = false;  // collected apart: <title>, page numbers
    bool block = false;    // ends the paragraph on both sides
    bool preformatted = false;
    bool math = false;
    bool drawing = false;    // inside <svg>
    bool link = false;       // inside <a href>
    bool noteLink = false;   // <a> to a note, named so
    bool backLink = false;   // <a> from a note back to the text, named so
    bool innerLink = false;  // <a> to some place (#...)
    bool raised = false;     // inside <sup>
    bool sink = false;       // this element opened the innermost sink
    int heading = 0;
    int children = 0;       // math: child elements so far
    std::size_t start = 0;  // length of pending_ when it opened
    std::string closing;    // math: written when it closes
  };

  // Where finished blocks go: the flow itself, the cells of a table row, the lines of a stanza.
  struct Sink {
    enum class Kind { Row, Lines } kind = Kind::Row;
    std::vector<std::vector<Block>> cells;
    bool persona = false;  // the first cell names who speaks
  };

  const Frame& top() const;
  void openSink(Frame& frame, const Attribute& attribute);
  void openMeta(const Attribute& attribute);
  void openPageBreak(Frame& frame, const Attribute& attribute);
  void closePageBreak(const Frame& frame);
  void openLink(Frame& frame, const Attribute& attribute);
  void closeLink(const Frame& frame);
  void openMath(Frame& frame, const Attribute& attribute);
  void closeMath(const Frame& frame);
  void openDrawing(Frame& frame, const Attribute& attribute);
  void closeScript(const Frame& frame);
  void closeSink();
  void anchor(std::string_view id);
  void markPage(int page);
  void flush();
  void emit(Block block);
  void append(std::string_view utf8, bool preformatted);
  bool insideHeading() const;
  bool midParagraph() const;

  Style style_;
  Flow flow_;
  std::vector<Frame> frames_;
  std::vector<Sink> sinks_;
  std::string pending_;     // the paragraph being collected; '\n' only for forced line ends
  bool afterMath_ = false;  // the last thing written was a formula
  int space_ = 0;           // white space not yet written: 1 within a line, 2 with a line end in the source
  std::string captured_;
  SvgText drawing_;
  int pageLabel_ = 0;
  std::size_t letters_ = 0, linkLetters_ = 0, links_ = 0;
};

// Headings -> chapters, three levels deep; a lone top heading that only repeats the title of the work is none.
// chapterOf[i] = chapter of block i, -1 before the first.
std::vector<Chapter> chaptersFromHeadings(const std::vector<Block>& blocks, std::vector<int>& chapterOf);

// Deeper nesting than any book has is an attack on parsers; the walkers stop there with an error.
constexpr int kMaxNesting = 2000;

// The walkers. Each throws ExtractionError only if cancelled or if the input is hostile.
class Job;
struct Source;
// Well-formed XHTML. False if it is not: then the lenient HTML walker should be tried.
bool walkXhtml(const Source& source, const std::string& utf8, FlowBuilder& builder);
void walkHtml(const Source& source, const Job& job, const std::string& utf8, FlowBuilder& builder);

}  // namespace palimpsest::documents
