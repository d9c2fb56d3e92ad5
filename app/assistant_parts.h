// The inside of Assistant, shared by its .cpp files. Everything here belongs to the Assistant's thread; the workers are
// reached by posting to them and answer by signals.
#pragma once

#include <QThread>
#include <QThreadPool>
#include <QTimer>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <stop_token>

#include "app/assistant.h"
#include "app/engine_worker.h"
#include "app/extraction.h"
#include "app/library_items.h"
#include "app/library_writer.h"
#include "app/words.h"
#include "app/worker_thread.h"
#include "storage/conversation_store.h"
#include "storage/library.h"
#include "storage/memory_store.h"

namespace palimpsest::app {

struct Assistant::Parts {
  // What the person wants of a job that has been asked to stop.
  enum class Wish { GoOn, Pause, Cancel };

  // The records are kept here once they have been loaded: an item is made anew with every change of state.
  struct Entry {
    storage::DocumentRecord document;             // its state is ahead of the database's by what is still being written
    std::vector<storage::MemoryRecord> memories;  // headers, the latest first
    QByteArray cover;
    ui::LibraryItem item;
    std::string password;  // kept for one extraction only
    std::optional<std::stop_source> job;
    Wish wish = Wish::GoOn;
    QString note;      // said of this session's job, beside what the records say
    int attempts = 0;  // extractions begun and not ended, this one included
    bool removing = false;
  };

  // A library that another Palimpsest writes to: a connection of its own, and the version that the books here are of.
  struct Watched {
    storage::Database connection;
    std::int64_t version = 0;
  };

  // What opening the library brings.
  struct Opened {
    std::optional<storage::Database> connection;
    std::shared_ptr<Watched> watched;  // where the library is read-only
    std::vector<Entry> books;
  };

  // What looking at it again brings.
  struct News {
    std::optional<std::vector<Entry>> books;  // where anything has changed
    QString problem;
  };

  struct Answering {
    std::stop_source stop;
    ui::ConversationItem item;
    qint64 document = 0;
    bool made = false;  // the engine is done with it; it is being stored
  };

  // A device that computes: a thread, the worker on it with a model of its own, and the book that it reads.
  struct Engine {
    engine::DeviceChoice device;
    QThread thread;
    EngineWorker* worker = nullptr;  // lives on `thread`
    ui::ModelStatus status;          // of the latest load
    ModelIdentity identity;
    std::optional<qint64> readingId;
    std::optional<qint64> latestId;  // read here last: until that is stored, its memory is nowhere else
    std::optional<qint64> failedId;  // the book that it failed on; it is given no other

    bool works() const { return identity.loaded && !failedId; }
    QString name() const;
    template <typename Work>
    void post(Work work) {
      QMetaObject::invokeMethod(worker, std::move(work), Qt::QueuedConnection);
    }
  };

  Parts(Assistant* assistant, AssistantOptions given);
  ~Parts();

  // assistant.cpp
  void startEngine(Engine& engine);
  Engine& firstEngine();                                  // that computes; where none does, the first of all
  Engine* readerOf(qint64 id);                            // the one that reads the book now
  Engine* holderOf(qint64 id);                            // the one that reads it or has read it last
  void forget(qint64 id, const Engine* butBy = nullptr);  // what the engines hold of the book
  void opened(const WriteOutcome& outcome);
  void openReader(bool watching);
  static Opened loadLibrary(const std::filesystem::path& database, bool watching);  // any thread; throws DatabaseError
  // Any thread; throws DatabaseError. Without the covers of `covered`.
  static std::vector<Entry> loadBooks(storage::Database& database, const std::set<qint64>& covered);
  void loaded(Opened& library);
  void loadModel();
  void takeUp(Entry& entry);  // an unfinished book of the last session
  void modelLoaded(Engine& engine, const ui::ModelStatus& status, const ModelIdentity& loaded);
  bool mayWrite(const QString& wish);  // else says why not
  Entry* find(qint64 id);
  void rebuild(Entry& entry);  // item from the records
  static void remember(Entry& entry, const storage::MemoryRecord& header);
  void changed(Entry& entry) { emit self->itemChanged(entry.item); }
  void setState(Entry& entry, storage::DocumentState state, const QString& failure = {}, const std::string& kind = {});
  void fail(const QString& sentence) { emit self->failed(sentence); }
  template <typename Work>
  auto reading(Work&& work, decltype(work(std::declval<storage::Database&>())) otherwise) const;
  template <typename Work, typename Done>
  void errand(Work work, Done done, std::function<void(const QString& reason)> otherwise = {});

  // assistant_watch.cpp
  void watch();
  void look();
  void looked(News& news);
  void takeOver(const WriteOutcome& outcome);  // of trying to write to the library that another one wrote to
  void refresh(std::vector<Entry>& books);
  bool adopt(Entry& entry, Entry& found);  // true: there is something new to show

  // assistant_books.cpp
  void add(const QString& path, const QString& password, const std::string& hash);
  void taken(const QString& path, const QString& password, const storage::DocumentRecord& document, bool existed);
  void enqueue(Entry& entry);
  void schedule();
  void startExtraction(Entry& entry);
  void extracted(qint64 id, std::shared_ptr<Extraction> extraction);
  void textStored(qint64 id, const Extraction& found, const WriteOutcome& outcome);
  void startReading(Engine& engine, Entry& entry);
  void readingEnded(Engine& engine, const ReadingEnd& end);
  void readingFailed(Engine& engine, Entry& entry, const QString& why);
  void progressed(const ReadingProgress& progress);
  void saveMemory(const Engine& engine, std::shared_ptr<const storage::MemoryRecord> memory);  // its thread
  void memorySaved(const Engine& by, const storage::MemoryRecord& header, const WriteOutcome& outcome);
  void stop(Entry& entry, Wish wish);
  void stopped(Entry& entry);
  void dequeue(qint64 id);
  void forgetAndRead(qint64 id);

  // assistant_answers.cpp
  std::vector<storage::Id> booksOf(qint64 shelf) const;  // empty = the id is no shelf's
  std::vector<storage::DocumentRecord> documentsOf(const std::vector<storage::Id>& books) const;
  QList<ui::ConversationItem> stored(storage::Database& database, qint64 book) const;
  QList<ui::ConversationItem> storedOfShelf(storage::Database& database, const std::vector<storage::Id>& books) const;
  bool isThere(qint64 id);  // else says that the book, or a book of the shelf, is gone
  void ask(qint64 id, const ui::ConversationItem& asked, const Sampling& sampling);
  QString chapterTitle(qint64 book, int ordinal) const;
  void piece(quint64 number, const QString& text);
  void answered(const AnswerResult& result);
  void keep(const AnswerResult& result);
  void finishAnswer(quint64 number);

  Assistant* self;
  AssistantOptions options;
  ui::ModelStatus modelStatus;  // of all engines together
  ModelIdentity identity;       // of the model, which is the same on each
  bool isOpen = false, isReadOnly = false;
  bool usedElsewhere = false;  // why it is read-only: else because it cannot be written, or was asked for
  QString problem;             // why the library is not open, or not for writing
  std::map<qint64, Entry> entries;
  std::vector<std::vector<storage::Id>> shelves;  // asked or looked at in this run; the first has the id -1
  std::deque<qint64> toExtract, toRead;
  std::optional<qint64> extractingId;
  std::map<quint64, Answering> answers;  // by number, in the order asked
  quint64 nextAnswer = 1;
  quint64 loadNumber = 0;            // of the latest load of a model
  std::shared_ptr<Watched> watched;  // used by one look at a time
  QTimer watchTimer;
  QString watchProblem;  // the last look's, said once
  std::stop_source quitting, loading;

  // In the order in which they must go: the workers first, the writer that takes their last checkpoint after them.
  mutable std::optional<storage::Database> reader;  // for single rows; read-only in WAL, so it waits for no writer
  LibraryWriter writer;
  QThreadPool errands;  // opening, hashing, exporting, whole texts: none of them waits for a book to be read
  WorkerThread extraction{QStringLiteral("extraction")};
  std::deque<Engine> engines;  // as many as there are devices
};

// Does `work` away from this thread, then here `done` with what it gave. What it throws is said, by `otherwise` if it
// is given.
template <typename Work, typename Done>
void Assistant::Parts::errand(Work work, Done done, std::function<void(const QString& reason)> otherwise) {
  errands.start([this, work = std::move(work), done = std::move(done), otherwise = std::move(otherwise)] {
    auto result = std::make_shared<std::optional<decltype(work())>>();
    QString reason;
    try {
      result->emplace(work());
    } catch (const std::exception& error) {
      reason = asSentence(error);
    }
    QMetaObject::invokeMethod(
        self,
        [this, result, reason, done, otherwise] {
          if (*result) return done(**result);
          otherwise ? otherwise(reason) : fail(reason);
        },
        Qt::QueuedConnection);
  });
}

// A read that fails is said and gives `otherwise`.
template <typename Work>
auto Assistant::Parts::reading(Work&& work, decltype(work(std::declval<storage::Database&>())) otherwise) const {
  if (!reader) return otherwise;
  try {
    return work(*reader);
  } catch (const std::exception& error) {
    emit self->failed(asSentence(error));
    return otherwise;
  }
}

}  // namespace palimpsest::app
