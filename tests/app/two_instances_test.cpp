// Two Palimpsests and one library.
#include <SQLiteCpp/SQLiteCpp.h>

#include <QProcess>

#include "fixture.h"

namespace palimpsest::app {
namespace {

using ui::BookState;

class TwoInstancesTest : public AppTest {
 protected:
  void SetUp() override {
    start();
    id_ = addAndRead(write(QStringLiteral("walk.txt"), novel()));
    first_ = std::move(assistant_);
  }
  void startSecond() {
    start();
    ASSERT_TRUE(waitFor([&] { return opened_ && !failures_.isEmpty(); }));
    ASSERT_TRUE(assistant_->readOnly());
    failures_.clear();
  }
  std::optional<ui::LibraryItem> titled(const QString& title) const {
    for (const ui::LibraryItem& shown : assistant_->library())
      if (shown.title == title) return shown;
    return std::nullopt;
  }

  std::unique_ptr<Assistant> first_;
  qint64 id_ = 0;
};

TEST_F(TwoInstancesTest, TheSecondSaysSoAndCanLookAskAndExport) {
  start();
  ASSERT_TRUE(waitFor([&] { return opened_ && !failures_.isEmpty(); }));
  EXPECT_TRUE(assistant_->readOnly());
  EXPECT_THAT(failures_.last(), HasText("Another Palimpsest (process"));
  ASSERT_EQ(assistant_->library().size(), 1);
  const ui::ConversationItem answer = ask(id_, "Who sang?");
  EXPECT_EQ(answer.error, QString());
  EXPECT_TRUE(first_->conversation(id_).isEmpty());  // not kept, as was said
  assistant_->exportDocument(id_, path(QStringLiteral("a.txt")), ExportFormat::Text);
  EXPECT_TRUE(waitFor([&] { return !exported_.isEmpty(); }));
}

TEST_F(TwoInstancesTest, TheSecondRefusesEveryVerbThatWrites) {
  start();
  ASSERT_TRUE(waitFor([&] { return opened_ && !failures_.isEmpty(); }));
  failures_.clear();
  EXPECT_EQ(add(path(QStringLiteral("walk.txt"))), 0);
  assistant_->remove(id_);
  assistant_->pause(id_);
  assistant_->resume(id_);
  assistant_->retry(id_);
  assistant_->cancel(id_);
  assistant_->clearConversation(id_);
  EXPECT_EQ(failures_.size(), 7);
  EXPECT_EQ(failures_.filter(QStringLiteral("another Palimpsest is using the library")).size(), 7);
  EXPECT_EQ(first_->library().size(), 1);
}

TEST_F(TwoInstancesTest, WhenTheFirstIsGoneTheNextWrites) {
  first_.reset();
  start();
  EXPECT_FALSE(assistant_->readOnly());
  ask(id_, "Who sang?");
  EXPECT_EQ(assistant_->conversation(id_).size(), 1);
}

TEST_F(TwoInstancesTest, TheSecondTakesTheLibraryOverWhenTheFirstIsDone) {
  first_->addDocument(write(QStringLiteral("left.txt"), prose(4000, 3)));
  ASSERT_TRUE(waitFor([&] {
    const QList<ui::LibraryItem> shown = first_->library();
    return shown.size() == 2 && shown.first().state == BookState::Reading && shown.first().progress > 0;
  }));
  AssistantOptions given = options();
  given.takeOver = true;
  start(given);
  ASSERT_TRUE(waitFor([&] { return opened_ && !failures_.isEmpty(); }));
  ASSERT_TRUE(assistant_->readOnly());
  EXPECT_EQ(assistant_->whyReadOnly(), failures_.last());
  ASSERT_TRUE(titled(QStringLiteral("left")));
  failures_.clear();
  first_.reset();
  ASSERT_TRUE(waitFor([&] { return !assistant_->readOnly(); }));
  EXPECT_TRUE(assistant_->whyReadOnly().isEmpty());
  EXPECT_TRUE(waitFor([&] { return titled(QStringLiteral("left"))->state == BookState::Reading; }))
      << "what the first one left unfinished goes on here";
  EXPECT_GT(add(write(QStringLiteral("new.txt"), prose(3, 4))), 0);
  ask(id_, "Who sang?");
  EXPECT_EQ(assistant_->conversation(id_).size(), 1);
  EXPECT_TRUE(failures_.isEmpty()) << failures_.join(u' ').toStdString();
}

TEST_F(TwoInstancesTest, WithoutThatItStaysReadOnly) {
  startSecond();
  first_.reset();
  EXPECT_FALSE(waitFor([&] { return !assistant_->readOnly(); }, 500));
}

TEST_F(TwoInstancesTest, WhatTheFirstAddsAndReadsAndRemovesIsShownByTheSecond) {
  startSecond();
  QStringList signalled;
  const auto note = [&](const char* what) { return [&, what] { signalled << QString::fromLatin1(what); }; };
  QObject::connect(assistant_.get(), &Assistant::itemAdded, assistant_.get(), note("added"));
  QObject::connect(assistant_.get(), &Assistant::itemChanged, assistant_.get(), note("changed"));
  QObject::connect(assistant_.get(), &Assistant::itemRemoved, assistant_.get(), note("removed"));

  first_->addDocument(write(QStringLiteral("second.txt"), prose(20, 9)));
  ASSERT_TRUE(waitFor([&] { return titled(QStringLiteral("second")).has_value(); }));
  ASSERT_TRUE(waitFor([&] {
    const auto second = titled(QStringLiteral("second"));
    return second->state == BookState::Ready && second->hasMemory && second->progress >= 1.0;
  }));
  const qint64 added = titled(QStringLiteral("second"))->id;
  EXPECT_TRUE(signalled.contains(QStringLiteral("added")));
  EXPECT_EQ(ask(added, "Who sang?").error, QString());

  first_->remove(added);
  ASSERT_TRUE(waitFor([&] { return signalled.last() == u"removed"; }));
  EXPECT_FALSE(assistant_->item(added));
  EXPECT_EQ(assistant_->library().size(), 1);

  signalled.clear();  // what has not changed is not told again
  finished([&] { first_->ask(id_, QStringLiteral("Who sang?"), ui::AnswerWay::Memory); });
  EXPECT_EQ(assistant_->conversation(id_).size(), 1);
  EXPECT_FALSE(waitFor([&] { return !signalled.isEmpty(); }, 300));
  EXPECT_TRUE(failures_.isEmpty()) << failures_.join(u' ').toStdString();
}

TEST_F(TwoInstancesTest, ACoverThatTheFirstFindsReachesTheSecond) {
  startSecond();
  first_->addDocument(QStringLiteral(PALIMPSEST_SOURCE_DIR "/resources/books/se_the-time-machine.epub"));
  ASSERT_TRUE(waitFor([&] {
    const auto shown = titled(QStringLiteral("The Time Machine"));
    return shown && !shown->cover.isEmpty();
  }));
}

TEST_F(TwoInstancesTest, WhatAnotherProgramWritesIsShown) {
  first_.reset();
  AssistantOptions given = options();
  given.readOnly = true;
  start(given);
  QProcess other;
  other.start(QStringLiteral(PALIMPSEST_CLI),
              {QStringLiteral("read"), write(QStringLiteral("second.txt"), prose(20, 9)), QStringLiteral("--db"),
               database(), QStringLiteral("--model"), tinyModel(), QStringLiteral("--threads"), QStringLiteral("1")});
  ASSERT_TRUE(other.waitForStarted());
  EXPECT_TRUE(waitFor([&] {
    const auto second = titled(QStringLiteral("second"));
    return second && second->state == BookState::Ready;
  }));
  EXPECT_TRUE(waitFor([&] { return other.state() == QProcess::NotRunning; }));
  EXPECT_EQ(other.exitCode(), 0);
}

TEST_F(TwoInstancesTest, TheSecondAnswersFromWhatTheFirstHasReadSince) {
  const QString file = write(QStringLiteral("long.txt"), prose(2000));
  first_->addDocument(file);
  qint64 id = 0;
  ASSERT_TRUE(waitFor([&] {
    for (const ui::LibraryItem& shown : first_->library())
      if (shown.title == u"long" && shown.state == BookState::Reading && shown.progress > 0.02) id = shown.id;
    return id > 0;
  }));
  first_->pause(id);
  ASSERT_TRUE(waitFor([&] { return first_->item(id)->state == BookState::Paused && first_->item(id)->hasMemory; }));
  startSecond();
  ASSERT_TRUE(waitFor([&] { return assistant_->model().loaded; }));
  EXPECT_THAT(ask(id, "Who sang?").provenance, HasText("first "));
  first_->resume(id);
  ASSERT_TRUE(waitFor([&] { return item(id).state == BookState::Ready && item(id).progress >= 1.0; }));
  EXPECT_THAT(ask(id, "Who sang?").provenance, HasText("whole book"));
}

TEST_F(TwoInstancesTest, ALookThatFailsIsSaidOnceAndTriedAgain) {
  startSecond();
  {
    SQLite::Database other(database().toStdString(), SQLite::OPEN_READWRITE);
    other.exec("ALTER TABLE covers RENAME TO hidden; UPDATE documents SET title = 'Renamed', text_bytes = 0");
    other.exec("INSERT INTO documents(content_hash, path, state, added_at) VALUES ('ab', 'new.txt', 'ready', 1)");
    ASSERT_TRUE(waitFor([&] { return !failures_.isEmpty(); }));
    EXPECT_THAT(failures_.last(), HasText("covers"));
    EXPECT_FALSE(waitFor([&] { return failures_.size() > 1; }, 300));
    other.exec("ALTER TABLE hidden RENAME TO covers");
  }
  EXPECT_TRUE(waitFor([&] { return titled(QStringLiteral("Renamed")) && assistant_->library().size() == 2; }));
  EXPECT_EQ(failures_.size(), 1);
}

}  // namespace
}  // namespace palimpsest::app
