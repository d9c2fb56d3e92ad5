#include "app/assistant.h"

#include <algorithm>

#include "app/assistant_parts.h"
#include "app/words.h"

namespace palimpsest::app {

using storage::DocumentState;

Assistant::Parts::Parts(Assistant* assistant, AssistantOptions given) : self(assistant), options(std::move(given)) {
  errands.setMaxThreadCount(2);
  engineThread.setObjectName(QStringLiteral("engine"));
  engine = new EngineWorker({options.database, options.modelFolder, options.threads, options.checkpointSeconds},
                            [this](auto memory) { saveMemory(std::move(memory)); });
  engine->moveToThread(&engineThread);
  QObject::connect(engine, &EngineWorker::modelLoaded, self,
                   [this](const auto& status, const auto& loaded) { modelLoaded(status, loaded); });
  QObject::connect(engine, &EngineWorker::progressed, self, [this](const auto& progress) { progressed(progress); });
  QObject::connect(engine, &EngineWorker::readingEnded, self, [this](const auto& end) { readingEnded(end); });
  QObject::connect(engine, &EngineWorker::piece, self,
                   [this](quint64 number, qint64, const QString& text) { piece(number, text); });
  QObject::connect(engine, &EngineWorker::answered, self, [this](const auto& result) { answered(result); });
  engineThread.start();
}

Assistant::Parts::~Parts() {
  quitting.request_stop();
  for (auto& [id, entry] : entries)
    if (entry.job) entry.job->request_stop();
  for (auto& [number, answering] : answers) answering.stop.request_stop();
  QMetaObject::invokeMethod(engine, &EngineWorker::finish, Qt::QueuedConnection);
  engineThread.wait();
  delete engine;
  errands.waitForDone();
  // Leaving in order is no crash: see takeUp().
  if (const Entry* entry = extractingId ? find(*extractingId) : nullptr)
    writer.perform(
        [id = entry->document.id](storage::Database& database) {
          storage::Library(database).setState(id, DocumentState::Waiting);
        },
        self, {});
  reader.reset();  // before the writer, whose connection tidies the file when it is the last one
}

Assistant::Assistant(AssistantOptions options, QObject* parent)
    : QObject(parent), parts_(std::make_unique<Parts>(this, std::move(options))) {}

Assistant::~Assistant() = default;

void Assistant::start() {
  Parts& p = *parts_;
  if (p.options.loadModel) {
    p.modelStatus.loading = true;
    QMetaObject::invokeMethod(
        p.engine, [engine = p.engine, stop = p.quitting.get_token()] { engine->load(stop); }, Qt::QueuedConnection);
    emit modelChanged(p.modelStatus);
  }
  if (p.options.readOnly) {
    p.isReadOnly = true;
    QMetaObject::invokeMethod(
        this, [&p] { p.openReader(); }, Qt::QueuedConnection);
  } else {
    p.writer.open(p.options.database, p.options.databaseLimit, this,
                  [&p](const WriteOutcome& outcome) { p.opened(outcome); });
  }
}

void Assistant::Parts::opened(const WriteOutcome& outcome) {
  if (outcome.ok()) return openReader();
  if (outcome.reason != storage::DatabaseError::Reason::Busy) {
    problem = outcome.problem;
    return fail(problem);
  }
  // Another Palimpsest writes: looking and asking work all the same.
  isReadOnly = true;
  openReader();
  if (isOpen)
    fail(outcome.problem + QStringLiteral(" Here you can look, ask and export; books are added and removed there, and "
                                          "answers given here are not kept."));
}

void Assistant::Parts::openReader() {
  try {
    reader.emplace(storage::Database::open(options.database, storage::Access::ReadOnly));
    const storage::Library library(*reader);
    const auto documents = library.list();
    for (const storage::DocumentRecord& document : documents) {
      Entry& entry = entries[document.id];
      entry.document = document;
      rebuild(entry);
    }
    isOpen = true;
    emit self->libraryReset();
    // Oldest first: the order in which they were added.
    if (options.resumeReading && !isReadOnly)
      for (auto& [id, entry] : entries) takeUp(entry);
    schedule();
  } catch (const std::exception& error) {
    problem = QString::fromUtf8(error.what());
    fail(problem);
  }
}

// A file that takes the program down must not do so at every start: after the second time it is left alone.
void Assistant::Parts::takeUp(Entry& entry) {
  const DocumentState state = entry.document.state;
  if (state == DocumentState::Extracting) {
    entry.attempts = QString::fromStdString(entry.document.failureKind).section(u' ', 1).toInt();  // "attempt 1"
    if (entry.attempts >= 2)
      return setState(
          entry, DocumentState::Failed,
          QStringLiteral("Palimpsest ended twice while it was taking the text from this file. Retry tries once more."));
  }
  if (state == DocumentState::Waiting || state == DocumentState::Extracting || state == DocumentState::Reading)
    enqueue(entry);
}

void Assistant::Parts::modelLoaded(const ui::ModelStatus& status, const ModelIdentity& loaded) {
  modelStatus = status;
  identity = loaded;
  emit self->modelChanged(modelStatus);
  for (auto& [id, entry] : entries) {
    rebuild(entry);
    changed(entry);
  }
  schedule();
}

bool Assistant::Parts::mayWrite(const QString& wish) {
  if (isOpen && !isReadOnly) return true;
  if (isReadOnly)
    fail(QStringLiteral("%1 is not possible while another Palimpsest is using the library. Close it, or do it there.")
             .arg(wish));
  else
    fail(problem.isEmpty() ? QStringLiteral("%1 is not possible: the library is not open yet.").arg(wish) : problem);
  return false;
}

Assistant::Parts::Entry* Assistant::Parts::find(qint64 id) {
  const auto found = entries.find(id);
  return found == entries.end() || found->second.removing ? nullptr : &found->second;
}

void Assistant::Parts::rebuild(Entry& entry) {
  entry.item = reading(
      [&](storage::Database& database) {
        const storage::Library library(database);
        ui::LibraryItem item =
            makeItem(library, entry.document, storage::MemoryStore(database).list(entry.document.id), identity);
        const auto cover = library.cover(entry.document.id);
        item.cover = QByteArray(reinterpret_cast<const char*>(cover.data()), std::ssize(cover));
        return item;
      },
      entry.item);
  QStringList notes = {entry.note, entry.item.note};
  if (entry.document.state == DocumentState::Waiting && !modelStatus.problem.isEmpty() && entry.document.textBytes > 0)
    notes << QStringLiteral("Waits for a model");
  notes.removeAll(QString());
  entry.item.note = notes.join(QStringLiteral(". "));
}

void Assistant::Parts::setState(Entry& entry, DocumentState state, const QString& failure, const std::string& kind) {
  entry.document.state = state;
  entry.document.failure = failure.toStdString();
  entry.document.failureKind = kind;
  rebuild(entry);
  changed(entry);
  if (isReadOnly) return;
  const qint64 id = entry.document.id;
  writer.perform([id, state, text = entry.document.failure,
                  kind](storage::Database& database) { storage::Library(database).setState(id, state, text, kind); },
                 self,
                 [this](const WriteOutcome& outcome) {
                   if (!outcome.ok()) fail(outcome.problem);
                 });
}

bool Assistant::readOnly() const { return parts_->isReadOnly; }

QString Assistant::problem() const { return parts_->problem; }

QList<ui::LibraryItem> Assistant::library() const {
  std::vector<const Parts::Entry*> shown;
  for (const auto& [id, entry] : parts_->entries) shown.push_back(&entry);
  std::stable_sort(shown.begin(), shown.end(), [](const auto* a, const auto* b) {
    return std::pair(a->document.addedAt, a->document.id) > std::pair(b->document.addedAt, b->document.id);
  });
  QList<ui::LibraryItem> items;
  for (const Parts::Entry* entry : shown) items.append(entry->item);
  return items;
}

std::optional<ui::LibraryItem> Assistant::item(qint64 id) const {
  const auto found = parts_->entries.find(id);
  return found == parts_->entries.end() ? std::nullopt : std::optional(found->second.item);
}

QList<qint64> Assistant::match(const QString& words) const {
  return parts_->reading(
      [&](storage::Database& database) {
        QList<qint64> ids;
        for (const auto& document : storage::Library(database).match(words.toStdString())) ids.append(document.id);
        return ids;
      },
      QList<qint64>());
}

ui::ModelStatus Assistant::model() const { return parts_->modelStatus; }

QString Assistant::storedText(qint64 id) const {
  return parts_->reading([&](storage::Database& database) { return toQt(storage::Library(database).text(id)); },
                         QString());
}

}  // namespace palimpsest::app
