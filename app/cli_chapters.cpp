// palimpsest-cli chapters, and which part of a book --chapter and --up-to mean.
#include <QJsonArray>
#include <QJsonObject>
#include <algorithm>

#include "app/cli.h"
#include "app/cli_words.h"

namespace palimpsest::app::cli {

namespace {

QString seeChapters(const Options& options) {
  return QStringLiteral(" See palimpsest-cli chapters %1.").arg(options.arguments.value(0));
}

// By the whole title, by the number in the list (from 1), by the beginning of the title. Throws Exit.
const ui::Chapter& chapterNamed(const QList<ui::Chapter>& chapters, const QString& words, const Options& options) {
  QList<const ui::Chapter*> exact, beginning;
  for (const ui::Chapter& chapter : chapters) {
    if (chapter.title.compare(words, Qt::CaseInsensitive) == 0) exact << &chapter;
    if (chapter.title.startsWith(words, Qt::CaseInsensitive)) beginning << &chapter;
  }
  if (exact.size() == 1) return *exact.first();
  bool isNumber = false;
  const int number = words.toInt(&isNumber);
  if (isNumber && number >= 1 && number <= chapters.size()) return chapters[number - 1];
  const QList<const ui::Chapter*>& found = exact.isEmpty() && !isNumber ? beginning : exact;
  if (found.size() == 1) return *found.first();
  if (found.isEmpty())
    throw Exit{NoSuchBook,
               QStringLiteral("The book has no chapter “%1”; it has %2.").arg(words, QString::number(chapters.size())) +
                   seeChapters(options)};
  QString sentence = QStringLiteral("“%1” fits several chapters; say it by number:").arg(words);
  for (const ui::Chapter* chapter : found)
    sentence += QStringLiteral("\n  %1  %2").arg(chapter - chapters.data() + 1).arg(chapter->title);
  throw Exit{NoSuchBook, sentence};
}

QString rememberedWords(const ui::Chapter& chapter) {
  if (!chapter.hasText) return QStringLiteral("no text");
  return chapter.alone ? QStringLiteral("remembered") : chapter.upTo ? QStringLiteral("up to its end") : QString();
}

// What can be done where something is missing; empty where nothing is.
QString advice(const ui::LibraryItem& item, const QList<ui::Chapter>& chapters) {
  if (item.couldNotBeRead()) return item.failure;
  if (chapters.isEmpty()) return QStringLiteral("The file names no chapters.");
  if (!item.hasMemory) return QStringLiteral("No model has read the book yet, so nothing of it is remembered.");
  const auto lacking = std::ranges::count_if(chapters, [](const auto& c) { return c.hasText && !c.alone; });
  if (lacking == 0) return {};
  if (item.progress < 1) return QStringLiteral("The book has not been read to its end yet.");
  if (!ui::haveMemoriesOfTheirOwn(chapters))
    return QStringLiteral(
               "The book was read before chapters were remembered one by one. To have them: "
               "palimpsest-cli read --again %1")
        .arg(item.id);
  return QStringLiteral("More chapters than are remembered one by one: of these, only the ones that are marked.");
}

QJsonObject toJson(const ui::Chapter& chapter, int number) {
  return {{QStringLiteral("number"), number},
          {QStringLiteral("title"), chapter.title},
          {QStringLiteral("level"), chapter.level},
          {QStringLiteral("has_text"), chapter.hasText},
          {QStringLiteral("remembered_up_to"), chapter.upTo},
          {QStringLiteral("remembered_alone"), chapter.alone}};
}

// What cannot be read is no book without chapters.
QList<ui::Chapter> chaptersOf(Session& session, qint64 book) {
  QList<ui::Chapter> found = session.assistant().chapters(book);
  if (const QString wrong = session.takeFailure(); found.isEmpty() && !wrong.isEmpty()) throw Exit{NoLibrary, wrong};
  return found;
}

}  // namespace

ui::BookPart partAsked(Session& session, const Options& options, const QList<qint64>& books) {
  const bool upTo = !options.upTo.isEmpty();
  const QString words = upTo ? options.upTo : options.chapter;
  if (words.isEmpty()) return {};
  if (books.size() != 1)
    throw Exit{WrongUsage, QStringLiteral("--%1 is of one book, and here are %2.")
                               .arg(upTo ? QStringLiteral("up-to") : QStringLiteral("chapter"))
                               .arg(books.size())};
  const QList<ui::Chapter> chapters = chaptersOf(session, books.first());
  if (chapters.isEmpty())
    throw Exit{NoSuchBook, QStringLiteral("The file of this book names no chapters, so only the whole can be asked.")};
  return {upTo ? ui::BookPart::Kind::UpToChapter : ui::BookPart::Kind::Chapter,
          chapterNamed(chapters, words, options).ordinal};
}

int chapters(const Options& given) {
  Options options = given;
  options.assistant.loadModel = false;
  options.assistant.resumeReading = false;
  options.assistant.readOnly = true;
  Session session(options);
  session.open(false);
  const qint64 id = session.book(options.arguments[0]);
  const QList<ui::Chapter> all = chaptersOf(session, id);
  const QString hint = advice(session.assistant().item(id).value_or(ui::LibraryItem()), all);
  if (options.json) {
    QJsonArray list;
    for (qsizetype i = 0; i < all.size(); ++i) list.append(toJson(all[i], static_cast<int>(i) + 1));
    printJson(
        QJsonObject{{QStringLiteral("id"), id}, {QStringLiteral("chapters"), list}, {QStringLiteral("note"), hint}});
    return Done;
  }
  for (qsizetype i = 0; i < all.size(); ++i)
    print(QStringLiteral("%1  %2  %3%4\n")
              .arg(i + 1, 4)
              .arg(rememberedWords(all[i]), -13)
              .arg(QString(2 * all[i].level, QLatin1Char(' ')), all[i].title));
  if (!hint.isEmpty()) complain(hint + QLatin1Char('\n'));
  return Done;
}

}  // namespace palimpsest::app::cli
