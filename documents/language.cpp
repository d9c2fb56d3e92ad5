#include "documents/language.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "documents/text.h"

namespace palimpsest::documents {
namespace {

constexpr std::array<std::string_view, 16> kCommonest = {"the", "of",   "and",   "to",   "that", "with", "for",  "from",
                                                         "but", "this", "which", "have", "they", "were", "been", "not"};
constexpr std::size_t kFewestWords = 200, kLongest = 5;
constexpr double kLeastShare = 0.06;

}  // namespace

bool isPlainlyNotEnglish(const Document& document) {
  std::size_t words = 0, common = 0;
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
      if (!isLetter(c))
        end();
      else if (word.size() <= kLongest)  // longer ones are none of them, however they go on
        word += c < 0x80 ? static_cast<char>(c | 0x20) : '?';
    }
    end();
  }
  return words >= kFewestWords && static_cast<double>(common) < kLeastShare * static_cast<double>(words);
}

}  // namespace palimpsest::documents
