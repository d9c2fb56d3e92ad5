// The part of EngineWorker that answers from a part of a book: one chapter, or all until the end of one.
#include <algorithm>
#include <functional>

#include "app/chapters.h"
#include "app/engine_parts.h"
#include "app/engine_worker.h"
#include "app/memory_record.h"
#include "app/words.h"
#include "engine/errors.h"
#include "storage/memory_store.h"

namespace palimpsest::app {

using Kind = storage::BookPart::Kind;

namespace {

// The sections that end before a place, or there, belong to the memory there as well.
std::vector<engine::SavedPart> sectionsBefore(const storage::MemoryRecord& record, std::int64_t place) {
  std::vector<engine::SavedPart> before;
  for (const storage::MemoryPartRecord& section : record.sections)
    if (section.position <= place) before.push_back({section.position, section.tokens, section.snapshot});
  return before;
}

}  // namespace

ChapterPlace EngineWorker::placeOf(storage::Id book, storage::BookPart& part) {
  const auto places = chapterPlaces(storage::Library(database()), book);
  const auto place = std::ranges::find(places, part.chapter, [](const auto& p) { return p.chapter.ordinal; });
  if (place == places.end()) refuse(tr("This book has no such chapter."));
  part.title = place->chapter.title;
  if (!place->hasText()) refuse(tr("“%1” has no text of its own.").arg(toQt(part.title)));
  return *place;
}

storage::TextRange EngineWorker::rangeOf(const ChapterPlace& place, Kind kind) {
  return {kind == Kind::Chapter ? place.begin : 0, place.end};
}

ChapterNotes EngineWorker::notesWanted(storage::Id book) {
  const engine::CompressiveMemory empty = model_->emptyMemory();
  const auto& infini = model_->config().infiniAttention;
  return notesOf(chapterPlaces(storage::Library(database()), book), empty.bytes(), engine::SectionMemory(empty).bytes(),
                 infini && infini->memoryUpdate == engine::MemoryUpdate::Linear);
}

// What was noted as written from `begin` to the end of a chapter, piece by piece; none where memories were noted.
std::vector<engine::SavedPart> EngineWorker::notedBetween(const storage::MemoryRecord& stored, std::int64_t begin,
                                                          const ChapterPlace& until) {
  const storage::MemoryStore memories(database());
  const auto headers = memories.chapters(stored.documentId, stored.fingerprint);
  const bool whole = until.lastOfBook && stored.complete;
  std::vector<engine::SavedPart> pieces;
  for (const storage::ChapterMemoryHeader& header : headers) {
    if (header.position <= begin || (!whole && header.position > until.end)) continue;
    auto piece = memories.chapter(stored.documentId, stored.fingerprint, header.position);
    if (!piece || !engine::isSection(*piece->snapshot)) return {};
    pieces.push_back({piece->position, piece->tokens, std::move(piece->snapshot)});
  }
  const bool reaches = !pieces.empty() && (whole || pieces.back().position == until.end);
  return reaches ? pieces : std::vector<engine::SavedPart>();
}

// The memory at a place that a chapter begins or ends at, or why there is none.
storage::MemoryPartRecord EngineWorker::noted(const storage::MemoryRecord& stored, const ChapterPlace& chapter,
                                              std::int64_t place) {
  auto found = storage::MemoryStore(database()).chapter(stored.documentId, stored.fingerprint, place);
  if (found) return std::move(*found);
  const QString title = toQt(chapter.chapter.title);
  if (!stored.complete && stored.position < place)
    refuse(
        tr("The book has not been read to the end of “%1” yet. Let it read on, or ask what has been read.").arg(title));
  if (!std::ranges::binary_search(notesWanted(stored.documentId).places, place))
    refuse(tr("This book has more chapters than are remembered one by one, and “%1” is not among those that are. Ask "
              "another one, or the whole book.")
               .arg(title));
  refuse(tr("This book was read before its chapters were remembered one by one, so nothing is known of “%1” by itself. "
            "Read the book again, or ask the whole of it.")
             .arg(title));
}

// The last memory noted at the end of a chapter that lies before a place of the text, or there; else none.
std::optional<engine::MemorySnapshot> EngineWorker::notedBefore(const storage::MemoryRecord& stored,
                                                                std::int64_t place) {
  std::vector<std::int64_t> ends;
  for (const ChapterPlace& chapter : chapterPlaces(storage::Library(database()), stored.documentId))
    for (const std::int64_t end : {chapter.before, chapter.end})
      if (end > 0 && end <= place) ends.push_back(end);
  std::ranges::sort(ends, std::greater());
  const storage::MemoryStore memories(database());
  for (const std::int64_t end : ends)
    if (const auto found = memories.chapter(stored.documentId, stored.fingerprint, end))
      return engine::loadSnapshot(*model_, *found->snapshot);
  return std::nullopt;
}

engine::BookMemory EngineWorker::partMemory(const storage::MemoryRecord& stored, const ChapterPlace& place, Kind kind) {
  try {
    const std::int64_t begin = kind == Kind::UpToChapter ? 0 : place.before;
    if (begin > 0 || !place.lastOfBook || !stored.complete)
      if (const auto pieces = notedBetween(stored, begin, place); !pieces.empty())
        return engine::BookMemory::ofNotes(model_, pieces, begin);
    engine::BookMemory upTo = [&] {
      if (place.lastOfBook && stored.complete) return bookOf(model_, stored);
      const storage::MemoryPartRecord end = noted(stored, place, place.end);
      const auto sections = sectionsBefore(stored, place.end);
      return engine::BookMemory::load(model_, *end.snapshot, sections,
                                      notedBefore(stored, sections.empty() ? 0 : sections.back().position));
    }();
    if (kind == Kind::UpToChapter || place.before == 0) return upTo;
    const storage::MemoryPartRecord before = noted(stored, place, place.before);
    return upTo.since(engine::loadSnapshot(*model_, *before.snapshot));
  } catch (const engine::SnapshotError& error) {
    // The memory of the whole may be good all the same.
    refuse(tr("The memory of “%1” cannot be used. %2").arg(toQt(place.chapter.title), asSentence(error)));
  }
}

}  // namespace palimpsest::app
