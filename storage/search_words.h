// A reader's words as an FTS5 query. Free text never reaches FTS5's own syntax.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace palimpsest::storage {

// The distinct words of `text` worth looking for, in order, ASCII letters lowered: no stop words ("who", "the", ...),
// no single letters. Where nothing else is left, all words. At most 64.
std::vector<std::string> searchWords(std::string_view text);

// The words of `phrase` one after another, for FTS5; its passages are then to be looked at for the very letters. Empty
// if it has no words.
std::string ftsPhrase(std::string_view phrase);

// "Mr", "Dr", ...: a title that is written with a full stop behind it, which ends no sentence.
bool isTitle(std::string_view word);

// How often `phrase` stands in `text`, letter for letter: neither end of it inside a word, nor, where it begins with a
// capital of ASCII, inside a longer name ("Bates" in "Miss Bates").
int occurrencesOf(std::string_view phrase, std::string_view text);

// "weena" OR "machine" ...: every word in double quotes. Empty if `text` has no words.
std::string ftsQuery(std::string_view text);

}  // namespace palimpsest::storage
