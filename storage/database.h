// One SQLite file: WAL, foreign keys on, numbered migrations.
#pragma once

#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>

namespace SQLite { class Database; }

namespace palimpsest::storage {

// what() is a sentence: what was being done, on which file, and SQLite's reason.
class DatabaseError : public std::runtime_error {
 public:
  enum class Reason { CannotOpen, NewerVersion, Damaged, Full, Busy, Other };
  DatabaseError(Reason reason, const std::string& sentence) : std::runtime_error(sentence), reason_(reason) {}
  Reason reason() const noexcept { return reason_; }

 private:
  Reason reason_;
};

enum class Access { ReadWrite, ReadOnly };

// A connection. One writer in the process; each reading thread opens its own read-only connection.
// Not thread-safe: use a connection on the thread that made it.
class Database {
 public:
  // ReadWrite creates the file and its folder and migrates it. Throws DatabaseError.
  static Database open(const std::filesystem::path& file, Access access = Access::ReadWrite);
  Database(Database&&) noexcept;
  Database& operator=(Database&&) noexcept;
  ~Database();

  const std::filesystem::path& file() const { return file_; }
  static int schemaVersion();  // the version this program writes

  SQLite::Database& connection() { return *connection_; }  // for storage/ only

 private:
  Database(std::filesystem::path file, std::unique_ptr<SQLite::Database> connection);
  std::filesystem::path file_;
  std::unique_ptr<SQLite::Database> connection_;
};

}  // namespace palimpsest::storage
