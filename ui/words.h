// The sentences and short lines that the window says about its values. No widgets, no state.
#pragma once

#include <QString>
#include <QStringList>

#include "ui/records.h"

namespace palimpsest::ui::words {

QString duration(int seconds);          // "0:21", "12:05", "1:02:05"
QString speed(double tokensPerSecond);  // "640 tokens/s", "8.9K tokens/s"; empty when unknown
QString bytes(qint64 count);            // "0.5 MB"
QString percent(double share);          // "43 %", never 100 % before it is done

QString wayName(AnswerWay way);
QString wayExplained(AnswerWay way);

// What the library says under title and author: one or two short lines (the second is the speed).
QStringList stateLines(const LibraryItem& item);
// How much of the book the memory holds: "memory: pages 1–212 of 480, 0.5 MB", and what it took once it is whole.
QString memoryLine(const LibraryItem& item);
QString modelLine(const ModelStatus& model);

// The empty conversation: what can be done with this book now.
struct Hint {
  QString heading, sentence;
};
Hint hintFor(const LibraryItem& item, const ModelStatus& model);

// Several books that are asked at once.
QString shelfTitle(const QList<LibraryItem>& books);       // "3 books"
QString titles(const QList<LibraryItem>& books);           // "The Time Machine · Kipps"
QString shelfMemoryLine(const QList<LibraryItem>& books);  // "memory: 3 whole books, added, 2 MB"
QString shelfNote(const QList<LibraryItem>& books);        // which of them cannot be asked from memory; may be empty
Hint hintForShelf(const QList<LibraryItem>& books, const ModelStatus& model);
bool rememberedWhole(const LibraryItem& item);

// What is lost when the book goes, and what is not. `turns` < 0: not known. `others`: it may have been asked together
// with other books.
QString removalLoss(const LibraryItem& item, int turns, bool others = false);

}  // namespace palimpsest::ui::words
