// Plain text in which form feeds end the pages, as a printer or a converter wrote them.
#pragma once

#include <string_view>
#include <vector>

namespace palimpsest::documents {

struct PageLine {
  std::string_view text;  // as it stands in the file, without its end
  int page = 0;           // 1-based; 0 = the text has no pages
};

// The lines of the text. From pages, running heads, running feet and page numbers are left out, and a paragraph that
// goes on over a page end is not interrupted by a blank line. Form feeds that are too far apart for pages divide
// chapters.
std::vector<PageLine> linesOfPages(std::string_view text);

}  // namespace palimpsest::documents
