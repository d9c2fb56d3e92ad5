#include "app/chapters.h"

#include <algorithm>
#include <limits>
#include <set>

namespace palimpsest::app {

namespace {

// The first chapter after `at` that does not stand inside it.
std::size_t nextBeside(const std::vector<storage::ChapterRecord>& chapters, std::size_t at) {
  std::size_t next = at + 1;
  while (next < chapters.size() && chapters[next].level > chapters[at].level) ++next;
  return next;
}

// Where the chapters of one level begin and end.
std::set<std::int64_t> placesOfLevel(std::span<const ChapterPlace> chapters, int level) {
  std::set<std::int64_t> places;
  for (const ChapterPlace& place : chapters) {
    if (place.chapter.level != level || !place.hasText()) continue;
    if (!place.lastOfBook) places.insert(place.end);
    if (place.before > 0) places.insert(place.before);
  }
  return places;
}

}  // namespace

std::vector<ChapterPlace> chapterPlaces(const storage::Library& library, storage::Id book) {
  const auto chapters = library.chapters(book);
  const auto spans = library.chapterSpans(book);
  std::int64_t textEnd = 0;
  for (const storage::ChapterSpan& span : spans) textEnd = std::max(textEnd, span.end);
  std::vector<ChapterPlace> places;
  for (std::size_t i = 0; i < chapters.size(); ++i) {
    const std::size_t next = nextBeside(chapters, i);
    ChapterPlace& place = places.emplace_back(ChapterPlace{chapters[i]});
    for (const storage::ChapterSpan& span : spans) {
      if (span.chapter < chapters[i].ordinal || (next < chapters.size() && span.chapter >= chapters[next].ordinal))
        continue;
      place.begin = place.hasText() ? std::min(place.begin, span.begin) : span.begin;
      place.end = std::max(place.end, span.end);
    }
    for (const storage::ChapterSpan& span : spans)
      if (place.hasText() && span.end <= place.begin) place.before = std::max(place.before, span.end);
    place.lastOfBook = place.hasText() && place.end == textEnd;
  }
  return places;
}

std::vector<std::int64_t> placesToNote(std::span<const ChapterPlace> chapters, std::size_t most) {
  std::set<int> levels;
  for (const ChapterPlace& place : chapters) levels.insert(place.chapter.level);
  std::set<std::int64_t> kept;
  for (const int level : levels) {
    std::vector<std::int64_t> more;
    std::ranges::set_difference(placesOfLevel(chapters, level), kept, std::back_inserter(more));
    const std::size_t room = most - kept.size();
    if (more.size() <= room) {
      kept.insert(more.begin(), more.end());
      continue;
    }
    // Evenly over the book: "up to here" is then near every chapter.
    const std::size_t step = room == 0 ? 0 : (more.size() + room - 1) / room;
    for (std::size_t i = step; step > 0 && i <= more.size(); i += step) kept.insert(more[i - 1]);
    break;
  }
  return {kept.begin(), kept.end()};
}

ChapterNotes notesOf(std::span<const ChapterPlace> chapters, std::size_t memoryBytes, std::size_t sectionBytes,
                     bool mayDiffer) {
  const std::size_t most = mostChapterMemories(memoryBytes);
  const std::vector<std::int64_t> all = placesToNote(chapters, std::numeric_limits<std::size_t>::max());
  if (all.size() <= most || !mayDiffer) return {placesToNote(chapters, most), false};
  return {placesToNote(chapters, mostChapterMemories(sectionBytes)), true};
}

std::size_t mostChapterMemories(std::size_t memoryBytes) {
  return memoryBytes == 0 ? 0 : static_cast<std::size_t>(kMostChapterBytes) / memoryBytes;
}

}  // namespace palimpsest::app
