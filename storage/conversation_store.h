// What was asked and answered, and the summaries made. Every function throws DatabaseError on failure.
#pragma once

#include <optional>
#include <vector>

#include "storage/database.h"
#include "storage/records.h"

namespace palimpsest::storage {

class ConversationStore {
 public:
  explicit ConversationStore(Database& database) : database_(&database) {}

  Id addTurn(const TurnRecord& turn);                  // with its quotes, in one transaction
  std::vector<TurnRecord> turns(Id documentId) const;  // oldest first
  void clear(Id documentId);

  Id addSummary(const SummaryRecord& summary);
  std::optional<SummaryRecord> latestSummary(Id documentId) const;
  std::vector<SummaryRecord> summaries(Id documentId) const;  // newest first

 private:
  Database* database_;
};

}  // namespace palimpsest::storage
