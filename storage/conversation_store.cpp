#include "storage/conversation_store.h"

#include <algorithm>
#include <array>
#include <map>
#include <sstream>
#include <utility>

#include "storage/sql.h"

namespace palimpsest::storage {

namespace {

// What shelves.books holds: "3,7,8".
std::string keyOf(std::vector<Id> books) {
  std::sort(books.begin(), books.end());
  std::string key;
  for (const Id book : books) {
    if (!key.empty()) key += ',';
    key += std::to_string(book);
  }
  return key;
}

std::vector<Id> booksOf(const std::string& key) {
  std::vector<Id> books;
  std::istringstream numbers(key);
  for (std::string number; std::getline(numbers, number, ',');) books.push_back(std::stoll(number));
  return books;
}

// The shelf of these books, made where there is none. The key is no reference, so it is looked whether all are there.
Id shelfOf(SQLite::Database& connection, const std::vector<Id>& books) {
  SQLite::Statement there(connection, "SELECT count(*) FROM documents WHERE id=?");
  for (const Id book : books) {
    there.bind(1, book);
    there.executeStep();
    if (there.getColumn(0).getInt() == 0) throw SQLite::Exception("a book of the shelf is no longer in the library");
    there.reset();
  }
  const std::string key = keyOf(books);
  SQLite::Statement insert(connection, "INSERT INTO shelves(books) VALUES (?) ON CONFLICT(books) DO NOTHING");
  insert.bind(1, key);
  insert.exec();
  SQLite::Statement found(connection, "SELECT id FROM shelves WHERE books=?");
  found.bind(1, key);
  found.executeStep();
  return found.getColumn(0).getInt64();
}

constexpr std::array<std::pair<BookPart::Kind, const char*>, 3> kPartNames = {
    {{BookPart::Kind::Whole, ""}, {BookPart::Kind::UpToChapter, "up-to"}, {BookPart::Kind::Chapter, "chapter"}}};

// Into three places from `first` on.
void bindPart(SQLite::Statement& insert, int first, const BookPart& part) {
  for (const auto& [kind, name] : kPartNames)
    if (kind == part.kind) insert.bind(first, name);
  insert.bind(first + 1, part.chapter);
  insert.bind(first + 2, part.title);
}

// Out of three columns from `first` on.
BookPart partOf(SQLite::Statement& row, int first) {
  BookPart part;
  for (const auto& [kind, name] : kPartNames)
    if (row.getColumn(first).getString() == name) part.kind = kind;
  part.chapter = row.getColumn(first + 1).getInt();
  part.title = row.getColumn(first + 2).getString();
  return part;
}

Id insertTurn(SQLite::Database& connection, const TurnRecord& turn) {
  SQLite::Statement insert(connection,
                           "INSERT INTO turns(document_id, question, answer, way, pages_reread, coverage, finished, "
                           "model_name, asked_at, quotes_support, shelf_id, part, part_chapter, part_title) "
                           "VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)");
  insert.bind(1, turn.documentId);
  insert.bind(2, turn.question);
  insert.bind(3, turn.answer);
  insert.bind(4, turn.way);
  insert.bind(5, turn.pagesReread);
  insert.bind(6, turn.coverage);
  insert.bind(7, turn.finished ? 1 : 0);
  insert.bind(8, turn.modelName);
  insert.bind(9, turn.askedAt != 0 ? turn.askedAt : now());
  insert.bind(10, turn.quotesSupport ? 1 : 0);
  if (!turn.shelf.empty()) insert.bind(11, shelfOf(connection, turn.shelf));  // else NULL
  bindPart(insert, 12, turn.part);
  insert.exec();
  return connection.getLastInsertRowid();
}

void insertScores(SQLite::Database& connection, Id turnId, const std::vector<BookScore>& scores) {
  SQLite::Statement insert(connection, "INSERT INTO turn_scores(turn_id, document_id, log_probability) VALUES (?,?,?)");
  for (const BookScore& score : scores) {
    insert.bind(1, turnId);
    insert.bind(2, score.documentId);
    insert.bind(3, score.logProbability);
    insert.exec();
    insert.reset();
  }
}

void insertQuotes(SQLite::Database& connection, Id turnId, const std::vector<QuoteRecord>& quotes) {
  SQLite::Statement insert(connection,
                           "INSERT INTO quotes(turn_id, ordinal, text, page, chapter_title, passage_id, begin) "
                           "VALUES (?,?,?,?,?,?,?)");
  int ordinal = 0;
  for (const QuoteRecord& quote : quotes) {
    insert.bind(1, turnId);
    insert.bind(2, ordinal++);
    insert.bind(3, quote.text);
    insert.bind(4, quote.page);
    insert.bind(5, quote.chapterTitle);
    insert.bind(6, quote.passageId);
    insert.bind(7, quote.begin);
    insert.exec();
    insert.reset();
  }
}

TurnRecord turnOf(SQLite::Statement& row) {
  TurnRecord turn;
  turn.id = row.getColumn(0).getInt64();
  turn.documentId = row.getColumn(1).getInt64();
  turn.question = row.getColumn(2).getString();
  turn.answer = row.getColumn(3).getString();
  turn.way = row.getColumn(4).getString();
  turn.pagesReread = row.getColumn(5).getInt();
  turn.coverage = row.getColumn(6).getDouble();
  turn.finished = row.getColumn(7).getInt() != 0;
  turn.modelName = row.getColumn(8).getString();
  turn.askedAt = row.getColumn(9).getInt64();
  turn.quotesSupport = row.getColumn(10).getInt() != 0;
  turn.shelf = booksOf(row.getColumn(11).getString());
  turn.part = partOf(row, 12);
  return turn;
}

// The turns of one conversation, whose condition on turns `t` has the one parameter that `bind` sets.
template <typename Bind>
std::vector<TurnRecord> turnsWhere(SQLite::Database& connection, const std::string& condition, Bind bind) {
  std::vector<TurnRecord> turns;
  SQLite::Statement query(
      connection,
      "SELECT t.id, t.document_id, t.question, t.answer, t.way, t.pages_reread, t.coverage, t.finished, t.model_name, "
      "t.asked_at, t.quotes_support, coalesce(s.books, ''), t.part, t.part_chapter, t.part_title FROM turns t "
      "LEFT JOIN shelves s ON s.id = t.shelf_id WHERE " +
          condition + " ORDER BY t.id");
  bind(query);
  while (query.executeStep()) turns.push_back(turnOf(query));

  std::map<Id, TurnRecord*> byId;
  for (TurnRecord& turn : turns) byId[turn.id] = &turn;
  const std::string ofThese = "JOIN turns t ON t.id = x.turn_id LEFT JOIN shelves s ON s.id = t.shelf_id WHERE ";
  SQLite::Statement quotes(
      connection, "SELECT x.turn_id, x.text, x.page, x.chapter_title, x.passage_id, x.begin FROM quotes x " + ofThese +
                      condition + " ORDER BY x.turn_id, x.ordinal");
  bind(quotes);
  while (quotes.executeStep())
    if (const auto turn = byId.find(quotes.getColumn(0).getInt64()); turn != byId.end())
      turn->second->quotes.push_back({quotes.getColumn(1).getString(), quotes.getColumn(2).getInt(),
                                      quotes.getColumn(3).getString(), quotes.getColumn(4).getInt64(),
                                      quotes.getColumn(5).getInt64()});
  SQLite::Statement scores(connection, "SELECT x.turn_id, x.document_id, x.log_probability FROM turn_scores x " +
                                           ofThese + condition + " ORDER BY x.turn_id, x.log_probability DESC");
  bind(scores);
  while (scores.executeStep())
    if (const auto turn = byId.find(scores.getColumn(0).getInt64()); turn != byId.end())
      turn->second->scores.push_back({scores.getColumn(1).getInt64(), scores.getColumn(2).getDouble()});
  return turns;
}

constexpr const char* kOfOneBook = "t.document_id=? AND t.shelf_id IS NULL";
constexpr const char* kOfAShelf = "s.books=?";

}  // namespace

Id ConversationStore::addTurn(const TurnRecord& turn) {
  return inTransaction(*database_, "storing an answer", [&](SQLite::Database& connection) {
    const Id id = insertTurn(connection, turn);
    insertQuotes(connection, id, turn.quotes);
    insertScores(connection, id, turn.scores);
    return id;
  });
}

std::vector<TurnRecord> ConversationStore::turns(Id documentId) const {
  return withErrors(*database_, "reading a conversation", [&](SQLite::Database& connection) {
    return turnsWhere(connection, kOfOneBook, [&](SQLite::Statement& query) { query.bind(1, documentId); });
  });
}

std::vector<TurnRecord> ConversationStore::shelfTurns(std::vector<Id> books) const {
  return withErrors(*database_, "reading a conversation", [&](SQLite::Database& connection) {
    return turnsWhere(connection, kOfAShelf, [&](SQLite::Statement& query) { query.bind(1, keyOf(books)); });
  });
}

void ConversationStore::clear(Id documentId) {
  withErrors(*database_, "clearing a conversation", [&](SQLite::Database& connection) {
    SQLite::Statement statement(connection, "DELETE FROM turns WHERE document_id=? AND shelf_id IS NULL");
    statement.bind(1, documentId);
    statement.exec();
  });
}

void ConversationStore::clearShelf(std::vector<Id> books) {
  withErrors(*database_, "clearing a conversation", [&](SQLite::Database& connection) {
    SQLite::Statement statement(connection, "DELETE FROM shelves WHERE books=?");  // its turns by cascade
    statement.bind(1, keyOf(std::move(books)));
    statement.exec();
  });
}

Id ConversationStore::addSummary(const SummaryRecord& summary) {
  return inTransaction(*database_, "storing a summary", [&](SQLite::Database& connection) {
    SQLite::Statement insert(connection,
                             "INSERT INTO summaries(document_id, text, coverage, finished, model_name, made_at, "
                             "part, part_chapter, part_title) VALUES (?,?,?,?,?,?,?,?,?)");
    insert.bind(1, summary.documentId);
    insert.bind(2, summary.text);
    insert.bind(3, summary.coverage);
    insert.bind(4, summary.finished ? 1 : 0);
    insert.bind(5, summary.modelName);
    insert.bind(6, summary.madeAt != 0 ? summary.madeAt : now());
    bindPart(insert, 7, summary.part);
    insert.exec();
    return static_cast<Id>(connection.getLastInsertRowid());
  });
}

std::vector<SummaryRecord> ConversationStore::summaries(Id documentId) const {
  return withErrors(*database_, "reading the summaries", [&](SQLite::Database& connection) {
    SQLite::Statement query(
        connection,
        "SELECT id, text, coverage, finished, model_name, made_at, part, part_chapter, part_title FROM summaries "
        "WHERE document_id=? ORDER BY id DESC");
    query.bind(1, documentId);
    std::vector<SummaryRecord> summaries;
    while (query.executeStep())
      summaries.push_back({query.getColumn(0).getInt64(), documentId, query.getColumn(1).getString(),
                           query.getColumn(2).getDouble(), query.getColumn(3).getInt() != 0,
                           query.getColumn(4).getString(), query.getColumn(5).getInt64(), partOf(query, 6)});
    return summaries;
  });
}

}  // namespace palimpsest::storage
