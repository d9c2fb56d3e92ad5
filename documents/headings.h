// Chapter headings told by their words alone, as plain text has them.
#pragma once

#include <string_view>

namespace palimpsest::documents {

struct HeadingGuess {
  bool heading = false;
  bool bare = false;      // only "CHAPTER IV" or "IV": the title may stand on the next line
  bool division = false;  // a part, book, volume or act: chapters lie inside
  bool weak = false;      // a lone numeral: counts only if others like it follow
  int number = 0;         // 0 = none (a preface, an epilogue)
};

// `line`: one line, trimmed.
HeadingGuess guessHeading(std::string_view line);

// Short, begins with a capital or digit and does not end like a sentence: may be the title of a chapter.
bool looksLikeTitle(std::string_view line);

}  // namespace palimpsest::documents
