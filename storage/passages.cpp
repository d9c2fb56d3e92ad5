// The part of Library that reads and searches passages.
#include "storage/library.h"
#include "storage/search_words.h"
#include "storage/sql.h"

namespace palimpsest::storage {

namespace {

// A chapter's title follows that of the part it stands in: of "Scene II" there are several.
constexpr const char* kSelect =
    "SELECT p.id, p.document_id, p.ordinal, p.text, p.page, p.chapter, coalesce((SELECT q.title || ' · ' FROM chapters "
    "q WHERE q.document_id = c.document_id AND q.ordinal < c.ordinal AND q.level < c.level ORDER BY q.ordinal DESC "
    "LIMIT 1), '') || coalesce(c.title, ''), p.begin ";
constexpr const char* kFrom =
    "FROM passages p LEFT JOIN chapters c ON c.document_id = p.document_id AND c.ordinal = p.chapter ";

// ?1 the query, ?2 the book. The rowid range keeps FTS5 within the one book; document_id is the truth.
constexpr const char* kMatches =
    "passages_fts MATCH ?1 AND p.document_id = ?2 "
    "AND f.rowid >= (SELECT min(id) FROM passages WHERE document_id = ?2) "
    "AND f.rowid <= (SELECT max(id) FROM passages WHERE document_id = ?2) ";

constexpr const char* kInRange = "AND p.begin >= ?4 AND p.begin + length(CAST(p.text AS BLOB)) <= ?5 ";

PassageRecord passageOf(SQLite::Statement& row) {
  PassageRecord passage;
  passage.id = row.getColumn(0).getInt64();
  passage.documentId = row.getColumn(1).getInt64();
  passage.ordinal = row.getColumn(2).getInt();
  passage.text = row.getColumn(3).getString();
  passage.page = row.getColumn(4).getInt();
  passage.chapter = row.getColumn(5).getInt();
  passage.chapterTitle = row.getColumn(6).getString();
  passage.begin = row.getColumn(7).getInt64();
  return passage;
}

}  // namespace

std::string Library::text(Id id) const {
  return withErrors(*database_, "reading a book's text", [&](SQLite::Database& connection) {
    SQLite::Statement query(connection, "SELECT text FROM passages WHERE document_id=? ORDER BY begin");
    query.bind(1, id);
    std::string text;
    for (bool first = true; query.executeStep(); first = false) {
      if (!first) text += "\n\n";
      const SQLite::Column piece = query.getColumn(0);
      text.append(piece.getText(), static_cast<std::size_t>(piece.getBytes()));
    }
    return text;
  });
}

std::vector<ChapterSpan> Library::chapterSpans(Id id) const {
  return withErrors(*database_, "reading where the chapters are", [&](SQLite::Database& connection) {
    // Where one passage ends is told by where the next one begins: no text need be looked at.
    SQLite::Statement query(
        connection,
        "SELECT chapter, first, coalesce((SELECT min(n.begin) - 2 FROM passages n WHERE n.document_id = ?1 "
        "AND n.begin > last), (SELECT text_bytes FROM documents WHERE id = ?1)) FROM "
        "(SELECT chapter, min(begin) AS first, max(begin) AS last FROM passages WHERE document_id = ?1 GROUP BY "
        "chapter) "
        "ORDER BY first");
    query.bind(1, id);
    std::vector<ChapterSpan> spans;
    while (query.executeStep())
      spans.push_back({query.getColumn(0).getInt(), query.getColumn(1).getInt64(), query.getColumn(2).getInt64()});
    return spans;
  });
}

std::vector<PassageRecord> Library::passages(Id id) const {
  return withErrors(*database_, "reading the passages", [&](SQLite::Database& connection) {
    SQLite::Statement query(connection, std::string(kSelect) + kFrom + "WHERE p.document_id=? ORDER BY p.begin");
    query.bind(1, id);
    std::vector<PassageRecord> passages;
    while (query.executeStep()) passages.push_back(passageOf(query));
    return passages;
  });
}

std::optional<PassageRecord> Library::passageAt(Id id, std::int64_t position) const {
  return withErrors(*database_, "reading a passage", [&](SQLite::Database& connection) {
    SQLite::Statement query(connection, std::string(kSelect) + kFrom +
                                            "WHERE p.document_id=? AND p.begin<=? ORDER BY p.begin DESC LIMIT 1");
    query.bind(1, id);
    query.bind(2, position);
    return query.executeStep() ? std::optional(passageOf(query)) : std::nullopt;
  });
}

int Library::countPassages(Id id, std::string_view words) const {
  const std::string wanted = ftsQuery(words);
  return withErrors(*database_, "counting passages", [&](SQLite::Database& connection) {
    const std::string sql =
        wanted.empty()
            ? "SELECT count(*) FROM passages WHERE document_id = ?2"
            : std::string("SELECT count(*) FROM passages_fts f JOIN passages p ON p.id = f.rowid WHERE ") + kMatches;
    SQLite::Statement query(connection, sql);
    if (!wanted.empty()) query.bind(1, wanted);
    query.bind(2, id);
    query.executeStep();
    return query.getColumn(0).getInt();
  });
}

int Library::countOccurrences(Id id, std::string_view phrase, const TextRange& range) const {
  const std::string wanted = ftsPhrase(phrase);
  if (wanted.empty()) return 0;
  return withErrors(*database_, "counting a phrase", [&](SQLite::Database& connection) {
    SQLite::Statement query(connection,
                            std::string("SELECT p.text FROM passages_fts f JOIN passages p ON p.id = f.rowid "
                                        "WHERE ") +
                                kMatches + kInRange);
    query.bind(1, wanted);
    query.bind(2, id);
    query.bind(4, range.begin);
    query.bind(5, range.end);
    int times = 0;
    while (query.executeStep()) times += occurrencesOf(phrase, query.getColumn(0).getString());
    return times;
  });
}

std::vector<PassageRecord> Library::search(Id id, std::string_view words, int limit, const TextRange& range) const {
  const std::string wanted = ftsQuery(words);
  if (wanted.empty() || limit <= 0) return {};
  return withErrors(*database_, "searching a book", [&](SQLite::Database& connection) {
    SQLite::Statement query(connection,
                            std::string(kSelect) + ", -bm25(passages_fts) " +
                                "FROM passages_fts f JOIN passages p ON p.id = f.rowid "
                                "LEFT JOIN chapters c ON c.document_id = p.document_id AND c.ordinal = p.chapter "
                                "WHERE " +
                                kMatches + kInRange + "ORDER BY bm25(passages_fts), p.begin LIMIT ?3");
    query.bind(1, wanted);
    query.bind(2, id);
    query.bind(3, limit);
    query.bind(4, range.begin);
    query.bind(5, range.end);
    std::vector<PassageRecord> passages;
    while (query.executeStep()) {
      passages.push_back(passageOf(query));
      passages.back().score = query.getColumn(8).getDouble();
    }
    return passages;
  });
}

}  // namespace palimpsest::storage
