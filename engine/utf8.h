// UTF-8: validity, repair, and code points. Well-formedness as in the Unicode Standard, table 3-7.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace palimpsest::engine {

// What stands at one place of a text.
struct Utf8Step {
  char32_t codePoint = 0;  // of a well-formed sequence
  std::size_t length = 0;  // bytes of it; of an ill-formed one: bytes to replace by one U+FFFD
  bool valid = false;
  bool truncated = false;  // ill-formed only because the text ends: more bytes could complete it
};
Utf8Step utf8At(std::string_view text, std::size_t position);  // position < text.size()

bool isUtf8(std::string_view text);
void appendUtf8(std::string& text, char32_t codePoint);

inline constexpr std::string_view kReplacementCharacter = "\xEF\xBF\xBD";  // U+FFFD

// The text with each ill-formed sequence replaced by U+FFFD. With keepTail, an incomplete sequence at the very end is
// left out, and `used` is where it begins.
std::string repairUtf8(std::string_view text);
std::string repairUtf8(std::string_view text, bool keepTail, std::size_t& used);

}  // namespace palimpsest::engine
