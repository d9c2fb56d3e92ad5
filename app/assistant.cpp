#include "app/assistant.h"

#include <algorithm>

#include "app/assistant_parts.h"
#include "app/words.h"

namespace palimpsest::app {

using storage::DocumentState;

namespace {

// On the UI thread a lock of some other program is answered at once. Palimpsest's own writer takes none that a reader
// in WAL mode would meet.
constexpr int kBusyMilliseconds = 50;

// A library of an older Palimpsest is brought up to date first, which takes the writer lock for a moment.
storage::Database openForReading(const std::filesystem::path& file) {
  try {
    return storage::Database::open(file, storage::Access::ReadOnly);
  } catch (const storage::DatabaseError& error) {
    if (error.reason() != storage::DatabaseError::Reason::OlderVersion) throw;
  }
  storage::Database::open(file, storage::Access::ReadWrite);
  return storage::Database::open(file, storage::Access::ReadOnly);
}

}  // namespace

Assistant::Parts::Parts(Assistant* assistant, AssistantOptions given) : self(assistant), options(std::move(given)) {
  errands.setMaxThreadCount(2);
  engineThread.setObjectName(QStringLiteral("engine"));
  engine =
      new EngineWorker({options.database, options.threads, options.device, options.weights, options.checkpointSeconds},
                       [this](auto memory) { saveMemory(std::move(memory)); });
  engine->moveToThread(&engineThread);
  QObject::connect(engine, &EngineWorker::modelLoaded, self,
                   [this](quint64 number, const auto& status, const auto& loaded) {
                     if (number == loadNumber) modelLoaded(status, loaded);  // else another folder was chosen since
                   });
  QObject::connect(engine, &EngineWorker::progressed, self, [this](const auto& progress) { progressed(progress); });
  QObject::connect(engine, &EngineWorker::readingEnded, self, [this](const auto& end) { readingEnded(end); });
  QObject::connect(engine, &EngineWorker::notice, self, &Assistant::notice);
  QObject::connect(engine, &EngineWorker::piece, self,
                   [this](quint64 number, qint64, const QString& text) { piece(number, text); });
  QObject::connect(engine, &EngineWorker::answered, self, [this](const auto& result) { answered(result); });
  engineThread.start();
}

Assistant::Parts::~Parts() {
  quitting.request_stop();
  loading.request_stop();
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
  if (p.options.loadModel) p.loadModel();
  if (p.options.readOnly) {
    p.isReadOnly = true;
    p.openReader();
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
  problem = Assistant::tr(
                "%1 Here you can look, ask and export; books are added and removed there, and answers given here are "
                "not kept.")
                .arg(outcome.problem);
  openReader();
}

// Away from this thread: the file may be locked by another program, and a library has many covers.
void Assistant::Parts::openReader() {
  errand([file = options.database, watching = isReadOnly] { return loadLibrary(file, watching); },
         [this](Opened& library) { loaded(library); },
         [this](const QString& reason) {
           problem = reason;  // first: whoever hears of it asks for it
           fail(problem);
         });
}

Assistant::Parts::Opened Assistant::Parts::loadLibrary(const std::filesystem::path& database, bool watching) {
  Opened library;
  library.connection.emplace(openForReading(database));
  if (watching) {
    library.watched =
        std::make_shared<Watched>(Watched{storage::Database::open(database, storage::Access::ReadOnly), 0});
    library.watched->version = library.watched->connection.dataVersion();  // before the books: what comes after is news
  }
  library.books = loadBooks(*library.connection, {});
  return library;
}

std::vector<Assistant::Parts::Entry> Assistant::Parts::loadBooks(storage::Database& database,
                                                                 const std::set<qint64>& covered) {
  const storage::Library library(database);
  const storage::MemoryStore memories(database);
  std::vector<Entry> books;
  for (storage::DocumentRecord& document : library.list()) {
    Entry& entry = books.emplace_back();
    entry.memories = memories.list(document.id);
    if (!covered.contains(document.id)) entry.cover = toQt(library.cover(document.id));
    entry.document = std::move(document);
  }
  return books;
}

void Assistant::Parts::loaded(Opened& library) {
  reader = std::move(library.connection);
  reader->setBusyTimeout(kBusyMilliseconds);
  for (Entry& book : library.books) {
    Entry& entry = entries[book.document.id];
    entry = std::move(book);
    rebuild(entry);
  }
  watched = std::move(library.watched);
  if (watched) watch();
  isOpen = true;
  emit self->libraryReset();
  if (!problem.isEmpty()) fail(problem);
  // Oldest first: the order in which they were added.
  if (options.resumeReading && !isReadOnly)
    for (auto& [id, entry] : entries) takeUp(entry);
  schedule();
}

// A file that takes the program down must not do so at every start: after the second time it is left alone.
void Assistant::Parts::takeUp(Entry& entry) {
  const DocumentState state = entry.document.state;
  if (state == DocumentState::Extracting) {
    entry.attempts = QString::fromStdString(entry.document.failureKind).section(u' ', 1).toInt();  // "attempt 1"
    if (entry.attempts >= 2)
      return setState(
          entry, DocumentState::Failed,
          Assistant::tr("Palimpsest ended twice while it was taking the text from this file. Retry tries once more."));
  }
  if (state == DocumentState::Waiting || state == DocumentState::Extracting || state == DocumentState::Reading)
    enqueue(entry);
}

void Assistant::Parts::loadModel() {
  loading.request_stop();
  loading = std::stop_source();
  identity = {};  // nothing new is read until the model is known
  modelStatus = {};
  modelStatus.loading = true;
  // Its checkpoint is the old model's; it waits its turn again and is then read with the new one.
  if (Entry* entry = readingId ? find(*readingId) : nullptr; entry && entry->job) entry->job->request_stop();
  QMetaObject::invokeMethod(
      engine,
      [worker = engine, number = ++loadNumber, folder = options.modelFolder, stop = loading.get_token()] {
        worker->load(number, folder, stop);
      },
      Qt::QueuedConnection);
  emit self->modelChanged(modelStatus);
}

void Assistant::useModel(const QString& folder) {
  parts_->options.modelFolder = toPath(folder);
  parts_->loadModel();
}

void Assistant::Parts::modelLoaded(const ui::ModelStatus& status, const ModelIdentity& loaded) {
  modelStatus = status;
  identity = loaded;
  emit self->modelChanged(modelStatus);
  for (auto& [id, entry] : entries) {
    const ui::LibraryItem before = entry.item;
    rebuild(entry);
    if (entry.item != before) changed(entry);
  }
  schedule();
}

bool Assistant::Parts::mayWrite(const QString& wish) {
  if (isOpen && !isReadOnly) return true;
  if (isReadOnly)
    fail(Assistant::tr("%1 is not possible while another Palimpsest is using the library. Close it, or do it there.")
             .arg(wish));
  else
    fail(problem.isEmpty() ? Assistant::tr("%1 is not possible: the library is not open yet.").arg(wish) : problem);
  return false;
}

Assistant::Parts::Entry* Assistant::Parts::find(qint64 id) {
  const auto found = entries.find(id);
  return found == entries.end() || found->second.removing ? nullptr : &found->second;
}

void Assistant::Parts::remember(Entry& entry, const storage::MemoryRecord& header) {
  std::erase_if(entry.memories, [&](const auto& memory) { return memory.fingerprint == header.fingerprint; });
  entry.memories.insert(entry.memories.begin(), header);
}

void Assistant::Parts::rebuild(Entry& entry) {
  entry.item = reading(
      [&](storage::Database& database) {
        return makeItem(storage::Library(database), entry.document, entry.memories, identity);
      },
      entry.item);
  entry.item.cover = entry.cover;
  QStringList notes = {entry.note, entry.item.note};
  if (entry.document.state == DocumentState::Waiting && !modelStatus.problem.isEmpty() && entry.document.textBytes > 0)
    notes << Assistant::tr("Waits for a model");
  entry.item.note = joinNotes(notes);
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

QString Assistant::problem() const { return parts_->isOpen ? QString() : parts_->problem; }

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

void Assistant::fetchText(qint64 id) {
  Parts& p = *parts_;
  p.errand(
      [id, file = p.options.database] {
        storage::Database database = storage::Database::open(file, storage::Access::ReadOnly);
        return toQt(storage::Library(database).text(id));
      },
      [this, id](const QString& text) { emit textFetched(id, text); });
}

}  // namespace palimpsest::app
