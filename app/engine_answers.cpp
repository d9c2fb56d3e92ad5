// The part of EngineWorker that answers and sums up.
#include <algorithm>
#include <limits>
#include <set>

#include "app/engine_worker.h"
#include "app/quote_finder.h"
#include "app/words.h"
#include "engine/errors.h"
#include "storage/conversation_store.h"
#include "storage/library.h"
#include "storage/memory_store.h"

namespace palimpsest::app {

namespace {

constexpr int kPassages = 6;  // put before the question
constexpr std::size_t kEarlierTurns = 2;

[[noreturn]] void refuse(const QString& sentence) { throw std::runtime_error(sentence.toStdString()); }

std::vector<engine::Turn> earlierTurns(const storage::ConversationStore& conversations, qint64 id) {
  std::vector<engine::Turn> turns;
  for (storage::TurnRecord& turn : conversations.turns(id))
    if (turn.finished) turns.push_back({std::move(turn.question), std::move(turn.answer)});
  if (turns.size() > kEarlierTurns)
    turns.erase(turns.begin(), turns.end() - static_cast<std::ptrdiff_t>(kEarlierTurns));
  return turns;
}

// Pages, or passages where the format has none.
int countReread(const std::vector<storage::PassageRecord>& passages, int used, int pageCount) {
  const auto end = passages.begin() + std::min<std::ptrdiff_t>(used, std::ssize(passages));
  if (pageCount == 0) return static_cast<int>(end - passages.begin());
  std::set<int> pages;
  std::for_each(passages.begin(), end, [&](const auto& passage) { pages.insert(passage.page); });
  return static_cast<int>(pages.size());
}

}  // namespace

// The memory of the book that is being read just now, or the one that is stored; nullptr: nothing of it was read.
const EngineWorker::Held* EngineWorker::memoryFor(qint64 id) {
  if (reading_ && reading_->held.id == id) return reading_->held.reading.position > 0 ? &reading_->held : nullptr;
  if (held_ && held_->id == id) return &*held_;
  const auto stored = storage::MemoryStore(database()).load(id, model_->fingerprint());
  if (!stored) return nullptr;
  engine::MemorySnapshot snapshot = engine::loadSnapshot(*model_, stored->snapshot);
  held_ = Held{id, std::move(snapshot.memory), snapshot.reading};
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
  result.turn.question = job.question.toStdString();
  result.turn.way = nameOfWay(job.way);
  try {
    if (!model_) refuse(loadProblem_.isEmpty() ? tr("No model is loaded.") : loadProblem_);
    compose(job, result);
  } catch (const engine::SnapshotError& error) {
    result.memoryRefused = true;
    result.problem = tr("%1 Retry reads the book again from its stored text.").arg(asSentence(error));
  } catch (const std::exception& error) {
    result.problem = asSentence(error);
  }
  emit answered(result);
}

void EngineWorker::compose(const AnswerJob& job, AnswerResult& result) {
  const auto document = storage::Library(database()).find(job.id);
  if (!document) refuse(tr("This book is no longer in the library."));
  if (document->textBytes == 0) refuse(tr("The text of this book has not been taken from its file yet."));
  const ui::AnswerWay way = possibleWay(job.way);
  result.turn.way = nameOfWay(way);
  result.turn.modelName = model_->name();
  const bool needsMemory = job.summary || way != ui::AnswerWay::Passages;
  if (job.summary && !model_->hasMemory())
    refuse(tr("%1 has no memory, and a summary is made from memory. Choose a model with memory heads.")
               .arg(toQt(model_->name())));
  const Held* held = needsMemory ? memoryFor(job.id) : nullptr;
  if (needsMemory && !held)
    refuse(tr("%1 has not read this book yet, so it remembers nothing of it. Let it read first, or ask "
              "from passages only.")
               .arg(toQt(model_->name())));
  if (held && !held->reading.complete && document->textBytes > 0)
    result.turn.coverage =
        std::min(0.999, static_cast<double>(held->reading.position) / static_cast<double>(document->textBytes));
  job.summary ? sumUp(job, held, result) : reply(job, held, *document, result);
}

void EngineWorker::sumUp(const AnswerJob& job, const Held* held, AnswerResult& result) {
  const auto onText = [&](std::string_view text) {
    emit piece(job.number, job.id, QString::fromUtf8(text.data(), std::ssize(text)));
  };
  const engine::Generation made = generator_->summarize(held->memory, job.sampling, onText, job.stop);
  result.turn.answer = made.text;
  result.turn.finished = made.end != engine::Generation::End::Stopped;
}

void EngineWorker::reply(const AnswerJob& job, const Held* held, const storage::DocumentRecord& document,
                         AnswerResult& result) {
  const storage::Library library(database());
  engine::Question question;
  question.text = result.turn.question;
  question.sampling = job.sampling;
  if (job.earlierTurns) question.earlierTurns = earlierTurns(storage::ConversationStore(database()), job.id);
  std::vector<storage::PassageRecord> passages;
  if (wayOfName(result.turn.way) != ui::AnswerWay::Memory) passages = library.search(job.id, question.text, kPassages);
  if (!held && passages.empty())
    refuse(model_->hasMemory()
               ? tr("No passage of the book matches the words of the question. Try other words, or ask from memory.")
               : tr("No passage of the book matches the words of the question. Try other words."));
  for (const storage::PassageRecord& passage : passages) question.passages.push_back(passage.text);

  const auto onText = [&](std::string_view text) {
    emit piece(job.number, job.id, QString::fromUtf8(text.data(), std::ssize(text)));
  };
  const engine::Generation made = generator_->answer(held ? &held->memory : nullptr, question, onText, job.stop);
  // Without memory and passages these would be the model's own words, not the book's.
  if (!held && made.passagesUsed == 0 && made.end != engine::Generation::End::Stopped)
    refuse(tr("The passages that match are too long for the context of %1. Ask from memory, or choose a larger model.")
               .arg(toQt(model_->name())));
  storage::TurnRecord& turn = result.turn;
  turn.answer = made.text;
  turn.finished = made.end != engine::Generation::End::Stopped;
  turn.pagesReread = countReread(passages, made.passagesUsed, document.pageCount);
  const bool partly = held && !held->reading.complete && wayOfName(turn.way) == ui::AnswerWay::Memory;
  const std::int64_t readUpTo = partly ? held->reading.position : std::numeric_limits<std::int64_t>::max();
  // "The book does not say" has no support in the book.
  if (!made.unknown) turn.quotes = supportingQuotes(library, job.id, turn.question, turn.answer, readUpTo);
  turn.quotesSupport = holdTheAnswer(turn.quotes, turn.question, turn.answer);
  if (turn.quotes.empty()) turn.quotes = nearestQuotes(library, job.id, turn.question, readUpTo);
}

}  // namespace palimpsest::app
