// The Assistant's verbs for conversations: asking, summing up, exporting.
#include <algorithm>

#include "app/assistant_parts.h"
#include "app/export.h"
#include "app/words.h"

namespace palimpsest::app {

void Assistant::ask(qint64 id, const QString& question, ui::AnswerWay way, const Sampling& sampling,
                    const ui::BookPart& part) {
  ui::ConversationItem item;
  item.question = question.trimmed();
  item.way = way;
  item.part = part;
  if (item.question.isEmpty()) return parts_->fail(tr("There is no question to answer."));
  if (part.kind != ui::BookPart::Kind::Whole && !parts_->booksOf(id).empty())
    return parts_->fail(tr("A chapter is of one book: choose one."));
  parts_->ask(id, item, sampling);
}

void Assistant::summarize(qint64 id, const ui::BookPart& part) {
  if (!parts_->booksOf(id).empty()) return parts_->fail(tr("A summary is made of one book: choose one."));
  ui::ConversationItem item;
  item.part = part;
  item.isSummary = true;
  parts_->ask(id, item, {});
}

QList<ui::Chapter> Assistant::chapters(qint64 id) const {
  const auto entry = parts_->entries.find(id);
  if (entry == parts_->entries.end()) return {};
  const auto& memories = entry->second.memories;
  const ModelIdentity& model = parts_->identity;
  const auto memory = model.loaded || memories.empty() ? memoryOf(memories, model) : std::optional(memories.front());
  return parts_->reading(
      [&](storage::Database& database) { return makeChapters(database, id, memory ? &*memory : nullptr); },
      QList<ui::Chapter>());
}

qint64 Assistant::shelf(const QList<qint64>& books) {
  std::vector<storage::Id> there;
  for (const qint64 id : books)
    if (parts_->find(id)) there.push_back(id);
  std::ranges::sort(there);
  there.erase(std::unique(there.begin(), there.end()), there.end());
  if (there.empty()) return 0;
  if (there.size() == 1) return there.front();
  auto& shelves = parts_->shelves;
  const auto known = std::ranges::find(shelves, there);
  const qint64 id = -1 - (known - shelves.begin());
  if (known == shelves.end()) shelves.push_back(std::move(there));
  return id;
}

std::vector<storage::Id> Assistant::Parts::booksOf(qint64 shelf) const {
  return shelf < 0 && -shelf <= std::ssize(shelves) ? shelves[static_cast<std::size_t>(-1 - shelf)]
                                                    : std::vector<storage::Id>();
}

// Those that are still in the library.
std::vector<storage::DocumentRecord> Assistant::Parts::documentsOf(const std::vector<storage::Id>& books) const {
  std::vector<storage::DocumentRecord> documents;
  for (const storage::Id id : books)
    if (const auto entry = entries.find(id); entry != entries.end()) documents.push_back(entry->second.document);
  return documents;
}

bool Assistant::Parts::isThere(qint64 id) {
  const std::vector<storage::Id> books = booksOf(id);
  const bool there =
      books.empty() ? find(id) != nullptr : std::ranges::all_of(books, [&](auto book) { return find(book); });
  if (!there)
    fail(books.empty() ? Assistant::tr("This book is no longer in the library.")
                       : Assistant::tr("A book of this shelf is no longer in the library."));
  return there;
}

void Assistant::Parts::ask(qint64 id, const ui::ConversationItem& asked, const Sampling& sampling) {
  if (!isThere(id)) return;
  const quint64 number = nextAnswer++;
  Answering& answering = answers[number];
  answering.document = id;
  answering.item = asked;
  answering.item.streaming = true;
  answering.item.at = QDateTime::currentDateTime();
  if (asked.part.kind != ui::BookPart::Kind::Whole) answering.item.chapterTitle = chapterTitle(id, asked.part.chapter);
  AnswerJob job;
  job.number = number;
  job.id = id;
  job.shelf = booksOf(id);
  job.summary = asked.isSummary;
  job.part = storedPart(asked.part);
  job.question = asked.question;
  job.way = asked.way;
  job.earlierTurns = options.keepConversations;
  job.sampling.temperature = static_cast<float>(sampling.temperature);
  job.sampling.topP = static_cast<float>(sampling.topP);
  job.sampling.seed = sampling.seed;
  job.stop = answering.stop.get_token();
  emit self->answerStarted(id, answering.item);
  // A book is asked where its newest memory is; not all of it may be stored yet.
  Engine* holds = holderOf(id);
  Engine& engine = holds ? *holds : firstEngine();
  engine.post([worker = engine.worker, job] { worker->answer(job); });
}

QString Assistant::Parts::chapterTitle(qint64 book, int ordinal) const {
  return reading(
      [&](storage::Database& database) {
        const auto chapters = storage::Library(database).chapters(book);
        const auto chapter = std::ranges::find(chapters, ordinal, &storage::ChapterRecord::ordinal);
        return chapter == chapters.end() ? QString() : toQt(chapter->title);
      },
      QString());
}

void Assistant::stopAnswer() {
  for (auto& [number, answering] : parts_->answers)
    if (!answering.made) answering.stop.request_stop();
}

void Assistant::Parts::piece(quint64 number, const QString& text) {
  const auto found = answers.find(number);
  if (found == answers.end()) return;
  found->second.item.answer += text;
  emit self->answerText(found->second.document, text);
}

void Assistant::Parts::answered(const AnswerResult& result) {
  const auto found = answers.find(result.number);
  if (found == answers.end()) return;
  found->second.made = true;
  ui::ConversationItem& item = found->second.item;
  if (!result.problem.isEmpty()) {
    item.error = result.problem;
    Entry* entry = find(result.refusedBook);
    if (entry && !entry->job) setState(*entry, storage::DocumentState::Failed, result.problem, "memory");
    return finishAnswer(result.number);
  }
  const auto book = entries.find(result.id);  // not there: removed in the meantime
  const storage::DocumentRecord document = book == entries.end() ? storage::DocumentRecord() : book->second.document;
  const QDateTime at = item.at;
  const auto complete = [&](storage::Database& database) {
    const storage::Library library(database);
    storage::SummaryRecord summary;
    summary.text = result.turn.answer;
    summary.coverage = result.turn.coverage;
    summary.finished = result.turn.finished;
    summary.part = result.turn.part;
    return result.summary               ? makeConversationItem(library, document, summary)
           : !result.turn.shelf.empty() ? makeConversationItem(documentsOf(result.turn.shelf), result.turn)
                                        : makeConversationItem(library, document, result.turn);
  };
  item = reading(complete, item);
  item.at = at;
  item.section = result.section;
  item.sections = result.sections;
  item.doubt = result.doubt;
  item.recalled = result.recalled;
  item.furtherQuestions = result.furtherQuestions;
  keep(result);
}

// Stores the answer where that is wished, and then says that it is finished.
void Assistant::Parts::keep(const AnswerResult& result) {
  const bool nothing = result.turn.answer.empty() && !result.turn.finished;
  if (isReadOnly || nothing || (!options.keepConversations && !result.summary)) return finishAnswer(result.number);
  auto stored = std::make_shared<storage::Id>(0);
  writer.perform(
      [result, stored](storage::Database& database) {
        storage::ConversationStore conversations(database);
        const storage::TurnRecord& turn = result.turn;
        *stored = result.summary ? conversations.addSummary({0, turn.documentId, turn.answer, turn.coverage,
                                                             turn.finished, turn.modelName, 0, turn.part})
                                 : conversations.addTurn(turn);
      },
      self,
      [this, number = result.number, stored](const WriteOutcome& outcome) {
        if (!outcome.ok()) fail(Assistant::tr("The answer is shown but could not be kept. %1").arg(outcome.problem));
        if (const auto found = answers.find(number); found != answers.end()) found->second.item.id = *stored;
        finishAnswer(number);
      });
}

void Assistant::Parts::finishAnswer(quint64 number) {
  auto node = answers.extract(number);
  if (node.empty()) return;
  ui::ConversationItem& item = node.mapped().item;
  item.streaming = false;
  emit self->answerFinished(node.mapped().document, item);
}

QList<ui::ConversationItem> Assistant::conversation(qint64 id) const {
  const Parts& p = *parts_;
  const std::vector<storage::Id> books = p.booksOf(id);
  if (books.empty() && !p.entries.contains(id)) return {};
  auto items = p.reading(
      [&](storage::Database& database) {
        return books.empty() ? p.stored(database, id) : p.storedOfShelf(database, books);
      },
      QList<ui::ConversationItem>());
  for (const auto& [number, answering] : p.answers)
    if (answering.document == id) items.append(answering.item);
  return items;
}

QList<ui::ConversationItem> Assistant::Parts::stored(storage::Database& database, qint64 id) const {
  const storage::DocumentRecord& document = entries.at(id).document;
  const storage::Library library(database);
  const storage::ConversationStore conversations(database);
  QList<ui::ConversationItem> items;
  for (const auto& turn : conversations.turns(id)) items.append(makeConversationItem(library, document, turn));
  const auto summaries = conversations.summaries(id);
  for (auto summary = summaries.rbegin(); summary != summaries.rend(); ++summary)
    items.append(makeConversationItem(library, document, *summary));
  std::stable_sort(items.begin(), items.end(), [](const auto& a, const auto& b) { return a.at < b.at; });
  return items;
}

QList<ui::ConversationItem> Assistant::Parts::storedOfShelf(storage::Database& database,
                                                            const std::vector<storage::Id>& books) const {
  const std::vector<storage::DocumentRecord> documents = documentsOf(books);
  QList<ui::ConversationItem> items;
  for (const auto& turn : storage::ConversationStore(database).shelfTurns(books))
    items.append(makeConversationItem(documents, turn));
  return items;
}

void Assistant::clearConversation(qint64 id) {
  Parts& p = *parts_;
  const std::vector<storage::Id> books = p.booksOf(id);
  if ((books.empty() && !p.find(id)) || !p.mayWrite(tr("Clearing a conversation"))) return;
  p.writer.perform(
      [id, books](storage::Database& database) {
        storage::ConversationStore conversations(database);
        books.empty() ? conversations.clear(id) : conversations.clearShelf(books);
      },
      this,
      [this, &p, id](const WriteOutcome& outcome) {
        if (!outcome.ok()) return p.fail(outcome.problem);
        emit conversationCleared(id);
      });
}

void Assistant::exportDocument(qint64 id, const QString& file, ExportFormat format) {
  Parts& p = *parts_;
  if (!p.isThere(id)) return;
  const std::vector<storage::Id> books = p.booksOf(id);
  p.errand(
      [file, format, library = p.options.database,
       documents = p.documentsOf(books.empty() ? std::vector<storage::Id>{id} : books)] {
        storage::Database database = storage::Database::open(library, storage::Access::ReadOnly);
        writeExport(
            documents.size() == 1 ? collectExport(database, documents.front()) : collectExport(database, documents),
            file, format);
        return file;
      },
      [this, id](const QString& written) { emit exported(id, written); });
}

}  // namespace palimpsest::app
