// The Assistant from file to memory: adding, reading, pausing, going on, removing.
#include <QThread>

#include "engine/memory_snapshot.h"
#include "fixture.h"
#include "tests/documents/samples.h"

namespace palimpsest::app {
namespace {

using storage::DocumentState;
using ui::BookState;

class AssistantTest : public AppTest {
 protected:
  // Long enough that it is still being read when the test acts.
  QString longBook(unsigned seed = 3) const { return write(QStringLiteral("long%1.txt").arg(seed), prose(2000, seed)); }

  AssistantOptions withThreads(int threads) const {
    AssistantOptions given = options();
    given.threads = threads;
    return given;
  }
  // Begins a long book with so many threads, pauses it and goes on with a Palimpsest of one.
  qint64 readInterrupted(const QString& file, int threads) {
    start(withThreads(threads));
    const qint64 id = add(file);
    EXPECT_TRUE(waitForProgress(id, 0.02));
    assistant_->pause(id);
    EXPECT_TRUE(waitForState(id, BookState::Paused));
    start(withThreads(1));
    EXPECT_TRUE(waitFor([&] { return assistant_->model().loaded; }));
    EXPECT_LT(item(id).progress, 1.0);
    assistant_->resume(id);
    EXPECT_TRUE(waitForState(id, BookState::Ready));
    return id;
  }

  DocumentState stored(qint64 id) const {
    storage::Database connection = reader();
    return storage::Library(connection).find(id)->state;
  }
};

TEST_F(AssistantTest, ABookThatIsPlainlyNotEnglishIsReadAndSaidToBeSo) {
  const QByteArray german = "Es war einmal mitten im Winter, und die Schneeflocken fielen wie Federn herab.\n\n";
  start();
  const qint64 id = addAndRead(write(QStringLiteral("schnee.txt"), german.repeated(40)));
  EXPECT_THAT(item(id).note, HasText("It seems not to be in English, and the model that comes with Palimpsest was "
                                     "trained on English only"));
  EXPECT_EQ(item(addAndRead(write(QStringLiteral("walk.txt"), novel()))).note, QString());
  start();
  EXPECT_THAT(item(id).note, HasText("It seems not to be in English"));
}

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
  EXPECT_THAT(storedText(id), HasText("Professor Zanzibar kept the purple umbrella in the lighthouse."));
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

TEST_F(AssistantTest, AReadingGoesOnWithTheThreadsItWasBegunWithAndEndsWithTheirBits) {
  if (QThread::idealThreadCount() < 2) GTEST_SKIP() << "this computer has one processor";
  const QString file = longBook();
  const qint64 id = readInterrupted(file, 2);
  const auto resumed = snapshot(id);
  EXPECT_EQ(engine::arithmeticOf(resumed).threads, 2);
  EXPECT_TRUE(notices_.isEmpty()) << notices_.join(u' ').toStdString();
  // The next book is read with the number that was asked for.
  const auto own = snapshot(addAndRead(write(QStringLiteral("walk.txt"), novel())));
  EXPECT_EQ(engine::arithmeticOf(own).threads, 1);

  start(withThreads(2));
  assistant_->remove(id);
  ASSERT_TRUE(waitFor([&] { return !removed_.isEmpty(); }));
  EXPECT_EQ(resumed, snapshot(addAndRead(file)));
}

TEST_F(AssistantTest, AReadingThatCannotGoOnWithItsThreadsSaysSoAndGoesOn) {
  const int tooMany = QThread::idealThreadCount() + 1;
  const qint64 id = readInterrupted(longBook(), tooMany);
  EXPECT_EQ(engine::arithmeticOf(snapshot(id)).threads, 1);
  ASSERT_EQ(notices_.size(), 1);
  EXPECT_THAT(notices_[0], HasText("“long3” was begun with"));
  EXPECT_TRUE(notices_[0].contains(QStringLiteral("%1 threads in").arg(tooMany))) << notices_[0].toStdString();
  EXPECT_THAT(notices_[0], HasText("goes on with 1 thread in"));
}

TEST_F(AssistantTest, AReadingBegunOnAGraphicsCardGoesOnOnTheCpuAndSaysSo) {
  start(withThreads(1));
  const qint64 id = add(longBook());
  ASSERT_TRUE(waitForProgress(id, 0.02));
  assistant_->pause(id);
  ASSERT_TRUE(waitForState(id, BookState::Paused));
  assistant_.reset();
  {
    const auto model = engine::Model::load(options().modelFolder, {.threads = 1, .progress = {}});
    storage::Database connection = storage::Database::open(toPath(database()), storage::Access::ReadWrite);
    storage::MemoryStore store(connection);
    auto record = *store.load(id, model->fingerprint());
    const engine::MemorySnapshot begun = engine::loadSnapshot(*model, record.snapshot);
    engine::SnapshotArithmetic byCard = begun.arithmetic;
    byCard.card = "NVIDIA H200";
    record.snapshot = engine::saveSnapshot(*model, begun.memory, begun.reading, byCard);
    EXPECT_EQ(engine::arithmeticOf(record.snapshot), byCard);
    store.save(record);
  }
  start(withThreads(1));
  ASSERT_TRUE(waitFor([&] { return assistant_->model().loaded; }));
  assistant_->resume(id);
  ASSERT_TRUE(waitForState(id, BookState::Ready));
  EXPECT_EQ(engine::arithmeticOf(snapshot(id)).card, "");
  ASSERT_EQ(notices_.size(), 1);
  EXPECT_THAT(notices_[0], HasText("was begun with NVIDIA H200 in"));
  EXPECT_THAT(notices_[0], HasText("goes on with 1 thread in"));
}

TEST_F(AssistantTest, AReadingBegunWithOtherWeightsGoesOnAndSaysSo) {
  AssistantOptions withInt4 = withThreads(1);
  withInt4.weights = engine::WeightType::Int4;
  start(withInt4);
  const qint64 id = add(longBook());
  ASSERT_TRUE(waitForProgress(id, 0.02));
  EXPECT_THAT(assistant_->model().device, HasText(", int4 weights"));
  assistant_->pause(id);
  ASSERT_TRUE(waitForState(id, BookState::Paused));
  EXPECT_EQ(engine::arithmeticOf(snapshot(id)).weights, engine::WeightType::Int4);
  start(withThreads(1));
  ASSERT_TRUE(waitFor([&] { return assistant_->model().loaded; }));
  assistant_->resume(id);
  ASSERT_TRUE(waitForState(id, BookState::Ready));
  EXPECT_EQ(engine::arithmeticOf(snapshot(id)).weights, engine::WeightType::Full);
  ASSERT_EQ(notices_.size(), 1);
  EXPECT_THAT(notices_[0], HasText(" with int4 weights and goes on with 1 thread in"));
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
  const QString folder = modelCopy(QStringLiteral("plain-model"));
  ASSERT_TRUE(QFile::remove(folder + QStringLiteral("/memory_heads.safetensors")));
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
  EXPECT_THAT(item(id).note, HasText("There is no memory of it yet"));
  EXPECT_THAT(ask(id, "Where?").error, HasText("has not read this book yet"));
  assistant_->retry(id);
  ASSERT_TRUE(waitFor([&] { return item(id).state == BookState::Ready && item(id).hasMemory; }));
}

TEST_F(AssistantTest, AnotherModelReadsTheBookAnewAndTheFirstMemoryStays) {
  start();
  const qint64 id = add(longBook());
  ASSERT_TRUE(waitForProgress(id, 0.02));
  assistant_->useModel(otherModel());  // in the middle of a book
  ASSERT_TRUE(waitForState(id, BookState::Ready));
  EXPECT_EQ(assistant_->model().name, QStringLiteral("other-model"));
  EXPECT_TRUE(item(id).hasMemory);
  {
    storage::Database connection = reader();
    const auto memories = storage::MemoryStore(connection).list(id);
    ASSERT_EQ(memories.size(), 2U);
    EXPECT_EQ(memories[0].complete + memories[1].complete, 1);
  }
  // The first one has read a part: it goes on from there.
  assistant_->useModel(tinyModel());
  ASSERT_TRUE(waitFor([&] { return assistant_->model().name == u"tiny-model"; }));
  EXPECT_TRUE(item(id).canReadAgain);
  EXPECT_GT(item(id).progress, 0.0);
  assistant_->retry(id);
  ASSERT_TRUE(waitFor([&] { return item(id).state == BookState::Ready && item(id).progress >= 1.0; }));
  EXPECT_TRUE(failures_.isEmpty()) << failures_.join(u' ').toStdString();
}

// The first folder is loaded, and this is on its way, when the second is chosen.
TEST_F(AssistantTest, AModelThatIsReplacedBeforeItsLoadingWasHeardOfIsNotTakenForTheNext) {
  start();
  QThread::msleep(500);  // the engine's thread loads; this one hears of nothing
  QList<ui::ModelStatus> told;
  QObject::connect(assistant_.get(), &Assistant::modelChanged, assistant_.get(),
                   [&](const ui::ModelStatus& status) { told << status; });
  assistant_->useModel(path(QStringLiteral("no-model")));
  ASSERT_TRUE(waitFor([&] { return !assistant_->model().problem.isEmpty(); }));
  for (const ui::ModelStatus& status : told) EXPECT_FALSE(status.loaded) << status.name.toStdString();
  EXPECT_TRUE(assistant_->model().problem.contains(u"no-model"));
}

TEST_F(AssistantTest, ACoverReachesItsItemAndIsThereAfterAReopening) {
  start();
  const qint64 id = add(QStringLiteral(PALIMPSEST_SOURCE_DIR "/resources/books/se_the-time-machine.epub"));
  ASSERT_TRUE(waitFor([&] { return !item(id).cover.isEmpty(); }));
  const QByteArray cover = item(id).cover;
  EXPECT_TRUE(cover.startsWith("\xff\xd8\xff") || cover.startsWith("\x89PNG"));
  assistant_->pause(id);
  ASSERT_TRUE(waitForState(id, BookState::Paused));
  start();
  EXPECT_EQ(item(id).cover, cover);
}

TEST_F(AssistantTest, WhatAFileLacksReachesItsNote) {
  documents::tests::EpubParts parts;
  parts.chapters = {{"one.xhtml", documents::tests::xhtml("<p>" + prose(1).toStdString() + "</p>")}};
  parts.manifest = R"(<item id="gone" href="gone.xhtml" media-type="application/xhtml+xml"/>)";
  parts.spineExtra = R"(<itemref idref="gone"/>)";
  start();
  const qint64 id =
      addAndRead(write(QStringLiteral("gap.epub"), QByteArray::fromStdString(documents::tests::makeEpub(parts))));
  EXPECT_THAT(item(id).note, HasText("gone.xhtml"));
  start();
  EXPECT_THAT(item(id).note, HasText("gone.xhtml"));
}

TEST_F(AssistantTest, ALineOfTwentyMegabytesIsABook) {
  QByteArray line = prose(30000).replace("\n\n", " ");
  const qsizetype half = line.indexOf(' ', line.size() / 2);
  line.insert(half, " Professor Zanzibar kept the purple umbrella in the lighthouse.");
  while (line.size() < 20'000'000) line += line.left(20'000'000 - line.size());
  start();
  const qint64 id = add(write(QStringLiteral("line.txt"), line));
  ASSERT_TRUE(waitForProgress(id, 0.0));
  storage::Database connection = reader();
  const storage::Library library(connection);
  EXPECT_GE(library.find(id)->textBytes, 19'000'000);
  const auto found = library.search(id, "Zanzibar's umbrella", 3);
  ASSERT_FALSE(found.empty());
  EXPECT_THAT(found[0].text, testing::HasSubstr("Zanzibar"));
  EXPECT_EQ(ask(id, "Who sang?").error, QString());
  assistant_->cancel(id);
  ASSERT_TRUE(waitForState(id, BookState::Paused));
  assistant_->remove(id);
  EXPECT_TRUE(waitFor([&] { return removed_.contains(id); }));
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
