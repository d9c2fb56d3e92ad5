// palimpsest-cli list, export, remove.
#include <unistd.h>

#include <QFileInfo>
#include <QJsonArray>
#include <QTextStream>

#include "app/cli.h"
#include "app/cli_words.h"
#include "app/export.h"
#include "app/words.h"

namespace palimpsest::app::cli {

namespace {

Options withoutModel(Options options, bool readOnly) {
  options.assistant.loadModel = false;
  options.assistant.resumeReading = false;
  options.assistant.readOnly = readOnly;
  return options;
}

bool confirmed(const QString& question) {
  if (!isatty(STDIN_FILENO))
    throw Exit{WrongUsage, QStringLiteral("Nobody can be asked here; say --yes to remove without asking.")};
  complain(question + QStringLiteral(" [y/N] "));
  return QTextStream(stdin).readLine().trimmed().toLower().startsWith(QLatin1Char('y'));
}

}  // namespace

ExportFormat formToWrite(const Options& options, const QString& file) {
  const auto form = exportFormatOf(file);
  if (!form)
    throw Exit{WrongUsage,
               QStringLiteral("“%1” ends in none of .md, .html, .pdf and .txt, so its form is unknown.").arg(file)};
  if (QFileInfo(file).isFile() && !options.force)
    throw Exit{Failed, QStringLiteral("“%1” is there already and was left as it is. Choose another name, or say "
                                      "--force to write over it.")
                           .arg(file)};
  const QString folder = QFileInfo(absolutePath(file)).path();
  if (!QFileInfo(folder).isDir())
    throw Exit{Failed, QStringLiteral("“%1” cannot be written: there is no folder “%2”.").arg(file, folder)};
  return *form;
}

int list(const Options& given) {
  const Options options = withoutModel(given, true);
  Session session(options);
  session.open(false);
  const QList<ui::LibraryItem> items = session.assistant().library();
  if (options.json) {
    QJsonArray books;
    for (const ui::LibraryItem& item : items) books.append(toJson(item));
    printJson(books);
    return Done;
  }
  if (items.isEmpty()) print(QStringLiteral("The library is empty. Add a book with: palimpsest-cli read FILE\n"));
  for (const ui::LibraryItem& item : items) print(listLine(item) + QLatin1Char('\n'));
  return Done;
}

int exportBook(const Options& given) {
  const Options options = withoutModel(given, true);
  const QString file = options.arguments.constLast();
  const ExportFormat form = formToWrite(options, file);
  Session session(options);
  session.open(false);
  QList<qint64> books;
  for (const QString& words : options.arguments.first(options.arguments.size() - 1)) books << session.book(words);
  const qint64 id = session.assistant().shelf(books);
  if (const auto item = session.assistant().item(id); item && item->couldNotBeRead())
    throw Exit{Failed, QStringLiteral("Nothing of “%1” can be written: %2").arg(item->title, item->failure)};
  // Of one book there is more to tell than what was asked.
  if (id < 0 && session.assistant().conversation(id).isEmpty())
    throw Exit{Failed, QStringLiteral("Nothing has been asked of these books together yet, so there is nothing to "
                                      "write. What was asked of each is written by itself: palimpsest-cli export DOC "
                                      "FILE")};
  bool written = false;
  QString failure;
  QObject::connect(&session.assistant(), &Assistant::exported, &session, [&] { written = true; });
  session.assistant().exportDocument(id, absolutePath(file), form);
  session.wait([&] {
    failure = failure + session.takeFailure();
    return written || !failure.isEmpty();
  });
  if (!written) throw Exit{Failed, failure};
  if (!options.json) {
    print(QStringLiteral("Written: %1\n").arg(file));
    return Done;
  }
  QJsonObject done{{QStringLiteral("file"), absolutePath(file)}};
  if (books.size() == 1) {
    done[QLatin1String("id")] = id;
  } else {  // a shelf's own id means nothing to another process
    QJsonArray ids;
    for (const qint64 book : books) ids.append(book);
    done[QLatin1String("ids")] = ids;
  }
  printJson(done);
  return Done;
}

void removeOne(Session& session, qint64 id) {
  bool removed = false;
  QString failure;
  const auto noted = QObject::connect(&session.assistant(), &Assistant::itemRemoved, &session, [&] { removed = true; });
  session.assistant().remove(id);
  session.wait([&] {
    failure = failure + session.takeFailure();
    return removed || !failure.isEmpty();
  });
  QObject::disconnect(noted);
  if (!removed) throw Exit{Failed, failure};
}

int remove(const Options& given) {
  const Options options = whereItIs(withoutModel(given, false));
  Session session(options);
  session.open(true);
  QList<qint64> ids;  // all are found before one is removed
  for (const QString& words : options.arguments)
    if (const qint64 id = session.book(words); !ids.contains(id)) ids << id;
  QStringList titles;
  for (const qint64 id : ids) titles << session.assistant().item(id)->title;
  if (!options.yes &&
      !confirmed(
          ids.size() == 1
              ? QStringLiteral("Remove “%1” with its memory and conversation? The file itself stays.").arg(titles[0])
              : QStringLiteral("Remove these books with their memories and conversations? The files stay.\n  %1\n")
                    .arg(titles.join(QStringLiteral("\n  ")))))
    return Failed;
  QJsonArray removed;
  for (qsizetype i = 0; i < ids.size(); ++i) {
    removeOne(session, ids[i]);
    removed.append(QJsonObject{{QStringLiteral("id"), ids[i]}, {QStringLiteral("removed"), titles[i]}});
    if (!options.json) print(QStringLiteral("Removed: %1\n").arg(titles[i]));
  }
  if (options.json) ids.size() == 1 ? printJson(removed[0].toObject()) : printJson(removed);
  return Done;
}

}  // namespace palimpsest::app::cli
