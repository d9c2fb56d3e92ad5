// The outline (bookmarks) of a PDF with the places it points to. poppler-cpp gives the titles without their pages, so
// this one thing goes through poppler's GLib interface.
#pragma once

#include <string>
#include <vector>

namespace palimpsest::documents {

struct OutlineEntry {
  std::string title;
  int level = 0;
  int page = 0;     // 1-based; 0 = it points nowhere within the document
  double top = -1;  // points from the upper edge; -1 = the whole page
};

// Empty if the file has none or cannot be opened with this password.
std::vector<OutlineEntry> readOutline(const std::string& pdfBytes, const std::string& password);

}  // namespace palimpsest::documents
