// From the lines of all pages to paragraphs.
#pragma once

#include <string>
#include <vector>

#include "documents/page_layout.h"

namespace palimpsest::documents {

struct PageParagraph {
  std::string text;  // '\n' between the lines of verse, tables and code
  int page = 0;      // where it begins
  double left = 0, top = 0;
  double size = 0;
  bool bold = false;
  bool prose = false;  // several joined lines, or a full one: not a heading
};

// Words broken at line ends are joined, and paragraphs that go on in the next column or page as well; footnotes and
// figures between the two halves follow after them. `bodySize`: the font size of most of the text.
std::vector<PageParagraph> buildParagraphs(const std::vector<PageLayout>& pages, double bodySize);

}  // namespace palimpsest::documents
