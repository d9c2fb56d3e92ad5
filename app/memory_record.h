// A book's memory between the engine, which encodes it, and the database, which keeps it.
#pragma once

#include "engine/book_memory.h"
#include "storage/records.h"

namespace palimpsest::app {

// Only the blobs and where they stand; whose they are is the caller's to say. The blobs are shared, not copied.
storage::MemoryRecord recordOf(engine::SavedBook book);
std::vector<storage::MemoryPartRecord> partsOf(std::vector<engine::SavedPart> saved);
engine::SavedBook savedBookOf(storage::MemoryRecord record);

// Throws engine::SnapshotError.
engine::BookMemory bookOf(std::shared_ptr<const engine::Model> model, const storage::MemoryRecord& record);

}  // namespace palimpsest::app
