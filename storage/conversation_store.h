// What was asked and answered, and the summaries made. Every function throws DatabaseError on failure.
#pragma once

#include <vector>

#include "storage/database.h"
#include "storage/records.h"

namespace palimpsest::storage {

class ConversationStore {
 public:
  explicit ConversationStore(Database& database) : database_(&database) {}

  // With its quotes and scores, in one transaction. A turn of a shelf that is asked for the first time makes that
  // shelf; one of its books that is no longer in the library is a DatabaseError.
  Id addTurn(const TurnRecord& turn);
  std::vector<TurnRecord> turns(Id documentId) const;  // of this book alone, oldest first
  void clear(Id documentId);

  // The same for the conversation with several books, which is kept until one of them is removed. `books`: their ids in
  // any order, each once.
  std::vector<TurnRecord> shelfTurns(std::vector<Id> books) const;
  void clearShelf(std::vector<Id> books);

  Id addSummary(const SummaryRecord& summary);
  std::vector<SummaryRecord> summaries(Id documentId) const;  // newest first

 private:
  Database* database_;
};

}  // namespace palimpsest::storage
