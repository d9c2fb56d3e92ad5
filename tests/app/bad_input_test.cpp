// What goes wrong in the field: each is a sentence, nothing is lost, nothing crashes.
#include <SQLiteCpp/SQLiteCpp.h>

#include "engine/errors.h"
#include "engine/model.h"
#include "fixture.h"
#include "tests/documents/samples.h"

namespace palimpsest::app {
namespace {

using ui::BookState;

class BadInputTest : public AppTest {
 protected:
  void execute(const std::string& sql, const std::vector<std::byte>& blob = {}) const {
    SQLite::Database connection(database().toStdString(), SQLite::OPEN_READWRITE);
    SQLite::Statement statement(connection, sql);
    if (statement.getBindParameterCount() > 0) statement.bind(1, blob.data(), static_cast<int>(blob.size()));
    statement.exec();
  }

  // Reads a book, closes, replaces its stored snapshot, opens again.
  qint64 bookWithSnapshot(const std::function<std::vector<std::byte>(std::vector<std::byte>)>& change) {
    start();
    const qint64 id = addAndRead(write(QStringLiteral("walk.txt"), novel()));
    whole_ = snapshot(id);
    close();
    execute("UPDATE memories SET snapshot = ?", change(whole_));
    QFile::remove(path(QStringLiteral("walk.txt")));  // the stored text is enough
    start();
    EXPECT_TRUE(waitFor([&] { return assistant_->model().loaded; }));
    return id;
  }

  // The memory is refused with a reason, and Retry makes it anew from the stored text.
  void expectRefusedAndMadeAgain(qint64 id) {
    const ui::ConversationItem answer = ask(id, "Who sang?");
    EXPECT_NE(answer.error, QString());
    EXPECT_THAT(answer.error, HasText("Retry reads the book again from its stored text"));
    EXPECT_TRUE(assistant_->conversation(id).isEmpty());
    EXPECT_EQ(item(id).state, BookState::Failed);
    assistant_->retry(id);
    ASSERT_TRUE(waitForState(id, BookState::Ready));
    EXPECT_EQ(snapshot(id), whole_);
    EXPECT_EQ(ask(id, "Who sang?").error, QString());
  }

  std::vector<std::byte> whole_;
};

TEST_F(BadInputTest, FilesThatAreNoBooksAreRefusedWithASentenceEach) {
  start();
  EXPECT_EQ(add(path(QStringLiteral("none.epub"))), 0);
  EXPECT_EQ(add(folder_.path()), 0);
  EXPECT_EQ(add(write(QStringLiteral("empty.txt"), "")), 0);
  EXPECT_EQ(add(write(QStringLiteral("blank.txt"), "\n \n\t\n")), 0);
  ASSERT_EQ(failures_.size(), 4);
  EXPECT_THAT(failures_[0], HasText("none.epub"));
  EXPECT_THAT(failures_[2], HasText("empty.txt” is empty: there is nothing in it to read."));
  EXPECT_THAT(failures_[3], HasText("blank.txt” holds only blank lines: there is nothing in it to read."));
  EXPECT_TRUE(assistant_->library().isEmpty());
}

TEST_F(BadInputTest, ABrokenFileIsMarkedFailedAndTheNextIsRead) {
  start();
  const qint64 broken = add(write(QStringLiteral("broken.pdf"), "%PDF-1.7\nnothing of a PDF follows"));
  const qint64 good = add(write(QStringLiteral("walk.txt"), novel()));
  ASSERT_TRUE(waitForState(broken, BookState::Failed));
  EXPECT_NE(item(broken).failure, QString());
  EXPECT_TRUE(waitForState(good, BookState::Ready));
  start();
  EXPECT_EQ(item(broken).state, BookState::Failed);  // the reason is still there
  EXPECT_NE(item(broken).failure, QString());
}

TEST_F(BadInputTest, RetryIsOfferedWhereTheSameBytesMayBeReadNextTime) {
  using documents::tests::makeZip;
  const QString letter =
      write(QStringLiteral("letter.docx"), QByteArray::fromStdString(makeZip({{"word/document.xml", "<w/>"}})));
  documents::tests::PdfWriter scan;
  scan.page();
  scan.picture();
  start();
  const qint64 unsupported = add(letter);
  const qint64 without = add(write(QStringLiteral("scan.pdf"), QByteArray::fromStdString(scan.bytes())));
  const qint64 broken = add(write(QStringLiteral("broken.pdf"), "%PDF-1.7\nnothing of a PDF follows"));
  for (const qint64 id : {unsupported, without, broken}) ASSERT_TRUE(waitForState(id, BookState::Failed));
  for (const bool again : {false, true}) {
    if (again) start();
    EXPECT_FALSE(item(unsupported).canBeRetried()) << again;
    EXPECT_FALSE(item(without).canBeRetried()) << again;
    EXPECT_TRUE(item(broken).canBeRetried()) << again;
  }
  // To name the file once more tries once more, for a later Palimpsest may know its format.
  bool tried = false;
  QObject::connect(assistant_.get(), &Assistant::itemChanged, assistant_.get(), [&](const ui::LibraryItem& changed) {
    tried = tried || (changed.id == unsupported && changed.state == BookState::Extracting);
  });
  EXPECT_EQ(add(letter), unsupported);
  ASSERT_TRUE(waitFor([&] { return tried; }));
  ASSERT_TRUE(waitForState(unsupported, BookState::Failed));
  EXPECT_FALSE(item(unsupported).canBeRetried());
}

TEST_F(BadInputTest, AFileThatVanishesBeforeItsTextWasTakenFailsAndComesBackWithRetry) {
  start();
  add(write(QStringLiteral("first.txt"), prose(2000)));  // keeps the extraction thread busy for a moment
  const QString file = write(QStringLiteral("walk.txt"), novel());
  qint64 id = 0;
  QObject::connect(assistant_.get(), &Assistant::itemAdded, assistant_.get(), [&](const ui::LibraryItem& added) {
    QFile::remove(file);
    id = added.id;
  });
  assistant_->addDocument(file);
  ASSERT_TRUE(waitFor([&] { return id != 0; }));
  ASSERT_TRUE(waitForState(id, BookState::Failed));
  EXPECT_THAT(item(id).failure, HasText("walk.txt"));
  EXPECT_TRUE(item(id).canBeRetried());
  write(QStringLiteral("walk.txt"), novel());
  assistant_->retry(id);
  EXPECT_TRUE(waitForState(id, BookState::Ready));
}

TEST_F(BadInputTest, AFileThatTookTheProgramDownTwiceIsLeftAloneUntilRetry) {
  start();
  const qint64 id = addAndRead(write(QStringLiteral("walk.txt"), novel()));
  close();
  execute("DELETE FROM passages");
  execute("UPDATE documents SET text_bytes = 0, state = 'extracting', failure_kind = 'attempt 1'");
  start();
  EXPECT_TRUE(waitForState(id, BookState::Ready));  // once may be chance
  close();
  execute("DELETE FROM passages");
  execute("UPDATE documents SET text_bytes = 0, state = 'extracting', failure_kind = 'attempt 2'");
  start();
  EXPECT_EQ(item(id).state, BookState::Failed);
  EXPECT_THAT(item(id).failure, HasText("ended twice"));
  assistant_->retry(id);
  EXPECT_TRUE(waitForState(id, BookState::Ready));
}

TEST_F(BadInputTest, ALockedPdfAsksForItsPasswordAndOpensWithIt) {
  const QString locked = QStringLiteral(PALIMPSEST_TEST_DATA "/documents/locked.pdf");
  start();
  const qint64 id = add(locked);
  ASSERT_TRUE(waitForState(id, BookState::Failed));
  EXPECT_TRUE(item(id).needsPassword);
  assistant_->retry(id, QStringLiteral("wrong"));
  ASSERT_TRUE(waitFor([&] { return item(id).state == BookState::Extracting; }));
  ASSERT_TRUE(waitForState(id, BookState::Failed));
  EXPECT_TRUE(item(id).needsPassword);
  start();
  EXPECT_TRUE(item(id).needsPassword);
  assistant_->retry(id, QStringLiteral("openpassword"));
  EXPECT_TRUE(waitForState(id, BookState::Ready));
}

TEST_F(BadInputTest, AnotherFileInTheSamePlaceIsNotThatBook) {
  start();
  const QString file = write(QStringLiteral("walk.txt"), novel());
  qint64 id = 0;
  QObject::connect(assistant_.get(), &Assistant::itemAdded, assistant_.get(), [&](const ui::LibraryItem& added) {
    write(QStringLiteral("walk.txt"), "Something else altogether.");
    id = added.id;
  });
  assistant_->addDocument(file);
  ASSERT_TRUE(
      waitFor([&] { return id != 0 && (item(id).state == BookState::Failed || item(id).state == BookState::Ready); }));
  EXPECT_THAT(item(id).failure, HasText("no longer the file that was added"));
}

TEST_F(BadInputTest, AFileThatVanishesWhileItsTextIsReadDoesNoHarm) {
  start();
  const QString file = write(QStringLiteral("long.txt"), prose(2000));
  const qint64 id = add(file);
  ASSERT_TRUE(waitForProgress(id, 0.0));
  ASSERT_TRUE(QFile::remove(file));
  EXPECT_TRUE(waitForState(id, BookState::Ready));
}

TEST_F(BadInputTest, AFullDiskWhileReadingPausesWithTheReasonAndKeepsTheLastCheckpoint) {
  const QString file = write(QStringLiteral("long.txt"), prose(2000));
  start();
  qint64 id = addAndRead(file);
  const std::vector<std::byte> whole = snapshot(id);
  assistant_->remove(id);
  ASSERT_TRUE(waitFor([&] { return !removed_.isEmpty(); }));
  id = add(file);
  ASSERT_TRUE(waitForProgress(id, 0.01));
  assistant_->pause(id);
  ASSERT_TRUE(waitForState(id, BookState::Paused));
  close();
  const std::vector<std::byte> checkpoint = snapshot(id);
  ASSERT_FALSE(checkpoint.empty());
  // A checkpoint takes the place of the one before; with this it needs more pages than there are.
  execute("CREATE TABLE ballast (bytes BLOB)");
  execute("CREATE TRIGGER grow AFTER UPDATE ON memories BEGIN INSERT INTO ballast VALUES (zeroblob(1000000)); END");
  execute("VACUUM");
  AssistantOptions full = options();
  full.databaseLimit = QFileInfo(database()).size();
  start(full);
  const double kept = item(id).progress;
  assistant_->resume(id);
  ASSERT_TRUE(waitFor([&] { return !failures_.isEmpty(); }));
  EXPECT_THAT(failures_.first(), HasText("disk is full"));
  ASSERT_TRUE(waitForState(id, BookState::Paused));
  EXPECT_THAT(item(id).note, HasText("disk is full"));
  EXPECT_EQ(failures_.filter(QStringLiteral("saving a memory")).size(), 1);  // said once
  close();
  EXPECT_EQ(snapshot(id), checkpoint);

  execute("DROP TRIGGER grow");  // space was made
  start();
  EXPECT_EQ(item(id).state, BookState::Paused);
  EXPECT_DOUBLE_EQ(item(id).progress, kept);
  double first = 2;
  QObject::connect(assistant_.get(), &Assistant::itemChanged, assistant_.get(), [&](const ui::LibraryItem& changed) {
    if (changed.state == BookState::Reading) first = std::min(first, changed.progress);
  });
  assistant_->resume(id);
  ASSERT_TRUE(waitForState(id, BookState::Ready));
  EXPECT_GE(first, kept) << "it was read again from the beginning";
  EXPECT_EQ(snapshot(id), whole);  // the bits of a reading without interruption
}

TEST_F(BadInputTest, AFullDiskWhileTheTextIsStoredMarksTheBookFailed) {
  start();
  const qint64 kept = addAndRead(write(QStringLiteral("walk.txt"), novel()));
  close();
  AssistantOptions full = options();
  full.databaseLimit = QFileInfo(database()).size() + 64 * 1024;
  start(full);
  const qint64 id = add(write(QStringLiteral("long.txt"), prose(2000)));
  ASSERT_TRUE(waitForState(id, BookState::Failed));
  EXPECT_THAT(item(id).failure, HasText("disk is full"));
  EXPECT_EQ(item(kept).state, BookState::Ready);
  start();
  assistant_->retry(id);
  EXPECT_TRUE(waitForState(id, BookState::Ready));
}

TEST_F(BadInputTest, ATruncatedSnapshotIsRefusedAndMadeAgain) {
  expectRefusedAndMadeAgain(bookWithSnapshot([](std::vector<std::byte> blob) {
    blob.resize(blob.size() / 2);
    return blob;
  }));
}

TEST_F(BadInputTest, ASnapshotWithOneBitFlippedIsRefusedAndMadeAgain) {
  expectRefusedAndMadeAgain(bookWithSnapshot([](std::vector<std::byte> blob) {
    blob[blob.size() - 100] ^= std::byte{1};
    return blob;
  }));
}

TEST_F(BadInputTest, ASnapshotOfAnotherModelIsRefusedAndMadeAgain) {
  expectRefusedAndMadeAgain(bookWithSnapshot([this](std::vector<std::byte> blob) {
    const std::string fingerprint = [&] {
      storage::Database connection = reader();
      return storage::MemoryStore(connection).list(1).at(0).fingerprint;
    }();
    std::string bytes(reinterpret_cast<const char*>(blob.data()), blob.size());
    const auto at = bytes.find(fingerprint);
    EXPECT_NE(at, std::string::npos);
    bytes[at] = bytes[at] == '0' ? '1' : '0';
    const auto* begin = reinterpret_cast<const std::byte*>(bytes.data());
    return std::vector<std::byte>(begin, begin + bytes.size());
  }));
}

TEST_F(BadInputTest, ACheckpointThatIsDamagedStopsTheReadingWithItsReason) {
  start();
  const qint64 id = add(write(QStringLiteral("long.txt"), prose(2000)));
  ASSERT_TRUE(waitForProgress(id, 0.02));
  close();
  execute("UPDATE memories SET snapshot = ?", std::vector<std::byte>(1000, std::byte{7}));
  start();
  ASSERT_TRUE(waitForState(id, BookState::Failed));
  EXPECT_THAT(item(id).failure, HasText("Retry reads the book again from its stored text"));
  start();  // Retry works after a restart as well
  EXPECT_EQ(item(id).state, BookState::Failed);
  ASSERT_TRUE(waitFor([&] { return assistant_->model().loaded; }));
  assistant_->retry(id);
  EXPECT_TRUE(waitForState(id, BookState::Ready));
}

TEST_F(BadInputTest, AMissingModelIsSaidAndBooksWaitForOne) {
  AssistantOptions given = options();
  given.modelFolder = toPath(path(QStringLiteral("no-model")));
  start(given);
  const qint64 id = add(write(QStringLiteral("walk.txt"), novel()));
  ASSERT_TRUE(waitFor([&] { return !assistant_->model().loading; }));
  EXPECT_THAT(assistant_->model().problem, HasText("no-model"));
  // What to do about it is each front end's own to say.
  QString reason;
  try {
    engine::Model::load(given.modelFolder);
  } catch (const engine::ModelError& error) {
    reason = asSentence(error);
  }
  EXPECT_EQ(assistant_->model().problem, QStringLiteral("The model could not be loaded. ") + reason);
  EXPECT_TRUE(reason.endsWith(u'.')) << reason.toStdString();
  EXPECT_THAT(ask(id, "Who?").error, HasText("no-model"));
  ASSERT_TRUE(waitFor([&] { return item(id).note.contains(QStringLiteral("Waits for a model")); }));
  start();
  EXPECT_TRUE(waitForState(id, BookState::Ready));
}

TEST_F(BadInputTest, ANewerLibraryIsLeftAloneAndEveryVerbSaysWhy) {
  start();
  close();
  execute("PRAGMA user_version = 99");
  start();
  EXPECT_FALSE(opened_);
  EXPECT_THAT(failures_.last(), HasText("newer Palimpsest"));
  assistant_->addDocument(write(QStringLiteral("walk.txt"), novel()));
  ASSERT_TRUE(waitFor([&] { return failures_.size() == 2; }));
  EXPECT_THAT(failures_.last(), HasText("newer Palimpsest"));
  EXPECT_TRUE(assistant_->library().isEmpty());
}

TEST_F(BadInputTest, AVerbForABookThatIsGoneDoesNoHarm) {
  start();
  assistant_->pause(7);
  assistant_->resume(7);
  assistant_->cancel(7);
  assistant_->retry(7);
  assistant_->remove(7);
  assistant_->clearConversation(7);
  assistant_->ask(7, QStringLiteral("Who?"), ui::AnswerWay::Memory);
  assistant_->exportDocument(7, path(QStringLiteral("a.md")), ExportFormat::Markdown);
  EXPECT_EQ(failures_.size(), 2);
  EXPECT_THAT(failures_[0], HasText("no longer in the library"));
  EXPECT_TRUE(assistant_->conversation(7).isEmpty());
}

}  // namespace
}  // namespace palimpsest::app
