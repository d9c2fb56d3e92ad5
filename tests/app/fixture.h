// An Assistant in a folder of its own, with the tiny model, and ways to wait for what it says.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <QCoreApplication>
#include <QDir>
#include <QElapsedTimer>
#include <QFile>
#include <QFileInfo>
#include <QJsonDocument>
#include <QJsonObject>
#include <QTemporaryDir>
#include <QTimer>
#include <functional>
#include <memory>
#include <vector>

#include "app/assistant.h"
#include "app/memory_record.h"
#include "app/words.h"
#include "storage/conversation_store.h"
#include "storage/library.h"
#include "storage/memory_store.h"

namespace palimpsest::app {

inline void PrintTo(const QString& text, std::ostream* out) { *out << '"' << text.toStdString() << '"'; }

// Runs the event loop until `done`; false after `milliseconds`.
inline bool waitFor(const std::function<bool()>& done, int milliseconds = 60000) {
  QElapsedTimer timer;
  timer.start();
  QTimer wake;  // so that a condition which no event brings is looked at as well
  wake.start(10);
  while (!done()) {
    if (timer.elapsed() > milliseconds) return false;
    QCoreApplication::processEvents(QEventLoop::WaitForMoreEvents);
  }
  return true;
}

MATCHER_P(HasText, part, "contains \"" + std::string(part) + "\"") { return arg.contains(QString::fromUtf8(part)); }

class AppTest : public testing::Test {
 protected:
  QString path(const QString& name) const { return folder_.filePath(name); }
  QString database() const { return path(QStringLiteral("library.db")); }
  static QString tinyModel() { return QStringLiteral(PALIMPSEST_TEST_DATA "/tiny-model"); }

  // A copy of the tiny model that the test may change.
  QString modelCopy(const QString& name) const {
    EXPECT_TRUE(QDir().mkpath(path(name)));
    for (const QString& file : QDir(tinyModel()).entryList(QDir::Files)) {
      const QString copy = path(name) + u'/' + file;
      EXPECT_TRUE(QFile::copy(tinyModel() + u'/' + file, copy));
      EXPECT_TRUE(QFile::setPermissions(copy, QFile::ReadOwner | QFile::WriteOwner));
    }
    return path(name);
  }
  // A copy of the tiny model with something else in its "infini_attention".
  QString changedModel(const QString& name, const std::function<void(QJsonObject&)>& change) const {
    QFile file(modelCopy(name) + QStringLiteral("/config.json"));
    EXPECT_TRUE(file.open(QIODevice::ReadWrite));
    QJsonObject config = QJsonDocument::fromJson(file.readAll()).object();
    QJsonObject infini = config[QLatin1String("infini_attention")].toObject();
    change(infini);
    config[QLatin1String("infini_attention")] = infini;
    file.resize(0);
    file.seek(0);
    file.write(QJsonDocument(config).toJson());
    return path(name);
  }

  // The same model, whose memories are kept in sections. Its fingerprint is the tiny model's.
  QString modelInSections(const QString& name, int sections = 4) const {
    return changedModel(name, [&](QJsonObject& infini) { infini[QLatin1String("sections")] = sections; });
  }
  // Another model: the last number of its memory heads differs by the least that it can.
  QString otherModel(const QString& name = QStringLiteral("other-model")) const {
    QFile heads(modelCopy(name) + QStringLiteral("/memory_heads.safetensors"));
    EXPECT_TRUE(heads.open(QIODevice::ReadWrite));
    QByteArray bytes = heads.readAll();
    bytes[bytes.size() - 2] = static_cast<char>(bytes[bytes.size() - 2] ^ 1);
    heads.seek(0);
    heads.write(bytes);
    QFile config(path(name) + QStringLiteral("/config.json"));
    EXPECT_TRUE(config.open(QIODevice::ReadWrite));
    const QByteArray renamed = config.readAll().replace("tiny-model", name.toUtf8());
    config.resize(0);
    config.write(renamed);
    return path(name);
  }

  QString write(const QString& name, const QByteArray& content) const {
    QFile file(path(name));
    EXPECT_TRUE(file.open(QIODevice::WriteOnly));
    file.write(content);
    return path(name);
  }

  // Prose of its own kind, the same for the same seed: paragraphs of about 60 words.
  static QByteArray prose(int paragraphs, unsigned seed = 1) {
    static const std::vector<QByteArray> words = {"the",   "lamp",  "walked", "slowly", "over",  "a",     "bridge",
                                                  "and",   "found", "old",    "letter", "under", "stone", "beside",
                                                  "river", "where", "people", "sang",   "of",    "winter"};
    QByteArray text;
    unsigned state = seed;
    for (int p = 0; p < paragraphs; ++p) {
      QByteArray sentence = "Then";
      for (int w = 0; w < 60; ++w) {
        state = state * 1664525U + 1013904223U;
        sentence += ' ' + words[(state >> 16) % words.size()];
        if (w % 15 == 14) sentence += w == 59 ? "." : ". So";
      }
      text += sentence + "\n\n";
    }
    return text;
  }

  // A book with a fact in its middle.
  static QByteArray novel(int paragraphs = 20) {
    return prose(paragraphs / 2) +
           "Professor Zanzibar kept the purple umbrella in the lighthouse. Nobody knew why.\n\n" +
           prose(paragraphs - paragraphs / 2, 7);
  }

  AssistantOptions options() const {
    AssistantOptions given;
    given.database = toPath(database());
    given.modelFolder = toPath(tinyModel());
    given.threads = 1;
    given.checkpointSeconds = 0.05;
    given.watchSeconds = 0.05;
    return given;
  }

  // Makes an Assistant, listens to it and waits until its library is open (or it says why not).
  Assistant& start(const AssistantOptions& given) {
    assistant_ = std::make_unique<Assistant>(given);
    listen();
    assistant_->start();
    EXPECT_TRUE(waitFor([&] { return opened_ || !failures_.isEmpty(); }));
    return *assistant_;
  }
  Assistant& start() { return start(options()); }
  void close() { assistant_.reset(); }  // as when the window is closed

  // Adds a file and waits for its id; 0 = it was refused.
  qint64 add(const QString& file) {
    const qsizetype before = added_.size();
    assistant_->addDocument(file);
    EXPECT_TRUE(waitFor([&] { return added_.size() > before; }));
    return added_.last();
  }

  ui::LibraryItem item(qint64 id) const { return assistant_->item(id).value_or(ui::LibraryItem()); }
  bool waitForState(qint64 id, ui::BookState state) {
    const bool reached = waitFor([&] { return item(id).state == state; });
    if (!reached)
      ADD_FAILURE() << "state is " << static_cast<int>(item(id).state) << ": " << item(id).failure.toStdString();
    return reached;
  }
  bool waitForProgress(qint64 id, double share) {
    return waitFor([&] { return item(id).state == ui::BookState::Reading && item(id).progress > share; });
  }
  qint64 addAndRead(const QString& file) {
    const qint64 id = add(file);
    waitForState(id, ui::BookState::Ready);
    return id;
  }

  ui::ConversationItem finished(const std::function<void()>& verb) {
    const qsizetype before = answers_.size();
    verb();
    EXPECT_TRUE(waitFor([&] { return answers_.size() > before; }));
    return answers_.isEmpty() ? ui::ConversationItem() : answers_.last();
  }
  ui::ConversationItem ask(qint64 id, const char* question, ui::AnswerWay way = ui::AnswerWay::Memory) {
    return finished([&] { assistant_->ask(id, QString::fromUtf8(question), way); });
  }

  storage::Database reader() const { return storage::Database::open(toPath(database()), storage::Access::ReadOnly); }
  QString storedText(qint64 id) {
    std::optional<QString> text;
    const auto heard = QObject::connect(assistant_.get(), &Assistant::textFetched, assistant_.get(),
                                        [&](qint64, const QString& fetched) { text = fetched; });
    assistant_->fetchText(id);
    EXPECT_TRUE(waitFor([&] { return text.has_value(); }));
    QObject::disconnect(heard);
    return text.value_or(QString());
  }
  std::vector<std::byte> snapshot(qint64 id) const {
    storage::Database connection = reader();
    const storage::MemoryStore memories(connection);
    const auto headers = memories.list(id);
    return headers.size() == 1 ? memories.load(id, headers[0].fingerprint)->snapshot : std::vector<std::byte>();
  }

  storage::MemoryRecord memoryRecord(qint64 id) const {
    storage::Database connection = reader();
    const storage::MemoryStore memories(connection);
    const auto headers = memories.list(id);
    return headers.size() == 1 ? *memories.load(id, headers[0].fingerprint) : storage::MemoryRecord();
  }
  engine::BookMemory bookMemory(std::shared_ptr<const engine::Model> model, qint64 id) const {
    return bookOf(std::move(model), memoryRecord(id));
  }

  QTemporaryDir folder_;
  std::unique_ptr<Assistant> assistant_;
  bool opened_ = false;
  QStringList failures_, notices_, pieces_, exported_;
  QList<qint64> added_, removed_;
  QList<ui::ConversationItem> answers_;

 private:
  void listen() {
    opened_ = false;
    failures_.clear();
    Assistant* a = assistant_.get();
    QObject::connect(a, &Assistant::libraryReset, a, [this] { opened_ = true; });
    QObject::connect(a, &Assistant::failed, a, [this](const QString& sentence) { failures_ << sentence; });
    QObject::connect(a, &Assistant::notice, a, [this](const QString& sentence) { notices_ << sentence; });
    QObject::connect(a, &Assistant::added, a, [this](const QString&, qint64 id, bool) { added_ << id; });
    QObject::connect(a, &Assistant::itemRemoved, a, [this](qint64 id) { removed_ << id; });
    QObject::connect(a, &Assistant::answerText, a, [this](qint64, const QString& piece) { pieces_ << piece; });
    QObject::connect(a, &Assistant::answerFinished, a,
                     [this](qint64, const ui::ConversationItem& item) { answers_ << item; });
    QObject::connect(a, &Assistant::exported, a, [this](qint64, const QString& file) { exported_ << file; });
  }
};

}  // namespace palimpsest::app
