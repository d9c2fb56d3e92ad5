// Unicode helpers of the readers: what comes out of a file becomes clean UTF-8 here, and nowhere else.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <string>
#include <string_view>

namespace palimpsest::documents {

// The code point at `position`, which moves past it; a malformed sequence gives U+FFFD and moves by one byte.
char32_t nextCodePoint(std::string_view utf8, std::size_t& position);
char32_t firstCodePoint(std::string_view utf8);  // 0 if empty
char32_t lastCodePoint(std::string_view utf8);   // 0 if empty
void appendCodePoint(std::string& utf8, char32_t codePoint);
std::size_t countCodePoints(std::string_view utf8);

bool isLetter(char32_t codePoint);
bool isUpper(char32_t codePoint);
bool isLower(char32_t codePoint);
bool isDigit(char32_t codePoint);        // any decimal digit
bool isRightToLeft(char32_t codePoint);  // a strong Hebrew, Arabic, Syriac, ... letter
bool isSentenceEnd(char32_t codePoint);  // . ! ? and their relatives in other scripts

std::string lowerCase(std::string_view utf8);
// Lower-case letters and digits only: equal for two spellings of one heading.
std::string foldedForComparison(std::string_view utf8);

// Chinese and Japanese are set without spaces: a line end between two such characters joins them directly.
bool joinsWithoutSpace(char32_t before, char32_t after);
// Appends the next line of a paragraph, with a space where the script wants one.
void appendLine(std::string& paragraph, std::string_view line);

std::string_view trimmed(std::string_view text);

// epub:type, role, class and properties hold several words between white space.
bool hasWord(std::string_view list, std::initializer_list<std::string_view> words);

enum class LineBreaks { Join, Keep };
// Valid UTF-8 in NFC: soft hyphens, zero-width and control characters dropped, ligatures expanded, all white space
// one plain space (or, with Keep, single '\n'), none at either end. Private-use characters mean nothing without their
// font and are dropped too.
std::string cleanText(std::string_view text, LineBreaks lineBreaks);

// The small raised or lowered form of digits and signs ("2" -> "²"); empty if some character has none.
std::string superscript(std::string_view text);
std::string subscript(std::string_view text);

// 0 if the text is not a roman numeral between 1 and 3999 in its usual spelling (either case, not mixed).
int romanNumeral(std::string_view text);
// A short marker of a note: 12, [3], *, †, (a).
bool isNoteMarker(std::string_view text);

}  // namespace palimpsest::documents
