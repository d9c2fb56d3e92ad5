#include "storage/database.h"

#include <SQLiteCpp/SQLiteCpp.h>
#include <sqlite3.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <fstream>
#include <string_view>
#include <system_error>

#include "storage/migrations.h"
#include "storage/sql.h"
#include "storage/writer_lock.h"

namespace palimpsest::storage {

namespace {

using Reason = DatabaseError::Reason;

constexpr int kApplicationId = 0x50414C49;  // "PALI": tells our files from other SQLite files
// How long to wait for a lock. A reader in WAL mode meets one only while another program has the file to itself.
constexpr int kWriterBusyMilliseconds = 5000;
constexpr int kReaderBusyMilliseconds = 1000;

std::string quoted(const std::filesystem::path& file) { return "“" + file.string() + "”"; }

Reason reasonOf(const SQLite::Exception& error) {
  // Even a reader makes the small file beside the library that readers and writer share; on a full disk that fails.
  if (error.getExtendedErrorCode() == SQLITE_IOERR_SHMSIZE) return Reason::Full;
  switch (error.getErrorCode() & 0xff) {
    case SQLITE_FULL:
      return Reason::Full;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return Reason::Damaged;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return Reason::Busy;
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_READONLY:
      return Reason::CannotOpen;
    default:
      return Reason::Other;
  }
}

std::string advice(Reason reason) {
  switch (reason) {
    case Reason::Full:
      return "The disk is full: free some space and try again. Nothing that was stored is lost";
    case Reason::Damaged:
      return "The library file is damaged: put a backup copy in its place, or move it away to start a new one";
    case Reason::Busy:
      return "Another program keeps the library file locked: close it and try again";
    case Reason::CannotOpen:
      return "The library file cannot be opened or written: check that it and its folder may be written";
    default:
      return "The library file could not be used";
  }
}

// As SQLite writes the name of a file that it may look at alone: it makes no files beside it.
std::string immutable(const std::filesystem::path& file) {
  std::string uri = "file:";
  for (const char letter : std::filesystem::absolute(file).string()) {
    constexpr char kDigits[] = "0123456789ABCDEF";
    const auto byte = static_cast<unsigned char>(letter);
    if (std::string_view("%?#").find(letter) == std::string_view::npos)
      uri += letter;
    else
      uri += {'%', kDigits[byte >> 4], kDigits[byte & 15]};
  }
  return uri + "?immutable=1";
}

// Whether everything stands in the file itself, and nothing in the log that a writer keeps beside it.
bool isWhole(const std::filesystem::path& file) {
  std::error_code missing;
  const auto size = std::filesystem::file_size(file.string() + "-wal", missing);
  return missing || size == 0;
}

std::unique_ptr<SQLite::Database> connect(const std::filesystem::path& file, Access access) {
  const int flags = access == Access::ReadOnly ? SQLite::OPEN_READONLY : SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE;
  const int busy = access == Access::ReadOnly ? kReaderBusyMilliseconds : kWriterBusyMilliseconds;
  auto connection = std::make_unique<SQLite::Database>(file, flags, busy);
  connection->exec("PRAGMA foreign_keys = ON");
  if (access == Access::ReadWrite) return connection;
  try {
    connection->execAndGet("PRAGMA schema_version");
    return connection;
  } catch (const SQLite::Exception& error) {
    if (reasonOf(error) != Reason::CannotOpen || !isWhole(file)) throw;
  }
  // A reader, too, makes files beside the library, which it may not where the folder is another's or on a medium that
  // cannot be written. Nobody else writes there either, or there would be a log.
  return std::make_unique<SQLite::Database>(immutable(file), flags | SQLite::OPEN_URI, busy);
}

// Before anything is written beside it.
void refuseOtherFiles(const std::filesystem::path& file) {
  constexpr std::string_view kBegin("SQLite format 3\0", 16);
  std::string begin(kBegin.size(), '\0');
  std::ifstream content(file, std::ios::binary);
  content.read(begin.data(), static_cast<std::streamsize>(begin.size()));
  if (content.gcount() == 0 || std::string_view(begin).substr(0, static_cast<std::size_t>(content.gcount())) == kBegin)
    return;
  throw DatabaseError(Reason::Damaged, quoted(file) +
                                           " is no Palimpsest library, or its beginning is damaged. Choose another "
                                           "file, or put a backup copy in its place; this one was not changed.");
}

void refuseForeign(SQLite::Database& connection, const std::filesystem::path& file) {
  const bool empty = connection.execAndGet("SELECT count(*) FROM sqlite_master").getInt() == 0;
  if (empty || connection.execAndGet("PRAGMA application_id").getInt() == kApplicationId) return;
  throw DatabaseError(Reason::CannotOpen, quoted(file) +
                                              " is a database of some other program, not a Palimpsest library. "
                                              "Choose another file; this one was not changed.");
}

void refuseNewer(int version, const std::filesystem::path& file) {
  if (version <= Database::schemaVersion()) return;
  throw DatabaseError(Reason::NewerVersion, "The library " + quoted(file) +
                                                " was written by a newer Palimpsest (schema " +
                                                std::to_string(version) + "; this program knows " +
                                                std::to_string(Database::schemaVersion()) +
                                                "). Update the program; the file was not changed.");
}

std::unique_ptr<WriterLock> takeLock(const std::filesystem::path& file) {
  try {
    if (file.has_parent_path()) std::filesystem::create_directories(file.parent_path());
    std::string holder;
    if (auto lock = WriterLock::tryTake(file, &holder)) return lock;
    throw DatabaseError(Reason::Busy, "Another Palimpsest (" + holder + ") is using the library " + quoted(file) +
                                          ". Close it, or wait until it is done.");
  } catch (const std::system_error& error) {
    throw DatabaseError(Reason::CannotOpen, "The library " + quoted(file) + " cannot be opened for writing: " +
                                                error.code().message() + ". Check the folder, or choose another file.");
  }
}

void prepareForWriting(SQLite::Database& connection) {
  connection.exec("PRAGMA journal_mode = WAL");
  connection.exec("PRAGMA synchronous = NORMAL");
  connection.exec("PRAGMA journal_size_limit = 67108864");
  if (connection.execAndGet("PRAGMA application_id").getInt() != kApplicationId)
    connection.exec("PRAGMA application_id = " + std::to_string(kApplicationId));
  migrate(connection, migrations());
}

void refuseUnfinished(int version, const std::filesystem::path& file) {
  if (version == Database::schemaVersion()) return;
  throw DatabaseError(version > 0 ? Reason::OlderVersion : Reason::CannotOpen,
                      "The library " + quoted(file) +
                          " comes from an older Palimpsest and is brought up to date when it is opened for "
                          "writing: add a book or start the window once.");
}

}  // namespace

void throwDatabaseError(const std::filesystem::path& file, std::string_view doing, const SQLite::Exception& error) {
  const Reason reason = reasonOf(error);
  throw DatabaseError(
      reason, advice(reason) + " (while " + std::string(doing) + ", " + quoted(file) + ": " + error.what() + ").");
}

Database::Database(std::filesystem::path file, std::unique_ptr<WriterLock> lock,
                   std::unique_ptr<SQLite::Database> connection)
    : file_(std::move(file)), lock_(std::move(lock)), connection_(std::move(connection)) {}
Database::Database(Database&&) noexcept = default;
Database& Database::operator=(Database&&) noexcept = default;
Database::~Database() = default;

int Database::schemaVersion() { return static_cast<int>(migrations().size()); }

Database Database::open(const std::filesystem::path& file, Access access) {
  std::error_code ignored;
  if (std::filesystem::is_directory(file, ignored))
    throw DatabaseError(Reason::CannotOpen, quoted(file) + " is a folder; a library is a file.");
  if (access == Access::ReadOnly && !std::filesystem::exists(file, ignored))
    throw DatabaseError(Reason::CannotOpen,
                        "There is no library at " + quoted(file) + " yet. It is made when the first book is added.");
  refuseOtherFiles(file);
  std::unique_ptr<WriterLock> lock;
  if (access == Access::ReadWrite) lock = takeLock(file);
  try {
    auto connection = connect(file, access);
    refuseForeign(*connection, file);
    refuseNewer(connection->execAndGet("PRAGMA user_version").getInt(), file);
    if (access == Access::ReadWrite)
      prepareForWriting(*connection);
    else
      refuseUnfinished(connection->execAndGet("PRAGMA user_version").getInt(), file);
    return Database(file, std::move(lock), std::move(connection));
  } catch (const SQLite::Exception& error) {
    throwDatabaseError(file, "opening it", error);
  }
}

void Database::setBusyTimeout(int milliseconds) { connection_->setBusyTimeout(milliseconds); }

std::int64_t Database::dataVersion() {
  return withErrors(*this, "looking for changes", [](SQLite::Database& connection) {
    return connection.execAndGet("PRAGMA data_version").getInt64();
  });
}

void Database::limitSize(std::int64_t bytes) {
  withErrors(*this, "limiting its size", [&](SQLite::Database& connection) {
    const std::int64_t pageSize = connection.execAndGet("PRAGMA page_size").getInt64();
    connection.exec("PRAGMA max_page_count = " + std::to_string(std::max<std::int64_t>(1, bytes / pageSize)));
  });
}

void bindBytes(SQLite::Statement& statement, int index, std::span<const std::byte> bytes) {
  static const char kNothing = 0;  // a null pointer would bind NULL instead of an empty blob
  statement.bind(index, bytes.empty() ? static_cast<const void*>(&kNothing) : bytes.data(),
                 static_cast<int>(bytes.size()));
}

std::vector<std::byte> bytesOf(const SQLite::Column& column) {
  std::vector<std::byte> bytes(static_cast<std::size_t>(column.getBytes()));
  if (!bytes.empty()) std::memcpy(bytes.data(), column.getBlob(), bytes.size());
  return bytes;
}

std::int64_t now() {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

}  // namespace palimpsest::storage
