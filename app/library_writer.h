// The one SQLite writer: its thread, and the only connection that writes.
#pragma once

#include <QObject>
#include <QString>
#include <filesystem>
#include <functional>
#include <optional>

#include "app/worker_thread.h"
#include "storage/database.h"

namespace palimpsest::app {

// How a piece of work ended; `problem` is empty when it was done.
struct WriteOutcome {
  QString problem;
  storage::DatabaseError::Reason reason = storage::DatabaseError::Reason::Other;
  bool ok() const { return problem.isEmpty(); }
};

// Work is done in the order it was posted. perform() may be called from any thread; `done` is called on the thread of
// `receiver`, and not at all once that is gone. Destruction finishes what was posted.
class LibraryWriter {
 public:
  using Work = std::function<void(storage::Database&)>;
  using Done = std::function<void(const WriteOutcome&)>;

  LibraryWriter() : thread_(QStringLiteral("library writer")) {}
  ~LibraryWriter();

  // `limitBytes` > 0: the file grows no larger.
  void open(const std::filesystem::path& file, std::int64_t limitBytes, QObject* receiver, Done done);
  void perform(Work work, QObject* receiver, Done done);

 private:
  void post(std::function<void()> work, QObject* receiver, Done done);

  std::optional<storage::Database> database_;  // touched on thread_ only
  WorkerThread thread_;                        // last, so that it ends first
};

}  // namespace palimpsest::app
