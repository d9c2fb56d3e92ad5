#include "documents/gutenberg.h"

#include <algorithm>
#include <string>

#include "documents/text.h"

namespace palimpsest::documents {
namespace {

// Position after the line that contains `at`.
std::size_t afterLine(std::string_view text, std::size_t at) {
  return std::min(text.find('\n', at), text.size() - 1) + 1;
}

std::string field(std::string_view header, std::string_view name) {
  for (auto at = header.find(name); at != std::string_view::npos; at = header.find(name, at + 1)) {
    if (at > 0 && header[at - 1] != '\n') continue;
    at += name.size();
    std::string value(trimmed(header.substr(at, header.find('\n', at) - at)));
    // A long value goes on in indented lines.
    for (auto next = afterLine(header, at); next < header.size() && header.substr(next, 4) == "    ";
         next = afterLine(header, next))
      (value += ' ') += trimmed(header.substr(next, header.find('\n', next) - next));
    return value;
  }
  return {};
}

std::size_t findMarker(std::string_view text, std::size_t from, std::initializer_list<std::string_view> markers) {
  std::size_t best = std::string_view::npos;
  for (const auto marker : markers) best = std::min(best, text.find(marker, from));
  return best;
}

// "Produced by ..." notes of the volunteers, before the text proper.
std::string_view withoutCredits(std::string_view text) {
  for (int paragraphs = 0; paragraphs < 3; ++paragraphs) {
    const auto start = text.find_first_not_of(" \t\n");
    if (start == std::string_view::npos) return text;
    const std::string head = lowerCase(text.substr(start, 40));
    const bool credit = head.rfind("produced by", 0) == 0 || head.rfind("e-text prepared by", 0) == 0 ||
                        head.rfind("etext prepared by", 0) == 0 || head.rfind("this etext was ", 0) == 0 ||
                        head.rfind("this ebook was produced by", 0) == 0 || head.rfind("transcribed from", 0) == 0;
    if (!credit) return text;
    const auto end = text.find("\n\n", start);
    if (end == std::string_view::npos) return text;
    text.remove_prefix(end);
  }
  return text;
}

}  // namespace

std::string_view stripGutenberg(std::string_view text, Document& document) {
  constexpr std::size_t kNearStart = 40'000;  // the oldest headers carry the whole small print
  if (text.substr(0, kNearStart).find("Project Gutenberg") == std::string_view::npos) return text;
  const std::string_view front = text.substr(0, kNearStart);
  auto start = findMarker(front, 0, {"*** START OF TH", "***START OF TH", "*** START OF PROJECT"});
  if (start == std::string_view::npos) start = front.find("*END*THE SMALL PRINT");
  if (start == std::string_view::npos) start = front.find("*END THE SMALL PRINT");
  if (start == std::string_view::npos) return text;
  const std::string_view header = text.substr(0, start);
  document.title = field(header, "Title:");
  document.author = field(header, "Author:");
  document.language = field(header, "Language:");
  document.date = field(header, "Release Date:");
  if (document.date.empty()) document.date = field(header, "Release date:");
  document.date = document.date.substr(0, document.date.find(" ["));
  std::string_view body = text.substr(afterLine(text, start));
  const auto end = findMarker(body, 0,
                              {"*** END OF TH", "***END OF TH", "*** END OF PROJECT", "\nEnd of the Project Gutenberg",
                               "\nEnd of Project Gutenberg", "\nEnd of The Project Gutenberg"});
  return withoutCredits(body.substr(0, end));
}

}  // namespace palimpsest::documents
