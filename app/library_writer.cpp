#include "app/library_writer.h"

#include "app/words.h"

namespace palimpsest::app {

namespace {

WriteOutcome attempt(const std::function<void()>& work) {
  try {
    work();
    return {};
  } catch (const storage::DatabaseError& error) {
    return {QString::fromUtf8(error.what()), error.reason()};
  } catch (const std::exception& error) {
    return {Words::tr("The library could not be written: %1").arg(asSentence(error))};
  }
}

}  // namespace

LibraryWriter::~LibraryWriter() {
  thread_.post([this] { database_.reset(); });  // on the thread that made it, behind everything posted before
}

void LibraryWriter::post(std::function<void()> work, QObject* receiver, Done done) {
  thread_.post([work = std::move(work), receiver, done = std::move(done)] {
    const WriteOutcome outcome = attempt(work);
    if (done)
      QMetaObject::invokeMethod(
          receiver, [done, outcome] { done(outcome); }, Qt::QueuedConnection);
  });
}

void LibraryWriter::open(const std::filesystem::path& file, std::int64_t limitBytes, QObject* receiver, Done done) {
  post(
      [this, file, limitBytes] {
        database_.emplace(storage::Database::open(file, storage::Access::ReadWrite));
        if (limitBytes > 0) database_->limitSize(limitBytes);
      },
      receiver, std::move(done));
}

void LibraryWriter::perform(Work work, QObject* receiver, Done done) {
  post(
      [this, work = std::move(work)] {
        if (!database_) throw std::runtime_error(Words::tr("it is not open for writing").toStdString());
        work(*database_);
      },
      receiver, std::move(done));
}

}  // namespace palimpsest::app
