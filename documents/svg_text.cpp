#include "documents/svg_text.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "documents/page_furniture.h"
#include "documents/paragraphs.h"
#include "documents/text.h"

namespace palimpsest::documents {
namespace {

constexpr std::size_t kMostWords = 100'000;
constexpr double kGuessedAdvance = 0.5;  // em: the width of a letter whose end is not given

std::vector<double> numbersIn(std::string_view list) {
  std::vector<double> numbers;
  const std::string text(list);
  for (const char* at = text.c_str(); *at;) {
    char* end = nullptr;
    const double value = std::strtod(at, &end);
    if (end == at) {
      ++at;  // a comma, a space, a unit
    } else {
      if (std::isfinite(value) && std::abs(value) < 1e5) numbers.push_back(value);
      at = end;
    }
  }
  return numbers;
}

double firstOr(std::string_view list, double other) {
  const auto numbers = numbersIn(list);
  return numbers.empty() ? other : numbers.front();
}

// Lines are set some 1.25 times the font size apart; the size itself stands in a style sheet.
double guessedSize(const std::vector<Word>& words) {
  std::vector<double> baselines, steps;
  for (const auto& word : words) baselines.push_back(word.bottom);
  std::sort(baselines.begin(), baselines.end());
  for (std::size_t i = 1; i < baselines.size(); ++i)
    if (baselines[i] - baselines[i - 1] > 3) steps.push_back(baselines[i] - baselines[i - 1]);
  if (steps.empty()) return 10;
  std::nth_element(steps.begin(), steps.begin() + static_cast<std::ptrdiff_t>(steps.size() / 2), steps.end());
  return std::clamp(steps[steps.size() / 2] / 1.25, 4.0, 40.0);
}

}  // namespace

void SvgText::openText(std::string_view transform, std::string_view x, std::string_view y) {
  originX_ = originY_ = 0;
  const auto matrix = numbersIn(transform);
  if (transform.find("matrix") != std::string_view::npos && matrix.size() == 6)
    originX_ = matrix[4], originY_ = matrix[5];
  if (transform.find("translate") != std::string_view::npos && !matrix.empty())
    originX_ = matrix[0], originY_ = matrix.size() > 1 ? matrix[1] : 0;
  lettersX_ = {0};
  baseline_ = 0;
  openSpan(x, y);
}

void SvgText::openSpan(std::string_view x, std::string_view y) {
  if (!x.empty()) lettersX_ = numbersIn(x);
  if (lettersX_.empty()) lettersX_ = {0};
  baseline_ = firstOr(y, baseline_);
}

void SvgText::text(std::string_view utf8) {
  // Word by word; without a place for each letter the run keeps its words together.
  std::size_t letter = 0;
  const bool placed = lettersX_.size() > 1;
  const auto placeOf = [&](std::size_t index) {
    const double given = lettersX_[std::min(index, lettersX_.size() - 1)];
    return originX_ + given + (index < lettersX_.size() ? 0 : 5.0 * static_cast<double>(index - lettersX_.size() + 1));
  };
  Word word;
  const auto finishWord = [&] {
    if (!trimmed(word.text).empty() && words_.size() < kMostWords) words_.push_back(word);
    word = Word();
  };
  for (std::size_t i = 0; i < utf8.size(); ++letter) {
    const std::size_t start = i;
    const char32_t c = nextCodePoint(utf8, i);
    if (c == '\n' || c == '\t' || c == '\r' || (placed && (c == ' ' || c == 0xA0))) {
      word.spaceAfter = true;
      finishWord();
      if (!placed) --letter;
      continue;
    }
    if (word.text.empty()) word.left = placeOf(letter);
    word.text.append(utf8.substr(start, i - start));
    word.right = placeOf(letter + 1);
    word.bottom = originY_ + baseline_;
  }
  finishWord();
}

std::vector<std::string> SvgText::paragraphs() {
  const double size = guessedSize(words_);
  double width = 0, height = 0;
  for (auto& word : words_) {
    word.size = size;
    word.top = word.bottom - size;
    word.right = std::max(word.right, word.left + kGuessedAdvance * size);
    width = std::max(width, word.right);
    height = std::max(height, word.bottom);
  }
  const std::vector<PageLayout> pages = {layOutPage(std::move(words_), 1, width, height)};
  words_.clear();
  std::vector<std::string> texts;
  for (auto& paragraph : buildParagraphs(pages, bodySize(pages))) texts.push_back(std::move(paragraph.text));
  return texts;
}

}  // namespace palimpsest::documents
