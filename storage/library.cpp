#include "storage/library.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <iterator>
#include <sstream>

#include "storage/sql.h"

namespace palimpsest::storage {

namespace {

constexpr std::array<std::pair<DocumentState, const char*>, 6> kStateNames = {
    {{DocumentState::Waiting, "waiting"},
     {DocumentState::Extracting, "extracting"},
     {DocumentState::Reading, "reading"},
     {DocumentState::Paused, "paused"},
     {DocumentState::Ready, "ready"},
     {DocumentState::Failed, "failed"}}};

const char* nameOf(DocumentState state) {
  for (const auto& [value, name] : kStateNames)
    if (value == state) return name;
  return "failed";
}

DocumentState stateOf(const std::string& name) {
  for (const auto& [value, known] : kStateNames)
    if (name == known) return value;
  return DocumentState::Failed;
}

std::string joinNumbers(const std::vector<int>& numbers) {
  std::string joined;
  for (const int number : numbers) {
    if (!joined.empty()) joined += ',';
    joined += std::to_string(number);
  }
  return joined;
}

std::vector<int> splitNumbers(const std::string& joined) {
  std::vector<int> numbers;
  for (std::size_t i = 0; i < joined.size(); i = std::min(joined.size(), joined.find(',', i)) + 1)
    numbers.push_back(std::atoi(joined.c_str() + i));
  return numbers;
}

std::string joinLines(const std::vector<std::string>& lines) {
  std::string joined;
  for (const std::string& line : lines) joined += (joined.empty() ? "" : "\n") + line;
  return joined;
}

std::vector<std::string> splitLines(const std::string& joined) {
  std::vector<std::string> lines;
  std::istringstream stream(joined);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

constexpr const char* kDocumentColumns =
    "id, content_hash, path, format, title, author, language, date, page_count, pages_without_text, text_bytes, state, "
    "failure, failure_kind, added_at, warnings";

DocumentRecord documentOf(SQLite::Statement& row) {
  DocumentRecord document;
  document.id = row.getColumn(0).getInt64();
  document.contentHash = row.getColumn(1).getString();
  document.path = row.getColumn(2).getString();
  document.format = row.getColumn(3).getString();
  document.title = row.getColumn(4).getString();
  document.author = row.getColumn(5).getString();
  document.language = row.getColumn(6).getString();
  document.date = row.getColumn(7).getString();
  document.pageCount = row.getColumn(8).getInt();
  document.pagesWithoutText = splitNumbers(row.getColumn(9).getString());
  document.textBytes = row.getColumn(10).getInt64();
  document.state = stateOf(row.getColumn(11).getString());
  document.failure = row.getColumn(12).getString();
  document.failureKind = row.getColumn(13).getString();
  document.addedAt = row.getColumn(14).getInt64();
  document.warnings = splitLines(row.getColumn(15).getString());
  return document;
}

std::vector<DocumentRecord> documentsWhere(Database& database, const std::string& rest,
                                           std::string_view parameter = {}) {
  return withErrors(database, "listing the library", [&](SQLite::Database& connection) {
    SQLite::Statement query(connection, std::string("SELECT ") + kDocumentColumns + " FROM documents " + rest);
    if (query.getBindParameterCount() == 1) bindText(query, 1, parameter);
    std::vector<DocumentRecord> documents;
    while (query.executeStep()) documents.push_back(documentOf(query));
    return documents;
  });
}

// Letter case folded as Unicode says, so that "ÉMILE" finds "Émile".
std::string folded(std::string_view text) {
  utf8proc_uint8_t* result = nullptr;
  const utf8proc_ssize_t length =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()), static_cast<utf8proc_ssize_t>(text.size()),
                   &result, static_cast<utf8proc_option_t>(UTF8PROC_CASEFOLD | UTF8PROC_COMPOSE | UTF8PROC_STABLE));
  if (length < 0) return std::string(text);  // not UTF-8: compared as it is
  std::string out(reinterpret_cast<char*>(result), static_cast<std::size_t>(length));
  std::free(result);
  return out;
}

void writePassages(SQLite::Database& connection, Id id, std::span<const PassageRecord> passages) {
  SQLite::Statement insert(
      connection, "INSERT INTO passages(document_id, ordinal, begin, page, chapter, text) VALUES (?,?,?,?,?,?)");
  std::int64_t begin = 0;
  int ordinal = 0;
  for (const PassageRecord& passage : passages) {
    insert.bind(1, id);
    insert.bind(2, ordinal++);
    insert.bind(3, begin);
    insert.bind(4, passage.page);
    insert.bind(5, passage.chapter);
    insert.bindNoCopy(6, passage.text);
    insert.exec();
    insert.reset();
    begin += static_cast<std::int64_t>(passage.text.size()) + 2;  // "\n\n"
  }
}

void writeChapters(SQLite::Database& connection, Id id, std::span<const ChapterRecord> chapters) {
  SQLite::Statement insert(connection, "INSERT INTO chapters(document_id, ordinal, title, level) VALUES (?,?,?,?)");
  for (const ChapterRecord& chapter : chapters) {
    insert.bind(1, id);
    insert.bind(2, chapter.ordinal);
    insert.bind(3, chapter.title);
    insert.bind(4, chapter.level);
    insert.exec();
    insert.reset();
  }
}

void writeMetadata(SQLite::Database& connection, Id id, const DocumentRecord& metadata, std::int64_t textBytes) {
  SQLite::Statement update(connection,
                           "UPDATE documents SET format=?, title=?, author=?, language=?, date=?, page_count=?, "
                           "pages_without_text=?, text_bytes=?, warnings=? WHERE id=?");
  update.bind(1, metadata.format);
  update.bind(2, metadata.title);
  update.bind(3, metadata.author);
  update.bind(4, metadata.language);
  update.bind(5, metadata.date);
  update.bind(6, metadata.pageCount);
  update.bind(7, joinNumbers(metadata.pagesWithoutText));
  update.bind(8, textBytes);
  update.bind(9, joinLines(metadata.warnings));
  update.bind(10, id);
  if (update.exec() == 0) throw SQLite::Exception("the document is no longer in the library");
}

void writeCover(SQLite::Database& connection, Id id, std::span<const std::byte> cover) {
  if (cover.empty()) return;
  SQLite::Statement insert(connection, "INSERT INTO covers(document_id, image) VALUES (?,?)");
  insert.bind(1, id);
  bindBytes(insert, 2, cover);
  insert.exec();
}

void run(SQLite::Database& connection, const char* sql, Id id) {
  SQLite::Statement statement(connection, sql);
  statement.bind(1, id);
  statement.exec();
}

std::string joined(std::span<const PassageRecord> passages) {
  std::string text;
  for (std::size_t i = 0; i < passages.size(); ++i) {
    if (i > 0) text += "\n\n";
    text += passages[i].text;
  }
  return text;
}

}  // namespace

Id Library::add(const DocumentRecord& document, bool* existed) {
  return inTransaction(*database_, "adding a document", [&](SQLite::Database& connection) {
    SQLite::Statement known(connection, "UPDATE documents SET path=? WHERE content_hash=? RETURNING id");
    known.bind(1, document.path);
    known.bind(2, document.contentHash);
    const bool found = known.executeStep();
    if (existed) *existed = found;
    if (found) {
      const Id id = known.getColumn(0).getInt64();
      while (known.executeStep()) {
      }
      return id;
    }
    SQLite::Statement insert(
        connection,
        "INSERT INTO documents(content_hash, path, format, title, author, language, date, state, added_at) "
        "VALUES (?,?,?,?,?,?,?,?,?)");
    insert.bind(1, document.contentHash);
    insert.bind(2, document.path);
    insert.bind(3, document.format);
    insert.bind(4, document.title);
    insert.bind(5, document.author);
    insert.bind(6, document.language);
    insert.bind(7, document.date);
    insert.bind(8, nameOf(DocumentState::Waiting));
    insert.bind(9, document.addedAt != 0 ? document.addedAt : now());
    insert.exec();
    return static_cast<Id>(connection.getLastInsertRowid());
  });
}

void Library::storeText(Id id, const DocumentRecord& metadata, std::span<const ChapterRecord> chapters,
                        std::span<const PassageRecord> passages, std::span<const std::byte> cover) {
  const std::string text = joined(passages);
  // A memory and its position belong to one text; they survive only if that is what was extracted again.
  const bool changed = this->text(id) != text;
  inTransaction(*database_, "storing a book's text", [&](SQLite::Database& connection) {
    writeMetadata(connection, id, metadata, static_cast<std::int64_t>(text.size()));
    if (changed) run(connection, "DELETE FROM memories WHERE document_id=?", id);
    run(connection, "DELETE FROM passages WHERE document_id=?", id);
    run(connection, "DELETE FROM chapters WHERE document_id=?", id);
    run(connection, "DELETE FROM covers WHERE document_id=?", id);
    writeChapters(connection, id, chapters);
    writePassages(connection, id, passages);
    writeCover(connection, id, cover);
  });
}

void Library::setState(Id id, DocumentState state, const std::string& failure, const std::string& failureKind) {
  withErrors(*database_, "noting the state of a document", [&](SQLite::Database& connection) {
    SQLite::Statement update(connection, "UPDATE documents SET state=?, failure=?, failure_kind=? WHERE id=?");
    update.bind(1, nameOf(state));
    update.bind(2, failure);
    update.bind(3, failureKind);
    update.bind(4, id);
    update.exec();
  });
}

void Library::remove(Id id) {
  inTransaction(*database_, "removing a document", [&](SQLite::Database& connection) {
    run(connection, "DELETE FROM passages WHERE document_id=?", id);  // first, so that the index follows
    run(connection, "DELETE FROM documents WHERE id=?", id);          // the rest by cascade
  });
}

std::optional<DocumentRecord> Library::find(Id id) const {
  auto found = documentsWhere(*database_, "WHERE id = CAST(? AS INTEGER)", std::to_string(id));
  return found.empty() ? std::nullopt : std::optional(std::move(found.front()));
}

std::optional<DocumentRecord> Library::findByHash(std::string_view contentHash) const {
  auto found = documentsWhere(*database_, "WHERE content_hash = ?", contentHash);
  return found.empty() ? std::nullopt : std::optional(std::move(found.front()));
}

std::vector<DocumentRecord> Library::list() const {
  return documentsWhere(*database_, "ORDER BY added_at DESC, id DESC");
}

std::vector<DocumentRecord> Library::match(std::string_view words) const {
  const std::vector<DocumentRecord> all = list();
  const std::string wanted = folded(words);
  if (wanted.empty()) return {};
  const auto name = [](const DocumentRecord& d) { return std::filesystem::path(d.path).filename(); };
  using Rule = std::function<bool(const DocumentRecord&)>;
  // The first rule that finds something decides.
  const std::array<Rule, 5> rules = {
      [&](const DocumentRecord& d) { return std::to_string(d.id) == words; },
      [&](const DocumentRecord& d) { return folded(d.title) == wanted; },
      [&](const DocumentRecord& d) {
        return folded(name(d).string()) == wanted || folded(name(d).stem().string()) == wanted;
      },
      [&](const DocumentRecord& d) { return folded(d.title).starts_with(wanted); },
      [&](const DocumentRecord& d) { return wanted.size() >= 6 && d.contentHash.starts_with(wanted); }};
  for (const Rule& rule : rules) {
    std::vector<DocumentRecord> found;
    std::copy_if(all.begin(), all.end(), std::back_inserter(found), rule);
    if (!found.empty()) return found;
  }
  return {};
}

std::vector<std::byte> Library::cover(Id id) const {
  return withErrors(*database_, "reading a cover", [&](SQLite::Database& connection) {
    SQLite::Statement query(connection, "SELECT image FROM covers WHERE document_id=?");
    query.bind(1, id);
    return query.executeStep() ? bytesOf(query.getColumn(0)) : std::vector<std::byte>{};
  });
}

std::vector<ChapterRecord> Library::chapters(Id id) const {
  return withErrors(*database_, "reading the chapters", [&](SQLite::Database& connection) {
    SQLite::Statement query(connection,
                            "SELECT ordinal, title, level FROM chapters WHERE document_id=? ORDER BY ordinal");
    query.bind(1, id);
    std::vector<ChapterRecord> chapters;
    while (query.executeStep())
      chapters.push_back({query.getColumn(0).getInt(), query.getColumn(1).getString(), query.getColumn(2).getInt()});
    return chapters;
  });
}

}  // namespace palimpsest::storage
