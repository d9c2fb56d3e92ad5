// The white strips between columns of prose.
#pragma once

#include <vector>

#include "documents/page_layout.h"

namespace palimpsest::documents {

struct Gutter {
  double x = 0;  // its middle
  double top = 0, bottom = 0;
};

// `words` of one page sorted by top; `size` is the usual font size. Strips between the columns of tables, code and
// lists do not count: rows there belong together.
std::vector<Gutter> findGutters(const std::vector<Word>& words, double size);

// A number that grows in reading order: bands of the page from top to bottom, within a band its columns from left to
// right.
int columnAt(const std::vector<Gutter>& gutters, double x, double y);

}  // namespace palimpsest::documents
