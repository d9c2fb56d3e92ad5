// One SQLite file: WAL, foreign keys on, numbered migrations.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>

namespace SQLite {
class Database;
}

namespace palimpsest::storage {

class WriterLock;

// what() is a sentence: what was being done, on which file, and SQLite's reason.
class DatabaseError : public std::runtime_error {
 public:
  enum class Reason { CannotOpen, NewerVersion, OlderVersion, Damaged, Full, Busy, Other };
  DatabaseError(Reason reason, const std::string& sentence) : std::runtime_error(sentence), reason_(reason) {}
  Reason reason() const noexcept { return reason_; }

 private:
  Reason reason_;
};

enum class Access { ReadWrite, ReadOnly };

// A connection. One writer in the process; each reading thread opens its own read-only connection.
// Not thread-safe: one thread at a time. A read-only connection waits for no writer (WAL); it meets a lock only while
// another program has the whole file to itself.
class Database {
 public:
  // ReadWrite creates the file and its folder and migrates it; it holds the lock file beside the database, so that a
  // second writer (another Palimpsest) gets Reason::Busy at once. ReadOnly needs a file of this schema version and
  // works beside a writer, and where nothing can be written. Throws DatabaseError.
  static Database open(const std::filesystem::path& file, Access access = Access::ReadWrite);
  Database(Database&&) noexcept;
  Database& operator=(Database&&) noexcept;
  ~Database();

  const std::filesystem::path& file() const { return file_; }
  static int schemaVersion();  // the version this program writes

  // How long to wait for a lock of some other program; 5 s at first, 1 s for reading.
  void setBusyTimeout(int milliseconds);
  // A number that is another one than at the last call when some other connection, of this program or another, has
  // changed the file in between. Takes microseconds: no page is read.
  std::int64_t dataVersion();
  // The file grows no larger than this; more is answered as a full disk is (Reason::Full).
  void limitSize(std::int64_t bytes);

  SQLite::Database& connection() { return *connection_; }  // for storage/ only

 private:
  Database(std::filesystem::path file, std::unique_ptr<WriterLock> lock, std::unique_ptr<SQLite::Database> connection);
  std::filesystem::path file_;
  std::unique_ptr<WriterLock> lock_;  // released after the connection is closed
  std::unique_ptr<SQLite::Database> connection_;
};

}  // namespace palimpsest::storage
