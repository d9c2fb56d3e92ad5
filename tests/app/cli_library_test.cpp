// palimpsest-cli read, list and remove as a program: what comes into the library, what it shows meanwhile, what goes.
#include <SQLiteCpp/SQLiteCpp.h>
#include <pty.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <QJsonArray>
#include <QJsonObject>

#include "app/cli.h"
#include "cli_fixture.h"
#include "storage/migrations.h"

namespace palimpsest::app {
namespace {

#define S QStringLiteral

TEST_F(CliTest, TheListIsForPeopleAndForPrograms) {
  EXPECT_EQ(run({S("list")}).code, cli::NoLibrary);
  run({S("read"), book()});
  EXPECT_THAT(run({S("list")}).out, HasText("ready"));
  const QJsonArray books = json(run({S("list"), S("--json")})).array();
  ASSERT_EQ(books.size(), 1);
  EXPECT_EQ(books[0][u"state"].toString(), S("ready"));
  EXPECT_EQ(books[0][u"progress"].toDouble(), 1.0);
  EXPECT_GT(books[0][u"memory_bytes"].toInt(), 0);
}

TEST_F(CliTest, AnOlderLibraryIsBroughtUpToDateByTheList) {
  {
    SQLite::Database older(database().toStdString(), SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE);
    older.exec("PRAGMA application_id = 1346456649");
    storage::migrate(older, storage::migrations().first(storage::migrations().size() - 1));
  }
  const Result listed = run({S("list")});
  EXPECT_EQ(listed.code, cli::Done) << listed.err.toStdString();
  EXPECT_THAT(listed.out, HasText("The library is empty"));
}

// A name of an old archive. The shell passes it on as it is; QProcess could not.
TEST_F(CliTest, AFileWhoseNameIsNoUtf8IsReadAndFoundAgain) {
  const auto file = [&](const char* name) { return toPath(folder_.path()) / name; };
  std::filesystem::rename(toPath(book()), file("caf\xe9.txt"));
  const auto shell = [&](const char* line) {
    QProcess process;
    process.setWorkingDirectory(folder_.path());
    process.start(S("bash"), QStringList{S("-c"), QString::fromLatin1(line), S(PALIMPSEST_CLI)} + common());
    return finish(process);
  };
  const Result read = shell("exec \"$0\" read $'caf\\xe9.txt' \"$@\"");
  EXPECT_EQ(read.code, cli::Done) << read.err.toStdString();
  EXPECT_THAT(read.err, HasText("ready, memory"));
  {
    storage::Database library = reader();
    EXPECT_EQ(storage::Library(library).list().at(0).path, file("caf\xe9.txt").string());
  }
  std::filesystem::rename(file("caf\xe9.txt"), file("th\xe9.txt"));
  EXPECT_THAT(shell("exec \"$0\" read $'th\\xe9.txt' \"$@\"").err, HasText("it is now known to be at"));
  EXPECT_THAT(shell("exec \"$0\" read $'gone\\xe9.txt' \"$@\"").err, HasText("There is no file"));
  const Result refused = shell("exec \"$0\" export 1 $'a\\xe9.md' \"$@\"");
  EXPECT_EQ(refused.code, cli::Failed);
  EXPECT_THAT(refused.err, HasText("its name is not UTF-8"));
}

TEST_F(CliTest, ReadingAgainIsDoneAtOnceAndSaysThatItIsThere) {
  run({S("read"), book()});
  const Result again = run({S("read"), book()});
  EXPECT_EQ(again.code, cli::Done);
  EXPECT_THAT(again.err, HasText("in the library already."));
  ASSERT_TRUE(QFile::rename(path(S("walk.txt")), path(S("moved.txt"))));
  EXPECT_THAT(run({S("read"), path(S("moved.txt"))}).err, HasText("it is now known to be at"));
}

TEST_F(CliTest, OneBadFileDoesNotStopTheOthersAndShowsInTheCode) {
  const Result read =
      run({S("read"), path(S("none.epub")), write(S("empty.txt"), ""), write(S("blank.txt"), "\n"), book()});
  EXPECT_EQ(read.code, cli::Failed);
  EXPECT_THAT(read.err, HasText("none.epub"));
  EXPECT_THAT(read.err, HasText("empty.txt” is empty"));
  EXPECT_THAT(read.err, HasText("blank.txt” holds only blank lines"));
  EXPECT_THAT(read.err, HasText("ready"));
  EXPECT_EQ(json(run({S("list"), S("--json")})).array().size(), 1);
}

TEST_F(CliTest, AFileThatIsNotTakenIsSaidSoAlsoWhereItIsTheOnlyOneOrTheLast) {
  const Result none = run({S("read"), path(S("none.epub"))});
  EXPECT_EQ(none.code, cli::Failed);
  EXPECT_THAT(none.err, HasText("none.epub"));
  const Result last = run({S("read"), book(), folder_.path()});
  EXPECT_EQ(last.code, cli::Failed);
  EXPECT_THAT(last.err, HasText("is a folder"));
  EXPECT_THAT(run({S("read"), write(S("empty.txt"), "")}).err, HasText("is empty"));
  const Result asJson = run({S("read"), path(S("none.epub")), S("--json")});
  const QJsonObject refused = json(asJson).array().first().toObject();
  EXPECT_EQ(refused[u"file"].toString(), path(S("none.epub")));
  EXPECT_EQ(refused[u"state"].toString(), S("refused"));
  EXPECT_THAT(refused[u"failure"].toString(), HasText("none.epub"));
  EXPECT_THAT(asJson.err, HasText("none.epub"));
}

TEST_F(CliTest, ReadWithNothingToReadSaysSo) {
  EXPECT_THAT(run({S("read")}).err, HasText("The library is empty"));
  run({S("read"), book()});
  EXPECT_THAT(run({S("read")}).err, HasText("No book in the library is unfinished"));
}

TEST_F(CliTest, SeveralBooksAreRemovedAtOnceOrNone) {
  run({S("read"), write(S("alpha.txt"), novel()), write(S("beta.txt"), prose(8, 3)),
       write(S("gamma.txt"), prose(6, 4))});
  EXPECT_EQ(run({S("remove"), S("alpha"), S("Moby-Dick"), S("--yes")}).code, cli::NoSuchBook);
  EXPECT_EQ(json(run({S("list"), S("--json")})).array().size(), 3);
  const Result removed = run({S("remove"), S("alpha"), S("gamma"), S("alpha"), S("--yes")});
  EXPECT_EQ(removed.code, cli::Done) << removed.err.toStdString();
  EXPECT_EQ(removed.out, S("Removed: alpha\nRemoved: gamma\n"));
  EXPECT_EQ(json(run({S("list"), S("--json")})).array().size(), 1);
  run({S("read"), write(S("delta.txt"), prose(6, 5))});
  const QJsonArray both = json(run({S("remove"), S("beta"), S("delta"), S("--yes"), S("--json")})).array();
  ASSERT_EQ(both.size(), 2);
  EXPECT_EQ(both[1][u"removed"].toString(), S("delta"));
}

TEST_F(CliTest, RemoveAsksUnlessTold) {
  run({S("read"), book()});
  EXPECT_EQ(run({S("remove"), S("1")}).code, cli::WrongUsage);  // nobody to ask
  EXPECT_EQ(run({S("remove"), S("1"), S("--yes")}).code, cli::Done);
  EXPECT_TRUE(json(run({S("list"), S("--json")})).array().isEmpty());
}

TEST_F(CliTest, ABookWithoutATitleIsFoundByTheBeginningOfItsFilesName) {
  run({S("read"), write(S("lorem-ipsum.mobi"), QByteArray(300, '\1'))});
  ASSERT_EQ(json(run({S("list"), S("--json")})).array().size(), 1);
  EXPECT_EQ(run({S("remove"), S("lorem"), S("--yes")}).code, cli::Done);
}

TEST_F(CliTest, OnlyReadMakesALibrary) {
  for (const QStringList& verb : {QStringList{S("ask"), S("1"), S("Who?")}, QStringList{S("summarize"), S("1")},
                                  QStringList{S("remove"), S("1"), S("--yes")}}) {
    const Result result = run(verb);
    EXPECT_EQ(result.code, cli::NoLibrary) << verb[0].toStdString();
    EXPECT_THAT(result.err, HasText("There is no library at"));
    EXPECT_FALSE(QFile::exists(database())) << verb[0].toStdString();
  }
}

TEST_F(CliTest, BesideARunningPalimpsestReadingVerbsWorkAndWritingVerbsSayWhy) {
  run({S("read"), book()});
  start();
  EXPECT_EQ(run({S("list")}).code, cli::Done);
  const Result asked = run({S("ask"), S("1"), S("Who sang?")});
  EXPECT_EQ(asked.code, cli::Done);
  EXPECT_THAT(asked.err, HasText("answers given here are not kept"));
  for (const QStringList& verb : {QStringList{S("read"), book()}, QStringList{S("remove"), S("1"), S("--yes")}}) {
    const Result refused = run(verb);
    EXPECT_EQ(refused.code, cli::InUse);
    EXPECT_THAT(refused.err, HasText("Another Palimpsest"));
  }
}

// The lock file in the way stands for a folder that cannot be written: root, who runs such tests too, may write
// anywhere.
TEST_F(CliTest, WhereNothingCanBeWrittenReadingVerbsWorkAndWritingVerbsSayWhy) {
  run({S("read"), book()});
  const QString lock = database() + S(".lock");
  QFile::remove(lock);
  ASSERT_TRUE(QDir().mkdir(lock));
  EXPECT_EQ(run({S("list")}).code, cli::Done);
  const Result asked = run({S("ask"), S("1"), S("Who sang?")});
  EXPECT_EQ(asked.code, cli::Done);
  EXPECT_THAT(asked.err, HasText("You can look, ask and export; answers are not kept"));
  EXPECT_EQ(run({S("export"), S("1"), path(S("out.md"))}).code, cli::Done);
  for (const QStringList& verb : {QStringList{S("read"), book()}, QStringList{S("remove"), S("1"), S("--yes")},
                                  QStringList{S("summarize"), S("1"), S("--out"), path(S("card.md"))}}) {
    const Result refused = run(verb);
    EXPECT_EQ(refused.code, cli::NoLibrary) << verb[0].toStdString();
    EXPECT_THAT(refused.err, HasText("cannot be")) << verb[0].toStdString();
  }
}

TEST_F(CliTest, CtrlCKeepsWhatWasReadAndSaysHowToGoOn) {
  const QString file = write(S("long.txt"), prose(3000));
  auto process = launch(QStringList{S("read"), file, S("--checkpoint"), S("1000")} + common());
  ASSERT_TRUE(waitFor([&] { return QString::fromUtf8(process->readAllStandardError()).contains(S("tokens/s")); }));
  ASSERT_EQ(kill(static_cast<pid_t>(process->processId()), SIGINT), 0);
  const Result stopped = finish(*process);
  EXPECT_EQ(stopped.code, cli::Interrupted);
  EXPECT_THAT(stopped.err, HasText("run the same command again to go on"));
  const QJsonArray books = json(run({S("list"), S("--json")})).array();
  EXPECT_GT(books[0][u"progress"].toDouble(), 0.0);  // though no checkpoint was due
  EXPECT_LT(books[0][u"progress"].toDouble(), 1.0);
  EXPECT_EQ(run({S("read"), file}).code, cli::Done);
}

TEST_F(CliTest, ReadWithoutFilesGoesOnWithWhatIsUnfinished) {
  auto process = launch(QStringList{S("read"), write(S("long.txt"), prose(2000))} + common());
  ASSERT_TRUE(waitFor([&] { return QString::fromUtf8(process->readAllStandardError()).contains(S("tokens/s")); }));
  ASSERT_EQ(kill(static_cast<pid_t>(process->processId()), SIGINT), 0);
  finish(*process);
  const Result went = run({S("read"), S("--json")});
  EXPECT_EQ(went.code, cli::Done) << went.err.toStdString();
  EXPECT_EQ(json(went).array()[0][u"state"].toString(), S("ready"));
}

TEST_F(CliTest, ALockedPdfIsReadWithItsPassword) {
  const QString locked = S(PALIMPSEST_TEST_DATA "/documents/locked.pdf");
  const Result without = run({S("read"), locked});
  EXPECT_EQ(without.code, cli::Failed);
  EXPECT_THAT(without.err, HasText("--password"));
  EXPECT_EQ(json(run({S("list"), S("--json")})).array()[0][u"state"].toString(), S("failed"));
  EXPECT_EQ(run({S("read"), locked, S("--password"), S("openpassword")}).code, cli::Done);
  EXPECT_EQ(run({S("remove"), S("1"), S("--yes")}).code, cli::Done);
  const Result read = run({S("read"), locked, S("--password"), S("openpassword")});
  EXPECT_EQ(read.code, cli::Done) << read.err.toStdString();
}

// The GUI half of Qt says so on stderr where a computer without a desktop has no place for its files.
TEST_F(CliTest, ReadingAPdfNeedsNoDesktop) {
  QProcess process;
  QProcessEnvironment bare = QProcessEnvironment::systemEnvironment();
  bare.remove(S("XDG_RUNTIME_DIR"));
  process.setProcessEnvironment(bare);
  process.start(S(PALIMPSEST_CLI), common() + QStringList{S("read"), S(PALIMPSEST_TEST_DATA "/documents/locked.pdf"),
                                                          S("--password"), S("openpassword")});
  const Result read = finish(process);
  EXPECT_EQ(read.code, cli::Done) << read.err.toStdString();
  EXPECT_THAT(read.err, testing::Not(HasText("QStandardPaths")));
}

// A terminal sees one line that fills; it is wiped before anything else is said.
TEST_F(CliTest, OnATerminalABarFills) {
  const QByteArrayList words = [&] {
    QByteArrayList all{PALIMPSEST_CLI, "read", write(S("long.txt"), prose(2000)).toUtf8()};
    for (const QString& word : common()) all << word.toUtf8();
    return all;
  }();
  std::vector<char*> arguments;
  for (const QByteArray& word : words) arguments.push_back(const_cast<char*>(word.constData()));
  arguments.push_back(nullptr);
  int terminal = -1;
  const pid_t child = forkpty(&terminal, nullptr, nullptr, nullptr);
  ASSERT_GE(child, 0);
  if (child == 0) {
    execv(arguments[0], arguments.data());
    _exit(127);
  }
  QByteArray shown;
  char bytes[4096];
  for (ssize_t count = 0; (count = ::read(terminal, bytes, sizeof bytes)) > 0;) shown.append(bytes, count);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ::close(terminal);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << shown.toStdString();
  EXPECT_GT(shown.count("\r\033[K["), 1) << shown.toStdString();
  EXPECT_TRUE(shown.contains("# ") || shown.contains("#.")) << shown.toStdString();
  EXPECT_TRUE(shown.contains(" left  long"));
  EXPECT_TRUE(shown.contains("\r\033[Klong: ready, memory")) << shown.toStdString();
}

}  // namespace
}  // namespace palimpsest::app
