#include "storage/database.h"

#include <SQLiteCpp/SQLiteCpp.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <chrono>

#include "fixture.h"
#include "storage/conversation_store.h"
#include "storage/library.h"
#include "storage/memory_store.h"
#include "storage/migrations.h"

namespace palimpsest::storage {
namespace {

using Reason = DatabaseError::Reason;
using testing::HasSubstr;

class DatabaseTest : public StorageTest {
 protected:
  void overwrite(std::size_t from, std::size_t count, char value) {
    std::fstream stream(file(), std::ios::in | std::ios::out | std::ios::binary);
    stream.seekp(static_cast<std::streamoff>(from));
    const std::string rubbish(count, value);
    stream.write(rubbish.data(), static_cast<std::streamsize>(rubbish.size()));
  }
};

TEST_F(DatabaseTest, OpeningMakesTheFolderAndTheFileInWalModeWithForeignKeys) {
  const auto nested = file().parent_path() / "a" / "b" / "library.db";
  Database database = Database::open(nested);
  EXPECT_TRUE(std::filesystem::exists(nested));
  EXPECT_EQ(database.connection().execAndGet("PRAGMA journal_mode").getString(), "wal");
  EXPECT_EQ(database.connection().execAndGet("PRAGMA foreign_keys").getInt(), 1);
  EXPECT_EQ(database.connection().execAndGet("PRAGMA user_version").getInt(), Database::schemaVersion());
}

TEST_F(DatabaseTest, TheVersionOfItsDataChangesWithWhatOthersWrite) {
  Database writer = Database::open(file());
  Database reader = Database::open(file(), Access::ReadOnly);
  const auto before = reader.dataVersion(), own = writer.dataVersion();
  EXPECT_EQ(reader.dataVersion(), before);
  DocumentRecord book;
  book.contentHash = "ab";
  Library(writer).add(book);
  EXPECT_NE(reader.dataVersion(), before);
  EXPECT_EQ(writer.dataVersion(), own) << "what it wrote itself is no news";
  const auto after = reader.dataVersion();
  EXPECT_EQ(reader.dataVersion(), after);
}

TEST_F(DatabaseTest, MigrationsRunOnceInOrderAndKeepWhatIsThere) {
  SQLite::Database connection(file().string(), SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE);
  const std::array<const char*, 1> first = {"CREATE TABLE t(a); INSERT INTO t VALUES (1)"};
  const std::array<const char*, 2> both = {first[0], "ALTER TABLE t ADD COLUMN b DEFAULT 7"};
  migrate(connection, first);
  migrate(connection, both);
  migrate(connection, both);
  EXPECT_EQ(connection.execAndGet("SELECT count(*) FROM t").getInt(), 1);
  EXPECT_EQ(connection.execAndGet("SELECT b FROM t").getInt(), 7);
  EXPECT_EQ(connection.execAndGet("PRAGMA user_version").getInt(), 2);
}

// A file as a Palimpsest of that schema version left it, with one book, its memory and one question about it.
void makeOlderLibrary(const std::filesystem::path& file, std::size_t version) {
  SQLite::Database old(file.string(), SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE);
  old.exec("PRAGMA application_id = 1346456649");
  migrate(old, migrations().first(version));
  old.exec(
      "INSERT INTO documents(content_hash, path, title, state, added_at) VALUES ('ab', 'a', 'A book', 'ready', 1);"
      "INSERT INTO turns(document_id, question, answer, way, pages_reread, coverage, finished, model_name, asked_at) "
      "VALUES (1, 'Who?', 'Weena.', 'memory', 0, 1, 1, 'mini', 7);"
      "INSERT INTO quotes VALUES (1, 0, 'her name was Weena', 52, 'V', 9, 345);"
      "INSERT INTO memories VALUES (1, 'f', 'mini', 900, 200, 1, 1.5, 7, x'6d656d')");
}

TEST_F(DatabaseTest, ALibraryOfEachOlderVersionKeepsItsBooksAndConversations) {
  for (std::size_t version = 1; version < migrations().size(); ++version) {
    std::filesystem::remove(file());
    makeOlderLibrary(file(), version);
    Database database = Database::open(file());
    const auto books = Library(database).list();
    ASSERT_EQ(books.size(), 1U) << "version " << version;
    EXPECT_EQ(books[0].title, "A book");
    EXPECT_TRUE(books[0].warnings.empty());
    const auto turns = ConversationStore(database).turns(1);
    ASSERT_EQ(turns.size(), 1U) << "version " << version;
    EXPECT_EQ(turns[0].answer, "Weena.");
    EXPECT_TRUE(turns[0].quotesSupport);
    EXPECT_TRUE(turns[0].shelf.empty());
    EXPECT_EQ(turns[0].part, BookPart());
    EXPECT_TRUE(MemoryStore(database).chapters(1, "f").empty());
    EXPECT_TRUE(turns[0].scores.empty());
    ASSERT_EQ(turns[0].quotes.size(), 1U);
    EXPECT_EQ(turns[0].quotes[0].text, "her name was Weena");
    auto memory = MemoryStore(database).load(1, "f");
    ASSERT_TRUE(memory) << "version " << version;
    EXPECT_EQ(memory->snapshot, bytes("mem"));
    EXPECT_EQ(memory->snapshotBytes, 3);
    EXPECT_TRUE(memory->sections.empty());
    memory->sections = {{300, 75, std::make_shared<const std::vector<std::byte>>(bytes("m"))}};
    MemoryStore(database).save(*memory);
    EXPECT_EQ(MemoryStore(database).load(1, "f")->sections.size(), 1U);
  }
}

TEST_F(DatabaseTest, AMigrationThatFailsLeavesTheVersionBefore) {
  SQLite::Database connection(file().string(), SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE);
  const std::array<const char*, 2> steps = {"CREATE TABLE t(a)", "CREATE TABLE u(a); INSERT INTO nowhere VALUES (1)"};
  EXPECT_THROW(migrate(connection, steps), SQLite::Exception);
  EXPECT_EQ(connection.execAndGet("PRAGMA user_version").getInt(), 1);
  EXPECT_FALSE(connection.tableExists("u"));
}

TEST_F(DatabaseTest, AFileOfANewerVersionIsItsOwnErrorAndStaysAsItIs) {
  {
    Database database = Database::open(file());
    database.connection().exec("PRAGMA user_version = 99");
  }
  for (const Access access : {Access::ReadWrite, Access::ReadOnly}) {
    std::string sentence;
    EXPECT_EQ(reasonOf([&] { Database::open(file(), access); }, &sentence), Reason::NewerVersion);
    EXPECT_THAT(sentence, HasSubstr("newer Palimpsest (schema 99"));
    EXPECT_THAT(sentence, HasSubstr(file().string()));
  }
  SQLite::Database raw(file().string());
  EXPECT_EQ(raw.execAndGet("PRAGMA user_version").getInt(), 99);
}

TEST_F(DatabaseTest, AFileOfAnotherKindIsRefusedAndNothingIsWrittenBesideIt) {
  for (const std::string content : {"root:x:0:0", "SQLite format 2\n and more"}) {
    std::ofstream(file(), std::ios::binary) << content;
    for (const Access access : {Access::ReadOnly, Access::ReadWrite}) {
      std::string sentence;
      EXPECT_EQ(reasonOf([&] { Database::open(file(), access); }, &sentence), Reason::Damaged);
      EXPECT_THAT(sentence, HasSubstr("is no Palimpsest library"));
    }
    EXPECT_FALSE(std::filesystem::exists(file().string() + ".lock"));
  }
  std::ofstream(file(), std::ios::trunc).close();
  EXPECT_NO_THROW(Database::open(file())) << "an empty file becomes one";
}

TEST_F(DatabaseTest, AnotherProgramsDatabaseIsRefusedUntouched) {
  {
    SQLite::Database other(file().string(), SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE);
    other.exec("CREATE TABLE bookmarks(url)");
  }
  std::string sentence;
  EXPECT_EQ(reasonOf([&] { Database::open(file()); }, &sentence), Reason::CannotOpen);
  EXPECT_THAT(sentence, HasSubstr("some other program"));
  SQLite::Database other(file().string());
  EXPECT_FALSE(other.tableExists("documents"));
}

TEST_F(DatabaseTest, AFileThatIsNoDatabaseIsCalledDamaged) {
  std::ofstream(file()) << std::string(8192, 'x');
  std::string sentence;
  EXPECT_EQ(reasonOf([&] { Database::open(file()); }, &sentence), Reason::Damaged);
  EXPECT_THAT(sentence, HasSubstr("damaged"));
  EXPECT_THAT(sentence, HasSubstr("backup"));
}

TEST_F(DatabaseTest, DamageInsideTheFileIsReportedNotSwallowed) {
  {
    Database database = Database::open(file());
    Library library(database);
    const Id id = library.add(book("h1"));
    library.storeText(id, book("h1"), {}, passages(std::vector<std::string>(400, std::string(500, 'w'))), {});
  }
  const auto size = std::filesystem::file_size(file());
  overwrite(size / 2, size - size / 2, '\x5a');
  Database database = Database::open(file(), Access::ReadOnly);
  std::string sentence;
  EXPECT_EQ(reasonOf([&] { Library(database).passages(1); }, &sentence), Reason::Damaged);
  EXPECT_THAT(sentence, HasSubstr("damaged"));
}

TEST_F(DatabaseTest, AFolderInPlaceOfTheFileIsSaid) {
  std::filesystem::create_directory(file());
  std::string sentence;
  EXPECT_EQ(reasonOf([&] { Database::open(file()); }, &sentence), Reason::CannotOpen);
  EXPECT_THAT(sentence, HasSubstr("is a folder"));
}

TEST_F(DatabaseTest, AFolderThatCannotBeMadeIsSaid) {
  std::ofstream(file()) << "in the way";
  std::string sentence;
  EXPECT_EQ(reasonOf([&] { Database::open(file() / "library.db"); }, &sentence), Reason::CannotOpen);
  EXPECT_THAT(sentence, HasSubstr("cannot be opened for writing"));
}

TEST_F(DatabaseTest, ReadingALibraryThatIsNotThereDoesNotMakeOne) {
  std::string sentence;
  EXPECT_EQ(reasonOf([&] { Database::open(file(), Access::ReadOnly); }, &sentence), Reason::CannotOpen);
  EXPECT_THAT(sentence, HasSubstr("no library"));
  EXPECT_FALSE(std::filesystem::exists(file()));
}

// As somebody who may look at the folder only; root, who may do all, becomes nobody for it.
class UnwritableTest : public StorageTest {
 protected:
  void lookOnly() {
    std::filesystem::permissions(file(), static_cast<std::filesystem::perms>(0444));
    std::filesystem::permissions(file().parent_path(), static_cast<std::filesystem::perms>(0555));
    if (geteuid() != 0) return;
    constexpr uid_t kNobody = 65534;
    ASSERT_EQ(seteuid(kNobody), 0);
    becameNobody_ = true;
  }
  void TearDown() override {
    if (becameNobody_) ASSERT_EQ(seteuid(0), 0);
    std::filesystem::permissions(file().parent_path(), std::filesystem::perms::owner_all);
  }

 private:
  bool becameNobody_ = false;
};

TEST_F(UnwritableTest, ALibraryCanBeLookedAtWhereNothingCanBeWritten) {
  {
    Database database = Database::open(file());
    Library(database).add(book("a", "A book"));
  }
  lookOnly();
  std::string sentence;
  EXPECT_EQ(reasonOf([&] { Database::open(file()); }, &sentence), Reason::CannotOpen);
  EXPECT_THAT(sentence, HasSubstr("cannot be opened for writing"));
  Database reader = Database::open(file(), Access::ReadOnly);
  ASSERT_EQ(Library(reader).list().size(), 1U);
  EXPECT_EQ(Library(reader).list()[0].title, "A book");
}

TEST_F(UnwritableTest, WhatStandsInTheLogAloneIsNotPassedOver) {
  std::filesystem::path log = file();
  log += "-wal";
  { Database::open(file()); }
  std::ofstream(log) << "what a writer left";
  lookOnly();
  EXPECT_EQ(reasonOf([&] { Database::open(file(), Access::ReadOnly); }), Reason::CannotOpen);
}

TEST_F(DatabaseTest, ASecondWriterIsRefusedAtOnceAndToldWhoWrites) {
  Database first = Database::open(file());
  const auto start = std::chrono::steady_clock::now();
  std::string sentence;
  EXPECT_EQ(reasonOf([&] { Database::open(file()); }, &sentence), Reason::Busy);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(1));
  EXPECT_THAT(sentence, HasSubstr("Another Palimpsest (process " + std::to_string(getpid()) + ")"));
}

TEST_F(DatabaseTest, TheLockGoesWithItsHolder) {
  {
    Database first = Database::open(file());
    Database moved = std::move(first);
    EXPECT_EQ(reasonOf([&] { Database::open(file()); }), Reason::Busy);
  }
  EXPECT_NO_THROW(Database::open(file()));
}

TEST_F(DatabaseTest, AReaderWorksBesideTheWriterSeesWhatItCommitsAndCannotWrite) {
  Database writer = Database::open(file());
  Database reader = Database::open(file(), Access::ReadOnly);
  Library(writer).add(book("h1"));
  EXPECT_EQ(Library(reader).list().size(), 1U);
  EXPECT_EQ(reasonOf([&] { Library(reader).add(book("h2")); }), Reason::CannotOpen);
  EXPECT_EQ(Library(writer).list().size(), 1U);
}

TEST_F(DatabaseTest, AReaderWaitsForNoOneWhileALongWriteIsOpen) {
  Database writer = Database::open(file());
  Library(writer).add(book("h1"));
  Database reader = Database::open(file(), Access::ReadOnly);
  SQLite::Transaction open(writer.connection(), SQLite::TransactionBehavior::IMMEDIATE);
  writer.connection().exec("DELETE FROM documents");
  EXPECT_EQ(Library(reader).list().size(), 1U);
}

TEST_F(DatabaseTest, ALockThatAnotherProgramHoldsIsSaid) {
  Database writer = Database::open(file());
  SQLite::Database other(file().string(), SQLite::OPEN_READWRITE);
  other.exec("BEGIN IMMEDIATE");
  writer.setBusyTimeout(50);
  std::string sentence;
  EXPECT_EQ(reasonOf([&] { Library(writer).add(book("h1")); }, &sentence), Reason::Busy);
  EXPECT_THAT(sentence, HasSubstr("locked"));
  other.exec("ROLLBACK");
  EXPECT_NO_THROW(Library(writer).add(book("h1")));
}

TEST_F(DatabaseTest, AFullDiskLosesNothingThatWasStored) {
  Database database = Database::open(file());
  Library library(database);
  MemoryStore memories(database);
  const Id id = library.add(book("h1"));
  MemoryRecord memory;
  memory.documentId = id;
  memory.fingerprint = "f";
  memory.snapshot = bytes("the first checkpoint");
  memory.position = 10;
  memories.save(memory);

  database.limitSize(static_cast<std::int64_t>(std::filesystem::file_size(file())) + 256 * 1024);
  memory.snapshot.resize(4 << 20);
  memory.position = 20;
  std::string sentence;
  EXPECT_EQ(reasonOf([&] { memories.save(memory); }, &sentence), Reason::Full);
  EXPECT_THAT(sentence, HasSubstr("disk is full"));
  EXPECT_THAT(sentence, HasSubstr("while saving a memory"));

  std::vector<PassageRecord> large = passages(std::vector<std::string>(4000, std::string(1000, 'w')));
  EXPECT_EQ(reasonOf([&] { library.storeText(id, book("h1"), {}, large, {}); }), Reason::Full);
  EXPECT_EQ(memories.load(id, "f")->position, 10);
  EXPECT_EQ(memories.load(id, "f")->snapshot, bytes("the first checkpoint"));
  EXPECT_TRUE(library.passages(id).empty());
}

// Files of this process cannot grow beyond so many bytes: what a full disk is to SQLite's file of shared memory.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit = {bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &before_);
    signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_ = {};
  void (*handler_)(int);
};

TEST_F(DatabaseTest, OpeningOnAFullDiskSaysThatItIsFull) {
  {
    Database made = Database::open(file());
    Library(made).add(book("h1"));
  }
  for (const Access access : {Access::ReadOnly, Access::ReadWrite}) {
    std::string sentence;
    {
      const FileSizeLimit full(4096);
      EXPECT_EQ(reasonOf([&] { Database::open(file(), access); }, &sentence), Reason::Full);
    }
    EXPECT_THAT(sentence, HasSubstr("free some space"));
  }
  Database database = Database::open(file());
  EXPECT_EQ(Library(database).list().size(), 1U);
}

}  // namespace
}  // namespace palimpsest::storage
