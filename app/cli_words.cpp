#include "app/cli_words.h"

#include <QJsonArray>
#include <algorithm>
#include <cmath>

#include "app/words.h"
#include "ui/quote_place.h"

namespace palimpsest::app::cli {

namespace {

using ui::BookState;

QString timeWords(int seconds) {
  if (seconds < 0) return QStringLiteral("-:--");
  const QString rest = QStringLiteral("%1").arg(seconds % 60, 2, 10, QLatin1Char('0'));
  if (seconds < 3600) return QStringLiteral("%1:%2").arg(QString::number(seconds / 60), rest);
  return QStringLiteral("%1:%2:%3")
      .arg(QString::number(seconds / 3600), QStringLiteral("%1").arg(seconds / 60 % 60, 2, 10, QLatin1Char('0')), rest);
}

QString rateWords(double tokensPerSecond) {
  if (tokensPerSecond >= 1000) return QStringLiteral("%1K tokens/s").arg(tokensPerSecond / 1000, 0, 'f', 1);
  return QStringLiteral("%1 tokens/s").arg(tokensPerSecond, 0, 'f', 0);
}

QString sizeWords(qint64 bytes) {
  return QStringLiteral("%1 MB").arg(static_cast<double>(bytes) / 1e6, 0, 'f', bytes < 10'000'000 ? 2 : 0);
}

QString stateName(BookState state) {
  switch (state) {
    case BookState::Waiting:
      return QStringLiteral("waiting");
    case BookState::Extracting:
      return QStringLiteral("extracting");
    case BookState::Reading:
      return QStringLiteral("reading");
    case BookState::Paused:
      return QStringLiteral("paused");
    case BookState::Ready:
      return QStringLiteral("ready");
    case BookState::Failed:
      break;
  }
  return QStringLiteral("failed");
}

}  // namespace

QString stateWords(const ui::LibraryItem& item) {
  const bool partly = item.state != BookState::Ready && item.state != BookState::Failed && item.progress > 0;
  return partly ? QStringLiteral("%1 %2 %").arg(stateName(item.state)).arg(static_cast<int>(item.progress * 100))
                : stateName(item.state);
}

QString progressLine(const ui::LibraryItem& item) {
  return QStringLiteral("%1 %  %2  %3 left  ")
             .arg(static_cast<int>(item.progress * 100), 3)
             .arg(rateWords(item.tokensPerSecond), timeWords(item.secondsLeft)) +
         item.title;
}

QString progressBar(const ui::LibraryItem& item) {
  constexpr int kWidth = 30;
  const int filled = std::clamp(static_cast<int>(item.progress * kWidth), 0, kWidth);
  return QLatin1Char('[') + QString(filled, QLatin1Char('#')) + QString(kWidth - filled, QLatin1Char('.')) +
         QStringLiteral("] ") + progressLine(item);
}

QString progressBar(const QList<ui::LibraryItem>& items, int columns) {
  if (items.size() == 1) return cutTo(progressBar(items.first()), columns);
  const QString between = QStringLiteral(" | ");
  double rate = 0;
  for (const ui::LibraryItem& item : items) rate += item.tokensPerSecond;
  const QString all = rateWords(rate) + QStringLiteral("  ");
  const auto room = columns - static_cast<int>(all.size() + between.size() * (items.size() - 1));
  QStringList books;
  for (const ui::LibraryItem& item : items)
    books << cutTo(QStringLiteral("%1 % ").arg(static_cast<int>(item.progress * 100)) + item.title,
                   columns <= 0 ? 0 : std::max(1, room / static_cast<int>(items.size())));
  return cutTo(all + books.join(between), columns);
}

QString cutTo(const QString& line, int columns) {
  return columns <= 0 || line.size() <= columns ? line : line.left(std::max(0, columns - 1)) + QChar(0x2026);
}

QString endLine(const ui::LibraryItem& item) {
  QString line = item.title + QStringLiteral(": ") + stateWords(item);
  if (item.state == BookState::Ready && item.hasMemory)
    line += QStringLiteral(", memory %1").arg(sizeWords(item.memoryBytes));
  if (item.state == BookState::Ready && item.hasMemory && item.secondsSpent > 0)
    line += QStringLiteral(", read in %1").arg(timeWords(static_cast<int>(std::ceil(item.secondsSpent))));
  if (!item.failure.isEmpty()) line += QStringLiteral(". ") + item.failure;
  if (item.needsPassword) line += QStringLiteral(" Here: palimpsest-cli read FILE --password TEXT");
  if (!item.note.isEmpty()) line += QStringLiteral(". ") + item.note;
  return line;
}

QString listLine(const ui::LibraryItem& item) {
  QString line = QStringLiteral("%1  %2  ").arg(item.id, 4).arg(stateWords(item), -14) + item.title;
  if (!item.author.isEmpty()) line += QStringLiteral(" · ") + item.author;
  if (item.pageCount > 0)
    line += item.pageCount == 1 ? QStringLiteral(" · 1 page") : QStringLiteral(" · %1 pages").arg(item.pageCount);
  if (!item.failure.isEmpty()) line += QStringLiteral("\n      ") + item.failure;
  if (!item.note.isEmpty()) line += QStringLiteral("\n      ") + item.note;
  return line;
}

QString underAnswer(const ui::ConversationItem& item) {
  QString text =
      QStringLiteral("[%1%2]\n").arg(item.provenance, item.stopped ? QStringLiteral(" · stopped") : QString());
  for (const QString& line : ui::stepLines(item)) text += line + QLatin1Char('\n');
  if (!item.scores.isEmpty()) {
    text += QStringLiteral("From: %1\n").arg(item.bookTitle);
    text += QStringLiteral("How well each alone supports the answer (0 best; log-probability of its tokens):\n");
    for (const ui::BookScore& score : item.scores)
      text += QStringLiteral("  %1  %2\n").arg(score.logProbability, 7, 'f', 3).arg(score.title);
  }
  const QString book = item.bookId > 0 ? QStringLiteral("“%1”").arg(item.bookTitle) : QStringLiteral("the book");
  if (!item.quotes.isEmpty())
    text += (item.quotesSupport ? QStringLiteral("In %1:\n") : QStringLiteral("Nearest to the question in %1:\n"))
                .arg(book);
  if (const QString nothing = ui::noQuotesLine(item); !nothing.isEmpty()) text += nothing + QLatin1Char('\n');
  for (const ui::Quote& quote : item.quotes) {
    const QString place = ui::placeOf(quote);
    // A mark at the line's head: a sentence that is speech has quotation marks of its own.
    // Verse has several lines, and each gets the mark.
    text += QStringLiteral("  > ") + QString(quote.text).replace(QLatin1Char('\n'), QStringLiteral("\n  > ")) +
            (place.isEmpty() ? QString() : QStringLiteral("  — ") + place) + QLatin1Char('\n');
  }
  return text;
}

QJsonObject toJson(const ui::LibraryItem& item) {
  return {{QStringLiteral("id"), item.id},
          {QStringLiteral("title"), item.title},
          {QStringLiteral("author"), item.author},
          {QStringLiteral("format"), item.format},
          {QStringLiteral("state"), stateName(item.state)},
          {QStringLiteral("failure"), item.failure},
          {QStringLiteral("note"), item.note},
          {QStringLiteral("progress"), item.progress},
          {QStringLiteral("pages"), item.pageCount},
          {QStringLiteral("pages_covered"),
           item.printedPages && item.progress < 1 ? QJsonValue() : QJsonValue(item.pagesCovered)},
          {QStringLiteral("memory_bytes"), item.memoryBytes},
          {QStringLiteral("tokens_per_second"), item.tokensPerSecond},
          {QStringLiteral("seconds_spent"), item.secondsSpent}};
}

QJsonObject toJson(const ui::ConversationItem& item) {
  QJsonArray quotes;
  for (const ui::Quote& quote : item.quotes)
    quotes.append(QJsonObject{{QStringLiteral("text"), quote.text},
                              {QStringLiteral("page"), quote.page},
                              {QStringLiteral("chapter"), quote.chapter},
                              {QStringLiteral("begin"), quote.begin}});
  QJsonObject result{{QStringLiteral("question"), item.question},
                     {QStringLiteral("answer"), item.answer},
                     {QStringLiteral("way"), toQt(nameOfWay(item.way))},
                     {QStringLiteral("provenance"), item.provenance},
                     {QStringLiteral("stopped"), item.stopped},
                     {QStringLiteral("quotes"), quotes},
                     {QStringLiteral("quotes_support_the_answer"), item.quotesSupport && !item.quotes.isEmpty()}};
  if (item.part.kind != ui::BookPart::Kind::Whole) {
    result[QLatin1String("part")] =
        item.part.kind == ui::BookPart::Kind::UpToChapter ? QStringLiteral("up-to") : QStringLiteral("chapter");
    result[QLatin1String("chapter_number")] = item.part.chapter + 1;
    result[QLatin1String("chapter_title")] = item.chapterTitle;
  }
  // Counted from 0, of the book that answered; of several books none did where none of them says it.
  if (item.section >= 0 && (item.bookId == 0 || !item.scores.isEmpty())) {
    result[QLatin1String("section")] = item.section;
    result[QLatin1String("sections")] = item.sections;
    result[QLatin1String("doubt")] = item.doubt;
  }
  if (!item.recalled.isEmpty()) result[QLatin1String("recalled")] = item.recalled;
  if (!item.furtherQuestions.isEmpty())
    result[QLatin1String("further_questions")] = QJsonArray::fromStringList(item.furtherQuestions);
  if (item.bookId == 0) return result;
  // Of several books: the one that supports the answer (null = none), and the one that is quoted.
  const QJsonObject book{{QStringLiteral("id"), item.bookId}, {QStringLiteral("title"), item.bookTitle}};
  result[QLatin1String("supporting_book")] = item.scores.isEmpty() ? QJsonValue() : QJsonValue(book);
  result[QLatin1String("quoted_book")] = book;
  return result;
}

}  // namespace palimpsest::app::cli
