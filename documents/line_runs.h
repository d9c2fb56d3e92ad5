// Runs of lines that belong together by their looks, and what lies between their lines.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "documents/page_layout.h"

namespace palimpsest::documents {

// Between two lines of a run. Soft: a line end that is meant (verse, a table, code). Break: a new paragraph begins.
enum class Boundary { Join, Soft, Break };

// Lines that follow each other in one column at the usual distance, set in one size and weight.
struct Run {
  std::vector<Line> lines;      // never empty
  double left = 0, right = 0;   // of all its lines
  std::vector<Boundary> after;  // after[i]: between line i and i + 1
  bool lastIsShort = false;     // the last line leaves room: a paragraph ends there

  const Line& first() const { return lines.front(); }
  const Line& last() const { return lines.back(); }
};

// All lines of the pages in order, without the labels of diagrams (tiny or unreadable ones).
std::vector<Run> splitRuns(const std::vector<PageLayout>& pages, double bodySize, const std::string& bodyFont);

// The font of most letters of body size.
std::string commonFont(const std::vector<PageLayout>& pages, double bodySize);

bool sameSize(double a, double b);                  // of fonts, nearly
bool isIndented(const Run& run, const Line& line);  // as the first line of a paragraph, or the others if it hangs
bool isHanging(const Run& run);                     // first lines stand out to the left
bool startsWithBullet(const std::string& text);
bool startsWithEnumerator(const std::string& text);   // 1. 2) (iii) [4] a)
bool endsSentence(std::string_view text);             // closing quotes and brackets aside
std::string withoutLeaders(const std::string& text);  // dots that lead the eye to a page number

}  // namespace palimpsest::documents
