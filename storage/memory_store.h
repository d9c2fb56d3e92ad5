// Memories: one per (document, model fingerprint). Changing the model loses none. Every function throws DatabaseError
// on failure.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "storage/database.h"
#include "storage/records.h"

namespace palimpsest::storage {

class MemoryStore {
 public:
  explicit MemoryStore(Database& database) : database_(&database) {}

  // A checkpoint: snapshot and position in one transaction; replaces the earlier one of the same key.
  void save(const MemoryRecord& memory);
  std::optional<MemoryRecord> load(Id documentId, std::string_view fingerprint) const;
  // Headers only (snapshot left empty), for lists.
  std::vector<MemoryRecord> list(Id documentId) const;
  void remove(Id documentId, std::string_view fingerprint);

 private:
  Database* database_;
};

}  // namespace palimpsest::storage
