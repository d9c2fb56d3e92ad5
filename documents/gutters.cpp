#include "documents/gutters.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "documents/text.h"

namespace palimpsest::documents {
namespace {

constexpr double kWidth = 0.7;             // em: spaces in justified lines get wider, but not five times in a column
constexpr double kLeastColumn = 8;         // em: nearer strips are one gutter, or one and an indent
constexpr std::size_t kLeastRows = 5;      // on both sides
constexpr std::size_t kLeastLetters = 24;  // per row of prose, on average
constexpr std::size_t kManyRows = 25;      // an index has short rows, but many of them
constexpr std::size_t kLeastLettersOfIndex = 8;
constexpr double kFilled = 0.75;  // of the column's width, for most rows of prose

// One row on one side of a strip.
struct Side {
  double left = 1e9, right = -1e9;
  std::size_t letters = 0, digits = 0;
};

struct Shape {
  std::size_t rows = 0, letters = 0, digits = 0;
  double left = 1e9, right = -1e9;
  double filled = 0;   // share of rows that reach across most of the column
  double aligned = 0;  // share of rows that begin near the left edge
};

Shape shapeOf(const std::map<int, Side>& rows, double size) {
  Shape shape;
  for (const auto& [y, row] : rows) {
    ++shape.rows;
    shape.letters += row.letters;
    shape.digits += row.digits;
    shape.left = std::min(shape.left, row.left);
    shape.right = std::max(shape.right, row.right);
  }
  if (shape.rows == 0) return shape;
  for (const auto& [y, row] : rows) {
    shape.filled += row.right - shape.left > kFilled * (shape.right - shape.left);
    shape.aligned += row.left - shape.left < 3 * size;
  }
  shape.filled /= static_cast<double>(shape.rows);
  shape.aligned /= static_cast<double>(shape.rows);
  return shape;
}

bool isProse(const Shape& shape) {
  return shape.rows >= kLeastRows && shape.letters >= kLeastLetters * shape.rows && shape.filled >= 0.5 &&
         shape.aligned >= 0.6;
}

// An index has words with a few page numbers, a table mostly numbers.
bool isIndex(const Shape& shape) {
  return shape.rows >= kManyRows && shape.letters >= kLeastLettersOfIndex * shape.rows && shape.aligned >= 0.5 &&
         shape.digits * 10 < shape.letters * 3;
}

bool separatesColumns(const std::vector<Word>& words, const Gutter& strip, double size) {
  std::map<int, Side> left, right;
  for (const auto& word : words) {
    if (word.top < strip.top - 0.5 || word.bottom > strip.bottom + 0.5) continue;
    Side& side = (word.right <= strip.x ? left : right)[static_cast<int>(std::lround(word.bottom / (0.6 * size)))];
    side.left = std::min(side.left, word.left);
    side.right = std::max(side.right, word.right);
    side.letters += countCodePoints(word.text);
    side.digits += static_cast<std::size_t>(
        std::count_if(word.text.begin(), word.text.end(), [](char c) { return c >= '0' && c <= '9'; }));
  }
  const Shape a = shapeOf(left, size), b = shapeOf(right, size);
  if (isProse(a) && isProse(b)) return true;
  const double narrow = std::min(a.right - a.left, b.right - b.left),
               wide = std::max(a.right - a.left, b.right - b.left);
  return isIndex(a) && isIndex(b) && narrow > 0.6 * wide;
}

// The vertical stretches in which no word touches the strip [x, x + width].
std::vector<Gutter> freeStretches(const std::vector<Word>& words, double x, double width, double top, double bottom,
                                  double least) {
  std::vector<Gutter> stretches;
  double from = top;
  for (const auto& word : words) {
    if (word.right <= x || word.left >= x + width) continue;
    if (word.top - from >= least) stretches.push_back({x + width / 2, from, word.top});
    from = std::max(from, word.bottom);
  }
  if (bottom - from >= least) stretches.push_back({x + width / 2, from, bottom});
  return stretches;
}

bool sameGutter(const Gutter& a, const Gutter& b, double width) {
  const double shared = std::min(a.bottom, b.bottom) - std::max(a.top, b.top);
  return std::abs(a.x - b.x) < width && shared > 0;
}

}  // namespace

std::vector<Gutter> findGutters(const std::vector<Word>& words, double size) {
  double left = 1e9, right = -1e9, top = 1e9, bottom = -1e9;
  for (const auto& word : words) {
    left = std::min(left, word.left), right = std::max(right, word.right);
    top = std::min(top, word.top), bottom = std::max(bottom, word.bottom);
  }
  const double width = kWidth * size, least = 4.5 * size;
  constexpr int kMostSteps = 2000;  // a page may claim any width
  const double step = std::max(1.0, (right - left) / kMostSteps);
  std::vector<Gutter> found;
  for (double x = left + 4 * size; x < right - 4 * size; x += step)
    for (const auto& stretch : freeStretches(words, x, width, top, bottom, least)) {
      // Neighbouring strips are one gutter; the tallest speaks for it.
      const auto same = std::find_if(found.begin(), found.end(), [&](const Gutter& gutter) {
        return sameGutter(gutter, stretch, kLeastColumn * size);
      });
      if (same != found.end() && same->bottom - same->top >= stretch.bottom - stretch.top) continue;
      if (!separatesColumns(words, stretch, size)) continue;
      if (same != found.end())
        *same = stretch;
      else
        found.push_back(stretch);
    }
  return found;
}

int columnAt(const std::vector<Gutter>& gutters, double x, double y) {
  // Bands: stretches of the page that share gutters. Text between two bands is one column of its own.
  constexpr int kColumnsPerBand = 64;
  std::vector<Gutter> bands;
  for (const auto& gutter : gutters) bands.push_back(gutter);
  std::sort(bands.begin(), bands.end(), [](const Gutter& a, const Gutter& b) { return a.top < b.top; });
  std::vector<Gutter> merged;
  for (const auto& band : bands) {
    if (!merged.empty() && band.top < merged.back().bottom)
      merged.back().bottom = std::max(merged.back().bottom, band.bottom);
    else
      merged.push_back(band);
  }
  int column = 0;
  for (const auto& band : merged) {
    if (y < band.top) return column;
    if (y <= band.bottom) {
      for (const auto& gutter : gutters)
        if (y >= gutter.top && y <= gutter.bottom && x > gutter.x) ++column;
      return column + 1;
    }
    column += kColumnsPerBand;
  }
  return column;
}

}  // namespace palimpsest::documents
