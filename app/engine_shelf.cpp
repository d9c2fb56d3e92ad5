// The part of EngineWorker that answers from a shelf: several books at once. Where the model keeps books in sections,
// those of all the books are asked and one of them answers; else the answer comes from the sum of their memories.
#include <algorithm>
#include <limits>

#include "app/engine_parts.h"
#include "app/engine_worker.h"
#include "app/memory_record.h"
#include "app/words.h"
#include "engine/errors.h"
#include "engine/memory_sum.h"
#include "storage/conversation_store.h"
#include "storage/memory_store.h"

namespace palimpsest::app {

struct EngineWorker::ShelfBook {
  storage::DocumentRecord document;
  std::optional<engine::BookMemory> memory;          // where it is asked from memory
  std::size_t firstSection = 0;                      // its place in the row of all books' sections
  const engine::CompressiveMemory* judge = nullptr;  // that tells how well the book supports an answer
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
std::optional<engine::BookMemory> EngineWorker::wholeMemory(const storage::DocumentRecord& document,
                                                            QStringList& lacking) {
  const storage::MemoryStore memories(database());
  const QString title = titleOf(document);
  const auto stored = memories.load(document.id, model_->fingerprint());
  if (stored && stored->complete) return bookOf(model_, *stored);
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

EngineWorker::Source EngineWorker::sourceOf(std::vector<ShelfBook>& books,
                                            std::optional<engine::CompressiveMemory>& sum) const {
  Source source;
  if (asksSections()) {
    for (ShelfBook& book : books) {
      book.firstSection = source.sections.size();
      std::ranges::copy(book.memory->sections(), std::back_inserter(source.sections));
    }
    return source;
  }
  std::vector<const engine::MemorySnapshot*> memories;
  for (ShelfBook& book : books) {
    memories.push_back(&book.memory->snapshot());
    book.judge = &book.memory->whole();
  }
  source.memory = &sum.emplace(engine::addMemories(*model_, memories));
  return source;
}

// Each book is judged by its own section of least doubt. Returns the book whose section answered; nullptr where none
// was chosen.
const EngineWorker::ShelfBook* EngineWorker::judge(std::vector<ShelfBook>& books, const engine::Generation& made,
                                                   AnswerResult& result) {
  if (!made.section) return nullptr;
  const ShelfBook* answering = nullptr;
  for (ShelfBook& book : books) {
    const auto sections = book.memory->sections();
    const auto doubts = std::span(made.doubts).subspan(book.firstSection, sections.size());
    book.judge = sections[static_cast<std::size_t>(std::ranges::min_element(doubts) - doubts.begin())];
    const std::size_t place = *made.section - book.firstSection;
    if (*made.section < book.firstSection || place >= sections.size()) continue;
    answering = &book;
    result.section = static_cast<int>(place);
    result.sections = static_cast<int>(sections.size());
    result.doubt = made.doubt();
  }
  return answering;
}

void EngineWorker::composeShelf(const AnswerJob& job, AnswerResult& result) {
  const storage::Library library(database());
  storage::TurnRecord& turn = result.turn;
  const ui::AnswerWay way = possibleWay(job.way);
  turn.way = nameOfWay(way);
  turn.modelName = model_->name();
  std::vector<ShelfBook> books = openShelf(job, way, result);
  std::optional<engine::CompressiveMemory> sum;
  const Source source = way == ui::AnswerWay::Passages ? Source() : sourceOf(books, sum);
  const auto nearest = searchAll(library, job.shelf, turn.question, kPassages);
  std::vector<storage::PassageRecord> passages;
  if (way != ui::AnswerWay::Memory) passages = nearest;
  const engine::Question question =
      questionOf(job, storage::ConversationStore(database()).shelfTurns(job.shelf), passages);
  const engine::Generation made = say(job, source, question, turn);

  const auto used = std::span(passages).first(static_cast<std::size_t>(made.passagesUsed));
  std::vector<storage::DocumentRecord> documents;
  for (const ShelfBook& book : books) documents.push_back(book.document);
  turn.pagesReread = countReread(used, havePages(documents));
  const ShelfBook* answering = judge(books, made, result);
  if (!made.unknown && !made.text.empty()) turn.scores = scoresOf(job, books, question, used, made.text);
  turn.documentId = !turn.scores.empty() && answering ? answering->document.id
                    : !turn.scores.empty()            ? turn.scores.front().documentId
                    : !nearest.empty()                ? nearest.front().documentId
                                                      : job.shelf.front();
  quote(library, made.unknown, std::numeric_limits<std::int64_t>::max(), turn);
}

// How well each book alone, asked in the same way, supports the answer: with its own memory, or its section of least
// doubt, in place of the sum or of the section that answered, and of the passages only its own. From passages only, a
// book without any had no part in the answer. Best first; none where the reader has stopped the answer.
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
      scores.push_back({book.document.id, generator_->score(book.judge, alone, answer, job.stop).logProbability});
    }
  } catch (const engine::Stopped&) {
    return {};
  }
  std::ranges::stable_sort(scores, std::greater<>(), &storage::BookScore::logProbability);
  return scores;
}

}  // namespace palimpsest::app
