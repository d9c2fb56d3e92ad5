#include "storage/migrations.h"

#include <SQLiteCpp/SQLiteCpp.h>

#include <array>
#include <cstddef>
#include <string>

namespace palimpsest::storage {

namespace {

constexpr const char* kFirst = R"sql(
CREATE TABLE documents (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  content_hash TEXT NOT NULL UNIQUE,       -- hex SHA-256 of the file's bytes
  path TEXT NOT NULL,
  format TEXT NOT NULL DEFAULT '',
  title TEXT NOT NULL DEFAULT '',
  author TEXT NOT NULL DEFAULT '',
  language TEXT NOT NULL DEFAULT '',
  date TEXT NOT NULL DEFAULT '',
  page_count INTEGER NOT NULL DEFAULT 0,
  pages_without_text TEXT NOT NULL DEFAULT '',   -- "3,7,8"
  text_bytes INTEGER NOT NULL DEFAULT 0,
  state TEXT NOT NULL,
  failure TEXT NOT NULL DEFAULT '',
  failure_kind TEXT NOT NULL DEFAULT '',
  added_at INTEGER NOT NULL
);

CREATE TABLE covers (
  document_id INTEGER PRIMARY KEY REFERENCES documents(id) ON DELETE CASCADE,
  image BLOB NOT NULL
);

CREATE TABLE chapters (
  document_id INTEGER NOT NULL REFERENCES documents(id) ON DELETE CASCADE,
  ordinal INTEGER NOT NULL,
  title TEXT NOT NULL,
  level INTEGER NOT NULL,
  PRIMARY KEY (document_id, ordinal)
) WITHOUT ROWID;

-- The passages of one document are stored in one transaction, so their ids are one unbroken range.
CREATE TABLE passages (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  document_id INTEGER NOT NULL REFERENCES documents(id) ON DELETE CASCADE,
  ordinal INTEGER NOT NULL,
  begin INTEGER NOT NULL,                  -- byte offset in the stored text
  page INTEGER NOT NULL,
  chapter INTEGER NOT NULL,
  text TEXT NOT NULL
);
CREATE UNIQUE INDEX passages_by_place ON passages(document_id, begin);

CREATE VIRTUAL TABLE passages_fts USING fts5(
  text, content='passages', content_rowid='id', tokenize='porter unicode61 remove_diacritics 2');
CREATE TRIGGER passages_inserted AFTER INSERT ON passages BEGIN
  INSERT INTO passages_fts(rowid, text) VALUES (new.id, new.text);
END;
CREATE TRIGGER passages_deleted AFTER DELETE ON passages BEGIN
  INSERT INTO passages_fts(passages_fts, rowid, text) VALUES ('delete', old.id, old.text);
END;

CREATE TABLE memories (
  document_id INTEGER NOT NULL REFERENCES documents(id) ON DELETE CASCADE,
  fingerprint TEXT NOT NULL,
  model_name TEXT NOT NULL,
  position INTEGER NOT NULL,
  tokens INTEGER NOT NULL,
  complete INTEGER NOT NULL,
  seconds_spent REAL NOT NULL,
  saved_at INTEGER NOT NULL,
  snapshot BLOB NOT NULL,
  PRIMARY KEY (document_id, fingerprint)
);

CREATE TABLE turns (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  document_id INTEGER NOT NULL REFERENCES documents(id) ON DELETE CASCADE,
  question TEXT NOT NULL,
  answer TEXT NOT NULL,
  way TEXT NOT NULL,
  pages_reread INTEGER NOT NULL,
  coverage REAL NOT NULL,
  finished INTEGER NOT NULL,
  model_name TEXT NOT NULL,
  asked_at INTEGER NOT NULL
);
CREATE INDEX turns_by_document ON turns(document_id);

CREATE TABLE quotes (
  turn_id INTEGER NOT NULL REFERENCES turns(id) ON DELETE CASCADE,
  ordinal INTEGER NOT NULL,
  text TEXT NOT NULL,
  page INTEGER NOT NULL,
  chapter_title TEXT NOT NULL,
  passage_id INTEGER NOT NULL,             -- no reference: a quote outlives the passages it came from
  begin INTEGER NOT NULL,
  PRIMARY KEY (turn_id, ordinal)
) WITHOUT ROWID;

CREATE TABLE summaries (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  document_id INTEGER NOT NULL REFERENCES documents(id) ON DELETE CASCADE,
  text TEXT NOT NULL,
  coverage REAL NOT NULL,
  finished INTEGER NOT NULL,
  model_name TEXT NOT NULL,
  made_at INTEGER NOT NULL
);
CREATE INDEX summaries_by_document ON summaries(document_id);
)sql";

// What extraction found missing in a file: one sentence a line.
constexpr const char* kWarnings = "ALTER TABLE documents ADD COLUMN warnings TEXT NOT NULL DEFAULT ''";

// Whether a turn's quotes support its answer or only stand near its question.
constexpr const char* kQuotesSupport = "ALTER TABLE turns ADD COLUMN quotes_support INTEGER NOT NULL DEFAULT 1";

// Conversations with several books at once. A shelf is the set of its books, so the same books are the same shelf; when
// one of them goes, nothing can ask that shelf any more, and its conversation goes as well.
constexpr const char* kShelves = R"sql(
CREATE TABLE shelves (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  books TEXT NOT NULL UNIQUE               -- ids of its documents, ascending: "3,7,8"
);
ALTER TABLE turns ADD COLUMN shelf_id INTEGER REFERENCES shelves(id) ON DELETE CASCADE;  -- NULL = of one book
CREATE INDEX turns_by_shelf ON turns(shelf_id);
CREATE TRIGGER shelves_lose_a_book AFTER DELETE ON documents BEGIN
  DELETE FROM shelves WHERE ',' || books || ',' LIKE '%,' || old.id || ',%';
END;

CREATE TABLE turn_scores (
  turn_id INTEGER NOT NULL REFERENCES turns(id) ON DELETE CASCADE,
  document_id INTEGER NOT NULL,
  log_probability REAL NOT NULL,           -- mean over the answer's tokens
  PRIMARY KEY (turn_id, document_id)
) WITHOUT ROWID;
)sql";

// Memories as they were at earlier places of the reading; they go with the memory that they led to.
constexpr const char* kMilestones = R"sql(
CREATE TABLE memory_milestones (
  document_id INTEGER NOT NULL,
  fingerprint TEXT NOT NULL,
  position INTEGER NOT NULL,
  tokens INTEGER NOT NULL,
  snapshot BLOB NOT NULL,
  PRIMARY KEY (document_id, fingerprint, position),
  FOREIGN KEY (document_id, fingerprint) REFERENCES memories(document_id, fingerprint) ON DELETE CASCADE
);
)sql";

// Memories as they were where chapters end, by the place in the text and not by the chapter's number: when a file's
// table of contents is read anew they stay true. And what part of a book an answer or a summary is of.
constexpr const char* kChapters = R"sql(
CREATE TABLE chapter_memories (
  document_id INTEGER NOT NULL,
  fingerprint TEXT NOT NULL,
  position INTEGER NOT NULL,               -- byte offset in the stored text: all before it has been read
  tokens INTEGER NOT NULL,
  snapshot BLOB NOT NULL,
  PRIMARY KEY (document_id, fingerprint, position),
  FOREIGN KEY (document_id, fingerprint) REFERENCES memories(document_id, fingerprint) ON DELETE CASCADE
);
ALTER TABLE turns ADD COLUMN part TEXT NOT NULL DEFAULT '';          -- '' = the whole book, 'up-to', 'chapter'
ALTER TABLE turns ADD COLUMN part_chapter INTEGER NOT NULL DEFAULT -1;
ALTER TABLE turns ADD COLUMN part_title TEXT NOT NULL DEFAULT '';    -- of the chapter, as it was called then
ALTER TABLE summaries ADD COLUMN part TEXT NOT NULL DEFAULT '';
ALTER TABLE summaries ADD COLUMN part_chapter INTEGER NOT NULL DEFAULT -1;
ALTER TABLE summaries ADD COLUMN part_title TEXT NOT NULL DEFAULT '';
)sql";

// What each section wrote, instead of the memory at its end; those that are there already can still be read.
constexpr const char* kSections = "ALTER TABLE memory_milestones RENAME TO memory_sections;";

// Chapters of a book that has many of them are what was written in each, which needs, until the book has been read, the
// memory as it was where the last one ended.
constexpr const char* kLastNote = "ALTER TABLE memories ADD COLUMN last_note BLOB;";

constexpr std::array<const char*, 8> kSteps = {kFirst,      kWarnings, kQuotesSupport, kShelves,
                                               kMilestones, kChapters, kSections,      kLastNote};

}  // namespace

std::span<const char* const> migrations() { return kSteps; }

void migrate(SQLite::Database& connection, std::span<const char* const> steps) {
  const int version = connection.execAndGet("PRAGMA user_version").getInt();
  for (std::size_t step = static_cast<std::size_t>(version); step < steps.size(); ++step) {
    SQLite::Transaction transaction(connection, SQLite::TransactionBehavior::IMMEDIATE);
    connection.exec(steps[step]);
    connection.exec("PRAGMA user_version = " + std::to_string(step + 1));
    transaction.commit();
  }
}

}  // namespace palimpsest::storage
