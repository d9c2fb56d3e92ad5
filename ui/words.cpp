#include "ui/words.h"

#include <QCoreApplication>
#include <QLocale>
#include <algorithm>
#include <cmath>

namespace palimpsest::ui::words {
namespace {

struct Words {
  Q_DECLARE_TR_FUNCTIONS(Words)
};

QString number(double value, int decimals) { return QLocale().toString(value, 'f', decimals); }

}  // namespace

QString duration(int seconds) {
  seconds = std::max(0, seconds);
  const int h = seconds / 3600, m = seconds / 60 % 60, s = seconds % 60;
  const auto two = [](int n) { return QStringLiteral("%1").arg(n, 2, 10, QLatin1Char('0')); };
  return h > 0 ? QStringLiteral("%1:%2:%3").arg(h).arg(two(m), two(s)) : QStringLiteral("%1:%2").arg(m).arg(two(s));
}

QString speed(double tokensPerSecond) {
  if (tokensPerSecond <= 0) return {};
  if (tokensPerSecond < 1000) return Words::tr("%1 tokens/s").arg(number(tokensPerSecond, 0));
  return Words::tr("%1K tokens/s").arg(number(tokensPerSecond / 1000, tokensPerSecond < 100000 ? 1 : 0));
}

QString bytes(qint64 count) {
  const double mega = static_cast<double>(count) / 1e6;
  if (mega < 0.1) return Words::tr("%1 KB").arg(number(std::ceil(static_cast<double>(count) / 1e3), 0));
  return Words::tr("%1 MB").arg(number(mega, mega < 10 ? 1 : 0));
}

QString percent(double share) {
  return Words::tr("%1 %")
      .arg(std::clamp(static_cast<int>(share * 100), 0, 100))
      .replace(QLatin1Char(' '), QChar(0xa0));
}

QString wayName(AnswerWay way) {
  switch (way) {
    case AnswerWay::Memory:
      return Words::tr("From memory");
    case AnswerWay::MemoryAndPassages:
      return Words::tr("Memory and passages");
    case AnswerWay::Passages:
      return Words::tr("Passages only");
  }
  return {};
}

QString wayExplained(AnswerWay way) {
  switch (way) {
    case AnswerWay::Memory:
      return Words::tr("Answers from what the model remembers. No page is read again.");
    case AnswerWay::MemoryAndPassages:
      return Words::tr("Answers from memory, with the passages that the search finds beside the question.");
    case AnswerWay::Passages:
      return Words::tr("Answers from the passages that the search finds, without the memory.");
  }
  return {};
}

QStringList stateLines(const LibraryItem& item) {
  const auto readingLine = [&](QString line) {
    return item.secondsLeft >= 0 ? Words::tr("%1 · %2 left").arg(line, duration(item.secondsLeft)) : line;
  };
  switch (item.state) {
    case BookState::Waiting:
      return {Words::tr("waiting")};
    case BookState::Extracting:
      return {item.progress > 0 && item.progress < 1 ? Words::tr("opening %1").arg(percent(item.progress))
                                                     : Words::tr("opening")};
    case BookState::Reading: {
      const QString rate = speed(item.tokensPerSecond);
      return {readingLine(Words::tr("reading %1").arg(percent(item.progress))),
              rate.isEmpty() ? Words::tr("measuring the speed") : rate};
    }
    case BookState::Paused:
      return {Words::tr("paused at %1").arg(percent(item.progress))};
    case BookState::Ready:
      return {item.note.isEmpty() ? Words::tr("ready") : Words::tr("ready · %1").arg(item.note)};
    case BookState::Failed:
      return {item.failure.isEmpty() ? Words::tr("could not be read, and the reason is not known") : item.failure};
  }
  return {};
}

QString memoryLine(const LibraryItem& item) {
  if (!item.hasMemory) {
    return item.state == BookState::Reading ? Words::tr("memory: nothing yet") : Words::tr("memory: none");
  }
  const bool whole = item.state == BookState::Ready && item.progress >= 1;
  QString line;
  if (whole) {
    line = item.pageCount > 1    ? Words::tr("memory: whole book, %n pages", nullptr, item.pageCount)
           : item.pageCount == 1 ? Words::tr("memory: whole book, one page")
                                 : Words::tr("memory: whole book");
  } else if (item.pagesCovered > 0 && item.printedPages) {
    line = Words::tr("memory: the first %1, up to page %2").arg(percent(item.progress)).arg(item.pagesCovered);
  } else if (item.pageCount > 0 && item.pagesCovered > 0) {
    line = Words::tr("memory: pages 1–%1 of %2").arg(item.pagesCovered).arg(item.pageCount);
  } else if (item.progress > 0) {
    line = Words::tr("memory: the first %1").arg(percent(item.progress));
  } else {
    line = Words::tr("memory: part of the book");
  }
  if (item.memoryBytes > 0) line = Words::tr("%1, %2").arg(line, bytes(item.memoryBytes));
  if (item.state != BookState::Ready || item.secondsSpent <= 0) return line;
  return Words::tr("%1 · read in %2").arg(line, duration(static_cast<int>(std::ceil(item.secondsSpent))));
}

QString modelLine(const ModelStatus& model) {
  if (model.loading) return Words::tr("loading the model…");
  if (!model.loaded) return Words::tr("no model");
  return model.device.isEmpty() ? model.name : Words::tr("%1 · %2").arg(model.name, model.device);
}

Hint hintFor(const LibraryItem& item, const ModelStatus& model) {
  switch (item.state) {
    case BookState::Waiting:
      if (item.hasText && !model.loaded && !model.loading)
        return {Words::tr("Waiting for a model"),
                Words::tr("Its text is kept; it is read as soon as a model is there.")};
      return {Words::tr("Waiting its turn"),
              Words::tr("Books are read one after the other. This one starts by itself.")};
    case BookState::Extracting:
      return {Words::tr("Opening the file"), Words::tr("Its text is being taken out.")};
    case BookState::Reading:
      return {Words::tr("Reading"), item.hasMemory
                                        ? Words::tr("You can ask already: answers come from what has been read so far.")
                                        : Words::tr("The first questions can be asked in a moment.")};
    case BookState::Paused:
      return {
          Words::tr("Paused"),
          item.hasMemory
              ? Words::tr("What has been read is remembered and can be asked about. Reading goes on where it stopped.")
              : Words::tr("Reading goes on where it stopped.")};
    case BookState::Failed:
      return {Words::tr("This book could not be read"), stateLines(item).constFirst()};
    case BookState::Ready:
      break;
  }
  if (item.hasMemory && (model.hasMemory || !model.loaded)) {
    return {Words::tr("Read, and remembered"),
            Words::tr("Ask anything about it. Answers come from memory; the book's own words stand beneath them.")};
  }
  return {
      Words::tr("Ready to be asked"),
      Words::tr("There is no memory of this book for this model: answers come from passages that the search finds.")};
}

bool rememberedWhole(const LibraryItem& item) {
  return item.state == BookState::Ready && item.hasMemory && !item.canReadAgain && item.progress >= 1.0;
}

QString shelfTitle(const QList<LibraryItem>& books) {
  return Words::tr("%n books", nullptr, static_cast<int>(books.size()));
}

QString titles(const QList<LibraryItem>& books) {
  QStringList all;
  for (const LibraryItem& book : books) all << book.title;
  return all.join(QStringLiteral(" · "));
}

QString shelfMemoryLine(const QList<LibraryItem>& books) {
  const auto whole = std::count_if(books.begin(), books.end(), rememberedWhole);
  if (whole < books.size()) return Words::tr("memory: %1 of %2 books").arg(whole).arg(books.size());
  if (books.constFirst().inSections) {
    qint64 all = 0;
    for (const LibraryItem& book : books) all += book.memoryBytes;
    return Words::tr("memory: %1 whole books, %2").arg(whole).arg(bytes(all));
  }
  // The sum is as large as each of them.
  return Words::tr("memory: %1 whole books, added, %2").arg(whole).arg(bytes(books.constFirst().memoryBytes));
}

QString shelfNote(const QList<LibraryItem>& books) {
  QStringList lacking;
  for (const LibraryItem& book : books)
    if (!rememberedWhole(book)) lacking << Words::tr("“%1”").arg(book.title);
  return lacking.isEmpty() ? QString() : Words::tr("Not remembered whole: %1").arg(lacking.join(Words::tr(", ")));
}

Hint hintForShelf(const QList<LibraryItem>& books, const ModelStatus& model) {
  const bool fromMemory =
      std::all_of(books.begin(), books.end(), rememberedWhole) && (model.hasMemory || !model.loaded);
  if (fromMemory && books.constFirst().inSections)
    return {
        Words::tr("Asked together"),
        Words::tr("All sections of their memories are asked, nothing is read again. Each answer names the book that "
                  "it comes from.")};
  if (fromMemory)
    return {Words::tr("Asked together"),
            Words::tr("Their memories are added, nothing is read again. Each answer names the book that supports it "
                      "best.")};
  return {Words::tr("Asked together"),
          Words::tr("Not all of them are remembered whole by this model: answers come from passages that the search "
                    "finds in them.")};
}

QString removalLoss(const LibraryItem& item, int turns, bool others) {
  QStringList lost;
  if (item.hasText) lost << Words::tr("its stored text");
  if (item.hasMemory) {
    lost << (item.memoryBytes > 0 ? Words::tr("the memory of it (%1)").arg(bytes(item.memoryBytes))
                                  : Words::tr("the memory of it"));
  }
  if (turns == 1) lost << Words::tr("one question with its answer");
  if (turns > 1) lost << Words::tr("%n questions with their answers", nullptr, turns);
  if (turns < 0) lost << Words::tr("the conversation about it");
  if (others && item.hasText) lost << Words::tr("anything that was asked of it together with other books");
  if (lost.isEmpty()) return Words::tr("Nothing of it has been stored. The file that you added stays where it is.");
  const QString last = lost.takeLast();
  const QString list = lost.isEmpty() ? last : Words::tr("%1 and %2").arg(lost.join(Words::tr(", ")), last);
  return Words::tr("This deletes %1. The file that you added stays where it is. This cannot be undone.").arg(list);
}

}  // namespace palimpsest::ui::words
