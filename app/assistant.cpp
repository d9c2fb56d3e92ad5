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
  for (const engine::DeviceChoice& device : options.devices) {
    Engine& engine = engines.emplace_back();
    engine.device = device;
    startEngine(engine);
  }
}

void Assistant::Parts::startEngine(Engine& engine) {
  engine.thread.setObjectName(QStringLiteral("engine"));
  engine.worker = new EngineWorker(
      {options.database, options.threads, engine.device, options.weights, options.checkpointSeconds, options.makeModel},
      [this, &engine](auto memory) { saveMemory(engine, std::move(memory)); });
  EngineWorker* worker = engine.worker;
  worker->moveToThread(&engine.thread);
  QObject::connect(worker, &EngineWorker::modelLoaded, self,
                   [this, &engine](quint64 number, const auto& status, const auto& loaded) {
                     if (number == loadNumber) modelLoaded(engine, status, loaded);  // else another was chosen since
                   });
  QObject::connect(worker, &EngineWorker::progressed, self, [this](const auto& progress) { progressed(progress); });
  QObject::connect(worker, &EngineWorker::readingEnded, self,
                   [this, &engine](const auto& end) { readingEnded(engine, end); });
  QObject::connect(worker, &EngineWorker::notice, self, &Assistant::notice);
  QObject::connect(worker, &EngineWorker::piece, self,
                   [this](quint64 number, qint64, const QString& text) { piece(number, text); });
  QObject::connect(worker, &EngineWorker::answered, self, [this](const auto& result) { answered(result); });
  engine.thread.start();
}

Assistant::Parts::~Parts() {
  quitting.request_stop();
  loading.request_stop();
  for (auto& [id, entry] : entries)
    if (entry.job) entry.job->request_stop();
  for (auto& [number, answering] : answers) answering.stop.request_stop();
  for (Engine& engine : engines) engine.post([worker = engine.worker] { worker->finish(); });
  for (Engine& engine : engines) {
    engine.thread.wait();
    delete engine.worker;
  }
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
    p.openReader(true);
  } else {
    p.writer.open(p.options.database, p.options.databaseLimit, this,
                  [&p](const WriteOutcome& outcome) { p.opened(outcome); });
  }
}

void Assistant::Parts::opened(const WriteOutcome& outcome) {
  if (outcome.ok()) return openReader(false);
  using Reason = storage::DatabaseError::Reason;
  std::error_code unknown;
  usedElsewhere = outcome.reason == Reason::Busy;
  if (!usedElsewhere &&
      (outcome.reason != Reason::CannotOpen || !std::filesystem::is_regular_file(options.database, unknown))) {
    problem = outcome.problem;
    return fail(problem);
  }
  // Looking and asking work all the same.
  const QString here = usedElsewhere ? Assistant::tr(
                                           "Here you can look, ask and export; books are added and removed "
                                           "there, and answers given here are not kept.")
                                     : Assistant::tr("You can look, ask and export; answers are not kept.");
  problem = outcome.problem + QLatin1Char(' ') + here;
  openReader(true);
}

// Away from this thread: the file may be locked by another program, and a library has many covers.
void Assistant::Parts::openReader(bool watching) {
  errand([file = options.database, watching] { return loadLibrary(file, watching); },
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
  for (const auto& [id, entry] : std::exchange(entries, {})) forget(id);  // another one may have read them anew
  for (Entry& book : library.books) {
    Entry& entry = entries[book.document.id];
    entry = std::move(book);
    rebuild(entry);
  }
  watched = std::move(library.watched);
  isReadOnly = watched != nullptr;
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
  ++loadNumber;
  for (Engine& engine : engines) {
    engine.status = modelStatus;
    engine.identity = {};
    engine.failedId.reset();
    engine.latestId.reset();
    // Its checkpoint is the old model's; the book waits its turn again and is then read with the new one.
    if (Entry* entry = engine.readingId ? find(*engine.readingId) : nullptr; entry && entry->job)
      entry->job->request_stop();
    engine.post([worker = engine.worker, number = loadNumber, folder = options.modelFolder,
                 stop = loading.get_token()] { worker->load(number, folder, stop); });
  }
  emit self->modelChanged(modelStatus);
}

// Cards of one kind differ in their number alone.
QString Assistant::Parts::Engine::name() const {
  return device.kind == engine::DeviceChoice::Kind::Cuda
             ? Assistant::tr("%1 (card %2)").arg(status.device).arg(device.card)
             : status.device;
}

Assistant::Parts::Engine& Assistant::Parts::firstEngine() {
  auto first = std::ranges::find_if(engines, &Engine::works);
  if (first == engines.end())
    first = std::ranges::find_if(engines, [](const Engine& engine) { return engine.identity.loaded; });
  return first == engines.end() ? engines.front() : *first;
}

Assistant::Parts::Engine* Assistant::Parts::readerOf(qint64 id) {
  const auto found = std::ranges::find(engines, std::optional(id), &Engine::readingId);
  return found == engines.end() ? nullptr : &*found;
}

Assistant::Parts::Engine* Assistant::Parts::holderOf(qint64 id) {
  const auto found = std::ranges::find(engines, std::optional(id), &Engine::latestId);
  return found == engines.end() || !found->identity.loaded ? nullptr : &*found;
}

void Assistant::Parts::forget(qint64 id, const Engine* butBy) {
  for (Engine& engine : engines)
    if (&engine != butBy) engine.post([worker = engine.worker, id] { worker->forget(id); });
}

void Assistant::useModel(const QString& folder) {
  parts_->options.modelFolder = toPath(folder);
  parts_->loadModel();
}

// Told when it is there, or failed to be loaded, on each device: those on which it failed are left out, unless all did.
void Assistant::Parts::modelLoaded(Engine& engine, const ui::ModelStatus& status, const ModelIdentity& loaded) {
  engine.status = status;
  engine.identity = loaded;
  if (std::ranges::any_of(engines, [](const Engine& other) { return other.status.loading; })) return;
  const Engine& first = firstEngine();
  modelStatus = first.status;
  identity = first.identity;
  QStringList devices;
  for (const Engine& other : engines)
    if (other.identity.loaded) devices << other.status.device;
  modelStatus.device = devicesInWords(devices);
  emit self->modelChanged(modelStatus);
  for (const Engine& other : engines)
    if (identity.loaded && !other.identity.loaded)
      emit self->notice(Assistant::tr("A device is left out. %1").arg(other.status.problem));
  for (auto& [id, entry] : entries) {
    const ui::LibraryItem before = entry.item;
    rebuild(entry);
    if (entry.item != before) changed(entry);
  }
  schedule();
}

bool Assistant::Parts::mayWrite(const QString& wish) {
  if (isOpen && !isReadOnly) return true;
  if (isReadOnly && !usedElsewhere && !problem.isEmpty())
    fail(Assistant::tr("%1 is not possible. %2").arg(wish, problem));
  else if (isReadOnly)
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

bool Assistant::usedElsewhere() const { return readOnly() && parts_->usedElsewhere; }

QString Assistant::whyReadOnly() const { return readOnly() ? parts_->problem : QString(); }

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
