#include "documents/gutenberg.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>
#include <string>

#include "documents/text.h"

namespace palimpsest::documents {
namespace {

using Markers = std::array<std::string_view, 3>;
constexpr Markers kStart = {"*** START OF TH", "***START OF TH", "*** START OF PROJECT"};
constexpr Markers kEnd = {"*** END OF TH", "***END OF TH", "*** END OF PROJECT"};
constexpr Markers kOldEnd = {"\nEnd of the Project Gutenberg", "\nEnd of Project Gutenberg",
                             "\nEnd of The Project Gutenberg"};

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

std::size_t findMarker(std::string_view text, const Markers& markers) {
  std::size_t best = std::string_view::npos;
  for (const auto marker : markers) best = std::min(best, text.find(marker));
  return best;
}

// "Produced by ..." notes of the volunteers.
bool isCredit(std::string_view paragraph) {
  const std::string head = lowerCase(paragraph.substr(0, 40));
  return head.rfind("produced by", 0) == 0 || head.rfind("e-text prepared by", 0) == 0 ||
         head.rfind("etext prepared by", 0) == 0 || head.rfind("this etext was ", 0) == 0 ||
         head.rfind("this ebook was produced by", 0) == 0 || head.rfind("transcribed from", 0) == 0;
}

// They stand before the text proper.
std::string_view withoutCredits(std::string_view text) {
  for (int paragraphs = 0; paragraphs < 3; ++paragraphs) {
    const auto start = text.find_first_not_of(" \t\n");
    if (start == std::string_view::npos) return text;
    if (!isCredit(text.substr(start))) return text;
    const auto end = text.find("\n\n", start);
    if (end == std::string_view::npos) return text;
    text.remove_prefix(end);
  }
  return text;
}

void takeFields(std::string_view header, Document& document) {
  const auto take = [&](std::string& value, std::string_view name) {
    if (value.empty() || value.find("Project Gutenberg") != std::string::npos)
      if (std::string found = field(header, name); !found.empty()) value = std::move(found);
  };
  take(document.title, "Title:");
  take(document.author, "Author:");
  take(document.language, "Language:");
  take(document.date, "Release Date:");
  take(document.date, "Release date:");
  document.date = document.date.substr(0, document.date.find(" ["));
}

// The marker's line in a paragraph, which may hold more than it.
struct Marker {
  std::size_t paragraph = 0, begin = 0, end = 0;
};

std::optional<Marker> findMarker(const std::vector<Paragraph>& paragraphs, std::size_t from, std::size_t to,
                                 const Markers& markers) {
  for (std::size_t i = from; i < std::min(to, paragraphs.size()); ++i) {
    const std::string& text = paragraphs[i].text;
    const auto at = findMarker(text, markers);
    if (at == std::string::npos || (at > 0 && text[at - 1] != '\n') ||
        lowerCase(text).find("project gutenberg") == std::string::npos)
      continue;
    const auto closing = text.find("***", at + 3);
    return Marker{i, at, closing == std::string::npos ? afterLine(text, at) : closing + 3};
  }
  return std::nullopt;
}

bool isOldEnd(std::string_view paragraph) {
  return std::any_of(kOldEnd.begin(), kOldEnd.end(),
                     [&](std::string_view marker) { return paragraph.rfind(marker.substr(1), 0) == 0; });
}

bool namesWrapping(const Chapter& chapter) {
  const std::string title = lowerCase(chapter.title);
  return title.rfind("the project gutenberg ebook", 0) == 0 || title.rfind("the full project gutenberg lic", 0) == 0;
}

// Chapters that are all wrapping go; what is left of them belongs to the chapter before.
void dropChapters(Document& document, const std::vector<bool>& touched) {
  std::vector<bool> used(document.chapters.size());
  for (const auto& paragraph : document.paragraphs)
    if (paragraph.chapter >= 0) used[static_cast<std::size_t>(paragraph.chapter)] = true;
  std::vector<int> newIndex;
  std::vector<Chapter> kept;
  for (std::size_t i = 0; i < document.chapters.size(); ++i) {
    if (!namesWrapping(document.chapters[i]) && (used[i] || !touched[i])) kept.push_back(document.chapters[i]);
    newIndex.push_back(static_cast<int>(kept.size()) - 1);
  }
  document.chapters = std::move(kept);
  for (auto& paragraph : document.paragraphs)
    if (paragraph.chapter >= 0) paragraph.chapter = newIndex[static_cast<std::size_t>(paragraph.chapter)];
}

bool isWordAt(std::string_view text, std::size_t at) {
  return at < text.size() && (std::isalnum(static_cast<unsigned char>(text[at])) || text[at] < 0);
}

// Lines that stand inside a word (snake_case) or in a row (a form to fill in) are no marks.
std::string withoutItalicMarks(std::string_view text) {
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool inside = i > 0 && isWordAt(text, i - 1) && isWordAt(text, i + 1);
    const bool inRow = (i > 0 && text[i - 1] == '_') || (i + 1 < text.size() && text[i + 1] == '_');
    if (text[i] != '_' || inside || inRow) result += text[i];
  }
  return result;
}

}  // namespace

std::string_view stripGutenberg(std::string_view text, Document& document) {
  constexpr std::size_t kNearStart = 40'000;  // the oldest headers carry the whole small print
  if (text.substr(0, kNearStart).find("Project Gutenberg") == std::string_view::npos) return text;
  const std::string_view front = text.substr(0, kNearStart);
  auto start = findMarker(front, kStart);
  if (start == std::string_view::npos) start = front.find("*END*THE SMALL PRINT");
  if (start == std::string_view::npos) start = front.find("*END THE SMALL PRINT");
  if (start == std::string_view::npos) return text;
  takeFields(text.substr(0, start), document);
  std::string_view body = text.substr(afterLine(text, start));
  const auto end = std::min(findMarker(body, kEnd), findMarker(body, kOldEnd));
  return withoutCredits(body.substr(0, end));
}

void dropItalicMarks(Document& document) {
  for (auto& chapter : document.chapters) chapter.title = withoutItalicMarks(chapter.title);
  for (auto& paragraph : document.paragraphs) paragraph.text = withoutItalicMarks(paragraph.text);
}

void stripGutenberg(Document& document) {
  constexpr std::size_t kNearStart = 400;  // paragraphs
  auto& paragraphs = document.paragraphs;
  std::vector<bool> touched(document.chapters.size());
  const auto start = findMarker(paragraphs, 0, kNearStart, kStart);
  if (!start) return dropChapters(document, touched);
  const auto end = findMarker(paragraphs, start->paragraph + 1, paragraphs.size(), kEnd);
  const auto touch = [&](std::size_t from, std::size_t to) {
    for (std::size_t i = from; i < to; ++i)
      if (paragraphs[i].chapter >= 0) touched[static_cast<std::size_t>(paragraphs[i].chapter)] = true;
  };
  if (end) {
    touch(end->paragraph, paragraphs.size());
    std::string& last = paragraphs[end->paragraph].text;
    last = std::string(trimmed(std::string_view(last).substr(0, end->begin)));
    paragraphs.resize(end->paragraph + (last.empty() ? 0 : 1));
    if (isOldEnd(paragraphs.back().text)) paragraphs.pop_back();
  }
  std::string header;
  for (std::size_t i = 0; i < start->paragraph; ++i) (header += paragraphs[i].text) += '\n';
  takeFields(header, document);
  std::string& first = paragraphs[start->paragraph].text;
  first = std::string(trimmed(std::string_view(first).substr(start->end)));
  std::size_t dropped = start->paragraph + (first.empty() ? 1 : 0);
  while (dropped < paragraphs.size() && isCredit(paragraphs[dropped].text)) ++dropped;
  touch(0, dropped);
  paragraphs.erase(paragraphs.begin(), paragraphs.begin() + static_cast<std::ptrdiff_t>(dropped));
  dropChapters(document, touched);
}

}  // namespace palimpsest::documents
