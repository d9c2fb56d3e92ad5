// Running heads, running feet and page numbers: what the printer added to every page and no reader reads.
#pragma once

#include <vector>

#include "documents/page_layout.h"

namespace palimpsest::documents {

// Font size of most letters of the whole document.
double bodySize(const std::vector<PageLayout>& pages);

// Removes them from the pages: numbers at the top or bottom that count with the pages, lines there that repeat on many
// pages, and lines in the place where other pages have such a line.
void removeFurniture(std::vector<PageLayout>& pages);

}  // namespace palimpsest::documents
