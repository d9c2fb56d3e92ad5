// Documents, chapters and passages. Every function throws DatabaseError on failure.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "storage/database.h"
#include "storage/records.h"

namespace palimpsest::storage {

class Library {
 public:
  explicit Library(Database& database) : database_(&database) {}

  // Adds a document in state Waiting, or returns the id of the one with the same contentHash (its path is updated).
  // `existed` tells which.
  Id add(const DocumentRecord& document, bool* existed = nullptr);
  // What extraction found, in one transaction: metadata, chapters, passages, cover. Replaces earlier text.
  // Fills PassageRecord::ordinal and begin from the order given.
  void storeText(Id id, const DocumentRecord& metadata, std::span<const ChapterRecord> chapters,
                 std::span<const PassageRecord> passages, std::span<const std::byte> cover);
  void setState(Id id, DocumentState state, const std::string& failure = {}, const std::string& failureKind = {});
  void remove(Id id);  // with its text, memories, conversation and summaries

  std::optional<DocumentRecord> find(Id id) const;
  std::optional<DocumentRecord> findByHash(std::string_view contentHash) const;
  // By id, by exact or unique beginning of the title (case-insensitive), by file name, by hash prefix.
  std::vector<DocumentRecord> match(std::string_view words) const;
  std::vector<DocumentRecord> list() const;  // newest first
  std::vector<std::byte> cover(Id id) const;
  std::vector<ChapterRecord> chapters(Id id) const;
  // Where the passages of each chapter stand, those of chapters inside it left out, and those of no chapter (-1); in
  // the order of the text.
  std::vector<ChapterSpan> chapterSpans(Id id) const;
  std::string text(Id id) const;  // the stored text: passages joined by "\n\n"
  std::vector<PassageRecord> passages(Id id) const;
  std::optional<PassageRecord> passageAt(Id id, std::int64_t position) const;

  // FTS5 (bm25) over one document's passages. `words` is free text: no FTS syntax reaches SQLite.
  // Only passages that lie whole in `range` are found.
  std::vector<PassageRecord> search(Id id, std::string_view words, int limit, const TextRange& range = {}) const;
  // How many of a document's passages hold any of `words`; all of them where `words` is empty.
  int countPassages(Id id, std::string_view words = {}) const;
  // How often `phrase` stands in a document's text as it is written, and not inside a longer word or name (see
  // occurrencesOf()); only in passages that lie whole in `range`.
  int countOccurrences(Id id, std::string_view phrase, const TextRange& range = {}) const;

 private:
  Database* database_;
};

}  // namespace palimpsest::storage
