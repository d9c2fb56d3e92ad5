// Where a quote stands, or that there is none, and how an answer came about: said alike by the window, the command line
// and exports. Needs Qt Core alone.
#pragma once

#include <QCoreApplication>
#include <QStringList>
#include <algorithm>

#include "ui/records.h"

namespace palimpsest::ui {

// "ch. V", "In the Golden Age". A bare numeral says little by itself; a title speaks for itself.
inline QString chapterWords(const QString& chapter) {
  const auto inNumeral = [](QChar c) { return c.isDigit() || QStringLiteral("IVXLCDMivxlcdm").contains(c); };
  const bool numeral =
      !chapter.isEmpty() && chapter.size() <= 6 && std::all_of(chapter.begin(), chapter.end(), inNumeral);
  return numeral ? QCoreApplication::translate("Words", "ch. %1").arg(chapter) : chapter;
}

// "up to ch. V", "only ch. V"; empty of the whole book.
inline QString partWords(const BookPart& part, const QString& chapterTitle) {
  if (part.kind == BookPart::Kind::Whole) return {};
  return (part.kind == BookPart::Kind::UpToChapter ? QCoreApplication::translate("Words", "up to %1")
                                                   : QCoreApplication::translate("Words", "only %1"))
      .arg(chapterWords(chapterTitle));
}

// "p. 52 · ch. V", "p. 52 · In the Golden Age"; empty when nothing is known.
inline QString placeOf(const Quote& quote) {
  QStringList parts;
  if (quote.page > 0) parts << QCoreApplication::translate("Words", "p. %1").arg(quote.page);
  if (!quote.chapter.isEmpty()) parts << chapterWords(quote.chapter);
  return parts.join(QStringLiteral(" · "));
}

// Said in the place of quotes where an answer has none; empty where it has some, or is no answer.
inline QString noQuotesLine(const ConversationItem& item) {
  if (!item.quotes.isEmpty() || item.streaming || item.isSummary || item.answer.isEmpty()) return {};
  if (item.bookId > 0)
    return QCoreApplication::translate("Words",
                                       "No sentence of “%1” is near enough to the question or the answer to be quoted.")
        .arg(item.bookTitle.left(60));
  if (item.part.kind != BookPart::Kind::Whole)
    return QCoreApplication::translate(
        "Words", "No sentence of this part of the book is near enough to the question or the answer to be quoted.");
  return QCoreApplication::translate(
      "Words", "No sentence of the book is near enough to the question or the answer to be quoted.");
}

// How the model came to an answer just given, if not at once: for whoever wants to know why it is wrong.
inline QStringList stepLines(const ConversationItem& item) {
  QStringList lines;
  for (const QString& question : item.furtherQuestions)
    lines << QCoreApplication::translate("Words", "To answer, it asked itself: %1").arg(question);
  if (!item.recalled.isEmpty())
    lines << QCoreApplication::translate("Words", "Its memory, in its own words: “%1”").arg(item.recalled);
  return lines;
}

}  // namespace palimpsest::ui
