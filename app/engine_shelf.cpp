// The part of EngineWorker that answers from a shelf: several books at once. Where the model keeps books in sections,
// those of all the books are asked and one book answers; else the answer comes from the sum of their memories.
#include <algorithm>

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
  // Where it is asked from memory: the whole, or of its sections the one that is chosen, which it is and of how many.
  std::optional<engine::MemorySnapshot> memory = {};
  int section = -1, sections = 0;
  double doubt = 0, leastDoubt = 0;  // of that section, and the smallest of all
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

// Why this model cannot ask the book from memory; empty = it has read it whole.
QString EngineWorker::lacks(const storage::DocumentRecord& document) {
  const auto memories = storage::MemoryStore(database()).list(document.id);
  const auto own = std::ranges::find(memories, model_->fingerprint(), &storage::MemoryRecord::fingerprint);
  const QString title = titleOf(document);
  if (own != memories.end() && own->complete) return {};
  if (own != memories.end()) return tr("“%1” has not been read to its end").arg(title);
  if (memories.empty()) return tr("“%1” has not been read yet").arg(title);
  return tr("“%1” was read by %2").arg(title, otherModelWords(memories.front().modelName, toQt(model_->name())));
}

std::vector<EngineWorker::ShelfBook> EngineWorker::openShelf(const AnswerJob& job, ui::AnswerWay way) {
  const storage::Library library(database());
  std::vector<ShelfBook> books;
  QStringList lacking;
  for (const storage::Id id : job.shelf) {
    auto document = library.find(id);
    if (!document) refuse(tr("A book of this shelf is no longer in the library."));
    if (document->textBytes == 0) refuse(withoutText(*document));
    const QString lack = way == ui::AnswerWay::Passages ? QString() : lacks(*document);
    if (!lack.isEmpty()) lacking << lack;
    books.push_back({std::move(*document)});
  }
  if (!lacking.isEmpty())
    refuse(
        tr("%1. Books are asked together once %2 has read each of them whole: let it read on, leave them out, or ask "
           "from passages only.")
            .arg(lacking.join(QStringLiteral("; ")), toQt(model_->name())));
  return books;
}

// Book after book, and of each no more is kept than is asked in the end: a library may be asked as a whole.
void EngineWorker::recall(ShelfBook& book, const AnswerJob& job, const engine::Question& question,
                          AnswerResult& result) {
  engine::BookMemory memory = reopen(book.document, result);
  if (!asksSections()) {
    book.memory = std::move(memory).takeSnapshot();
    return;
  }
  const auto sections = memory.sections();
  const engine::ChosenSection chosen = generator_->choose(sections, question, job.stop);
  book.section = static_cast<int>(chosen.place);
  book.sections = static_cast<int>(sections.size());
  book.doubt = chosen.doubt();
  book.leastDoubt = chosen.leastDoubt();
  book.memory.emplace().memory = std::move(memory).takeSection(chosen.place);
}

engine::BookMemory EngineWorker::reopen(const storage::DocumentRecord& document, AnswerResult& result) {
  const auto stored = storage::MemoryStore(database()).load(document.id, model_->fingerprint());
  if (!stored) refuse(lacks(document) + u'.');
  try {
    return bookOf(model_, *stored);
  } catch (const engine::SnapshotError& error) {
    result.refusedBook = document.id;
    refuse(tr("“%1”: %2 Retry reads it again from its stored text.").arg(titleOf(document), asSentence(error)));
  }
}

// The book whose least doubt is the smallest; with a model that keeps one section a book, or cannot choose, the sum of
// all.
EngineWorker::Source EngineWorker::sourceOf(const std::vector<ShelfBook>& books, const ShelfBook*& answering,
                                            std::optional<engine::CompressiveMemory>& sum) const {
  if (books.front().sections > 0) {
    answering = &*std::ranges::min_element(books, {}, &ShelfBook::leastDoubt);
    return {.memory = &answering->memory->memory, .sections = {}};
  }
  std::vector<const engine::MemorySnapshot*> memories;
  for (const ShelfBook& book : books) memories.push_back(&*book.memory);
  return {.memory = &sum.emplace(engine::addMemories(*model_, memories)), .sections = {}};
}

void EngineWorker::composeShelf(const AnswerJob& job, AnswerResult& result) {
  const storage::Library library(database());
  storage::TurnRecord& turn = result.turn;
  const ui::AnswerWay way = possibleWay(job.way);
  turn.way = nameOfWay(way);
  turn.modelName = model_->name();
  std::vector<ShelfBook> books = openShelf(job, way);
  const auto nearest = searchAll(library, job.shelf, turn.question, kPassages);
  std::vector<storage::PassageRecord> passages;
  if (way != ui::AnswerWay::Memory) passages = nearest;
  const engine::Question question =
      questionOf(job, storage::ConversationStore(database()).shelfTurns(job.shelf), passages);
  turn.documentId = nearest.empty() ? job.shelf.front() : nearest.front().documentId;
  Source source;
  const ShelfBook* answering = nullptr;  // where one of the books is asked, and not their sum
  std::optional<engine::CompressiveMemory> sum;
  std::optional<engine::BookMemory> asked;
  if (way != ui::AnswerWay::Passages) {
    try {
      for (ShelfBook& book : books) recall(book, job, question, result);
    } catch (const engine::Stopped&) {
      turn.finished = false;
      return;
    }
    source = sourceOf(books, answering, sum);
    if (answering && generator_->answersInSteps())  // what it asks further is asked of all of that book
      source = sourceOf(asked.emplace(reopen(answering->document, result)));
  }
  const engine::Generation made = say(job, source, question, result);

  const auto used = std::span(passages).first(static_cast<std::size_t>(made.passagesUsed));
  std::vector<storage::DocumentRecord> documents;
  for (const ShelfBook& book : books) documents.push_back(book.document);
  turn.pagesReread = countReread(used, havePages(documents));
  if (!made.unknown && !made.text.empty()) {
    turn.scores = asked && !made.steps.empty() ? scoreOfSteps(job, answering->document.id, *asked, made)
                                               : scoresOf(job, books, question, used, made.text);
  }
  if (!turn.scores.empty()) turn.documentId = turn.scores.front().documentId;
  if (answering && !made.text.empty()) {
    if (!turn.scores.empty()) turn.documentId = answering->document.id;
    const auto section = made.lastSection();
    result.section = section ? static_cast<int>(*section) : answering->section;
    result.sections = answering->sections;
    result.doubt = section ? made.largestDoubt() : answering->doubt;
  }
  quote(library, made.unknown, {}, turn);
}

// What was asked on the way was asked of one book alone, and there is nothing to compare the others by: how well it
// supports the answer to the last question.
std::vector<storage::BookScore> EngineWorker::scoreOfSteps(const AnswerJob& job, storage::Id answering,
                                                           const engine::BookMemory& memory,
                                                           const engine::Generation& made) {
  const auto sections = memory.sections();
  const engine::CompressiveMemory* section = sections[made.lastSection().value_or(0)];
  try {
    const engine::Question last{made.steps.back().question, {}, {}, {}};
    return {{answering, generator_->score(section, last, made.text, job.stop).logProbability}};
  } catch (const engine::Stopped&) {
    return {};
  }
}

// How well each book alone, asked in the same way, supports the answer: with its own memory, or its chosen
// section, in place of the sum or of the one that answered, and of the passages only its own. From passages only, a
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
