// Where a book's chapters stand in its stored text, and at which of their ends its memory is kept.
//
// What a chapter wrote, given the text before it, is the memory at its end less the memory where the text before it
// ends; what a reader who has come to its end knows is the memory at its end.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "storage/library.h"
#include "storage/records.h"

namespace palimpsest::app {

// Bytes that the chapters' memories of one book may take beside its own.
constexpr std::int64_t kMostChapterBytes = 64'000'000;

// A chapter with all that stands inside it (a part with its chapters). Bytes of the stored text.
struct ChapterPlace {
  storage::ChapterRecord chapter;
  std::int64_t begin = 0, end = 0;  // the same: it has no text
  std::int64_t before = 0;          // where the text before it ends, 0 = there is none
  bool lastOfBook = false;          // nothing follows it: the memory at its end is that of the whole book
  bool hasText() const { return end > begin; }
};

// In the order of the book.
std::vector<ChapterPlace> chapterPlaces(const storage::Library& library, storage::Id book);

// What is to be kept of a book's chapters.
struct ChapterNotes {
  std::vector<std::int64_t> places;  // ascending
  bool between = false;              // what was written between one and the next, not the memory as it was there
};
// As much as fits in kMostChapterBytes. The memories at the chapters' ends, which tell a chapter in the sections of the
// book that lie in it as well; of a book that has too many chapters for that, what each of them wrote, in one section.
// mayDiffer: what was written between two places can be told (linear rule).
ChapterNotes notesOf(std::span<const ChapterPlace> chapters, std::size_t memoryBytes, std::size_t sectionBytes,
                     bool mayDiffer);

// The places at which the memory is to be kept, ascending: those at which chapters begin and end, less the beginning
// and the end of the book, at most `most` of them. Of more, the upper levels of the table of contents are kept whole,
// and of the first level that does not fit every second, third, ... end.
std::vector<std::int64_t> placesToNote(std::span<const ChapterPlace> chapters, std::size_t most);
// How many of so many bytes each are kept of one book.
std::size_t mostChapterMemories(std::size_t memoryBytes);

}  // namespace palimpsest::app
