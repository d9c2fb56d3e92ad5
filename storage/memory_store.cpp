#include "storage/memory_store.h"

#include <map>

#include "storage/sql.h"

namespace palimpsest::storage {

namespace {

constexpr const char* kHeader =
    "SELECT document_id, fingerprint, model_name, position, tokens, complete, seconds_spent, saved_at, "
    "length(snapshot) + coalesce((SELECT sum(length(m.snapshot)) FROM memory_sections m "
    "WHERE m.document_id = memories.document_id AND m.fingerprint = memories.fingerprint), 0)";

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

void bindKey(SQLite::Statement& statement, Id documentId, std::string_view fingerprint) {
  statement.bind(1, documentId);
  bindText(statement, 2, fingerprint);
}

void writeMemory(SQLite::Database& connection, const MemoryRecord& memory) {
  SQLite::Statement insert(
      connection,
      "INSERT INTO memories(document_id, fingerprint, model_name, position, tokens, complete, "
      "seconds_spent, saved_at, snapshot, last_note) VALUES (?,?,?,?,?,?,?,?,?,?) "
      "ON CONFLICT(document_id, fingerprint) DO UPDATE SET model_name=excluded.model_name, "
      "position=excluded.position, tokens=excluded.tokens, complete=excluded.complete, "
      "seconds_spent=excluded.seconds_spent, saved_at=excluded.saved_at, snapshot=excluded.snapshot, "
      "last_note=excluded.last_note");
  bindKey(insert, memory.documentId, memory.fingerprint);
  insert.bind(3, memory.modelName);
  insert.bind(4, memory.position);
  insert.bind(5, memory.tokens);
  insert.bind(6, memory.complete ? 1 : 0);
  insert.bind(7, memory.secondsSpent);
  insert.bind(8, memory.savedAt != 0 ? memory.savedAt : now());
  bindBytes(insert, 9, memory.snapshot);
  if (!memory.lastNote.empty()) bindBytes(insert, 10, memory.lastNote);  // else NULL
  insert.exec();
}

// By position: how many tokens and bytes. What joins two sections ends where the second one did, with more tokens.
struct StoredSection {
  std::int64_t tokens, bytes;
};
std::map<std::int64_t, StoredSection> storedSections(SQLite::Database& connection, const MemoryRecord& memory) {
  SQLite::Statement query(
      connection,
      "SELECT position, tokens, length(snapshot) FROM memory_sections WHERE document_id=? AND fingerprint=?");
  bindKey(query, memory.documentId, memory.fingerprint);
  std::map<std::int64_t, StoredSection> sections;
  while (query.executeStep())
    sections[query.getColumn(0).getInt64()] = {query.getColumn(1).getInt64(), query.getColumn(2).getInt64()};
  return sections;
}

void writeSections(SQLite::Database& connection, const MemoryRecord& memory) {
  std::map<std::int64_t, StoredSection> gone = storedSections(connection, memory);
  SQLite::Statement insert(connection,
                           "INSERT OR REPLACE INTO memory_sections(document_id, fingerprint, position, tokens, "
                           "snapshot) VALUES (?,?,?,?,?)");
  for (const MemoryPartRecord& section : memory.sections) {
    const auto stored = gone.extract(section.position);
    if (stored && stored.mapped().tokens == section.tokens && stored.mapped().bytes == std::ssize(*section.snapshot))
      continue;
    bindKey(insert, memory.documentId, memory.fingerprint);
    insert.bind(3, section.position);
    insert.bind(4, section.tokens);
    bindBytes(insert, 5, *section.snapshot);
    insert.exec();
    insert.reset();
  }
  SQLite::Statement remove(connection,
                           "DELETE FROM memory_sections WHERE document_id=? AND fingerprint=? AND position=?");
  for (const auto& [position, section] : gone) {
    bindKey(remove, memory.documentId, memory.fingerprint);
    remove.bind(3, position);
    remove.exec();
    remove.reset();
  }
}

void writeChapters(SQLite::Database& connection, const MemoryRecord& memory) {
  SQLite::Statement insert(connection,
                           "INSERT INTO chapter_memories(document_id, fingerprint, position, tokens, snapshot) "
                           "VALUES (?,?,?,?,?) ON CONFLICT DO NOTHING");
  for (const MemoryPartRecord& chapter : memory.chapters) {
    bindKey(insert, memory.documentId, memory.fingerprint);
    insert.bind(3, chapter.position);
    insert.bind(4, chapter.tokens);
    bindBytes(insert, 5, *chapter.snapshot);
    insert.exec();
    insert.reset();
  }
}

std::vector<MemoryPartRecord> readSections(SQLite::Database& connection, Id documentId, std::string_view fingerprint) {
  SQLite::Statement query(connection,
                          "SELECT position, tokens, snapshot FROM memory_sections "
                          "WHERE document_id=? AND fingerprint=? ORDER BY position");
  bindKey(query, documentId, fingerprint);
  std::vector<MemoryPartRecord> sections;
  while (query.executeStep())
    sections.push_back({query.getColumn(0).getInt64(), query.getColumn(1).getInt64(),
                        std::make_shared<const std::vector<std::byte>>(bytesOf(query.getColumn(2)))});
  return sections;
}

}  // namespace

void MemoryStore::save(const MemoryRecord& memory) {
  inTransaction(*database_, "saving a memory", [&](SQLite::Database& connection) {
    writeMemory(connection, memory);
    writeSections(connection, memory);
    writeChapters(connection, memory);
  });
}

std::vector<ChapterMemoryHeader> MemoryStore::chapters(Id documentId, std::string_view fingerprint) const {
  return withErrors(*database_, "listing the chapters' memories", [&](SQLite::Database& connection) {
    SQLite::Statement query(connection,
                            "SELECT position, length(snapshot) FROM chapter_memories "
                            "WHERE document_id=? AND fingerprint=? ORDER BY position");
    bindKey(query, documentId, fingerprint);
    std::vector<ChapterMemoryHeader> chapters;
    while (query.executeStep()) chapters.push_back({query.getColumn(0).getInt64(), query.getColumn(1).getInt64()});
    return chapters;
  });
}

std::optional<MemoryPartRecord> MemoryStore::chapter(Id documentId, std::string_view fingerprint,
                                                     std::int64_t position) const {
  return withErrors(
      *database_, "loading a chapter's memory", [&](SQLite::Database& connection) -> std::optional<MemoryPartRecord> {
        SQLite::Statement query(connection,
                                "SELECT tokens, snapshot FROM chapter_memories "
                                "WHERE document_id=? AND fingerprint=? AND position=?");
        bindKey(query, documentId, fingerprint);
        query.bind(3, position);
        if (!query.executeStep()) return std::nullopt;
        return MemoryPartRecord{position, query.getColumn(0).getInt64(),
                                std::make_shared<const std::vector<std::byte>>(bytesOf(query.getColumn(1)))};
      });
}

std::optional<MemoryRecord> MemoryStore::load(Id documentId, std::string_view fingerprint) const {
  return withErrors(*database_, "loading a memory", [&](SQLite::Database& connection) -> std::optional<MemoryRecord> {
    const SQLite::Transaction oneMoment(connection);  // reads only
    SQLite::Statement query(
        connection, std::string(kHeader) + ", snapshot, last_note FROM memories WHERE document_id=? AND fingerprint=?");
    bindKey(query, documentId, fingerprint);
    if (!query.executeStep()) return std::nullopt;
    MemoryRecord memory = headerOf(query);
    memory.snapshot = bytesOf(query.getColumn(9));
    memory.lastNote = bytesOf(query.getColumn(10));
    memory.sections = readSections(connection, documentId, fingerprint);
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
    bindKey(statement, documentId, fingerprint);
    statement.exec();
  });
}

}  // namespace palimpsest::storage
