// Records of the database as the plain values that the window shows.
#pragma once

#include <optional>
#include <vector>

#include "storage/database.h"
#include "storage/library.h"
#include "storage/memory_store.h"
#include "ui/records.h"

namespace palimpsest::app {

// What is known of the model when items are made: enough to tell its memories from another model's.
struct ModelIdentity {
  bool loaded = false;
  bool hasMemory = false;
  QString name;
  std::string fingerprint;
  bool inSections = false;  // it asks its books section by section
};

ui::BookPart shownPart(const storage::BookPart& part);
storage::BookPart storedPart(const ui::BookPart& part);  // without a title

// The chapters of a document and what `memory`, a header, has of them; nullptr = nothing is remembered.
QList<ui::Chapter> makeChapters(storage::Database& database, storage::Id document, const storage::MemoryRecord* memory);

// A document's title; its file's name where it has none.
QString titleOf(const storage::DocumentRecord& document);

// The item of a document without the figures of a running job. `memories` are the document's headers.
ui::LibraryItem makeItem(const storage::Library& library, const storage::DocumentRecord& document,
                         const std::vector<storage::MemoryRecord>& memories, const ModelIdentity& model);

// The header of this model's memory among them.
std::optional<storage::MemoryRecord> memoryOf(const std::vector<storage::MemoryRecord>& memories,
                                              const ModelIdentity& model);

ui::ConversationItem makeConversationItem(const storage::Library& library, const storage::DocumentRecord& document,
                                          const storage::TurnRecord& turn);
ui::ConversationItem makeConversationItem(const storage::Library& library, const storage::DocumentRecord& document,
                                          const storage::SummaryRecord& summary);
// Of a turn that was asked of several books: all of them are in `shelf`.
ui::ConversationItem makeConversationItem(const std::vector<storage::DocumentRecord>& shelf,
                                          const storage::TurnRecord& turn);
// Whether what is read again of these books can be counted in pages.
bool havePages(const std::vector<storage::DocumentRecord>& books);

}  // namespace palimpsest::app
