// palimpsest-cli chapters, --chapter and --up-to as a program: what they print, and their exit codes.
#include <SQLiteCpp/SQLiteCpp.h>

#include <QJsonArray>
#include <QJsonObject>

#include "app/cli.h"
#include "cli_fixture.h"

namespace palimpsest::app {
namespace {

#define S QStringLiteral

class CliChaptersTest : public CliTest {
 protected:
  void readBook() const {
    const QByteArray text = "# One\n\n" + prose(8) + "# Two\n\n" + prose(8, 5) +
                            "# Twofold\n\nProfessor Zanzibar kept the purple umbrella in the lighthouse.\n\n" +
                            prose(8, 7);
    ASSERT_EQ(run({S("read"), write(S("walk.md"), text)}).code, cli::Done);
  }
  Result ask(const QStringList& part) const {
    return run(QStringList{S("ask"), S("1"), S("Who kept the purple umbrella in the lighthouse?")} + part);
  }
};

TEST_F(CliChaptersTest, ListsThemWithWhatIsRemembered) {
  readBook();
  const Result list = run({S("chapters"), S("1")});
  EXPECT_EQ(list.code, cli::Done);
  EXPECT_THAT(list.out, HasText("   2  remembered     Two\n"));
  EXPECT_EQ(list.err, QString());
  const QJsonArray chapters = json(run({S("chapters"), S("walk"), S("--json")}))[u"chapters"].toArray();
  ASSERT_EQ(chapters.size(), 3);
  EXPECT_EQ(chapters[1][u"number"].toInt(), 2);
  EXPECT_EQ(chapters[1][u"title"].toString(), S("Two"));
  EXPECT_TRUE(chapters[1][u"remembered_alone"].toBool());
}

TEST_F(CliChaptersTest, AsksUpToAChapterAndOnlyOne) {
  readBook();
  const Result before = ask({S("--up-to"), S("2")});
  EXPECT_EQ(before.code, cli::Done) << before.err.toStdString();
  EXPECT_THAT(before.out, HasText("[From memory, up to Two · 0 pages re-read]"));
  EXPECT_FALSE(before.out.contains(S("  > Professor Zanzibar")));
  EXPECT_THAT(ask({S("--up-to"), S("twofold")}).out, HasText("  > Professor Zanzibar"));
  const QJsonObject only = json(ask({S("--chapter"), S("Two"), S("--json")})).object();
  EXPECT_EQ(only[u"part"].toString(), S("chapter"));
  EXPECT_EQ(only[u"chapter_number"].toInt(), 2);
  EXPECT_EQ(only[u"chapter_title"].toString(), S("Two"));
  EXPECT_EQ(only[u"provenance"].toString(), S("From memory, only Two · 0 pages re-read"));
}

TEST_F(CliChaptersTest, SumsUpAChapterAndWritesThatSummary) {
  readBook();
  EXPECT_EQ(run({S("summarize"), S("1")}).code, cli::Done);
  const Result part = run({S("summarize"), S("1"), S("--up-to"), S("One"), S("--out"), path(S("one.md"))});
  EXPECT_EQ(part.code, cli::Done) << part.err.toStdString();
  EXPECT_THAT(part.out, HasText("[Summed up from memory, up to One · 0 pages re-read]"));
  QFile written(path(S("one.md")));
  ASSERT_TRUE(written.open(QIODevice::ReadOnly));
  const QString text = QString::fromUtf8(written.readAll());
  EXPECT_THAT(text, HasText("## Summary, up to One"));
  EXPECT_EQ(text.count(S("## Summary")), 1) << "that of the whole book is another one";
  EXPECT_EQ(run({S("export"), S("1"), path(S("all.txt"))}).code, cli::Done);
  QFile all(path(S("all.txt")));
  ASSERT_TRUE(all.open(QIODevice::ReadOnly));
  const QString both = QString::fromUtf8(all.readAll());
  EXPECT_LT(both.indexOf(S("SUMMARY\n")), both.indexOf(S("SUMMARY, UP TO ONE")));
}

TEST_F(CliChaptersTest, WhatIsNoChapterIsAnErrorThatSaysSo) {
  readBook();
  const auto fails = [&](const Result& result, int code, const char* words) {
    EXPECT_EQ(result.code, code) << words;
    EXPECT_THAT(result.err, HasText(words));
  };
  fails(ask({S("--chapter"), S("7")}), cli::NoSuchBook, "no chapter “7”; it has 3");
  fails(ask({S("--chapter"), S("Epilogue")}), cli::NoSuchBook, "See palimpsest-cli chapters 1.");
  fails(ask({S("--up-to"), S("Tw"), S("--json")}), cli::NoSuchBook, "fits several chapters");
  fails(ask({S("--up-to"), S("1"), S("--chapter"), S("1")}), cli::WrongUsage, "Either --chapter or --up-to");
  fails(ask({S("--chapter"), S("")}), cli::WrongUsage, "Which chapter?");
  fails(run({S("list"), S("--chapter"), S("1")}), cli::WrongUsage, "not with list");
  ASSERT_EQ(run({S("read"), write(S("plain.txt"), prose(3, 4))}).code, cli::Done);
  fails(run({S("ask"), S("1"), S("2"), S("Who?"), S("--chapter"), S("1")}), cli::WrongUsage, "of one book");
  fails(run({S("summarize"), S("2"), S("--chapter"), S("1")}), cli::NoSuchBook, "names no chapters");
  fails(run({S("chapters"), S("9")}), cli::NoSuchBook, "No book");
}

TEST_F(CliChaptersTest, ABookReadBeforeIsReadAgain) {
  readBook();
  SQLite::Database(database().toStdString(), SQLite::OPEN_READWRITE).exec("DELETE FROM chapter_memories");
  const Result list = run({S("chapters"), S("1")});
  EXPECT_THAT(list.err, HasText("palimpsest-cli read --again 1"));
  const Result asked = ask({S("--up-to"), S("1")});
  EXPECT_EQ(asked.code, cli::Failed);
  EXPECT_THAT(asked.err, HasText("Read the book again"));
  const Result again = run({S("read"), S("--again"), S("1")});
  EXPECT_EQ(again.code, cli::Done) << again.err.toStdString();
  EXPECT_THAT(again.err, HasText("ready, memory"));
  EXPECT_EQ(ask({S("--up-to"), S("1")}).code, cli::Done);
}

TEST_F(CliChaptersTest, ChaptersThatCannotBeReadAreNotSaidToBeMissing) {
  readBook();
  SQLite::Database(database().toStdString(), SQLite::OPEN_READWRITE).exec("DROP TABLE chapter_memories");
  for (const Result& refused : {run({S("chapters"), S("1")}), ask({S("--up-to"), S("1")})}) {
    EXPECT_EQ(refused.code, cli::NoLibrary);
    EXPECT_THAT(refused.err, HasText("chapter_memories"));
    EXPECT_FALSE(refused.err.contains(S("names no chapters")));
  }
}

// As where there are more chapters on one level than are remembered: every second end is kept, and none is known alone.
TEST_F(CliChaptersTest, ABookOfWhichOnlySomeEndsAreKeptIsNotToBeReadAgain) {
  readBook();
  SQLite::Database(database().toStdString(), SQLite::OPEN_READWRITE)
      .exec("DELETE FROM chapter_memories WHERE position = (SELECT min(position) FROM chapter_memories)");
  const Result list = run({S("chapters"), S("1")});
  EXPECT_THAT(list.out, HasText("   2  up to its end  Two\n"));
  EXPECT_THAT(list.err, HasText("More chapters than are remembered one by one"));
  EXPECT_THAT(list.err, testing::Not(HasText("--again")));
}

}  // namespace
}  // namespace palimpsest::app
