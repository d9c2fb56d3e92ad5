// MathML as one line of text: x² + y² = 1, (a + b)/2, √(x), rows of a matrix separated by "; ".
#include <algorithm>
#include <array>

#include "documents/flow.h"
#include "documents/text.h"

namespace palimpsest::documents {
namespace {

// What stands between the children of an element, before child number `index` (>= 1).
std::string_view separatorBefore(std::string_view parent, int index) {
  if (parent == "mfrac") return "/";
  if (parent == "msup" || parent == "mover") return "^";
  if (parent == "msub" || parent == "munder") return "_";
  if (parent == "msubsup" || parent == "munderover") return index == 1 ? "_" : "^";
  if (parent == "mtr" || parent == "mroot" || parent == "mfenced") return ", ";
  if (parent == "mtable") return "; ";
  return {};
}

bool isRelation(std::string_view sign) {
  static constexpr std::array<std::string_view, 29> kRelations = {"=", "≠", "<", ">", "≤", "≥", "≈", "≡", "→", "⇒",
                                                                  "⇔", "∈", "∉", "⊆", "⊂", "∪", "∩", "+", "-", "−",
                                                                  "±", "×", "∧", "∨", "↔", "↦", "∼", "≅", ":="};
  return std::find(kRelations.begin(), kRelations.end(), sign) != kRelations.end();
}

bool startsWithRelation(std::string_view text) {
  text = trimmed(text);
  const auto end = text.find(' ');
  return isRelation(text.substr(0, end)) || (!text.empty() && text.front() == '=');
}

// An accent set over a letter is a combining character in text.
char32_t combiningAccent(std::string_view sign) {
  if (sign == "¯" || sign == "‾" || sign == "_" || sign == "―") return 0x304;
  if (sign == "^" || sign == "ˆ") return 0x302;
  if (sign == "~" || sign == "˜") return 0x303;
  if (sign == "→" || sign == "⃗") return 0x20D7;
  if (sign == "˙") return 0x307;
  return 0;
}

bool hasOperator(std::string_view text) { return text.find_first_of(" +-/=,;") != std::string_view::npos; }

bool endsOpen(std::string_view text) {
  return text.empty() || std::string_view("([{|,= /^_").find(text.back()) != std::string_view::npos;
}

}  // namespace

void FlowBuilder::openMath(Frame& frame, const Attribute& attribute) {
  if (frame.math && !frames_.empty()) {
    Frame& parent = frames_.back();
    const std::string_view separator = parent.children > 0 ? separatorBefore(parent.name, parent.children) : "";
    ++parent.children;
    if (!separator.empty()) {
      space_ = 0;
      pending_ += separator;
    }
  }
  frame.math = true;
  if (space_ > 0 && !pending_.empty() && pending_.back() != '\n') pending_ += ' ';
  space_ = 0;
  frame.start = pending_.size();
  if (frame.name == "msqrt" || frame.name == "mroot") frame.closing.assign(1, ')');
  if (frame.name == "msqrt") pending_ += "√(";
  if (frame.name == "mroot") pending_ += "root(";
  if (frame.name == "mfenced") {
    const std::string_view opening = attribute("open"), closing = attribute("close");
    pending_ += opening.data() ? opening : "(";
    frame.closing = closing.data() ? closing : ")";
  }
}

void FlowBuilder::closeMath(const Frame& frame) {
  pending_ += frame.closing;
  if (frame.name == "math") afterMath_ = true;
  if (frame.start > pending_.size()) return;
  const std::string content = pending_.substr(frame.start);
  if (frames_.empty() || !frames_.back().math) return;
  Frame& parent = frames_.back();
  const std::string_view separator = parent.children > 1 ? separatorBefore(parent.name, parent.children - 1) : "";
  if (content.empty()) {
    pending_.resize(frame.start - separator.size());
    if (frame.name == "mtd" || frame.name == "mtr") --parent.children;  // an empty cell only aligns the others
    return;
  }
  // "2x | = 4" are two cells of one equation.
  if (frame.name == "mtd" && !separator.empty() && startsWithRelation(content))
    pending_.erase(frame.start - separator.size(), separator.size() - 1);
  const bool script = separator == "^" || separator == "_";
  if (script) {
    const bool over = parent.name == "mover";
    const std::string small = over ? "" : separator == "^" ? superscript(content) : subscript(content);
    if (const char32_t accent = over ? combiningAccent(content) : 0) {
      pending_.resize(frame.start - 1);
      appendCodePoint(pending_, accent);
    } else if (!small.empty()) {
      pending_.replace(frame.start - 1, std::string::npos, small);
    } else if (hasOperator(content)) {
      pending_.replace(frame.start, std::string::npos, "(" + content + ")");
    }
  } else if (parent.name == "mfrac" && hasOperator(content)) {
    pending_.replace(frame.start, std::string::npos, "(" + content + ")");
  } else if (frame.name == "mo" && isRelation(content)) {
    const bool sign = content == "+" || content == "-" || content == "−" || content == "±";
    pending_.resize(frame.start);
    if (sign && endsOpen(pending_)) {
      pending_ += content;
      return;
    }
    if (!pending_.empty() && pending_.back() != ' ') pending_ += ' ';
    pending_ += content;
    space_ = 1;
  }
}

}  // namespace palimpsest::documents
