// Links to notes and back, printed page numbers, raised and lowered digits: small things inside paragraphs.
#include <algorithm>
#include <array>
#include <charconv>

#include "documents/flow.h"
#include "documents/text.h"

namespace palimpsest::documents {
namespace {

// Written with ¹²³ or the like: what closeScript() made of a <sup>.
bool isRaised(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const char32_t c = nextCodePoint(text, i);
    if (c != 0xB2 && c != 0xB3 && c != 0xB9 && (c < 0x2070 || c > 0x207F)) return false;
  }
  return !text.empty();
}

int lastNumber(std::string_view text) {
  const auto end = text.find_last_of("0123456789");
  if (end == std::string_view::npos) return 0;
  auto start = end;
  while (start > 0 && text[start - 1] >= '0' && text[start - 1] <= '9') --start;
  int number = 0;
  std::from_chars(text.data() + start, text.data() + end + 1, number);
  return number > 0 && number < 100'000 ? number : 0;
}

// The sign that leads from a note back to the text, also with the selector of its plain form.
bool isArrow(std::string_view text) {
  static constexpr std::array<std::string_view, 5> kArrows = {"↩", "↑", "↵", "⏎", "↩\uFE0E"};
  return std::find(kArrows.begin(), kArrows.end(), text) != kArrows.end();
}

}  // namespace

void FlowBuilder::openPageBreak(Frame& frame, const Attribute& attribute) {
  pageLabel_ = 0;
  for (const std::string_view name : {"title", "aria-label", "id"})
    if (pageLabel_ == 0) pageLabel_ = lastNumber(attribute(name));
  frame.capture = true;
  captured_.clear();
  if (pageLabel_ > 0) markPage(pageLabel_);
}

void FlowBuilder::closePageBreak(const Frame&) {
  if (pageLabel_ == 0) markPage(lastNumber(captured_));
}

void FlowBuilder::openLink(Frame& frame, const Attribute& attribute) {
  const std::string_view types = attribute("epub:type"), role = attribute("role"), classes = attribute("class");
  const std::string_view href = attribute("href");
  frame.link = !href.empty();
  frame.backLink = hasWord(types, {"backlink", "referrer"}) || role == "doc-backlink" ||
                   hasWord(classes, {"footnote-back", "footnote-backref", "backlink"});
  frame.noteLink = hasWord(types, {"noteref"}) || role == "doc-noteref" ||
                   hasWord(classes, {"noteref", "footnote-ref", "fnref", "fnanchor", "footnote"});
  frame.innerLink = href.find('#') != std::string_view::npos;
  if (frame.link) ++links_;
}

void FlowBuilder::closeLink(const Frame& frame) {
  if (frame.start > pending_.size()) return;  // a paragraph ended inside the link
  const std::string content = pending_.substr(frame.start);
  const std::string_view shown = trimmed(content);
  const bool raised = frame.raised || isRaised(shown);  // <sup> outside or inside the link
  const bool marker = isNoteMarker(shown) || isRaised(shown);
  const bool bracketed = !shown.empty() && (shown.front() == '[' || shown.front() == '*');
  const bool arrow = isArrow(shown);
  const bool leads = frame.start == 0;  // at the start of a block stands the label of the note itself
  const bool note = frame.noteLink && (marker || raised);
  const bool unnamedNote = frame.innerLink && !leads && marker && (raised || bracketed);
  if (note || unnamedNote || arrow || (frame.backLink && !leads)) pending_.resize(frame.start);
}

// "m<sup>2</sup>" reads as m², "H<sub>2</sub>O" as H₂O; letters ("1st", "Mlle") stay letters.
void FlowBuilder::closeScript(const Frame& frame) {
  if (frame.start >= pending_.size() || frame.start == 0) return;
  const std::string content = pending_.substr(frame.start);
  const char32_t before = lastCodePoint(std::string_view(pending_).substr(0, frame.start));
  if (!isLetter(before) && !isDigit(before) && before != ')' && before != ']') return;
  const std::string small = frame.name == "sup" ? superscript(trimmed(content)) : subscript(trimmed(content));
  if (!small.empty()) pending_.replace(frame.start, std::string::npos, small);
}

}  // namespace palimpsest::documents
