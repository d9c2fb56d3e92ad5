#include "storage/memory_store.h"

#include "storage/sql.h"

namespace palimpsest::storage {

namespace {

constexpr const char* kHeader =
    "SELECT document_id, fingerprint, model_name, position, tokens, complete, seconds_spent, saved_at, "
    "length(snapshot)";

MemoryRecord headerOf(SQLite::Statement& row) {
  MemoryRecord memory;
  memory.documentId = row.getColumn(0).getInt64();
  memory.fingerprint = row.getColumn(1).getString();
  memory.modelName = row.getColumn(2).getString();
  memory.position = row.getColumn(3).getInt64();
  memory.tokens = row.getColumn(4).getInt64();
  memory.complete = row.getColumn(5).getInt() != 0;
  memory.secondsSpent = row.getColumn(6).getDouble();
  memory.savedAt = row.getColumn(7).getInt64();
  memory.snapshotBytes = row.getColumn(8).getInt64();
  return memory;
}

}  // namespace

void MemoryStore::save(const MemoryRecord& memory) {
  inTransaction(*database_, "saving a memory", [&](SQLite::Database& connection) {
    SQLite::Statement insert(
        connection,
        "INSERT INTO memories(document_id, fingerprint, model_name, position, tokens, complete, "
        "seconds_spent, saved_at, snapshot) VALUES (?,?,?,?,?,?,?,?,?) "
        "ON CONFLICT(document_id, fingerprint) DO UPDATE SET model_name=excluded.model_name, "
        "position=excluded.position, tokens=excluded.tokens, complete=excluded.complete, "
        "seconds_spent=excluded.seconds_spent, saved_at=excluded.saved_at, snapshot=excluded.snapshot");
    insert.bind(1, memory.documentId);
    insert.bind(2, memory.fingerprint);
    insert.bind(3, memory.modelName);
    insert.bind(4, memory.position);
    insert.bind(5, memory.tokens);
    insert.bind(6, memory.complete ? 1 : 0);
    insert.bind(7, memory.secondsSpent);
    insert.bind(8, memory.savedAt != 0 ? memory.savedAt : now());
    bindBytes(insert, 9, memory.snapshot);
    insert.exec();
  });
}

std::optional<MemoryRecord> MemoryStore::load(Id documentId, std::string_view fingerprint) const {
  return withErrors(*database_, "loading a memory", [&](SQLite::Database& connection) -> std::optional<MemoryRecord> {
    SQLite::Statement query(connection,
                            std::string(kHeader) + ", snapshot FROM memories WHERE document_id=? AND fingerprint=?");
    query.bind(1, documentId);
    bindText(query, 2, fingerprint);
    if (!query.executeStep()) return std::nullopt;
    MemoryRecord memory = headerOf(query);
    memory.snapshot = bytesOf(query.getColumn(9));
    return memory;
  });
}

std::vector<MemoryRecord> MemoryStore::list(Id documentId) const {
  return withErrors(*database_, "listing the memories", [&](SQLite::Database& connection) {
    SQLite::Statement query(connection,
                            std::string(kHeader) + " FROM memories WHERE document_id=? ORDER BY saved_at DESC");
    query.bind(1, documentId);
    std::vector<MemoryRecord> memories;
    while (query.executeStep()) memories.push_back(headerOf(query));
    return memories;
  });
}

void MemoryStore::remove(Id documentId, std::string_view fingerprint) {
  withErrors(*database_, "removing a memory", [&](SQLite::Database& connection) {
    SQLite::Statement statement(connection, "DELETE FROM memories WHERE document_id=? AND fingerprint=?");
    statement.bind(1, documentId);
    bindText(statement, 2, fingerprint);
    statement.exec();
  });
}

}  // namespace palimpsest::storage
