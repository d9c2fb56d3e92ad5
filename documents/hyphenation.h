// Words broken at line ends, put together again: "com-" + "piler" -> "compiler", but "trace-" + "based" ->
// "trace-based" where the rest of the text writes it so.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>

namespace palimpsest::documents {

class WordStock {
 public:
  // Counts the words of a line, except the one it breaks off at its end.
  void learn(std::string_view line);
  // Appends the next line of a paragraph, with a space, a hyphen or neither.
  void appendLine(std::string& paragraph, std::string_view line) const;

 private:
  int countOf(std::string_view word) const;
  bool keepsHyphen(std::string_view before, std::string_view after) const;

  std::unordered_map<std::string, int> counts_;  // folded words, compounds with their hyphens and in their parts
};

// True if the line ends with a hyphen (of any kind) after a letter.
bool endsWithHyphen(std::string_view line);

}  // namespace palimpsest::documents
