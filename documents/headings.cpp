#include "documents/headings.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <string>

#include "documents/text.h"

namespace palimpsest::documents {
namespace {

constexpr std::size_t kLongestHeading = 90;

template <std::size_t N>
bool contains(const std::array<std::string_view, N>& words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

constexpr std::array<std::string_view, 22> kDivisions = {
    "part", "book", "volume", "act",   "canto", "teil", "buch",  "band",  "akt", "partie", "livre",
    "tome", "acte", "parte",  "libro", "atto",  "acto", "часть", "книга", "том", "deel",   "boek"};
constexpr std::array<std::string_view, 17> kChapters = {
    "chapter", "chap",     "scene",    "letter",   "section", "stave",     "kapitel",  "szene", "chapitre",
    "scène",   "capítulo", "capitolo", "capitulo", "глава",   "hoofdstuk", "kapittel", "fytte"};
constexpr std::array<std::string_view, 26> kAlone = {
    "preface",  "foreword",   "introduction", "prologue",   "epilogue",     "afterword",    "conclusion",
    "appendix", "prelude",    "postscript",   "dedication", "introductory", "etymology",    "vorwort",
    "nachwort", "einleitung", "prolog",       "epilog",     "préface",      "avant-propos", "épilogue",
    "prefacio", "prefazione", "предисловие",  "эпилог",     "пролог"};
constexpr std::array<std::string_view, 30> kNumberWords = {
    "one",    "two",    "three",    "four",     "five",    "six",     "seven",     "eight",    "nine",     "ten",
    "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty",
    "thirty", "forty",  "fifty",    "sixty",    "first",   "second",  "third",     "fourth",   "last",     "fifth"};

int numberOf(std::string_view word) {
  int value = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error == std::errc() && end == word.data() + word.size() && value > 0 && value < 1000) return value;
  if (const int roman = romanNumeral(word); roman > 0 && roman < 400) return roman;
  std::string lower = lowerCase(word);
  const auto first = std::find(kNumberWords.begin(), kNumberWords.end(), lower.substr(0, lower.find('-')));
  return first == kNumberWords.end() ? 0 : static_cast<int>(first - kNumberWords.begin()) + 1;
}

struct Word {
  std::string_view text;  // without the punctuation that closes it
  std::string_view rest;  // what follows
  char32_t closing = 0;   // the punctuation, 0 if none
};

Word takeWord(std::string_view line) {
  const auto end = std::min(line.find(' '), line.size());
  Word word{line.substr(0, end), trimmed(line.substr(end)), 0};
  constexpr std::string_view kClosing[] = {".", ":", ")", ",", "—", "–", "-", "]"};
  for (const auto sign : kClosing)
    if (word.text.size() > sign.size() && word.text.substr(word.text.size() - sign.size()) == sign) {
      word.closing = firstCodePoint(sign);
      word.text.remove_suffix(sign.size());
    }
  return word;
}

bool hasLowerCase(std::string_view text) {
  for (std::size_t i = 0; i < text.size();)
    if (isLower(nextCodePoint(text, i))) return true;
  return false;
}

// What may follow the number: nothing, or a title ("Chapter 3 - Title"), not the rest of a sentence.
bool fitsAfterNumber(std::string_view rest, char32_t closing) {
  while (!rest.empty() && (rest[0] == '-' || rest[0] == ':' || rest[0] == '.')) rest = trimmed(rest.substr(1));
  for (const std::string_view dash : {"—", "–"})
    if (rest.substr(0, dash.size()) == dash) rest = trimmed(rest.substr(dash.size())), closing = '-';
  if (rest.empty()) return true;
  const char32_t first = firstCodePoint(rest);
  if (closing == 0 && isLower(first)) return false;
  return closing != 0 ? !isLower(first) || looksLikeTitle(rest) : looksLikeTitle(rest);
}

}  // namespace

bool looksLikeTitle(std::string_view line) {
  if (line.empty() || line.size() > kLongestHeading) return false;
  const char32_t first = firstCodePoint(line), last = lastCodePoint(line);
  if (isLower(first)) return false;
  if (last == ',' || last == ';' || last == ':' || last == '-') return false;
  // "THE END." may be a title, "He went home." is a sentence.
  return !(last == '.' && hasLowerCase(line)) && last != 0x201D && last != '"';
}

HeadingGuess guessHeading(std::string_view line) {
  HeadingGuess guess;
  while (!line.empty() && (line.front() == '*' || line.front() == '_' || line.front() == '=')) line.remove_prefix(1);
  while (!line.empty() && (line.back() == '*' || line.back() == '_' || line.back() == '=')) line.remove_suffix(1);
  line = trimmed(line);
  if (line.empty() || line.size() > kLongestHeading) return guess;
  const Word first = takeWord(line);
  const std::string key = lowerCase(first.text);
  const bool capital = !isLower(firstCodePoint(line));
  if (const bool division = contains(kDivisions, key); capital && (division || contains(kChapters, key))) {
    Word number = takeWord(first.rest);
    if (lowerCase(number.text) == "the") number = takeWord(number.rest);  // BOOK THE FIRST
    guess.number = numberOf(number.text);
    guess.heading = guess.number > 0 && fitsAfterNumber(number.rest, number.closing);
    guess.division = division;
    guess.bare = number.rest.empty();
    return guess;
  }
  if (capital && contains(kAlone, key) && (first.rest.empty() || !hasLowerCase(line))) {
    guess.heading = true;
    return guess;
  }
  // A numeral: alone, or before a title as in "IV. The Speckled Band".
  const bool digits = first.text.find_first_not_of("0123456789") == std::string_view::npos;
  const bool roman = !digits && capital && romanNumeral(first.text) > 0;
  if (!digits && !roman) return guess;
  guess.number = numberOf(first.text);
  guess.bare = first.rest.empty();
  guess.weak = true;
  guess.heading = guess.number > 0 && guess.number < 200 &&
                  (guess.bare || (first.closing == '.' && looksLikeTitle(first.rest) &&
                                  (roman || !hasLowerCase(first.rest)) && first.rest.size() < 60));
  return guess;
}

}  // namespace palimpsest::documents
