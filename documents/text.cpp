#include "documents/text.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>

namespace palimpsest::documents {
namespace {

constexpr char32_t kReplacement = 0xFFFD;

bool inRange(char32_t c, char32_t first, char32_t last) { return c >= first && c <= last; }

utf8proc_category_t categoryOf(char32_t c) { return utf8proc_category(static_cast<utf8proc_int32_t>(c)); }

// Han, kana, their punctuation and full-width forms; Korean is written with spaces.
bool isSpacelessScript(char32_t c) {
  return inRange(c, 0x2E80, 0x30FF) || inRange(c, 0x3190, 0x4DBF) || inRange(c, 0x4E00, 0x9FFF) ||
         inRange(c, 0xF900, 0xFAFF) || inRange(c, 0xFE30, 0xFE4F) || inRange(c, 0xFF00, 0xFF9F) ||
         inRange(c, 0x20000, 0x3FFFF);
}

bool isDropped(char32_t c) {
  if (c < 0xA0) return c < 0x20 || c >= 0x7F;
  return c == 0xAD || c == 0x34F || c == 0x61C || c == 0x180E || c == 0x200B || c == 0x200E || c == 0x200F ||
         inRange(c, 0x202A, 0x202E) || inRange(c, 0x2060, 0x206F) || c == 0xFEFF || inRange(c, 0xFFF9, 0xFFFC) ||
         inRange(c, 0xE000, 0xF8FF) || c >= 0xE0000 || inRange(c, 0xFDD0, 0xFDEF) || (c & 0xFFFE) == 0xFFFE;
}

bool isSpace(char32_t c) {
  return c == ' ' || c == '\t' || c == '\v' || c == '\f' || c == 0xA0 || c == 0x1680 || inRange(c, 0x2000, 0x200A) ||
         c == 0x202F || c == 0x205F || c == 0x3000;
}

bool isLineBreak(char32_t c) { return c == '\n' || c == '\r' || c == 0x85 || c == 0x2028 || c == 0x2029; }

// The joiners spell words in Persian and the Indic scripts; in the others they are leftovers of typesetting.
bool keepsJoiner(char32_t before) { return inRange(before, 0x590, 0x1FFF) || before >= 0x1F000; }

const char* latinLigature(char32_t c) {
  static constexpr std::array<const char*, 7> kExpansions = {"ff", "fi", "fl", "ffi", "ffl", "st", "st"};
  return inRange(c, 0xFB00, 0xFB06) ? kExpansions[c - 0xFB00] : nullptr;
}

std::string normalized(const std::string& text, int form) {
  utf8proc_uint8_t* out = nullptr;
  const auto length =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()), static_cast<utf8proc_ssize_t>(text.size()),
                   &out, static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE | form));
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(out, &std::free);
  return length < 0 ? text : std::string(reinterpret_cast<const char*>(out), static_cast<std::size_t>(length));
}

// Arabic text in PDF files comes as shaped glyphs; the letters they stand for are what one searches for.
void appendArabicLetters(std::string& out, char32_t shaped) {
  std::string one;
  appendCodePoint(one, shaped);
  out += normalized(one, UTF8PROC_COMPAT);
}

std::string mapped(std::string_view text, std::string_view from, const std::array<const char*, 15>& to) {
  std::string result;
  for (std::size_t i = 0; i < text.size();) {
    std::size_t start = i;
    const char32_t c = nextCodePoint(text, i);
    const auto index = c == 0x2212 ? from.find('-') : c < 0x80 ? from.find(text[start]) : std::string_view::npos;
    if (index == std::string_view::npos) return {};
    result += to[index];
  }
  return result;
}

}  // namespace

char32_t nextCodePoint(std::string_view utf8, std::size_t& position) {
  const auto byte = static_cast<unsigned char>(utf8[position]);
  if (byte < 0x80) {
    ++position;
    return byte;
  }
  utf8proc_int32_t codePoint = -1;
  const auto length = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(utf8.data()) + position,
                                       static_cast<utf8proc_ssize_t>(utf8.size() - position), &codePoint);
  if (length <= 0) {
    ++position;
    return kReplacement;
  }
  position += static_cast<std::size_t>(length);
  return static_cast<char32_t>(codePoint);
}

char32_t firstCodePoint(std::string_view utf8) {
  std::size_t position = 0;
  return utf8.empty() ? 0 : nextCodePoint(utf8, position);
}

char32_t lastCodePoint(std::string_view utf8) {
  if (utf8.empty()) return 0;
  std::size_t position = utf8.size() - 1;
  while (position > 0 && utf8.size() - position < 4 && (static_cast<unsigned char>(utf8[position]) & 0xC0) == 0x80)
    --position;
  return nextCodePoint(utf8, position);
}

void appendCodePoint(std::string& utf8, char32_t codePoint) {
  utf8proc_uint8_t bytes[4];
  if (!utf8proc_codepoint_valid(static_cast<utf8proc_int32_t>(codePoint))) codePoint = kReplacement;
  const auto length = utf8proc_encode_char(static_cast<utf8proc_int32_t>(codePoint), bytes);
  utf8.append(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(length));
}

std::size_t countCodePoints(std::string_view utf8) {
  std::size_t count = 0;
  for (const char c : utf8) count += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  return count;
}

bool isLetter(char32_t c) {
  const auto category = categoryOf(c);
  return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO;
}

bool isUpper(char32_t c) { return categoryOf(c) == UTF8PROC_CATEGORY_LU || categoryOf(c) == UTF8PROC_CATEGORY_LT; }
bool isLower(char32_t c) { return categoryOf(c) == UTF8PROC_CATEGORY_LL; }
bool isDigit(char32_t c) { return categoryOf(c) == UTF8PROC_CATEGORY_ND; }

bool isRightToLeft(char32_t c) {
  if (c < 0x590) return false;
  const auto direction = utf8proc_get_property(static_cast<utf8proc_int32_t>(c))->bidi_class;
  return direction == UTF8PROC_BIDI_CLASS_R || direction == UTF8PROC_BIDI_CLASS_AL;
}

bool isSentenceEnd(char32_t c) {
  switch (c) {
    case '.':
    case '!':
    case '?':
    case 0x2026:
    case 0x3002:
    case 0xFF01:
    case 0xFF1F:
    case 0xFF0E:
    case 0x061F:
    case 0x06D4:
    case 0x0964:
    case 0x0965:
    case 0x1362:
      return true;
    default:
      return false;
  }
}

std::string lowerCase(std::string_view utf8) {
  std::string result;
  for (std::size_t i = 0; i < utf8.size();)
    appendCodePoint(result,
                    static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(nextCodePoint(utf8, i)))));
  return result;
}

std::string foldedForComparison(std::string_view utf8) {
  std::string result;
  for (std::size_t i = 0; i < utf8.size();) {
    const char32_t c = nextCodePoint(utf8, i);
    if (isLetter(c) || isDigit(c))
      appendCodePoint(result, static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c))));
  }
  return result;
}

bool joinsWithoutSpace(char32_t before, char32_t after) {
  return isSpacelessScript(before) && isSpacelessScript(after);
}

void appendLine(std::string& paragraph, std::string_view line) {
  if (!paragraph.empty() && !line.empty() && !joinsWithoutSpace(lastCodePoint(paragraph), firstCodePoint(line)))
    paragraph += ' ';
  paragraph += line;
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n\f\v";
  const auto first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

bool hasWord(std::string_view list, std::initializer_list<std::string_view> words) {
  for (std::size_t i = 0; i < list.size();) {
    const auto end = std::min(list.find_first_of(" \t\r\n", i), list.size());
    if (end > i && std::find(words.begin(), words.end(), list.substr(i, end - i)) != words.end()) return true;
    i = end + 1;
  }
  return false;
}

std::string cleanText(std::string_view text, LineBreaks lineBreaks) {
  std::string out;
  out.reserve(text.size());
  char32_t pending = 0;  // the white space not yet written
  char32_t last = 0;
  bool needsNormalizing = false;
  for (std::size_t i = 0; i < text.size();) {
    char32_t c = nextCodePoint(text, i);
    if (isLineBreak(c)) {
      pending = lineBreaks == LineBreaks::Keep ? U'\n' : pending == 0 ? U' ' : pending;
      continue;
    }
    if (isSpace(c)) {
      if (pending == 0) pending = U' ';
      continue;
    }
    if (c == 0x200C || c == 0x200D ? pending != 0 || !keepsJoiner(last) : isDropped(c) && c != 0xF0B7) continue;
    if (c == 0xF0B7) c = 0x2022;  // the bullet of Symbol fonts
    if (pending != 0 && !out.empty()) out += static_cast<char>(pending);
    pending = 0;
    // TeX sets an accent over a dotless i; the letter that is meant has a dot in its name.
    if (last == 0x131 && c >= 0x300 && c < 0x316 && out.size() >= 2 && out.compare(out.size() - 2, 2, "ı") == 0)
      out.replace(out.size() - 2, 2, "i");
    last = c;
    needsNormalizing = needsNormalizing || c >= 0x300;
    if (const char* letters = latinLigature(c)) {
      out += letters;
    } else if (inRange(c, 0xFB50, 0xFDFF) || inRange(c, 0xFE70, 0xFEFC)) {
      appendArabicLetters(out, c);
    } else {
      appendCodePoint(out, c);
    }
  }
  return needsNormalizing ? normalized(out, 0) : out;
}

std::string superscript(std::string_view text) {
  static constexpr std::array<const char*, 15> kRaised = {"⁰", "¹", "²", "³", "⁴", "⁵", "⁶", "⁷",
                                                          "⁸", "⁹", "⁺", "⁻", "⁽", "⁾", "ⁿ"};
  return mapped(text, "0123456789+-()n", kRaised);
}

std::string subscript(std::string_view text) {
  static constexpr std::array<const char*, 15> kLowered = {"₀", "₁", "₂", "₃", "₄", "₅", "₆", "₇",
                                                           "₈", "₉", "₊", "₋", "₍", "₎", "ₙ"};
  return mapped(text, "0123456789+-()n", kLowered);
}

int romanNumeral(std::string_view text) {
  struct Step {
    int value;
    std::string_view upper, lower;
  };
  static constexpr std::array<Step, 13> kSteps = {{{1000, "M", "m"},
                                                   {900, "CM", "cm"},
                                                   {500, "D", "d"},
                                                   {400, "CD", "cd"},
                                                   {100, "C", "c"},
                                                   {90, "XC", "xc"},
                                                   {50, "L", "l"},
                                                   {40, "XL", "xl"},
                                                   {10, "X", "x"},
                                                   {9, "IX", "ix"},
                                                   {5, "V", "v"},
                                                   {4, "IV", "iv"},
                                                   {1, "I", "i"}}};
  if (text.empty()) return 0;
  const bool upper = text[0] >= 'A' && text[0] <= 'Z';
  int value = 0;
  std::string_view rest = text;
  for (const Step& step : kSteps) {
    const std::string_view sign = upper ? step.upper : step.lower;
    for (int times = 0; times < 3 && rest.substr(0, sign.size()) == sign; ++times) {
      value += step.value;
      rest.remove_prefix(sign.size());
    }
  }
  if (!rest.empty()) return 0;
  // IVI or VV would have been read as well: only the usual spelling of the value counts.
  std::string usual;
  int left = value;
  for (const Step& step : kSteps)
    for (; left >= step.value; left -= step.value) usual += upper ? step.upper : step.lower;
  return usual == text ? value : 0;
}

bool isNoteMarker(std::string_view text) {
  text = trimmed(text);
  if (text.size() >= 2 && (text.front() == '[' || text.front() == '(') && (text.back() == ']' || text.back() == ')'))
    text = text.substr(1, text.size() - 2);
  if (text.empty() || text.size() > 8) return false;
  if (text.find_first_not_of("0123456789") == std::string_view::npos) return text.size() <= 4;
  if (text.size() == 1 && text[0] >= 'a' && text[0] <= 'z') return true;
  for (std::size_t i = 0; i < text.size();) {
    const char32_t c = nextCodePoint(text, i);
    if (c != '*' && c != 0x2217 && c != 0x2020 && c != 0x2021 && c != 0xA7 && c != 0xB6 && c != '#') return false;
  }
  return true;
}

}  // namespace palimpsest::documents
