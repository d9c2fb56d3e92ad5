#include "storage/conversation_store.h"

#include <map>

#include "storage/sql.h"

namespace palimpsest::storage {

namespace {

Id insertTurn(SQLite::Database& connection, const TurnRecord& turn) {
  SQLite::Statement insert(connection,
                           "INSERT INTO turns(document_id, question, answer, way, pages_reread, coverage, finished, "
                           "model_name, asked_at, quotes_support) VALUES (?,?,?,?,?,?,?,?,?,?)");
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
  insert.exec();
  return connection.getLastInsertRowid();
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
  return turn;
}

void addQuotes(SQLite::Database& connection, Id documentId, std::vector<TurnRecord>& turns) {
  std::map<Id, TurnRecord*> byId;
  for (TurnRecord& turn : turns) byId[turn.id] = &turn;
  SQLite::Statement query(connection,
                          "SELECT q.turn_id, q.text, q.page, q.chapter_title, q.passage_id, q.begin FROM quotes q "
                          "JOIN turns t ON t.id = q.turn_id WHERE t.document_id=? ORDER BY q.turn_id, q.ordinal");
  query.bind(1, documentId);
  while (query.executeStep()) {
    const auto turn = byId.find(query.getColumn(0).getInt64());
    if (turn == byId.end()) continue;
    turn->second->quotes.push_back({query.getColumn(1).getString(), query.getColumn(2).getInt(),
                                    query.getColumn(3).getString(), query.getColumn(4).getInt64(),
                                    query.getColumn(5).getInt64()});
  }
}

}  // namespace

Id ConversationStore::addTurn(const TurnRecord& turn) {
  return inTransaction(*database_, "storing an answer", [&](SQLite::Database& connection) {
    const Id id = insertTurn(connection, turn);
    insertQuotes(connection, id, turn.quotes);
    return id;
  });
}

std::vector<TurnRecord> ConversationStore::turns(Id documentId) const {
  return withErrors(*database_, "reading a conversation", [&](SQLite::Database& connection) {
    SQLite::Statement query(
        connection,
        "SELECT id, document_id, question, answer, way, pages_reread, coverage, finished, model_name, "
        "asked_at, quotes_support FROM turns WHERE document_id=? ORDER BY id");
    query.bind(1, documentId);
    std::vector<TurnRecord> turns;
    while (query.executeStep()) turns.push_back(turnOf(query));
    addQuotes(connection, documentId, turns);
    return turns;
  });
}

void ConversationStore::clear(Id documentId) {
  withErrors(*database_, "clearing a conversation", [&](SQLite::Database& connection) {
    SQLite::Statement statement(connection, "DELETE FROM turns WHERE document_id=?");
    statement.bind(1, documentId);
    statement.exec();
  });
}

Id ConversationStore::addSummary(const SummaryRecord& summary) {
  return inTransaction(*database_, "storing a summary", [&](SQLite::Database& connection) {
    SQLite::Statement insert(connection,
                             "INSERT INTO summaries(document_id, text, coverage, finished, model_name, made_at) "
                             "VALUES (?,?,?,?,?,?)");
    insert.bind(1, summary.documentId);
    insert.bind(2, summary.text);
    insert.bind(3, summary.coverage);
    insert.bind(4, summary.finished ? 1 : 0);
    insert.bind(5, summary.modelName);
    insert.bind(6, summary.madeAt != 0 ? summary.madeAt : now());
    insert.exec();
    return static_cast<Id>(connection.getLastInsertRowid());
  });
}

std::vector<SummaryRecord> ConversationStore::summaries(Id documentId) const {
  return withErrors(*database_, "reading the summaries", [&](SQLite::Database& connection) {
    SQLite::Statement query(
        connection,
        "SELECT id, text, coverage, finished, model_name, made_at FROM summaries WHERE document_id=? "
        "ORDER BY id DESC");
    query.bind(1, documentId);
    std::vector<SummaryRecord> summaries;
    while (query.executeStep())
      summaries.push_back({query.getColumn(0).getInt64(), documentId, query.getColumn(1).getString(),
                           query.getColumn(2).getDouble(), query.getColumn(3).getInt() != 0,
                           query.getColumn(4).getString(), query.getColumn(5).getInt64()});
    return summaries;
  });
}

std::optional<SummaryRecord> ConversationStore::latestSummary(Id documentId) const {
  auto all = summaries(documentId);
  return all.empty() ? std::nullopt : std::optional(std::move(all.front()));
}

}  // namespace palimpsest::storage
