// From words with boxes (a page of a PDF) to lines in reading order. All lengths in points, y downwards.
#pragma once

#include <string>
#include <vector>

namespace palimpsest::documents {

struct Word {
  std::string text;  // UTF-8
  double left = 0, top = 0, right = 0, bottom = 0;
  double size = 0;   // of the font
  std::string font;  // without subset prefix
  bool bold = false;
  bool spaceAfter = false;  // known to be followed by a space; else the gap to the next word decides
};

// Coordinates run in reading direction: for right-to-left text, left is the distance from the right edge of the page.
struct Line {
  std::string text;
  double left = 0, top = 0, right = 0, bottom = 0;
  double size = 0;            // of most of its letters
  double firstWordWidth = 0;  // for the question whether it would still have fitted on the line before
  bool bold = false;          // all of it
  bool tabular = false;       // has gaps as between the cells of a table
  std::string font;           // of most of its letters
  int page = 0;               // 1-based
  int column = 0;  // counts columns in reading order over the page; lines of another column are no neighbours

  double height() const { return bottom - top; }
};

struct PageLayout {
  int page = 0;
  double width = 0, height = 0;
  std::vector<Line> lines;  // in reading order
};

// Groups words to lines, finds columns of prose (as opposed to those of a table) and puts the lines in order.
PageLayout layOutPage(std::vector<Word> words, int page, double width, double height);

}  // namespace palimpsest::documents
