// The text of a drawing: pages of fixed-layout books are SVG pictures whose letters have places, like a PDF's.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "documents/page_layout.h"

namespace palimpsest::documents {

class SvgText {
 public:
  // A <text> element opens; its transform and x, y move what is inside.
  void openText(std::string_view transform, std::string_view x, std::string_view y);
  // A <tspan> opens: x may list the place of every letter.
  void openSpan(std::string_view x, std::string_view y);
  void text(std::string_view utf8);
  // The paragraphs of the drawing, rebuilt from the places of its words.
  std::vector<std::string> paragraphs();

 private:
  std::vector<Word> words_;
  double originX_ = 0, originY_ = 0;  // of the <text>
  std::vector<double> lettersX_;      // of the run at hand
  double baseline_ = 0;
};

}  // namespace palimpsest::documents
