// The Assistant from file to memory: adding, reading, pausing, going on, removing.
#include "fixture.h"

namespace palimpsest::app {
namespace {

using storage::DocumentState;
using ui::BookState;

class AssistantTest : public AppTest {
 protected:
  // Long enough that it is still being read when the test acts.
  QString longBook(unsigned seed = 3) const { return write(QStringLiteral("long%1.txt").arg(seed), prose(2000, seed)); }

  DocumentState stored(qint64 id) const {
    storage::Database connection = reader();
    return storage::Library(connection).find(id)->state;
  }
};

TEST_F(AssistantTest, ABookGoesFromFileToMemory) {
  start();
  QList<BookState> states;
  QObject::connect(assistant_.get(), &Assistant::itemChanged, assistant_.get(), [&](const ui::LibraryItem& changed) {
    if (states.isEmpty() || states.last() != changed.state) states << changed.state;
  });
  const qint64 id = addAndRead(write(QStringLiteral("walk.txt"), novel()));
  EXPECT_EQ(states,
            (QList<BookState>{BookState::Extracting, BookState::Waiting, BookState::Reading, BookState::Ready}));
  const ui::LibraryItem ready = item(id);
  EXPECT_TRUE(ready.hasMemory);
  EXPECT_DOUBLE_EQ(ready.progress, 1.0);
  EXPECT_GT(ready.memoryBytes, 0);
  EXPECT_THAT(assistant_->storedText(id), HasText("Professor Zanzibar kept the purple umbrella in the lighthouse."));
  EXPECT_EQ(stored(id), DocumentState::Ready);
  EXPECT_TRUE(failures_.isEmpty());
}

TEST_F(AssistantTest, AMemoryIsThereAfterAReopening) {
  start();
  const qint64 id = addAndRead(write(QStringLiteral("walk.txt"), novel()));
  const auto before = snapshot(id);
  start();
  ASSERT_TRUE(waitFor([&] { return assistant_->model().loaded; }));
  EXPECT_EQ(item(id).state, BookState::Ready);
  EXPECT_TRUE(item(id).hasMemory);
  EXPECT_FALSE(ask(id, "Where is the umbrella?").answer.isNull());
  EXPECT_EQ(snapshot(id), before);  // asking has changed nothing
}

TEST_F(AssistantTest, ProgressTellsTokensPerSecondAndTimeLeftWithinSeconds) {
  start();
  QElapsedTimer timer;
  timer.start();
  const qint64 id = add(longBook());
  ASSERT_TRUE(waitFor([&] { return item(id).tokensPerSecond > 0 && item(id).secondsLeft >= 0; }));
  EXPECT_LT(timer.elapsed(), 10000);
  EXPECT_GT(item(id).memoryBytes, 0);
}

TEST_F(AssistantTest, TheSameBookDroppedTwiceIsOneBook) {
  start();
  const QString file = write(QStringLiteral("walk.txt"), novel());
  assistant_->addDocument(file);
  assistant_->addDocument(write(QStringLiteral("copy.txt"), novel()));
  ASSERT_TRUE(waitFor([&] { return added_.size() == 2; }));
  EXPECT_EQ(added_[0], added_[1]);
  EXPECT_EQ(assistant_->library().size(), 1);
  EXPECT_THAT(notices_.join(u' '), HasText("in the library already"));
  EXPECT_TRUE(waitForState(added_[0], BookState::Ready));
}

TEST_F(AssistantTest, PauseHoldsAcrossAReopeningAndResumeEndsWithTheSameBits) {
  const QString file = longBook();
  start();
  const qint64 id = add(file);
  ASSERT_TRUE(waitForProgress(id, 0.02));
  assistant_->pause(id);
  ASSERT_TRUE(waitForState(id, BookState::Paused));
  start();
  ASSERT_TRUE(waitFor([&] { return assistant_->model().loaded; }));
  EXPECT_FALSE(waitFor([&] { return item(id).state != BookState::Paused; }, 300));
  EXPECT_GT(item(id).progress, 0.0);
  EXPECT_LT(item(id).progress, 1.0);
  assistant_->resume(id);
  ASSERT_TRUE(waitForState(id, BookState::Ready));
  const auto resumed = snapshot(id);

  assistant_->remove(id);
  ASSERT_TRUE(waitFor([&] { return !removed_.isEmpty(); }));
  EXPECT_EQ(resumed, snapshot(addAndRead(file)));
}

TEST_F(AssistantTest, ClosingWhileReadingLosesNothing) {
  start();
  const qint64 id = add(longBook());
  ASSERT_TRUE(waitForProgress(id, 0.05));
  const double reached = item(id).progress;
  close();
  EXPECT_EQ(stored(id), DocumentState::Reading);
  start();
  EXPECT_GE(item(id).progress, reached - 1e-9);
  EXPECT_TRUE(waitForState(id, BookState::Ready));  // goes on by itself
}

TEST_F(AssistantTest, CancelActsWithinASecondAndKeepsWhatWasRead) {
  start();
  const qint64 id = add(longBook());
  ASSERT_TRUE(waitForProgress(id, 0.02));
  QElapsedTimer timer;
  timer.start();
  assistant_->cancel(id);
  ASSERT_TRUE(waitForState(id, BookState::Paused));
  EXPECT_LT(timer.elapsed(), 1000);
  EXPECT_THAT(item(id).note, HasText("cancelled"));
  EXPECT_TRUE(waitFor([&] { return item(id).hasMemory && item(id).progress > 0; }));
  assistant_->resume(id);
  EXPECT_TRUE(waitForState(id, BookState::Ready));
}

TEST_F(AssistantTest, ABookThatWaitsCanBePausedAndResumed) {
  start();
  const qint64 first = add(longBook(3)), second = add(longBook(4));
  ASSERT_TRUE(waitForProgress(first, 0.0));
  assistant_->pause(second);
  ASSERT_TRUE(waitForState(second, BookState::Paused));
  ASSERT_TRUE(waitForState(first, BookState::Ready));
  EXPECT_EQ(item(second).state, BookState::Paused);
  assistant_->resume(second);
  EXPECT_TRUE(waitForState(second, BookState::Ready));
}

TEST_F(AssistantTest, ResumingBeforeThePauseWasNoticedReadsOn) {
  start();
  const qint64 id = add(longBook());
  ASSERT_TRUE(waitForProgress(id, 0.0));
  assistant_->pause(id);
  assistant_->resume(id);
  EXPECT_TRUE(waitForState(id, BookState::Ready));
}

TEST_F(AssistantTest, RemovingABookWhileItIsReadTakesAllOfIt) {
  start();
  const qint64 id = add(longBook(3)), other = add(write(QStringLiteral("walk.txt"), novel()));
  ASSERT_TRUE(waitForProgress(id, 0.0));
  assistant_->remove(id);
  ASSERT_TRUE(waitFor([&] { return removed_.contains(id); }));
  EXPECT_FALSE(assistant_->item(id));
  EXPECT_TRUE(waitForState(other, BookState::Ready));  // the worker is free again
  EXPECT_TRUE(failures_.isEmpty()) << failures_.join(u' ').toStdString();
  storage::Database connection = reader();
  EXPECT_FALSE(storage::Library(connection).find(id));
  EXPECT_TRUE(storage::MemoryStore(connection).list(id).empty());
}

TEST_F(AssistantTest, AModelWithoutMemoryMakesABookReadyForPassagesAndSaysSo) {
  const QString folder = path(QStringLiteral("plain-model"));
  ASSERT_TRUE(QDir().mkpath(folder));
  for (const QString& name : QDir(tinyModel()).entryList(QDir::Files))
    if (name != u"memory_heads.safetensors") {
      ASSERT_TRUE(QFile::copy(tinyModel() + u'/' + name, folder + u'/' + name));
    }
  AssistantOptions given = options();
  given.modelFolder = toPath(folder);
  start(given);
  const qint64 id = addAndRead(write(QStringLiteral("walk.txt"), novel()));
  EXPECT_FALSE(item(id).hasMemory);
  EXPECT_THAT(item(id).note, HasText("has no memory: answers come from passages only"));
  const ui::ConversationItem answer = ask(id, "Where is the purple umbrella?");
  EXPECT_EQ(answer.way, ui::AnswerWay::Passages);
  EXPECT_THAT(answer.provenance, HasText("From passages only"));
  EXPECT_THAT(finished([&] { assistant_->summarize(id); }).error, HasText("has no memory"));

  // A model with memory heads then offers to read the stored text, without the file.
  QFile::remove(path(QStringLiteral("walk.txt")));
  start();
  ASSERT_TRUE(waitFor([&] { return assistant_->model().loaded; }));
  EXPECT_THAT(item(id).note, HasText("Not read into a memory yet"));
  EXPECT_THAT(ask(id, "Where?").error, HasText("has not read this book yet"));
  assistant_->retry(id);
  ASSERT_TRUE(waitFor([&] { return item(id).state == BookState::Ready && item(id).hasMemory; }));
}

TEST_F(AssistantTest, ABookReadWholeIsNotReadAgain) {
  start();
  const qint64 id = addAndRead(write(QStringLiteral("walk.txt"), novel()));
  assistant_->retry(id);
  EXPECT_THAT(notices_.join(u' '), HasText("read whole"));
  EXPECT_EQ(item(id).state, BookState::Ready);
}

}  // namespace
}  // namespace palimpsest::app
