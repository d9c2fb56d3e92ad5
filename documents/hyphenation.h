// Words broken at line ends, put together again: "com-" + "piler" -> "compiler", but "trace-" + "based" ->
// "trace-based" where the rest of the text writes it so.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>

namespace palimpsest::documents {

class WordStock {
 public:
  // Counts the words of a line, except the one it breaks off at its end and the rest of the one that the line before
  // broke off.
  void learn(std::string_view line);
  // Counts one line end of a text of unknown origin, once its words are learnt: typesetters break words anywhere,
  // typists only at a hyphen that belongs there. The habit decides about words that the stock does not know.
  void learnHabit(std::string_view line, std::string_view next);
  // Appends the next line of a paragraph, with a space, a hyphen or neither.
  void appendLine(std::string& paragraph, std::string_view line) const;

 private:
  int countOf(std::string_view word) const;
  bool keepsHyphen(std::string_view before, std::string_view after) const;

  std::unordered_map<std::string, int> counts_;  // folded words, compounds with their hyphens and in their parts
  int typeset_ = 0, typed_ = 0;                  // line ends of either habit
  bool broken_ = false;                          // the last line learnt broke off a word
};

// True if the line ends with a hyphen (of any kind) after a letter.
bool endsWithHyphen(std::string_view line);

}  // namespace palimpsest::documents
