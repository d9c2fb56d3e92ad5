// The three text forms of an export. Each says the same: title, author, date, model, summary, conversation, quotes.
#include <QDateTime>
#include <QLocale>
#include <QRegularExpression>
#include <algorithm>

#include "app/export.h"
#include "app/words.h"
#include "ui/quote_place.h"

namespace palimpsest::app {

namespace {

using ui::ConversationItem;
using ui::Quote;

QString dateOf(const QDateTime& at) { return at.toString(QStringLiteral("yyyy-MM-dd HH:mm")); }

// "palimpsest-mini, 2026-05-01 10:30; mini-2, the first 43 %, 2026-04-12 09:00"
QString readBy(const ExportData& data) {
  QStringList all;
  for (const storage::MemoryRecord& memory : data.memories) {
    const auto share = 100 * memory.position / std::max<std::int64_t>(1, data.document.textBytes);
    QStringList one{toQt(memory.modelName)};
    if (!memory.complete) one << Words::tr("the first %1 %").arg(share);
    all << (one << dateOf(QDateTime::fromSecsSinceEpoch(memory.savedAt))).join(QStringLiteral(", "));
  }
  return all.isEmpty() ? Words::tr("no model yet") : all.join(QStringLiteral("; "));
}

// Said where nothing follows; else empty.
QString nothingYet(const ExportData& data) {
  if (!data.summaries.isEmpty() || !data.turns.isEmpty()) return {};
  return data.shelf.empty() ? Words::tr("Nothing has been asked of this book by itself yet.")
                            : Words::tr("Nothing has been asked of these books together yet.");
}

// "Author: H. G. Wells" and so on; empty facts are left out.
QList<std::pair<QString, QString>> facts(const ExportData& data) {
  const std::pair<QString, QString> exported = {Words::tr("Exported"), dateOf(QDateTime::currentDateTime())},
                                    models = {Words::tr("Answers by"), data.models.join(QStringLiteral(", "))};
  if (!data.shelf.empty()) {
    const auto count = static_cast<int>(data.shelf.size());
    QList<std::pair<QString, QString>> all = {{Words::tr("Asked together"), Words::tr("%n books", nullptr, count)}};
    if (!models.second.isEmpty()) all << models;
    return all << exported;
  }
  QList<std::pair<QString, QString>> all = {
      {Words::tr("Author"), toQt(data.document.author)},
      {Words::tr("Published"), toQt(data.document.date)},
      {Words::tr("Pages"), data.document.pageCount > 0 ? QString::number(data.document.pageCount) : QString()},
      {Words::tr("Text"), Words::tr("%1 KB").arg((data.document.textBytes + 999) / 1000)},
      {Words::tr("Read by"), readBy(data)},
      models,
      exported};
  all.removeIf([](const auto& fact) { return fact.second.isEmpty(); });
  return all;
}

QString provenanceOf(const ConversationItem& item) {
  // Of several books: the one that supports the answer best.
  const QString whole =
      item.scores.isEmpty() ? item.provenance : Words::tr("%1 · “%2”").arg(item.provenance, item.bookTitle);
  return item.stopped ? Words::tr("%1 · stopped before its end").arg(whole) : whole;
}

QString answerOf(const ConversationItem& item) {
  return item.answer.isEmpty() ? Words::tr("(no answer)") : item.answer;
}

// CommonMark lets any ASCII punctuation be escaped; inside a line these can begin markup, the rest only at its start.
QString markdown(const QString& text) {
  static const QRegularExpression special(QStringLiteral("([\\\\`*_{}\\[\\]<>#|~&$!])"));
  static const QRegularExpression lineStart(QStringLiteral("^([ \\t]*)(?:([-+=:])|(\\d+)([.)]))"),
                                            QRegularExpression::MultilineOption);
  QString escaped = text;
  escaped.replace(special, QStringLiteral("\\\\1"));
  escaped.replace(lineStart, QStringLiteral("\\1\\3\\\\2\\4"));
  // Four leading blanks would make code of a line.
  escaped.replace(QRegularExpression(QStringLiteral("^[ \\t]+"), QRegularExpression::MultilineOption), QString());
  // A line of verse or of a card ends where it ends: a hard break.
  escaped.replace(QRegularExpression(QStringLiteral("(?<!\n)\n(?!\n)")), QStringLiteral("\\\n"));
  return escaped;
}

// Said before quotes: whether they are evidence for the answer above them; and where there are none.
QString aboveQuotes(const ConversationItem& turn) {
  if (const QString nothing = ui::noQuotesLine(turn); !nothing.isEmpty()) return nothing;
  if (turn.quotes.isEmpty()) return {};
  if (turn.bookId > 0)
    return (turn.quotesSupport ? Words::tr("In “%1”:") : Words::tr("Nearest to the question in “%1”:"))
        .arg(turn.bookTitle);
  return turn.quotesSupport ? Words::tr("In the book:") : Words::tr("Nearest to the question in the book:");
}

QString markdownQuote(const QString& text) {
  return QStringLiteral("> ") + markdown(text).replace(QLatin1Char('\n'), QStringLiteral("\n> ")) + QLatin1Char('\n');
}

QString html(const QString& text) {
  QString escaped = text.toHtmlEscaped();
  return escaped.replace(QLatin1Char('\n'), QStringLiteral("<br>"));
}

// "Summary", "Summary, up to ch. V"
QString headingOf(const ConversationItem& summary, const QString& chapter) {
  const QString part = ui::partWords(summary.part, chapter);
  return part.isEmpty() ? Words::tr("Summary") : Words::tr("Summary, %1").arg(part);
}

QString oneLine(QString text) { return text.simplified(); }

}  // namespace

QString exportMarkdown(const ExportData& data) {
  QString out = QStringLiteral("# %1\n\n").arg(markdown(oneLine(toQt(data.document.title))));
  for (const auto& [name, value] : facts(data)) out += QStringLiteral("* %1: %2\n").arg(name, markdown(oneLine(value)));
  if (!nothingYet(data).isEmpty()) out += QStringLiteral("\n%1\n").arg(markdown(nothingYet(data)));
  for (const ConversationItem& summary : data.summaries)
    out += QStringLiteral("\n## %1\n\n%2\n\n*%3*\n")
               .arg(headingOf(summary, markdown(summary.chapterTitle)), markdown(summary.answer),
                    markdown(provenanceOf(summary)));
  if (!data.turns.isEmpty()) out += QStringLiteral("\n## %1\n").arg(Words::tr("Conversation"));
  for (const ConversationItem& turn : data.turns) {
    out += QStringLiteral("\n### %1\n\n%2\n\n*%3 · %4*\n")
               .arg(markdown(oneLine(turn.question)), markdown(answerOf(turn)), markdown(provenanceOf(turn)),
                    dateOf(turn.at));
    if (!aboveQuotes(turn).isEmpty()) out += QLatin1Char('\n') + markdown(aboveQuotes(turn)) + QLatin1Char('\n');
    for (const Quote& quote : turn.quotes) {
      out += QLatin1Char('\n') + markdownQuote(quote.text);
      if (!ui::placeOf(quote).isEmpty())
        out += QStringLiteral(">\n> — %1\n").arg(markdown(oneLine(ui::placeOf(quote))));
    }
  }
  return out;
}

QString exportHtml(const ExportData& data) {
  const QString title = html(oneLine(toQt(data.document.title)));
  QString out =
      QStringLiteral(
          "<!DOCTYPE html>\n<html>\n<head>\n<meta charset=\"utf-8\">\n"
          "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
          "<title>%1</title>\n<style>body { max-width: 42em; margin: 3em auto; font-family: serif; line-height: 1.5; } "
          "blockquote { font-style: italic; } .where { color: #666; font-size: smaller; "
          "}</style>\n</head>\n<body>\n<h1>%1</h1>\n")
          .arg(title);
  for (const auto& [name, value] : facts(data))
    out += QStringLiteral("<p class=\"where\">%1: %2</p>\n").arg(html(name), html(value));
  if (!nothingYet(data).isEmpty()) out += QStringLiteral("<p>%1</p>\n").arg(html(nothingYet(data)));
  for (const ConversationItem& summary : data.summaries)
    out += QStringLiteral("<h2>%1</h2>\n<p>%2</p>\n<p class=\"where\">%3</p>\n")
               .arg(html(headingOf(summary, summary.chapterTitle)), html(summary.answer), html(provenanceOf(summary)));
  if (!data.turns.isEmpty()) out += QStringLiteral("<h2>%1</h2>\n").arg(html(Words::tr("Conversation")));
  for (const ConversationItem& turn : data.turns) {
    out += QStringLiteral("<h3>%1</h3>\n<p>%2</p>\n<p class=\"where\">%3 · %4</p>\n")
               .arg(html(turn.question), html(answerOf(turn)), html(provenanceOf(turn)), dateOf(turn.at));
    if (!aboveQuotes(turn).isEmpty()) out += QStringLiteral("<p class=\"where\">%1</p>\n").arg(html(aboveQuotes(turn)));
    for (const Quote& quote : turn.quotes)
      out += QStringLiteral("<blockquote>%1<br><span class=\"where\">%2</span></blockquote>\n")
                 .arg(html(quote.text), html(ui::placeOf(quote)));
  }
  return out + QStringLiteral("</body>\n</html>\n");
}

QString exportText(const ExportData& data) {
  QString out = oneLine(toQt(data.document.title)) + QLatin1Char('\n');
  for (const auto& [name, value] : facts(data)) out += QStringLiteral("%1: %2\n").arg(name, value);
  if (!nothingYet(data).isEmpty()) out += QStringLiteral("\n%1\n").arg(nothingYet(data));
  for (const ConversationItem& summary : data.summaries)
    out += QStringLiteral("\n%1\n\n%2\n\n(%3)\n")
               .arg(headingOf(summary, summary.chapterTitle).toUpper(), summary.answer, provenanceOf(summary));
  if (!data.turns.isEmpty()) out += QStringLiteral("\n%1\n").arg(Words::tr("Conversation").toUpper());
  for (const ConversationItem& turn : data.turns) {
    out += Words::tr("\nQ: %1\nA: %2\n   (%3 · %4)\n")
               .arg(turn.question, answerOf(turn), provenanceOf(turn), dateOf(turn.at));
    if (!aboveQuotes(turn).isEmpty()) out += QStringLiteral("   %1\n").arg(aboveQuotes(turn));
    for (const Quote& quote : turn.quotes) {
      out += QStringLiteral("   > ") + QString(quote.text).replace(QLatin1Char('\n'), QStringLiteral("\n   > "));
      out += ui::placeOf(quote).isEmpty() ? QStringLiteral("\n") : QStringLiteral(" (%1)\n").arg(ui::placeOf(quote));
    }
  }
  return out;
}

}  // namespace palimpsest::app
