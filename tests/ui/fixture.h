// Records for the tests, and a way to hear signals.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <QSignalSpy>
#include <QTest>
#include <ostream>

#include "ui/records.h"

// So that a failing test prints the text and not its bytes.
inline void PrintTo(const QString& text, std::ostream* stream) { *stream << '"' << text.toStdString() << '"'; }

// Waits for it. Qt's QTRY_VERIFY reports to QTest, which does not run here: it can fail no test.
#define EXPECT_SOON(...) EXPECT_TRUE(QTest::qWaitFor([&] { return __VA_ARGS__; }))

namespace palimpsest::ui {

inline LibraryItem readyBook(qint64 id, const QString& title = QStringLiteral("The Time Machine")) {
  LibraryItem item;
  item.id = id;
  item.title = title;
  item.author = QStringLiteral("H. G. Wells");
  item.format = QStringLiteral("EPUB");
  item.state = BookState::Ready;
  item.hasMemory = true;
  item.pageCount = item.pagesCovered = 96;
  item.memoryBytes = 524288;
  item.progress = 1;
  return item;
}

inline LibraryItem failedBook(qint64 id, const QString& reason, bool locked = false) {
  LibraryItem item;
  item.id = id;
  item.title = QStringLiteral("scan.pdf");
  item.format = QStringLiteral("PDF");
  item.state = BookState::Failed;
  item.failure = reason;
  item.needsPassword = locked;
  return item;
}

inline LibraryItem readingBook(qint64 id) {
  LibraryItem item = readyBook(id, QStringLiteral("Moby-Dick"));
  item.state = BookState::Reading;
  item.progress = 0.434;
  item.tokensPerSecond = 8900;
  item.secondsLeft = 21;
  item.pageCount = 480;
  item.pagesCovered = 212;
  return item;
}

inline ModelStatus loadedModel() {
  ModelStatus model;
  model.loaded = model.hasMemory = true;
  model.name = QStringLiteral("palimpsest-mini");
  model.device = QStringLiteral("CPU, 2 threads, bf16");
  return model;
}

inline ConversationItem turn(const QString& question, const QString& answer) {
  ConversationItem item;
  item.id = 1;
  item.question = question;
  item.answer = answer;
  item.provenance = QStringLiteral("From memory · 0 pages re-read · whole book");
  return item;
}

inline ConversationItem streamingTurn(const QString& question) {
  ConversationItem item = turn(question, {});
  item.id = 0;
  item.streaming = true;
  return item;
}

// The visible child of this name, or null. New pieces of a layout appear with the next round of the event loop.
template <typename T>
T* visibleChild(const QWidget& parent, const char* name) {
  QCoreApplication::processEvents();
  for (T* child : parent.findChildren<T*>(QString::fromLatin1(name))) {
    if (child->isVisible()) return child;
  }
  return nullptr;
}

}  // namespace palimpsest::ui
