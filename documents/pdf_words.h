// Poppler's view of a page -> the words of page_layout.h, and the picture of a page.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "documents/page_layout.h"

namespace poppler {
class document;
class page;
}  // namespace poppler

namespace palimpsest::documents {

struct PageWords {
  std::vector<Word> words;  // in the reading frame: text set sideways is turned upright
  double width = 0, height = 0;
};

PageWords readWords(const poppler::page& page);

// About 300 pixels high, as PNG; empty if the page cannot be drawn.
std::vector<std::byte> renderCover(const poppler::page& page);

// True if something is drawn on the page.
bool hasInk(const poppler::page& page);

}  // namespace palimpsest::documents
