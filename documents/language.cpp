#include "documents/language.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "documents/text.h"

namespace palimpsest::documents {
namespace {

constexpr std::array<std::string_view, 16> kCommonest = {"the", "of",   "and",   "to",   "that", "with", "for",  "from",
                                                         "but", "this", "which", "have", "they", "were", "been", "not"};
constexpr std::size_t kFewestWords = 200, kLongest = 5, kLettersOfAWordWithoutSpaces = 2;
constexpr double kLeastShare = 0.06;

// Of a script that sets no spaces between words: Han and kana; Thai and Lao, Tibetan, Burmese, Khmer.
bool setsNoSpaces(char32_t c) {
  return joinsWithoutSpace(c, c) || (c >= 0xE00 && c <= 0x109F) || (c >= 0x1780 && c <= 0x17FF);
}

}  // namespace

bool isPlainlyNotEnglish(const Document& document) {
  std::size_t words = 0, common = 0, lettersWithoutSpaces = 0;
  std::string word;
  const auto end = [&] {
    if (word.empty()) return;
    ++words;
    common += std::find(kCommonest.begin(), kCommonest.end(), word) != kCommonest.end();
    word.clear();
  };
  for (const Paragraph& paragraph : document.paragraphs) {
    for (std::size_t i = 0; i < paragraph.text.size();) {
      const char32_t c = nextCodePoint(paragraph.text, i);
      const bool letter = isLetter(c), alone = letter && setsNoSpaces(c);
      lettersWithoutSpaces += alone;
      if (!letter || alone)
        end();
      else if (word.size() <= kLongest)  // longer ones are none of them, however they go on
        word += c < 0x80 ? static_cast<char>(c | 0x20) : '?';
    }
    end();
  }
  words += lettersWithoutSpaces / kLettersOfAWordWithoutSpaces;  // else a whole clause would be one
  return words >= kFewestWords && static_cast<double>(common) < kLeastShare * static_cast<double>(words);
}

}  // namespace palimpsest::documents
