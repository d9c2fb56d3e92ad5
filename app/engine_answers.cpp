// The part of EngineWorker that answers and sums up.
#include <algorithm>
#include <set>
#include <span>
#include <utility>

#include "app/engine_parts.h"
#include "app/engine_worker.h"
#include "app/memory_record.h"
#include "app/quote_finder.h"
#include "app/words.h"
#include "engine/errors.h"
#include "storage/conversation_store.h"
#include "storage/library.h"
#include "storage/memory_store.h"
#include "storage/search_words.h"

namespace palimpsest::app {

namespace {

constexpr std::int64_t kLeastSummarised = 200;  // bytes: of less a book card would say more than the text

}  // namespace

void refuse(const QString& sentence) { throw std::runtime_error(sentence.toStdString()); }

int countReread(std::span<const storage::PassageRecord> used, bool inPages) {
  if (!inPages) return static_cast<int>(used.size());
  std::set<std::pair<storage::Id, int>> pages;
  for (const storage::PassageRecord& passage : used) pages.emplace(passage.documentId, passage.page);
  return static_cast<int>(pages.size());
}

std::vector<engine::Turn> turnsBefore(const std::string& question, std::span<const storage::TurnRecord> conversation) {
  constexpr std::size_t kMost = 2;
  std::vector<engine::Turn> turns;
  for (const storage::TurnRecord& turn : conversation)
    if (turn.finished && turn.question != question) turns.push_back({turn.question, turn.answer});
  if (turns.size() > kMost) turns.erase(turns.begin(), turns.end() - static_cast<std::ptrdiff_t>(kMost));
  return turns;
}

// The memory of the book that is being read just now, or the one that is stored; nullptr: nothing of it was read.
const EngineWorker::Held* EngineWorker::memoryFor(qint64 id) {
  if (reading_ && reading_->held.id == id) return reading_->held.reading().position > 0 ? &reading_->held : nullptr;
  if (held_ && held_->id == id) return &*held_;
  const auto stored = storage::MemoryStore(database()).load(id, model_->fingerprint());
  if (!stored) return nullptr;
  held_ = Held{id, bookOf(model_, *stored)};
  return &*held_;
}

ui::AnswerWay EngineWorker::possibleWay(ui::AnswerWay wanted) const {
  return model_->hasMemory() ? wanted : ui::AnswerWay::Passages;
}

void EngineWorker::answer(const AnswerJob& job) {
  AnswerResult result;
  result.number = job.number;
  result.id = job.id;
  result.summary = job.summary;
  result.turn.documentId = job.id;
  result.turn.shelf = job.shelf;
  result.turn.question = job.question.toStdString();
  result.turn.way = nameOfWay(job.way);
  try {
    if (!model_) refuse(loadProblem_.isEmpty() ? tr("No model is loaded.") : loadProblem_);
    job.shelf.empty() ? compose(job, result) : composeShelf(job, result);
  } catch (const engine::SnapshotError& error) {
    if (job.shelf.empty()) result.refusedBook = job.id;
    result.problem = tr("%1 Retry reads the book again from its stored text.").arg(asSentence(error));
  } catch (const std::exception& error) {
    result.problem = asSentence(error);
  }
  emit answered(result);
}

QString EngineWorker::withoutText(const storage::DocumentRecord& document) {
  if (document.state != storage::DocumentState::Failed)
    return tr("The text of “%1” has not been taken from its file yet.").arg(titleOf(document));
  return tr("“%1” could not be read: %2").arg(titleOf(document), toQt(document.failure));
}

void EngineWorker::compose(const AnswerJob& job, AnswerResult& result) {
  const auto document = storage::Library(database()).find(job.id);
  if (!document) refuse(tr("This book is no longer in the library."));
  if (document->textBytes == 0) refuse(withoutText(*document));
  const ui::AnswerWay way = possibleWay(job.way);
  result.turn.way = nameOfWay(way);
  result.turn.modelName = model_->name();
  const bool inPart = job.part.kind != storage::BookPart::Kind::Whole;
  result.turn.part = job.part;
  const bool needsMemory = job.summary || way != ui::AnswerWay::Passages;
  if (job.summary && !model_->hasMemory())
    refuse(tr("%1 has no memory, and a summary is made from memory. Choose a model with memory heads.")
               .arg(toQt(model_->name())));
  if (job.summary && !inPart && document->textBytes < kLeastSummarised)
    refuse(tr("There is too little text in “%1” to sum up.").arg(titleOf(*document)));
  storage::TextRange range;
  std::optional<engine::BookMemory> part;
  const engine::BookMemory* book = nullptr;
  if (inPart) {
    const ChapterPlace place = placeOf(job.id, result.turn.part);
    range = rangeOf(place, job.part.kind);
    if (needsMemory) {
      const auto stored = storage::MemoryStore(database()).load(job.id, model_->fingerprint());
      if (!stored) refuseUnread();
      book = &part.emplace(partMemory(*stored, place, job.part.kind));
    }
  } else if (needsMemory) {
    const Held* held = memoryFor(job.id);
    if (!held) refuseUnread();
    book = &held->book;
    const auto position = held->reading().position;
    if (!held->reading().complete) {
      if (document->textBytes > 0)
        result.turn.coverage =
            std::min(0.999, static_cast<double>(position) / static_cast<double>(document->textBytes));
      if (way == ui::AnswerWay::Memory) range.end = position;
    }
  }
  job.summary ? sumUp(job, *book, range, result) : reply(job, book, range, *document, result);
}

void EngineWorker::refuseUnread() const {
  refuse(tr("%1 has not read this book yet, so it remembers nothing of it. Let it read first, or ask "
            "from passages only.")
             .arg(toQt(model_->name())));
}

// The model may misspell a rare word: what the index of the book does not hold is not listed. How often a name stands
// there is counted, not guessed.
void EngineWorker::sumUp(const AnswerJob& job, const engine::BookMemory& book, const storage::TextRange& range,
                         AnswerResult& result) {
  const auto onText = [&](std::string_view text) {
    emit piece(job.number, job.id, QString::fromUtf8(text.data(), std::ssize(text)));
  };
  const storage::Library library(database());
  const auto standing = [&](const std::string& item) -> std::optional<int> {
    if (const int times = library.countOccurrences(job.id, item, range); times > 0) return times;
    const bool isHeld = std::ranges::all_of(storage::searchWords(item), [&](const std::string& word) {
      return !library.search(job.id, word, 1, range).empty();
    });
    return isHeld ? std::optional(0) : std::nullopt;
  };
  const engine::Generation made = generator_->summarize(book, job.sampling, onText, job.stop, standing);
  result.turn.answer = made.text;
  result.turn.finished = made.end != engine::Generation::End::Stopped;
}

engine::Question EngineWorker::questionOf(const AnswerJob& job, const std::vector<storage::TurnRecord>& earlier,
                                          const std::vector<storage::PassageRecord>& passages) const {
  engine::Question question;
  question.text = job.question.toStdString();
  question.sampling = job.sampling;
  if (job.earlierTurns) question.earlierTurns = turnsBefore(question.text, earlier);
  for (const storage::PassageRecord& passage : passages) question.passages.push_back(passage.text);
  return question;
}

EngineWorker::Source EngineWorker::sourceOf(const engine::BookMemory& book) const {
  auto sections = book.sections();
  if (sections.size() == 1 || !generator_->choosesSections()) return {&book.whole(), {}};
  return {nullptr, std::move(sections)};
}

// Without memory and passages an answer would be the model's own words, not the book's.
engine::Generation EngineWorker::say(const AnswerJob& job, const Source& source, const engine::Question& question,
                                     AnswerResult& result) {
  const bool fromMemory = source.memory || !source.sections.empty();
  if (!fromMemory && question.passages.empty()) {
    if (job.shelf.empty())
      refuse(model_->hasMemory()
                 ? tr("No passage of the book matches the words of the question. Try other words, or ask from memory.")
                 : tr("No passage of the book matches the words of the question. Try other words."));
    refuse(model_->hasMemory()
               ? tr("No passage of these books matches the words of the question. Try other words, or ask from memory.")
               : tr("No passage of these books matches the words of the question. Try other words."));
  }
  const auto onText = [&](std::string_view text) {
    emit piece(job.number, job.id, QString::fromUtf8(text.data(), std::ssize(text)));
  };
  engine::Generation made = source.sections.empty() ? generator_->answer(source.memory, question, onText, job.stop)
                                                    : generator_->answer(source.sections, question, onText, job.stop);
  if (!fromMemory && made.passagesUsed == 0 && made.end != engine::Generation::End::Stopped)
    refuse(tr("The passages that match are too long for the context of %1. Ask from memory, or choose a larger model.")
               .arg(toQt(model_->name())));
  result.recalled = toQt(made.recalled);
  for (const engine::AnswerStep& step : std::span(made.steps).subspan(std::min<std::size_t>(1, made.steps.size())))
    result.furtherQuestions.append(toQt(step.question));
  storage::TurnRecord& turn = result.turn;
  turn.answer = made.text;
  turn.finished = made.end != engine::Generation::End::Stopped;
  return made;
}

// "The book does not say" has no support in the book.
void EngineWorker::quote(const storage::Library& library, bool unknown, const storage::TextRange& range,
                         storage::TurnRecord& turn) {
  if (!unknown) turn.quotes = supportingQuotes(library, turn.documentId, turn.question, turn.answer, range);
  turn.quotesSupport = holdTheAnswer(turn.quotes, turn.question, turn.answer);
  if (turn.quotes.empty()) turn.quotes = nearestQuotes(library, turn.documentId, turn.question, range);
}

// `range`: where passages and quotes may stand.
void EngineWorker::reply(const AnswerJob& job, const engine::BookMemory* book, const storage::TextRange& range,
                         const storage::DocumentRecord& document, AnswerResult& result) {
  const storage::Library library(database());
  storage::TurnRecord& turn = result.turn;
  const ui::AnswerWay way = wayOfName(turn.way);
  std::vector<storage::PassageRecord> passages;
  if (way != ui::AnswerWay::Memory) passages = library.search(job.id, turn.question, kPassages, range);
  auto earlier = storage::ConversationStore(database()).turns(job.id);
  // What was said of the whole book would give away what this part does not know.
  if (job.part.kind != storage::BookPart::Kind::Whole)
    std::erase_if(earlier, [&](const storage::TurnRecord& other) { return other.part != turn.part; });
  const Source source = book ? sourceOf(*book) : Source();
  const engine::Generation made = say(job, source, questionOf(job, earlier, passages), result);
  // None gave an answer that was stopped before its first word.
  if (const auto section = made.lastSection(); section && !made.text.empty()) {
    result.section = static_cast<int>(*section);
    result.sections = static_cast<int>(source.sections.size());
    result.doubt = made.largestDoubt();
  }
  turn.pagesReread =
      countReread(std::span(passages).first(static_cast<std::size_t>(made.passagesUsed)), document.pageCount > 0);
  quote(library, made.unknown, range, turn);
}

}  // namespace palimpsest::app
