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
  const QString file = options.arguments[1];
  const ExportFormat form = formToWrite(options, file);
  Session session(options);
  session.open(false);
  const qint64 id = session.book(options.arguments[0]);
  bool written = false;
  QString failure;
  QObject::connect(&session.assistant(), &Assistant::exported, &session, [&] { written = true; });
  session.assistant().exportDocument(id, absolutePath(file), form);
  session.wait([&] {
    failure = failure + session.takeFailure();
    return written || !failure.isEmpty();
  });
  if (!written) throw Exit{Failed, failure};
  if (options.json)
    printJson(QJsonObject{{QStringLiteral("id"), id}, {QStringLiteral("file"), absolutePath(file)}});
  else
    print(QStringLiteral("Written: %1\n").arg(file));
  return Done;
}

int remove(const Options& given) {
  const Options options = whereItIs(withoutModel(given, false));
  Session session(options);
  session.open(true);
  const qint64 id = session.book(options.arguments[0]);
  const QString title = session.assistant().item(id)->title;
  if (!options.yes &&
      !confirmed(QStringLiteral("Remove “%1” with its memory and conversation? The file itself stays.").arg(title)))
    return Failed;
  bool removed = false;
  QString failure;
  QObject::connect(&session.assistant(), &Assistant::itemRemoved, &session, [&] { removed = true; });
  session.assistant().remove(id);
  session.wait([&] {
    failure = failure + session.takeFailure();
    return removed || !failure.isEmpty();
  });
  if (!removed) throw Exit{Failed, failure};
  if (options.json)
    printJson(QJsonObject{{QStringLiteral("id"), id}, {QStringLiteral("removed"), title}});
  else
    print(QStringLiteral("Removed: %1\n").arg(title));
  return Done;
}

}  // namespace palimpsest::app::cli
