#include "documents/hyphenation.h"

#include <algorithm>
#include <array>

#include "documents/text.h"

namespace palimpsest::documents {
namespace {

constexpr std::size_t kMostWords = 400'000;  // of a text; beyond, new ones teach nothing

bool isHyphen(char32_t c) { return c == '-' || c == 0x2010 || c == 0xAD; }
bool isWordPart(char32_t c) { return isLetter(c) || isDigit(c) || isHyphen(c) || c == '\'' || c == 0x2019; }

// The hyphen's own bytes at the end of the line; 0 if it ends otherwise.
std::size_t hyphenLength(std::string_view line) {
  const char32_t last = lastCodePoint(line);
  return !isHyphen(last) ? 0 : last == '-' ? 1 : last == 0xAD ? 2 : 3;
}

std::string_view lastWord(std::string_view text) {
  std::size_t start = text.size();
  while (start > 0) {
    std::size_t previous = start - 1;
    while (previous > 0 && (static_cast<unsigned char>(text[previous]) & 0xC0) == 0x80) --previous;
    std::size_t end = previous;
    if (!isWordPart(nextCodePoint(text, end))) break;
    start = previous;
  }
  return text.substr(start);
}

std::string_view firstWord(std::string_view text) {
  std::size_t end = 0;
  while (end < text.size()) {
    std::size_t next = end;
    if (!isWordPart(nextCodePoint(text, next))) break;
    end = next;
  }
  return text.substr(0, end);
}

std::string_view partAfterLastHyphen(std::string_view word) {
  const auto hyphen = word.rfind('-');
  return hyphen == std::string_view::npos ? word : word.substr(hyphen + 1);
}

// "pages 291–" + "300", "2008-" + "02", "and/" + "or": nothing is lost and nothing added.
bool breaksWithinNumber(std::string_view before, std::string_view after) {
  const char32_t last = lastCodePoint(before);
  if (last != '-' && last != 0x2013 && last != '/') return false;
  const char32_t left = lastCodePoint(before.substr(0, before.size() - (last == 0x2013 ? 3 : 1)));
  const char32_t right = firstCodePoint(after);
  return last == '/' ? (isLetter(left) || isDigit(left)) && (isLetter(right) || isDigit(right))
                     : isDigit(left) && isDigit(right);
}

// "the thing--" + "or nothing": a dash that touches the word before it touches the one after it.
bool endsWithClosedDash(std::string_view line) {
  const char32_t last = lastCodePoint(line);
  const std::size_t dash = last == 0x2014 ? 3 : line.size() > 2 && line.substr(line.size() - 2) == "--" ? 2 : 0;
  if (dash == 0 || line.size() <= dash) return false;
  const char32_t before = lastCodePoint(line.substr(0, line.size() - dash));
  return before != ' ' && before != '-' && before != 0x2014;
}

}  // namespace

bool endsWithHyphen(std::string_view line) {
  const std::size_t hyphen = hyphenLength(line);
  return hyphen > 0 && isLetter(lastCodePoint(line.substr(0, line.size() - hyphen)));
}

void WordStock::learn(std::string_view line) {
  if (broken_) line.remove_prefix(firstWord(line).size());
  broken_ = endsWithHyphen(line);
  if (const std::size_t hyphen = hyphenLength(line))
    line = line.substr(0, line.size() - hyphen - lastWord(line.substr(0, line.size() - hyphen)).size());
  for (std::size_t i = 0; i < line.size();) {
    const std::string_view word = firstWord(line.substr(i));
    if (word.empty()) {
      nextCodePoint(line, i);
      continue;
    }
    i += word.size();
    if (counts_.size() > kMostWords) continue;
    const std::string folded = lowerCase(word);
    ++counts_[folded];
    if (folded.find('-') == std::string::npos) continue;
    for (std::size_t start = 0; start <= folded.size();) {
      const auto end = std::min(folded.find('-', start), folded.size());
      if (end > start) ++counts_[folded.substr(start, end - start)];
      start = end + 1;
    }
  }
}

void WordStock::learnHabit(std::string_view line, std::string_view next) {
  if (!endsWithHyphen(line)) return;
  const std::string_view body = line.substr(0, line.size() - hyphenLength(line));
  const std::string left(lastWord(body)), right(firstWord(next));
  const int joined = countOf(left + right), compound = countOf(left + "-" + right);
  typeset_ += joined > compound;
  typed_ += compound > joined;
}

int WordStock::countOf(std::string_view word) const {
  const auto it = counts_.find(lowerCase(word));
  return it == counts_.end() ? 0 : it->second;
}

bool WordStock::keepsHyphen(std::string_view before, std::string_view after) const {
  const std::string left(before), right(after);
  const int joined = countOf(left + right), compound = countOf(left + "-" + right);
  if (joined != compound) return compound > joined;
  if (isUpper(firstCodePoint(after)) || isDigit(firstCodePoint(after)) || isDigit(lastCodePoint(before))) return true;
  // Neither was seen (or both alike): look at the text's habit, then at the parts next to the hyphen.
  if (typed_ > typeset_) return true;
  const std::string_view tail = partAfterLastHyphen(before);
  const std::string head(after.substr(0, after.find('-')));
  if (countOf(std::string(tail) + head) > 0) return false;
  static constexpr std::array<std::string_view, 5> kPrefixes = {"self", "half", "quasi", "well", "non"};
  if (std::find(kPrefixes.begin(), kPrefixes.end(), lowerCase(tail)) != kPrefixes.end()) return true;
  if (lowerCase(tail) == "ex") return countOf(head) > 0;  // ex-president, but expenditure
  // Words that are more often the end of another one: comfort-able, doubt-fully.
  static constexpr std::array<std::string_view, 7> kSuffixes = {"able",  "ably", "fully", "ward",
                                                                "wards", "wise", "some"};
  if (std::find(kSuffixes.begin(), kSuffixes.end(), lowerCase(head)) != kSuffixes.end()) return false;
  static constexpr std::array<std::string_view, 12> kEndings = {
      "based", "level", "like", "wide", "oriented", "driven", "specific", "free", "mode", "made", "called", "known"};
  if (countCodePoints(tail) >= 3 && std::find(kEndings.begin(), kEndings.end(), lowerCase(head)) != kEndings.end())
    return true;
  return countCodePoints(tail) >= 4 && countCodePoints(head) >= 4 && countOf(tail) > 0 && countOf(head) > 0;
}

void WordStock::appendLine(std::string& paragraph, std::string_view line) const {
  const std::size_t hyphen = hyphenLength(paragraph);
  if (breaksWithinNumber(paragraph, line) || (endsWithClosedDash(paragraph) && isWordPart(firstCodePoint(line)))) {
    paragraph += line;
    return;
  }
  if (!endsWithHyphen(paragraph) || line.empty() || !isWordPart(firstCodePoint(line))) {
    documents::appendLine(paragraph, line);
    return;
  }
  const std::string_view body = std::string_view(paragraph).substr(0, paragraph.size() - hyphen);
  const bool soft = lastCodePoint(paragraph) == 0xAD;
  const bool keep = !soft && keepsHyphen(lastWord(body), firstWord(line));
  paragraph.resize(paragraph.size() - hyphen);
  if (keep) paragraph += '-';
  paragraph += line;
}

}  // namespace palimpsest::documents
