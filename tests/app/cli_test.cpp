// The command line as a program: what it answers, sums up and writes, what holds for every verb, and its exit codes.
#include "app/cli.h"

#include <QJsonArray>
#include <QJsonObject>

#include "app/cli_words.h"
#include "cli_fixture.h"
#include "engine/errors.h"
#include "engine/model.h"

namespace palimpsest::app {
namespace {

#define S QStringLiteral

TEST_F(CliTest, ReadsInOneProcessAndAnswersInAnother) {
  const Result read = run({S("read"), book()});
  EXPECT_EQ(read.code, cli::Done) << read.err.toStdString();
  EXPECT_THAT(read.err, HasText("ready, memory"));
  const Result answer = run({S("ask"), S("1"), S("Who kept the purple umbrella in the lighthouse?")});
  EXPECT_EQ(answer.code, cli::Done) << answer.err.toStdString();
  EXPECT_THAT(answer.out, HasText("[From memory · 0 pages re-read · whole book]"));
  EXPECT_THAT(answer.out, HasText("  > Professor Zanzibar kept the purple umbrella in the lighthouse."));
}

TEST_F(CliTest, SeveralBooksAreAskedAtOnceAndTheOneThatSupportsTheAnswerIsNamed) {
  run({S("read"), write(S("alpha.txt"), novel()), write(S("beta.txt"), prose(8, 3)),
       write(S("gamma.txt"), prose(6, 4))});
  const QString question = S("Who kept the purple umbrella?");
  const Result asked = run({S("ask"), S("alpha"), S("beta"), question, S("--json")});
  ASSERT_EQ(asked.code, cli::Done) << asked.err.toStdString();
  const QJsonObject answer = json(asked).object();
  EXPECT_EQ(answer[u"question"].toString(), question);
  EXPECT_EQ(answer[u"provenance"].toString(), S("From memory · 0 pages re-read · 2 whole books"));
  const QJsonArray books = answer[u"books"].toArray();
  ASSERT_EQ(books.size(), 2);
  double best = -1e9;
  QString supporting;
  for (const QJsonValue& book : books) {
    EXPECT_LT(book[u"log_probability"].toDouble(), 0.0);
    if (book[u"log_probability"].toDouble() <= best) continue;
    best = book[u"log_probability"].toDouble();
    supporting = book[u"title"].toString();
  }
  EXPECT_EQ(answer[u"supporting_book"][u"title"].toString(), supporting);
  EXPECT_EQ(answer[u"quoted_book"][u"title"].toString(), supporting);

  const Result both = run({S("export"), S("beta"), S("alpha"), path(S("both.txt"))});
  EXPECT_EQ(both.code, cli::Done) << both.err.toStdString();
  QFile exported(path(S("both.txt")));
  ASSERT_TRUE(exported.open(QIODevice::ReadOnly));
  const QString text = QString::fromUtf8(exported.readAll());
  EXPECT_THAT(text, HasText("Who kept the purple umbrella?"));
  EXPECT_TRUE(text.contains(S("“%1”").arg(supporting)));

  const Result said = run({S("ask"), S("beta"), S("alpha"), S("gamma"), S("Who sang?")});
  EXPECT_THAT(said.out, HasText("3 whole books]\nFrom: "));
  const Result one = run({S("ask"), S("alpha"), S("alpha"), question, S("--json")});
  EXPECT_FALSE(json(one).object().contains(u"books")) << "a book that is named twice is asked once, alone";
  EXPECT_THAT(json(one).object()[u"provenance"].toString(), HasText("whole book"));
  EXPECT_EQ(run({S("ask"), S("alpha"), S("Moby-Dick"), question}).code, cli::NoSuchBook);
}

TEST_F(CliTest, BooksThatWereNeverAskedTogetherAreNotExportedTogether) {
  run({S("read"), write(S("alpha.txt"), novel()), write(S("beta.txt"), prose(8, 3))});
  const QString file = path(S("both.md"));
  const Result exported = run({S("export"), S("alpha"), S("beta"), file});
  EXPECT_EQ(exported.code, cli::Failed);
  EXPECT_EQ(exported.out, QString());
  EXPECT_THAT(exported.err, HasText("Nothing has been asked of these books together yet"));
  EXPECT_FALSE(QFile::exists(file));
  EXPECT_EQ(run({S("export"), S("alpha"), file}).code, cli::Done) << "one book has more to tell than its conversation";
}

TEST_F(CliTest, AllAsksEveryBookThatHasBeenReadAndNamesTheOthers) {
  EXPECT_EQ(runBare({S("ask"), S("--all")}).code, cli::WrongUsage);
  EXPECT_EQ(runBare({S("ask"), S("--all"), S("alpha"), S("q")}).code, cli::WrongUsage);
  run({S("read"), S(PALIMPSEST_TEST_DATA "/documents/locked.pdf")});
  const Result none = run({S("ask"), S("--all"), S("Who?")});
  EXPECT_EQ(none.code, cli::NoSuchBook);
  EXPECT_THAT(none.err, HasText("No book in the library can be asked"));
  run({S("read"), write(S("alpha.txt"), novel()), write(S("beta.txt"), prose(8, 3))});
  const Result asked = run({S("ask"), S("--all"), S("Who sang?"), S("--json")});
  ASSERT_EQ(asked.code, cli::Done) << asked.err.toStdString();
  EXPECT_EQ(json(asked).object()[u"books"].toArray().size(), 2);
  EXPECT_THAT(asked.err, HasText("Left out, as it could not be read: “locked.pdf”."));
  EXPECT_FALSE(asked.err.contains(S("no whole memory")));
  const Result passages = run({S("ask"), S("--all"), S("Who sang?"), S("--way"), S("passages")});
  EXPECT_THAT(passages.err, HasText("Left out, as it could not be read: “locked.pdf”."));
  EXPECT_THAT(passages.out, HasText("From passages of 2 books"));
  for (const int seed : {5, 6, 7})
    run({S("read"), write(S("%1.mobi").arg(seed), QByteArray(300, static_cast<char>(seed)))});
  EXPECT_THAT(run({S("ask"), S("--all"), S("Who sang?")}).err,
              HasText("4 files that could not be read are left out; palimpsest-cli list says why."));
  EXPECT_THAT(runBare({S("--help")}).out, HasText("ask --all"));
}

TEST_F(CliTest, AnEmptyQuestionIsRefused) {
  for (const char* question : {"", "  "}) {
    const Result asked = run({S("ask"), S("1"), QString::fromLatin1(question)});
    EXPECT_EQ(asked.code, cli::WrongUsage);
    EXPECT_THAT(asked.err, HasText("question is empty"));
  }
}

TEST(CliWords, EveryLineOfAVerseIsMarkedAndLinesFitTheTerminal) {
  ui::ConversationItem item;
  item.quotes << ui::Quote{S("Tyger Tyger, burning bright,\nIn the forests of the night"), 3, {}, 0};
  EXPECT_THAT(cli::underAnswer(item),
              HasText("  > Tyger Tyger, burning bright,\n  > In the forests of the night  — p. 3"));
  EXPECT_EQ(cli::cutTo(S("abcdef"), 4), S("abc…"));
  EXPECT_EQ(cli::cutTo(S("abcd"), 4), S("abcd"));
  EXPECT_EQ(cli::cutTo(S("abcd"), 0), S("abcd"));
  ui::LibraryItem book;
  book.pageCount = 1;
  EXPECT_THAT(cli::listLine(book), testing::Not(HasText("1 pages")));
}

TEST(CliWords, AnAnswerInStepsTellsThem) {
  ui::ConversationItem item;
  EXPECT_FALSE(cli::toJson(item).contains(u"recalled"));
  EXPECT_FALSE(cli::toJson(item).contains(u"further_questions"));
  item.provenance = S("From memory");
  item.furtherQuestions = QStringList{S("Where is Mary?")};
  item.recalled = S("Mary went to the office.");
  EXPECT_THAT(cli::underAnswer(item), HasText("[From memory]\nTo answer, it asked itself: Where is Mary?\n"
                                              "Its memory, in its own words: “Mary went to the office.”\n"));
  EXPECT_EQ(cli::toJson(item)[u"recalled"].toString(), item.recalled);
  EXPECT_EQ(cli::toJson(item)[u"further_questions"].toArray().at(0).toString(), S("Where is Mary?"));
}

TEST_F(CliTest, AnAnswerToWhichNothingInTheBookComesNearSaysSo) {
  run({S("read"), book()});
  const Result asked = run({S("ask"), S("1"), S("Zyzzyva quetzalcoatl?")});
  EXPECT_EQ(asked.code, cli::Done);
  EXPECT_THAT(asked.out, HasText("whole book]\nNo sentence of the book is near enough to the question or the answer"));
  run({S("export"), S("1"), path(S("a.txt"))});
  QFile exported(path(S("a.txt")));
  ASSERT_TRUE(exported.open(QIODevice::ReadOnly));
  EXPECT_THAT(QString::fromUtf8(exported.readAll()), HasText("   No sentence of the book is near enough"));
}

TEST_F(CliTest, SummarizeAndExportWriteFiles) {
  run({S("read"), book()});
  for (const char* name : {"card.md", "card.pdf"}) {
    const Result summary = run({S("summarize"), S("walk.txt"), S("--out"), path(QString::fromLatin1(name))});
    EXPECT_EQ(summary.code, cli::Done) << summary.err.toStdString();
    EXPECT_GT(QFileInfo(path(QString::fromLatin1(name))).size(), 50);
  }
  EXPECT_EQ(run({S("export"), S("1"), path(S("all.html"))}).code, cli::Done);
  EXPECT_EQ(run({S("export"), S("1"), path(S("all.pdf"))}).code, cli::Done);
  EXPECT_TRUE(QFile::exists(path(S("all.html"))));
  EXPECT_EQ(run({S("export"), S("1"), path(S("all.docx"))}).code, cli::WrongUsage);
  EXPECT_EQ(run({S("export"), S("1"), path(S("nowhere/all.md"))}).code, cli::Failed);
}

TEST_F(CliTest, APdfIsWrittenWithoutAWordAboutTheDesktop) {
  run({S("read"), book()});
  QProcess process;
  QProcessEnvironment bare = QProcessEnvironment::systemEnvironment();
  for (const QString& name : {S("XDG_RUNTIME_DIR"), S("QT_QPA_PLATFORM")}) bare.remove(name);
  process.setProcessEnvironment(bare);
  process.start(S(PALIMPSEST_CLI), QStringList{S("export"), S("1"), path(S("quiet.pdf"))} + common());
  const Result exported = finish(process);
  EXPECT_EQ(exported.code, cli::Done);
  EXPECT_EQ(exported.err, QString());
}

TEST_F(CliTest, AFileThatIsThereIsOnlyWrittenOverWithForce) {
  run({S("read"), book()});
  const auto content = [&] {
    QFile file(path(S("mine.md")));
    EXPECT_TRUE(file.open(QIODevice::ReadOnly));
    return file.readAll();
  };
  for (const QStringList& verb : {QStringList{S("export"), S("1"), path(S("mine.md"))},
                                  QStringList{S("summarize"), S("1"), S("--out"), path(S("mine.md"))}}) {
    write(S("mine.md"), "my own notes");
    const Result refused = run(verb);
    EXPECT_EQ(refused.code, cli::Failed) << verb[0].toStdString();
    EXPECT_THAT(refused.err, HasText("mine.md” is there already and was left as it is"));
    EXPECT_THAT(refused.err, HasText("--force"));
    EXPECT_EQ(refused.out, QString()) << "nothing is made that cannot be written";
    EXPECT_EQ(content(), "my own notes");
    EXPECT_EQ(run(verb + QStringList{S("--force")}).code, cli::Done);
    EXPECT_THAT(QString::fromUtf8(content()), HasText("# walk"));
  }
  EXPECT_THAT(runBare({S("--help")}).out, HasText("only written over with --force"));
}

// Else the model would work for nothing, and its answer be printed before the refusal.
TEST_F(CliTest, WhereNoFileCanBeMadeIsSaidBeforeTheModelWorks) {
  run({S("read"), book()});
  const Result summary = run({S("summarize"), S("1"), S("--out"), path(S("nowhere/x.md"))});
  EXPECT_EQ(summary.code, cli::Failed);
  EXPECT_EQ(summary.out, QString());
  EXPECT_THAT(summary.err, HasText("nowhere/x.md” cannot be written: there is no folder “"));
  // Not even the library is looked into.
  const Result exported = run({S("export"), S("Moby-Dick"), path(S("nowhere/x.md"))});
  EXPECT_EQ(exported.code, cli::Failed);
  EXPECT_THAT(exported.err, HasText("there is no folder “"));
}

// The write fails in the middle: files grow to 40 KiB and no further.
TEST_F(CliTest, AFailedExportWithForceLeavesTheOldFile) {
  run({S("read"), book()});
  {
    storage::Database library = storage::Database::open(toPath(database()));
    storage::TurnRecord turn;
    turn.documentId = 1;
    turn.answer = std::string(100'000, 'x');
    storage::ConversationStore(library).addTurn(turn);
  }
  write(S("mine.txt"), "my own notes");
  QProcess process;
  process.start(S("bash"), QStringList{S("-c"), S("trap '' XFSZ; ulimit -f 40; exec \"$@\""), S("bash"),
                                       S(PALIMPSEST_CLI), S("export"), S("1"), path(S("mine.txt")), S("--force")} +
                               common());
  const Result failed = finish(process);
  EXPECT_EQ(failed.code, cli::Failed);
  EXPECT_THAT(failed.err, HasText("could not be written"));
  QFile file(path(S("mine.txt")));
  ASSERT_TRUE(file.open(QIODevice::ReadOnly));
  EXPECT_EQ(file.readAll(), "my own notes");
}

TEST_F(CliTest, QuestionsAreComparedWithTheTruthAndCounted) {
  run({S("read"), book()});
  const QString said =
      json(run({S("ask"), S("1"), S("Who kept the umbrella?"), S("--json")})).object()[u"answer"].toString();
  QJsonArray exam;
  exam.append(QJsonObject{{S("question"), S("Who kept the umbrella?")},
                          {S("answer"), S("nobody of that name xyzzy")},
                          {S("kind"), S("who")}});
  exam.append(QJsonObject{{S("question"), S("Who kept the umbrella?")},
                          {S("answer"), QJsonArray{S("xyzzy"), said.toUpper() + S("!")}}});
  const QString file = write(S("exam.json"), QJsonDocument(exam).toJson());
  run({S("ask"), S("1"), S("Forget")});
  const Result asked = run({S("questions"), S("1"), file, S("--json")});
  ASSERT_EQ(asked.code, cli::Done) << asked.err.toStdString();
  EXPECT_EQ(json(asked).object()[u"asked"].toInt(), 2);
  const QJsonArray answers = json(asked).object()[u"answers"].toArray();
  EXPECT_FALSE(answers[0][u"right"].toBool());
  // Each question stands alone: the same one gets the same answer, and that answer is what ask said at first.
  EXPECT_EQ(answers[0][u"answer"].toString(), answers[1][u"answer"].toString());
  EXPECT_EQ(answers[1][u"right"].toBool(), true);
  const Result first = run({S("questions"), S("1"), file, S("--first"), S("1")});
  EXPECT_THAT(first.out, HasText("✗ Who kept the umbrella?"));
  EXPECT_THAT(first.out, HasText("0 of 1 right, from memory, 0 pages re-read"));
  run({S("read"), write(S("other.txt"), prose(8, 3))});
  const Result both = run({S("questions"), S("1"), S("2"), file, S("--json")});
  for (const QJsonValue& answer : json(both).object()[u"answers"].toArray()) {
    EXPECT_THAT(answer[u"provenance"].toString(), HasText("2 whole books"));
    EXPECT_FALSE(answer[u"supporting_book"][u"title"].toString().isEmpty());
  }
  EXPECT_EQ(run({S("questions"), S("1"), write(S("bad.json"), "{")}).code, cli::Failed);
  EXPECT_EQ(run({S("questions"), S("1"), write(S("bad.json"), "[{\"question\": \"x\"}]")}).code, cli::Failed);
}

// Waiting would not help, and there is nothing to write.
TEST_F(CliTest, AFileThatCouldNotBeReadSaysWhyWhateverIsAskedOfIt) {
  run({S("read"), write(S("alpha.txt"), novel()), S(PALIMPSEST_TEST_DATA "/documents/locked.pdf")});
  QString why;
  for (const QJsonValue& one : json(run({S("list"), S("--json")})).array())
    if (const QString failure = one[u"failure"].toString(); !failure.isEmpty()) why = failure;
  ASSERT_FALSE(why.isEmpty());
  for (const QStringList& verb :
       {QStringList{S("ask"), S("locked"), S("q")}, QStringList{S("ask"), S("alpha"), S("locked"), S("q")},
        QStringList{S("summarize"), S("locked")}, QStringList{S("export"), S("locked"), path(S("none.md"))},
        QStringList{S("chapters"), S("locked")}}) {
    const Result said = run(verb);
    EXPECT_TRUE(said.err.contains(why) || said.out.contains(why)) << (said.err + said.out).toStdString();
    EXPECT_EQ(said.code == cli::Done, verb[0] == u"chapters") << verb[0].toStdString();
  }
  EXPECT_FALSE(QFile::exists(path(S("none.md"))));
}

TEST_F(CliTest, ATextOfAFewWordsIsNotSummedUp) {
  run({S("read"), write(S("one.txt"), "x")});
  const Result said = run({S("summarize"), S("1")});
  EXPECT_EQ(said.code, cli::Failed);
  EXPECT_THAT(said.err, HasText("There is too little text in “one” to sum up."));
}

TEST_F(CliTest, AnOptionOfAnotherVerbIsRefused) {
  EXPECT_THAT(runBare({S("list"), S("--force")}).err,
              HasText("--force goes with export and summarize, not with list."));
  EXPECT_EQ(runBare({S("read"), S("1"), S("--way"), S("both")}).code, cli::WrongUsage);
  EXPECT_EQ(runBare({S("ask"), S("1"), S("q"), S("--password"), S("x")}).code, cli::WrongUsage);
}

TEST_F(CliTest, AFileNameThatLooksLikeOptionsIsToldHowToBeWritten) {
  const Result refused = runBare({S("read"), S("-dash.txt")});
  EXPECT_EQ(refused.code, cli::WrongUsage);
  EXPECT_THAT(refused.err, HasText("A file whose name begins with “-” is written ./-dash.txt."));
  EXPECT_THAT(runBare({S("list"), S("--no-such-option")}).err, testing::Not(HasText("./")));
  EXPECT_THAT(runBare({S("list"), S("-x")}).err, testing::Not(HasText("./")));
}

TEST_F(CliTest, ExitCodesTellTheCasesApart) {
  EXPECT_EQ(runBare({S("--help")}).code, cli::Done);
  EXPECT_THAT(runBare({S("--help")}).out, HasText("Exit codes"));
  EXPECT_THAT(runBare({S("--help")}).out, testing::Not(HasText("--help-all")));
  EXPECT_EQ(runBare({S("-h")}).out, runBare({S("--help")}).out);
  EXPECT_EQ(runBare({S("--version")}).code, cli::Done);
  EXPECT_EQ(runBare({}).code, cli::WrongUsage);
  EXPECT_EQ(runBare({S("dance")}).code, cli::WrongUsage);
  EXPECT_EQ(runBare({S("--no-such-option")}).code, cli::WrongUsage);
  EXPECT_THAT(runBare({S("--no-such-option")}).err, testing::Not(HasText("..")));
  EXPECT_EQ(runBare({S("ask"), S("1")}).code, cli::WrongUsage);
  EXPECT_EQ(runBare({S("ask"), S("1"), S("q"), S("--way"), S("sideways")}).code, cli::WrongUsage);
  EXPECT_EQ(runBare({S("list"), S("--threads"), S("many")}).code, cli::WrongUsage);
  EXPECT_THAT(runBare({S("list"), S("--threads"), S("5000")}).err, HasText("from 0 to 4096, not “5000”"));
  EXPECT_EQ(runBare({S("list"), S("--device"), S("gpu")}).code, cli::WrongUsage);
  EXPECT_THAT(runBare({S("list"), S("--device"), S("gpu")}).err,
              HasText("auto, cpu, cuda, cuda:1 or cuda:all, not “gpu”"));
  const Result several = runBare({S("bench"), S("--device"), S("cuda:all")});
  EXPECT_EQ(several.code, cli::WrongUsage);
  EXPECT_THAT(several.err, HasText("--device cuda:all goes with read, not with bench: choose one card."));
  const Result noCards = run({S("read"), book(), S("--device"), S("cuda:all")});
  EXPECT_EQ(noCards.code, cli::NoModel);
  EXPECT_THAT(noCards.err, HasText("CUDA"));
  const Result noCard = run({S("bench"), S("--device"), S("cuda")});  // ctest hides the cards
  EXPECT_EQ(noCard.code, cli::NoModel);
  EXPECT_THAT(noCard.err, HasText("CUDA"));
  EXPECT_THAT(noCard.err, testing::Not(HasText("another folder")));
  EXPECT_EQ(runBare({S("list"), S("--weights"), S("int2")}).code, cli::WrongUsage);
  EXPECT_THAT(runBare({S("list"), S("--weights"), S("int2")}).err,
              HasText("auto, full, int8, fp8 or int4, not “int2”"));
  EXPECT_THAT(runBare({S("--help")}).out.simplified(), HasText("save no memory"));
  run({S("read"), book()});
  EXPECT_EQ(run({S("ask"), S("Moby-Dick"), S("q")}).code, cli::NoSuchBook);
  EXPECT_EQ(runBare({S("ask"), S("1"), S("q"), S("--db"), database(), S("--model"), path(S("no-model"))}).code,
            cli::NoModel);
  EXPECT_EQ(runBare({S("read"), book(), S("--db"), folder_.path(), S("--model"), tinyModel()}).code, cli::NoLibrary);
}

TEST_F(CliTest, NoWordsAreNoBookAlsoWhereThereIsOnlyOne) {
  run({S("read"), book()});
  for (const char* words : {"", " "}) {
    EXPECT_EQ(run({S("remove"), QString::fromLatin1(words), S("--yes")}).code, cli::WrongUsage);
    EXPECT_EQ(run({S("ask"), QString::fromLatin1(words), S("Who?")}).code, cli::WrongUsage);
  }
  EXPECT_EQ(json(run({S("list"), S("--json")})).array().size(), 1);
}

TEST_F(CliTest, WordsThatFitSeveralBooksAreSaidToDoSo) {
  run({S("read"), write(S("walk one.txt"), prose(3, 1)), write(S("walk two.txt"), prose(3, 2))});
  const Result asked = run({S("ask"), S("walk"), S("q")});
  EXPECT_EQ(asked.code, cli::NoSuchBook);
  EXPECT_THAT(asked.err, HasText("fits several books"));
}

TEST_F(CliTest, WhatCannotBePrintedIsAFailure) {
  run({S("read"), book()});
  for (const QStringList& verb : {QStringList{S("list")}, QStringList{S("list"), S("--json")},
                                  QStringList{S("ask"), S("1"), S("Who sang?")}, QStringList{S("--help")}}) {
    QProcess process;
    process.setStandardOutputFile(S("/dev/full"));
    process.start(S(PALIMPSEST_CLI), verb + common());
    const Result result = finish(process);
    EXPECT_EQ(result.code, cli::Failed) << verb.join(u' ').toStdString();
    EXPECT_THAT(result.err, HasText("could not be written: No space left on device."));
  }
}

TEST_F(CliTest, EveryVerbSpeaksJson) {
  const Result read = run({S("read"), book(), S("--json")});
  ASSERT_EQ(json(read).array().size(), 1) << read.err.toStdString();
  EXPECT_GT(json(read).array()[0][u"seconds_spent"].toDouble(), 0.0);
  const QJsonObject card = json(run({S("summarize"), S("1"), S("--json")})).object();
  EXPECT_FALSE(card[u"answer"].toString().isEmpty());
  EXPECT_EQ(card[u"provenance"].toString(), S("Summed up from memory · 0 pages re-read · whole book"));
  const QJsonObject file = json(run({S("export"), S("1"), path(S("all.md")), S("--json")})).object();
  EXPECT_EQ(file[u"id"].toInt(), 1);
  EXPECT_EQ(file[u"file"].toString(), path(S("all.md")));
  EXPECT_TRUE(QFile::exists(path(S("all.md"))));
  const QJsonObject removed = json(run({S("remove"), S("1"), S("--yes"), S("--json")})).object();
  EXPECT_EQ(removed[u"id"].toInt(), 1);
  EXPECT_EQ(removed[u"removed"].toString(), S("walk"));
}

TEST_F(CliTest, AQuestionAskedAloneIsNotKept) {
  run({S("read"), book()});
  const auto kept = [&] {
    EXPECT_EQ(run({S("export"), S("1"), path(S("kept.txt")), S("--force")}).code, cli::Done);
    QFile file(path(S("kept.txt")));
    EXPECT_TRUE(file.open(QIODevice::ReadOnly));
    return file.readAll().contains("Who sang?");
  };
  EXPECT_EQ(run({S("ask"), S("1"), S("Who sang?"), S("--alone")}).code, cli::Done);
  EXPECT_FALSE(kept());
  EXPECT_EQ(run({S("ask"), S("1"), S("Who sang?")}).code, cli::Done);
  EXPECT_TRUE(kept());
  EXPECT_EQ(run({S("list"), S("--alone")}).code, cli::WrongUsage);
}

TEST_F(CliTest, ATemperatureGivesOtherAnswersAndTheSameSeedTheSame) {
  run({S("read"), book()});
  // Nothing is kept beside a running Palimpsest, so that no answer is an earlier turn of the next.
  start();
  const auto answer = [&](const QStringList& how) {
    const Result asked = run(QStringList{S("ask"), S("1"), S("Who sang?"), S("--json")} + how);
    EXPECT_EQ(asked.code, cli::Done) << asked.err.toStdString();
    return json(asked).object()[u"answer"].toString();
  };
  const QString likeliest = answer({});
  EXPECT_EQ(answer({S("--temperature"), S("0")}), likeliest);
  const QString free = answer({S("--temperature"), S("5"), S("--seed"), S("1")});
  EXPECT_NE(free, likeliest);
  EXPECT_EQ(answer({S("--temperature"), S("5"), S("--seed"), S("1")}), free);
  EXPECT_NE(answer({S("--temperature"), S("5"), S("--seed"), S("2")}), free);
  // The likeliest word alone makes up so small a share.
  EXPECT_EQ(answer({S("--temperature"), S("5"), S("--top-p"), S("0.00001")}), likeliest);
  for (const QStringList& wrong :
       {QStringList{S("--temperature"), S("-1")}, QStringList{S("--temperature"), S("hot")},
        QStringList{S("--top-p"), S("0")}, QStringList{S("--top-p"), S("1.5")}, QStringList{S("--seed"), S("-1")}})
    EXPECT_EQ(run(QStringList{S("ask"), S("1"), S("Who?")} + wrong).code, cli::WrongUsage) << wrong[0].toStdString();
  EXPECT_THAT(runBare({S("--help")}).out, HasText("--temperature"));
  EXPECT_THAT(runBare({S("--help")}).out, HasText("--top-p"));
}

TEST_F(CliTest, AMissingModelIsSaidInSentencesWithWhatToDoHere) {
  run({S("read"), book()});
  const QString nowhere = path(S("no-model"));
  for (const QStringList& verb : {QStringList{S("ask"), S("1"), S("Who?")}, QStringList{S("bench"), book()}}) {
    const Result result = runBare(verb + QStringList{S("--db"), database(), S("--model"), nowhere});
    EXPECT_EQ(result.code, cli::NoModel);
    QString reason;
    try {
      engine::Model::load(toPath(nowhere));
    } catch (const engine::ModelError& error) {
      reason = asSentence(error);
    }
    EXPECT_EQ(result.err, S("The model could not be loaded. ") + reason +
                              S(" Choose another folder with --model or PALIMPSEST_MODEL.\n"));
  }
}

TEST_F(CliTest, BenchMeasuresReadingAndAnswering) {
  const QStringList verb{S("bench"), book(), S("--seconds"), S("0.2")};
  const QJsonObject report = json(run(verb + QStringList{S("--json")})).object();
  EXPECT_EQ(report[u"model"].toString(), S("tiny-model"));
  for (const char* figure : {"reading_tokens_per_second", "ceiling_tokens_per_second", "share_of_ceiling",
                             "milliseconds_to_first_token", "memory_bytes", "snapshot_bytes"})
    EXPECT_GT(report[QLatin1String(figure)].toDouble(), 0.0) << figure;
  const Result said = run(verb);
  EXPECT_EQ(said.code, cli::Done);
  EXPECT_THAT(said.out, HasText("tokens/s"));
  const QJsonObject byInt4 = json(run(verb + QStringList{S("--json"), S("--weights"), S("int4")})).object();
  EXPECT_THAT(byInt4[u"device"].toString(), HasText(", int4 weights"));
  EXPECT_EQ(run({S("bench"), path(S("none.txt"))}).code, cli::Failed);
}

}  // namespace
}  // namespace palimpsest::app
