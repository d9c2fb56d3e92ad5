// kill -9 at random moments: the library opens, reading goes on, and the memory and its sections end with the
// same bits.
#include <signal.h>

#include <QProcess>
#include <random>
#include <thread>

#include "fixture.h"

namespace palimpsest::app {
namespace {

constexpr int kKills = 20;

class KillTest : public AppTest {
 protected:
  // No file: goes on with what is unfinished.
  std::unique_ptr<QProcess> reading(const QString& file, const QString& library) const {
    auto process = std::make_unique<QProcess>();
    process->setProcessChannelMode(QProcess::ForwardedErrorChannel);
    QStringList arguments{QStringLiteral("read")};
    if (!file.isEmpty()) arguments << file;
    arguments << QStringLiteral("--json") << QStringLiteral("--db") << library << QStringLiteral("--model") << model_
              << QStringLiteral("--threads") << QStringLiteral("1") << QStringLiteral("--checkpoint")
              << QStringLiteral("0.02");
    process->start(QStringLiteral(PALIMPSEST_CLI), arguments);
    EXPECT_TRUE(process->waitForStarted());
    return process;
  }

  const QString model_ = modelInSections(QStringLiteral("model"));

  static void readWhole(QProcess& process) {
    ASSERT_TRUE(process.waitForFinished(240000));
    ASSERT_EQ(process.exitStatus(), QProcess::NormalExit);
    ASSERT_EQ(process.exitCode(), 0);
  }

  // The one memory in a library; nothing stored yet = position 0.
  static storage::MemoryRecord memoryIn(const QString& library) {
    if (!QFile::exists(library)) return {};
    try {
      storage::Database connection = storage::Database::open(toPath(library), storage::Access::ReadOnly);
      const storage::MemoryStore memories(connection);
      const auto headers = memories.list(1);
      return headers.empty() ? storage::MemoryRecord() : *memories.load(1, headers[0].fingerprint);
    } catch (const storage::DatabaseError& error) {
      // Looked at, or killed, before the schema was there, or between two of its steps.
      EXPECT_THAT(error.reason(), testing::AnyOf(storage::DatabaseError::Reason::CannotOpen,
                                                 storage::DatabaseError::Reason::OlderVersion))
          << error.what();
      return {};
    }
  }
};

TEST_F(KillTest, TwentyKillsAndTheMemoryIsThatOfAnUninterruptedRun) {
  const QString file = write(QStringLiteral("long.txt"), prose(4000));
  const QString killed = path(QStringLiteral("killed.db")), whole = path(QStringLiteral("whole.db"));
  readWhole(*reading(file, whole));

  // How long the program takes here from its start to the first checkpoint of its own: measured on its second run, for
  // the first one takes the text out of the file as well.
  qint64 startUp = 0;
  for (int run = 0; run < 2; ++run) {
    const std::int64_t before = memoryIn(killed).position;
    QElapsedTimer timer;
    timer.start();
    auto process = reading(file, killed);
    ASSERT_TRUE(waitFor([&] { return memoryIn(killed).position > before; }));
    startUp = timer.elapsed();
    process->kill();
    process->waitForFinished();
  }

  const std::int64_t length = memoryIn(whole).position;
  std::mt19937 random(20240407);
  int kills = 0, resumed = 0;
  std::int64_t position = 0;
  for (int attempt = 0; kills < kKills && attempt < 3 * kKills; ++attempt) {
    auto process = reading(file, killed);
    // From the first moments of the program to well into the reading.
    std::this_thread::sleep_for(std::chrono::milliseconds(random() % static_cast<unsigned>(startUp + 100)));
    ASSERT_TRUE(process->state() == QProcess::Running);
    ASSERT_EQ(kill(static_cast<pid_t>(process->processId()), SIGKILL), 0);
    process->waitForFinished();
    if (process->exitStatus() != QProcess::CrashExit) break;  // it had come to its end
    ++kills;
    const storage::MemoryRecord memory = memoryIn(killed);
    EXPECT_GE(memory.position, position);  // what was saved is never lost
    if (position > 0 && memory.position > position) ++resumed;
    // A machine that is busy for a while, or no more, changes how long it takes: all kills have to fall into the book.
    if (memory.position - position > length / (2 * kKills)) {
      startUp -= startUp / 4;
    } else if (memory.position == position) {
      startUp += startUp / 10;
    }
    position = memory.position;
    ASSERT_FALSE(memory.complete) << "the book is too short for this machine";
  }
  EXPECT_EQ(kills, kKills);
  EXPECT_GE(resumed, 3);  // several of them went on from a checkpoint and reached a later one

  readWhole(*reading(file, killed));
  const storage::MemoryRecord expected = memoryIn(whole), found = memoryIn(killed);
  EXPECT_TRUE(found.complete);
  EXPECT_EQ(found.tokens, expected.tokens);
  EXPECT_FALSE(expected.snapshot.empty());
  EXPECT_EQ(found.snapshot, expected.snapshot);
  ASSERT_EQ(expected.sections.size(), 4U);
  ASSERT_EQ(found.sections.size(), 4U);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(found.sections[i].position, expected.sections[i].position);
    EXPECT_EQ(found.sections[i].tokens, expected.sections[i].tokens);
    EXPECT_EQ(*found.sections[i].snapshot, *expected.sections[i].snapshot);
  }
}

TEST_F(KillTest, AFileThatTakesTheProgramDownWhileItsTextIsTakenIsLeftAloneAfterTheSecondTime) {
  const QString file = write(QStringLiteral("slow.txt"), prose(30000)), library = path(QStringLiteral("slow.db"));
  const auto document = [&]() -> storage::DocumentRecord {
    if (!QFile::exists(library)) return {};
    try {
      storage::Database connection = storage::Database::open(toPath(library), storage::Access::ReadOnly);
      return storage::Library(connection).find(1).value_or(storage::DocumentRecord());
    } catch (const storage::DatabaseError&) {
      return {};
    }
  };
  for (const std::string attempt : {"attempt 1", "attempt 2"}) {
    auto process = reading(attempt == "attempt 1" ? file : QString(), library);
    ASSERT_TRUE(waitFor([&] { return document().failureKind == attempt; })) << document().failureKind;
    process->kill();
    process->waitForFinished();
    ASSERT_EQ(document().state, storage::DocumentState::Extracting) << "the file is too short for this machine";
  }
  readWhole(*reading({}, library));
  EXPECT_EQ(document().state, storage::DocumentState::Failed);
  EXPECT_THAT(document().failure, testing::HasSubstr("ended twice"));
  // To name the file is as good as Retry.
  auto named = reading(file, library);
  EXPECT_TRUE(waitFor([&] { return document().state == storage::DocumentState::Reading; }));
  named->kill();
  named->waitForFinished();
}

}  // namespace
}  // namespace palimpsest::app
