#include "app/memory_record.h"

#include <utility>

namespace palimpsest::app {

namespace {

std::vector<engine::SavedPart> partsOf(const storage::MemoryRecord& record) {
  std::vector<engine::SavedPart> sections;
  for (const storage::MemoryPartRecord& section : record.sections)
    sections.push_back({section.position, section.tokens, section.snapshot});
  return sections;
}

}  // namespace

storage::MemoryRecord recordOf(engine::SavedBook book) {
  storage::MemoryRecord record;
  record.snapshot = std::move(book.whole);
  record.sections = partsOf(std::move(book.sections));
  return record;
}

std::vector<storage::MemoryPartRecord> partsOf(std::vector<engine::SavedPart> saved) {
  std::vector<storage::MemoryPartRecord> records;
  for (engine::SavedPart& part : saved) records.push_back({part.position, part.tokens, std::move(part.snapshot)});
  return records;
}

engine::SavedBook savedBookOf(storage::MemoryRecord record) { return {std::move(record.snapshot), partsOf(record)}; }

engine::BookMemory bookOf(std::shared_ptr<const engine::Model> model, const storage::MemoryRecord& record) {
  return engine::BookMemory::load(std::move(model), record.snapshot, partsOf(record));
}

}  // namespace palimpsest::app
