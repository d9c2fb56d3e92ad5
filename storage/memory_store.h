// Memories: one per (document, model fingerprint), with its sections. Changing the model loses none. Every function
// throws DatabaseError on failure.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "storage/database.h"
#include "storage/records.h"

namespace palimpsest::storage {

struct ChapterMemoryHeader {
  std::int64_t position = 0;
  std::int64_t bytes = 0;  // of its snapshot
};

class MemoryStore {
 public:
  explicit MemoryStore(Database& database) : database_(&database) {}

  // A checkpoint: snapshot, position and sections in one transaction; replaces the earlier one of the same key. Of
  // the sections only those are written that are not there yet (by position, tokens and size), and those that are no
  // longer among them are deleted. Of the chapters, those are written that are not there yet.
  void save(const MemoryRecord& memory);
  // As it was at one moment, whatever is being written meanwhile.
  std::optional<MemoryRecord> load(Id documentId, std::string_view fingerprint) const;
  // Headers only (snapshot and sections left empty), for lists.
  std::vector<MemoryRecord> list(Id documentId) const;
  // The memories where chapters end, without their snapshots, in the order of the text; they are kept until the memory
  // itself goes. And one of them, by its position.
  std::vector<ChapterMemoryHeader> chapters(Id documentId, std::string_view fingerprint) const;
  std::optional<MemoryPartRecord> chapter(Id documentId, std::string_view fingerprint, std::int64_t position) const;
  void remove(Id documentId, std::string_view fingerprint);

 private:
  Database* database_;
};

}  // namespace palimpsest::storage
