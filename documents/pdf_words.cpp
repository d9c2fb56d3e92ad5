#include "documents/pdf_words.h"

#include <poppler-page-renderer.h>
#include <poppler-page.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "documents/png_writer.h"
#include "documents/poppler_text.h"
#include "documents/text.h"

namespace palimpsest::documents {
namespace {

constexpr std::size_t kMostWordsPerPage = 100'000;
constexpr double kSmallestLetters = 2.5;  // points: nobody reads smaller ones; they label diagrams

bool namesBold(const std::string& font) {
  const std::string name = lowerCase(font);
  return name.find("bold") != std::string::npos || name.find("medi") != std::string::npos ||
         name.find("black") != std::string::npos || name.find("heavy") != std::string::npos ||
         name.find("cmbx") != std::string::npos || name.find("sfbx") != std::string::npos;
}

// "ABCDEF+Name": each subset of a font has its own prefix.
std::string withoutSubsetPrefix(const std::string& font) {
  const auto plus = font.find('+');
  return plus == 6 ? font.substr(7) : font;
}

struct Placed {
  Word word;
  int rotation = 0;  // 0 = left to right, 1 = downwards, 2 = upside down, 3 = upwards
};

Placed place(const poppler::text_box& box) {
  Placed placed;
  const auto frame = box.bbox();
  placed.word.text = toUtf8(box.text());
  placed.word.left = frame.left(), placed.word.right = frame.right();
  placed.word.top = frame.top(), placed.word.bottom = frame.bottom();
  placed.rotation = box.rotation() & 3;
  if (box.has_font_info()) {
    placed.word.size = box.get_font_size();
    placed.word.font = withoutSubsetPrefix(box.get_font_name());
    placed.word.bold = namesBold(placed.word.font);
  }
  const double height = placed.rotation % 2 == 0 ? frame.height() : frame.width();
  if (!(placed.word.size > 0)) placed.word.size = height;
  return placed;
}

// Turns the page so that words of this rotation read from left to right.
void turn(Word& word, int rotation, double width, double height) {
  const Word old = word;
  if (rotation == 1) {
    word.left = old.top, word.right = old.bottom, word.top = width - old.right, word.bottom = width - old.left;
  } else if (rotation == 2) {
    word.left = width - old.right, word.right = width - old.left, word.top = height - old.bottom,
    word.bottom = height - old.top;
  } else if (rotation == 3) {
    word.left = height - old.bottom, word.right = height - old.top, word.top = old.left, word.bottom = old.right;
  }
}

bool isFinite(const Word& word) {
  return std::isfinite(word.left) && std::isfinite(word.right) && std::isfinite(word.top) &&
         std::isfinite(word.bottom) && std::isfinite(word.size) && std::abs(word.left) < 1e5 &&
         std::abs(word.right) < 1e5 && std::abs(word.top) < 1e5 && std::abs(word.bottom) < 1e5 &&
         word.right >= word.left && word.bottom >= word.top;
}

poppler::image draw(const poppler::page& page, double pixelsHigh) {
  const auto frame = page.page_rect();
  if (!(frame.width() > 1) || !(frame.height() > 1) || frame.width() > 20 * frame.height() ||
      frame.height() > 20 * frame.width())
    return {};
  const bool turned = page.orientation() == poppler::page::landscape || page.orientation() == poppler::page::seascape;
  const double resolution = 72.0 * pixelsHigh / (turned ? frame.width() : frame.height());
  poppler::page_renderer renderer;
  renderer.set_render_hint(poppler::page_renderer::antialiasing);
  renderer.set_render_hint(poppler::page_renderer::text_antialiasing);
  renderer.set_image_format(poppler::image::format_rgb24);
  return renderer.render_page(&page, resolution, resolution);
}

std::vector<unsigned char> pixelsOf(const poppler::image& image) {
  std::vector<unsigned char> rgb;
  if (!image.is_valid() || image.format() != poppler::image::format_rgb24) return rgb;
  const auto width = static_cast<std::size_t>(image.width());
  rgb.reserve(3 * width * static_cast<std::size_t>(image.height()));
  for (int y = 0; y < image.height(); ++y) {
    const auto* row =
        reinterpret_cast<const unsigned char*>(image.const_data()) + std::ptrdiff_t{y} * image.bytes_per_row();
    rgb.insert(rgb.end(), row, row + 3 * width);
  }
  return rgb;
}

}  // namespace

PageWords readWords(const poppler::page& page) {
  PageWords result;
  const auto frame = page.page_rect();
  result.width = frame.width(), result.height = frame.height();
  std::vector<Placed> all;
  std::array<std::size_t, 4> letters{};
  for (const auto& box : page.text_list(poppler::page::text_list_include_font)) {
    if (all.size() >= kMostWordsPerPage) break;
    Placed placed = place(box);
    if (!isFinite(placed.word) || placed.word.size < kSmallestLetters) continue;
    letters[static_cast<std::size_t>(placed.rotation)] += placed.word.text.size();
    all.push_back(std::move(placed));
  }
  const int main = static_cast<int>(std::max_element(letters.begin(), letters.end()) - letters.begin());
  // Words set across the others are stamps in the margin or labels of diagrams; the text is what most words agree on.
  for (auto& placed : all) {
    if (placed.rotation != main) continue;
    turn(placed.word, main, result.width, result.height);
    result.words.push_back(std::move(placed.word));
  }
  if (main % 2 == 1) std::swap(result.width, result.height);
  return result;
}

std::vector<std::byte> renderCover(const poppler::page& page) {
  constexpr double kCoverPixels = 300;
  const poppler::image image = draw(page, kCoverPixels);
  const auto pixels = pixelsOf(image);
  if (pixels.empty()) return {};
  return encodePng(pixels, static_cast<unsigned>(image.width()), static_cast<unsigned>(image.height()));
}

bool hasInk(const poppler::page& page) {
  const auto pixels = pixelsOf(draw(page, 100));
  return std::any_of(pixels.begin(), pixels.end(), [](unsigned char value) { return value < 250; });
}

}  // namespace palimpsest::documents
