// The part of EngineWorker that answers from a shelf: several books at once, from the sum of their memories.
#include <algorithm>
#include <limits>

#include "app/engine_parts.h"
#include "app/engine_worker.h"
#include "app/words.h"
#include "engine/errors.h"
#include "engine/memory_sum.h"
#include "storage/conversation_store.h"
#include "storage/memory_store.h"

namespace palimpsest::app {

struct EngineWorker::ShelfBook {
  storage::DocumentRecord document;
  std::optional<engine::MemorySnapshot> memory;  // where it is asked from memory
};

namespace {

// Those that the search finds in any of the books, best first: bm25 counts words over the whole library, so the scores
// of different books compare.
std::vector<storage::PassageRecord> searchAll(const storage::Library& library, const std::vector<storage::Id>& books,
                                              const std::string& words, int limit) {
  std::vector<storage::PassageRecord> found;
  for (const storage::Id book : books) std::ranges::move(library.search(book, words, limit), std::back_inserter(found));
  std::ranges::stable_sort(found, std::greater<>(), &storage::PassageRecord::score);
  if (std::ssize(found) > limit) found.resize(static_cast<std::size_t>(limit));
  return found;
}

}  // namespace

// This model's memory of the whole book; where there is none, why not goes to `lacking`.
std::optional<engine::MemorySnapshot> EngineWorker::wholeMemory(const storage::DocumentRecord& document,
                                                                QStringList& lacking) {
  const storage::MemoryStore memories(database());
  const QString title = titleOf(document);
  const auto stored = memories.load(document.id, model_->fingerprint());
  if (stored && stored->complete) return engine::loadSnapshot(*model_, stored->snapshot);
  const auto others = memories.list(document.id);
  lacking << (stored            ? tr("“%1” has not been read to its end").arg(title)
              : !others.empty() ? tr("“%1” was read by another model (%2)").arg(title, toQt(others.front().modelName))
                                : tr("“%1” has not been read yet").arg(title));
  return std::nullopt;
}

std::vector<EngineWorker::ShelfBook> EngineWorker::openShelf(const AnswerJob& job, ui::AnswerWay way,
                                                             AnswerResult& result) {
  const storage::Library library(database());
  std::vector<ShelfBook> books;
  QStringList lacking;
  for (const storage::Id id : job.shelf) {
    auto document = library.find(id);
    if (!document) refuse(tr("A book of this shelf is no longer in the library."));
    if (document->textBytes == 0)
      refuse(tr("The text of “%1” has not been taken from its file yet.").arg(titleOf(*document)));
    ShelfBook& book = books.emplace_back(std::move(*document));
    if (way == ui::AnswerWay::Passages) continue;
    try {
      book.memory = wholeMemory(book.document, lacking);
    } catch (const engine::SnapshotError& error) {
      result.refusedBook = id;
      refuse(tr("“%1”: %2 Retry reads it again from its stored text.").arg(titleOf(book.document), asSentence(error)));
    }
  }
  if (!lacking.isEmpty())
    refuse(
        tr("%1. Books are asked together once %2 has read each of them whole: let it read on, leave them out, or ask "
           "from passages only.")
            .arg(lacking.join(QStringLiteral("; ")), toQt(model_->name())));
  return books;
}

void EngineWorker::composeShelf(const AnswerJob& job, AnswerResult& result) {
  const storage::Library library(database());
  storage::TurnRecord& turn = result.turn;
  const ui::AnswerWay way = possibleWay(job.way);
  turn.way = nameOfWay(way);
  turn.modelName = model_->name();
  const std::vector<ShelfBook> books = openShelf(job, way, result);
  std::optional<engine::CompressiveMemory> sum;
  if (way != ui::AnswerWay::Passages) {
    std::vector<const engine::MemorySnapshot*> memories;
    for (const ShelfBook& book : books) memories.push_back(&*book.memory);
    sum = engine::addMemories(*model_, memories);
  }
  const auto nearest = searchAll(library, job.shelf, turn.question, kPassages);
  std::vector<storage::PassageRecord> passages;
  if (way != ui::AnswerWay::Memory) passages = nearest;
  const engine::Question question =
      questionOf(job, storage::ConversationStore(database()).shelfTurns(job.shelf), passages);
  const engine::Generation made = say(job, sum ? &*sum : nullptr, question, turn);

  const auto used = std::span(passages).first(static_cast<std::size_t>(made.passagesUsed));
  std::vector<storage::DocumentRecord> documents;
  for (const ShelfBook& book : books) documents.push_back(book.document);
  turn.pagesReread = countReread(used, havePages(documents));
  if (!made.unknown && !made.text.empty()) turn.scores = scoresOf(job, books, question, used, made.text);
  turn.documentId = !turn.scores.empty() ? turn.scores.front().documentId
                    : !nearest.empty()   ? nearest.front().documentId
                                         : job.shelf.front();
  quote(library, made.unknown, std::numeric_limits<std::int64_t>::max(), turn);
}

// How well each book alone, asked in the same way, supports the answer: with its own memory in place of the sum, and of
// the passages only its own. From passages only, a book without any had no part in the answer. Best first; none where
// the reader has stopped the answer.
std::vector<storage::BookScore> EngineWorker::scoresOf(const AnswerJob& job, const std::vector<ShelfBook>& books,
                                                       const engine::Question& question,
                                                       std::span<const storage::PassageRecord> used,
                                                       const std::string& answer) {
  std::vector<storage::BookScore> scores;
  try {
    for (const ShelfBook& book : books) {
      engine::Question alone = question;
      alone.passages.clear();
      for (const storage::PassageRecord& passage : used)
        if (passage.documentId == book.document.id) alone.passages.push_back(passage.text);
      if (!book.memory && alone.passages.empty()) continue;
      const engine::CompressiveMemory* memory = book.memory ? &book.memory->memory : nullptr;
      scores.push_back({book.document.id, generator_->score(memory, alone, answer, job.stop).logProbability});
    }
  } catch (const engine::Stopped&) {
    return {};
  }
  std::ranges::stable_sort(scores, std::greater<>(), &storage::BookScore::logProbability);
  return scores;
}

}  // namespace palimpsest::app
