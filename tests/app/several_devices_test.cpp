// Several devices, each with a model of its own: here they are CPUs, told apart by their `card`.
#include <QThread>
#include <algorithm>
#include <map>

#include "app/cli.h"
#include "fixture.h"

namespace palimpsest::app {
namespace {

using engine::DeviceChoice;
using ui::BookState;

constexpr DeviceChoice kFirst{DeviceChoice::Kind::Cpu, 0}, kSecond{DeviceChoice::Kind::Cpu, 1};
constexpr const char* kStone = "\u00ff";

class SeveralDevicesTest : public AppTest {
 protected:
  AssistantOptions with(std::vector<DeviceChoice> devices) const {
    AssistantOptions given = options();
    given.devices = std::move(devices);
    return given;
  }
  AssistantOptions two() const { return with({kFirst, kSecond}); }
  // The tiny model, whose tokenizer makes more tokens of one character than a segment takes: reading fails there.
  QString stumblingModel() const {
    const QString folder = path(QStringLiteral("stumbling-model"));
    if (QFile::exists(folder)) return folder;
    QFile file(modelCopy(QStringLiteral("stumbling-model")) + QStringLiteral("/tokenizer.json"));
    EXPECT_TRUE(file.open(QIODevice::ReadWrite));
    QJsonObject tokenizer = QJsonDocument::fromJson(file.readAll()).object();
    tokenizer[QLatin1String("normalizer")] =
        QJsonObject{{QStringLiteral("type"), QStringLiteral("Replace")},
                    {QStringLiteral("pattern"), QJsonObject{{QStringLiteral("String"), QString::fromUtf8(kStone)}}},
                    {QStringLiteral("content"), QStringLiteral("1234567890").repeated(10)}};
    file.resize(0);
    file.seek(0);
    file.write(QJsonDocument(tokenizer).toJson());
    return folder;
  }
  static QByteArray stumbling(unsigned seed) { return prose(400, seed) + kStone + "\n\n" + prose(400, seed + 50); }
  // As two(), but one of them stumbles.
  AssistantOptions twoOfWhichStumbles(const DeviceChoice& one) const {
    AssistantOptions given = two();
    given.makeModel = [one, stumbles = toPath(stumblingModel())](const std::filesystem::path& folder,
                                                                 const engine::LoadOptions& load) {
      return engine::Model::load(load.device == one ? stumbles : folder, load);
    };
    return given;
  }

  QString longBook(unsigned seed, int paragraphs = 2000) const {
    return write(QStringLiteral("long%1.txt").arg(seed), prose(paragraphs, seed));
  }
  bool waitForAll(const QList<qint64>& books, BookState state) {
    bool all = true;
    for (const qint64 id : books) all = waitForState(id, state) && all;
    return all;
  }
  // Begins two long books, one on each device.
  QList<qint64> beginTwo() {
    const QList<qint64> books{add(longBook(3)), add(longBook(4))};
    for (const qint64 id : books) EXPECT_TRUE(waitForProgress(id, 0.0));
    EXPECT_TRUE(isReading(books[0]) && isReading(books[1])) << "both at once";
    return books;
  }
  bool isReading(qint64 id) const { return item(id).state == BookState::Reading; }

  // What is kept of each book, by the name of its file: all but when it was made, and how long that took.
  struct Kept {
    std::vector<std::byte> snapshot;
    std::vector<std::vector<std::byte>> sections, chapters;
    bool operator==(const Kept&) const = default;
  };
  std::map<std::string, Kept> kept() const {
    storage::Database connection = reader();
    const storage::MemoryStore memories(connection);
    std::map<std::string, Kept> all;
    for (const auto& document : storage::Library(connection).list()) {
      const storage::MemoryRecord memory = memoryRecord(document.id);
      Kept& book = all[std::filesystem::path(document.path).filename().string()];
      book.snapshot = memory.snapshot;
      for (const auto& section : memory.sections) book.sections.push_back(*section.snapshot);
      for (const auto& chapter : memories.chapters(document.id, memory.fingerprint))
        book.chapters.push_back(*memories.chapter(document.id, memory.fingerprint, chapter.position)->snapshot);
    }
    return all;
  }
  // Closes the library and begins an empty one.
  void putAway() {
    close();
    ASSERT_TRUE(QFile::rename(database(), path(QStringLiteral("away.db"))));
  }
  std::map<std::string, Kept> readByOne(const QStringList& files) {
    putAway();
    start();
    for (const QString& file : files) addAndRead(file);
    return kept();
  }
};

TEST_F(SeveralDevicesTest, EachReadsABookAndTheMemoriesAreThoseOfOneReader) {
  const QStringList files{QStringLiteral(PALIMPSEST_SOURCE_DIR "/resources/books/se_the-time-machine.epub"),
                          longBook(3), write(QStringLiteral("walk.txt"), novel())};
  AssistantOptions given = two();
  given.modelFolder = toPath(modelInSections(QStringLiteral("sections")));
  start(given);
  qsizetype most = 0;
  QObject::connect(assistant_.get(), &Assistant::itemChanged, assistant_.get(), [&] {
    most = std::max(most, std::ranges::count_if(assistant_->library(), [](const ui::LibraryItem& book) {
                      return book.state == BookState::Reading && book.tokensPerSecond > 0 && book.progress < 1;
                    }));
  });
  QList<qint64> books;
  for (const QString& file : files) books << add(file);
  ASSERT_TRUE(waitForAll(books, BookState::Ready));
  EXPECT_EQ(most, 2);
  EXPECT_TRUE(assistant_->model().device.startsWith(QStringLiteral("2 × CPU")))
      << assistant_->model().device.toStdString();
  EXPECT_TRUE(failures_.isEmpty() && notices_.isEmpty());
  const auto byTwo = kept();
  putAway();
  given.devices = {kFirst};
  start(given);
  for (const QString& file : files) addAndRead(file);
  EXPECT_EQ(byTwo.size(), 3U);
  EXPECT_FALSE(byTwo.at("se_the-time-machine.epub").chapters.empty());
  EXPECT_FALSE(byTwo.at("long3.txt").sections.empty());
  EXPECT_TRUE(byTwo == kept());
}

TEST_F(SeveralDevicesTest, PauseCancelAndRemovalOfOneLeaveTheOther) {
  start(two());
  const auto end = [this](unsigned verb, qint64 id) {
    if (verb == 0) assistant_->pause(id);
    if (verb == 1) assistant_->cancel(id);
    if (verb == 2) assistant_->remove(id);
    return verb == 2 ? waitFor([&] { return removed_.contains(id); }) : waitForState(id, BookState::Paused);
  };
  for (const unsigned verb : {0U, 1U, 2U}) {
    for (const unsigned which : {0U, 1U}) {
      const QList<qint64> books{add(longBook(10 + 4 * verb + 2 * which)), add(longBook(11 + 4 * verb + 2 * which))};
      for (const qint64 id : books) ASSERT_TRUE(waitForProgress(id, 0.0));
      ASSERT_TRUE(end(verb, books[which]));
      EXPECT_TRUE(waitForState(books[1 - which], BookState::Ready));
      if (verb == 2) continue;
      assistant_->resume(books[which]);
      EXPECT_TRUE(waitForState(books[which], BookState::Ready));
    }
  }
  EXPECT_TRUE(failures_.isEmpty()) << failures_.join(u' ').toStdString();
}

TEST_F(SeveralDevicesTest, ABookGoesOnOnWhicheverDeviceIsFreeAndEndsWithTheSameBits) {
  start(two());
  const QList<qint64> books = beginTwo();
  for (const qint64 id : books) assistant_->pause(id);
  ASSERT_TRUE(waitForAll(books, BookState::Paused));
  assistant_->resume(books[1]);  // was on the second
  assistant_->resume(books[0]);
  ASSERT_TRUE(waitForAll(books, BookState::Ready));
  const auto byTwo = kept();
  EXPECT_TRUE(byTwo == readByOne({longBook(3), longBook(4)}));
}

TEST_F(SeveralDevicesTest, ClosingWhileTwoReadLosesNothing) {
  start(two());
  const QList<qint64> books = beginTwo();
  const double reached[] = {item(books[0]).progress, item(books[1]).progress};
  close();
  start();
  for (const qsizetype i : {0, 1}) EXPECT_GE(item(books[i]).progress, reached[i] - 1e-9);
  ASSERT_TRUE(waitForAll(books, BookState::Ready));  // both go on by themselves, on one device
  const auto interrupted = kept();
  EXPECT_TRUE(interrupted == readByOne({longBook(3), longBook(4)}));
}

TEST_F(SeveralDevicesTest, QuestionsAreAnsweredWhileTwoRead) {
  start(two());
  const qint64 whole = addAndRead(write(QStringLiteral("walk.txt"), novel()));
  const QList<qint64> books = beginTwo();
  EXPECT_THAT(ask(whole, "Where is the umbrella?").provenance, HasText("whole book"));
  for (const qint64 id : books) {
    const ui::ConversationItem answer = ask(id, "Who sang?");
    EXPECT_EQ(answer.error, QString());
    EXPECT_THAT(answer.provenance, HasText("first "));
  }
  EXPECT_TRUE(isReading(books[0]) && isReading(books[1]));
  EXPECT_THAT(ask(assistant_->shelf({whole, books[0]}), "Who sang?").error, HasText("has not been read"));
  ASSERT_TRUE(waitForAll(books, BookState::Ready));
  EXPECT_THAT(ask(assistant_->shelf({whole, books[0], books[1]}), "Who sang?").provenance, HasText("3 whole books"));
}

TEST_F(SeveralDevicesTest, ABookThatAnotherDeviceReadOnIsAskedAsItIsNow) {
  start(two());
  const qint64 book = add(longBook(3));
  ASSERT_TRUE(waitForProgress(book, 0.02));
  assistant_->pause(book);
  ASSERT_TRUE(waitForState(book, BookState::Paused));
  EXPECT_THAT(ask(book, "Who sang?").provenance, HasText("first "));  // the first device holds that memory now
  const qint64 other = add(longBook(4, 6000));
  ASSERT_TRUE(waitForProgress(other, 0.0));  // and reads this
  assistant_->resume(book);
  ASSERT_TRUE(waitForState(book, BookState::Ready));
  EXPECT_TRUE(isReading(other));
  EXPECT_THAT(ask(book, "Who sang?").provenance, HasText("whole book"));
}

TEST_F(SeveralDevicesTest, ABookOnWhichADeviceFailsGoesOnOnAnother) {
  for (const DeviceChoice& one : {kFirst, kSecond}) {
    start(twoOfWhichStumbles(one));
    QList<qint64> books;
    for (unsigned seed = 1; seed <= 4; ++seed)
      books << add(write(QStringLiteral("book%1.txt").arg(seed), stumbling(seed + 10 * one.card)));
    ASSERT_TRUE(waitForAll(books, BookState::Ready));
    ASSERT_EQ(notices_.size(), 1) << notices_.join(u' ').toStdString();
    EXPECT_THAT(notices_[0], HasText("goes on on another device, and CPU, 1 thread"));
    EXPECT_THAT(notices_[0], HasText("reads no more. One character of the text has more than"));
    for (const qint64 id : books) EXPECT_THAT(ask(id, "Who sang?").provenance, HasText("whole book"));
    notices_.clear();
    close();
  }
}

TEST_F(SeveralDevicesTest, ABookOnWhichTwoFailSaysWhyAndBothReadOn) {
  AssistantOptions given = two();
  given.modelFolder = toPath(stumblingModel());
  start(given);
  const qint64 bad = add(write(QStringLiteral("bad.txt"), stumbling(1)));
  ASSERT_TRUE(waitForState(bad, BookState::Failed));
  EXPECT_THAT(item(bad).failure, HasText("One character of the text has more than"));
  EXPECT_EQ(notices_.size(), 1);
  EXPECT_TRUE(waitForAll(beginTwo(), BookState::Ready));
}

TEST_F(SeveralDevicesTest, APauseHoldsThoughTheDeviceFails) {
  start(twoOfWhichStumbles(kFirst));
  QObject::connect(
      assistant_.get(), &Assistant::itemChanged, assistant_.get(),
      [&](const ui::LibraryItem& changed) {
        if (changed.state != BookState::Reading) return;
        QThread::msleep(500);  // it fails in this time, and nobody has heard of it yet
        assistant_->pause(changed.id);
      },
      Qt::QueuedConnection);
  const qint64 id = add(write(QStringLiteral("bad.txt"), kStone + prose(400)));
  ASSERT_TRUE(waitForState(id, BookState::Failed));
  EXPECT_THAT(item(id).failure, HasText("One character of the text has more than"));
  EXPECT_TRUE(notices_.isEmpty()) << "no other device was given it";
}

TEST_F(SeveralDevicesTest, OneThatCannotLoadTheModelIsLeftOut) {
  constexpr DeviceChoice kMissing{DeviceChoice::Kind::Cuda, 99};
  for (const auto& devices : {std::vector{kFirst, kMissing}, std::vector{kMissing, kFirst}}) {
    start(with(devices));
    ASSERT_TRUE(waitFor([&] { return assistant_->model().loaded; }));
    EXPECT_TRUE(assistant_->model().device.startsWith(QStringLiteral("CPU, 1 thread")));
    ASSERT_EQ(notices_.size(), 1);
    EXPECT_THAT(notices_[0], HasText("A device is left out. The model could not be loaded. "));
    const qint64 id = addAndRead(write(QStringLiteral("walk.txt"), novel()));
    EXPECT_EQ(ask(id, "Where is the umbrella?").error, QString());
    assistant_->remove(id);
    ASSERT_TRUE(waitFor([&] { return !removed_.isEmpty(); }));
    removed_.clear();
    notices_.clear();
  }
  start(with({kMissing, kMissing}));
  ASSERT_TRUE(waitFor([&] { return !assistant_->model().problem.isEmpty(); }));
  EXPECT_FALSE(assistant_->model().loaded);
  EXPECT_TRUE(notices_.isEmpty());
}

TEST_F(SeveralDevicesTest, AnotherModelIsLoadedOnEach) {
  start(two());
  const QList<qint64> books = beginTwo();
  assistant_->useModel(otherModel());
  ASSERT_TRUE(waitForAll(books, BookState::Ready));
  EXPECT_EQ(assistant_->model().name, QStringLiteral("other-model"));
  storage::Database connection = reader();
  for (const qint64 id : books) {
    const auto memories = storage::MemoryStore(connection).list(id);
    ASSERT_EQ(memories.size(), 2U) << "the first model's, and the other's";
    EXPECT_EQ(memories[0].complete + memories[1].complete, 1);
  }
}

TEST_F(SeveralDevicesTest, TheCommandLineReadsSeveralAtOnce) {
  cli::Options given;
  given.verb = QStringLiteral("read");
  given.assistant = two();
  given.arguments = {longBook(3), longBook(4), path(QStringLiteral("none.epub"))};
  testing::internal::CaptureStderr();
  const int code = cli::read(given);
  const QString said = QString::fromStdString(testing::internal::GetCapturedStderr());
  EXPECT_EQ(code, cli::Failed);
  EXPECT_THAT(said, HasText("long3: ready, memory "));
  EXPECT_THAT(said, HasText("long4: ready, memory "));
  EXPECT_THAT(said, HasText("none.epub"));
}

}  // namespace
}  // namespace palimpsest::app
