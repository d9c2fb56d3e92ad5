// palimpsest-cli ask, questions, summarize.
#include <QFile>
#include <QFileInfo>
#include <QJsonArray>
#include <QJsonDocument>

#include "app/cli.h"
#include "app/cli_exam.h"
#include "app/cli_words.h"
#include "app/export.h"
#include "storage/library.h"

namespace palimpsest::app::cli {

namespace {

// Waits for the one answer that `start` sets going; streams it to stdout where that is wished.
ui::ConversationItem answerOf(Session& session, bool stream, const std::function<void()>& start) {
  std::optional<ui::ConversationItem> finished;
  QObject watcher;
  QObject::connect(&session.assistant(), &Assistant::answerText, &watcher, [&](qint64, const QString& piece) {
    if (stream) print(piece);
  });
  QObject::connect(&session.assistant(), &Assistant::answerFinished, &watcher,
                   [&](qint64, const ui::ConversationItem& item) { finished = item; });
  start();
  QString failure;
  session.wait([&] {
    failure = session.takeFailure();
    return finished || !failure.isEmpty();
  });
  if (!finished) throw Exit{Failed, failure};
  if (!finished->error.isEmpty()) throw Exit{Failed, finished->error};
  if (!failure.isEmpty()) complain(failure + QLatin1Char('\n'));
  return *finished;
}

void openForAsking(Session& session) {
  session.open(false);
  session.waitForModel();
  const QString said = session.takeFailure();
  if (!said.isEmpty()) complain(said + QLatin1Char('\n'));
}

QList<Exam> readExam(const QString& file) {
  QFile in(file);
  if (!in.open(QIODevice::ReadOnly)) throw cannotOpen(in);
  QJsonParseError error;
  const QJsonDocument document = QJsonDocument::fromJson(in.readAll(), &error);
  if (!document.isArray())
    throw Exit{Failed, QStringLiteral("“%1” is not a JSON list of questions (%2).")
                           .arg(file, document.isNull() ? error.errorString() : QStringLiteral("no list"))};
  QList<Exam> exam;
  for (const QJsonValue& value : document.array())
    exam << examOf(value.toObject(), QStringLiteral("Entry %1 of “%2”").arg(QString::number(exam.size() + 1), file));
  return exam;
}

bool right(const Exam& exam, const QString& answer) {
  const QString given = normalisedAnswer(answer);
  return std::any_of(exam.truths.begin(), exam.truths.end(),
                     [&](const QString& truth) { return normalisedAnswer(truth) == given; });
}

void writeSummary(const Options& options, qint64 id) {
  storage::Database database = storage::Database::open(options.assistant.database, storage::Access::ReadOnly);
  ExportData data = collectExport(database, storage::Library(database).find(id).value());
  data.turns.clear();
  writeExport(data, QFileInfo(options.out).absoluteFilePath(), *exportFormatOf(options.out));
}

}  // namespace

int ask(const Options& given) {
  Options options = whereItIs(given);
  if (options.arguments[1].trimmed().isEmpty())
    throw Exit{WrongUsage, QStringLiteral("The question is empty. Usage: palimpsest-cli ask DOC \"QUESTION\"")};
  options.assistant.resumeReading = false;
  Session session(options);
  openForAsking(session);
  const qint64 id = session.book(options.arguments[0]);
  const ui::ConversationItem item = answerOf(session, !options.json, [&] {
    session.assistant().ask(id, options.arguments[1], options.way, options.sampling);
  });
  if (options.json)
    printJson(toJson(item));
  else
    print(QStringLiteral("\n\n") + underAnswer(item));
  return Done;
}

int questions(const Options& given) {
  Options options = given;
  options.assistant.resumeReading = false;
  options.assistant.readOnly = true;
  options.assistant.keepConversations = false;
  QList<Exam> exam = readExam(options.arguments[1]);
  if (options.first > 0 && exam.size() > options.first) exam.resize(options.first);
  Session session(options);
  openForAsking(session);
  const qint64 id = session.book(options.arguments[0]);
  QJsonArray results;
  int correct = 0;
  for (const Exam& one : exam) {
    const ui::ConversationItem item =
        answerOf(session, false, [&] { session.assistant().ask(id, one.question, ui::AnswerWay::Memory); });
    const bool ok = right(one, item.answer);
    correct += ok ? 1 : 0;
    QJsonObject result = toJson(item);
    mark(result, one, ok);
    results.append(result);
    if (!options.json) print(markedLines(one, item.answer, ok) + underAnswer(item) + QLatin1Char('\n'));
  }
  if (options.json)
    printJson(QJsonObject{{QStringLiteral("right"), correct},
                          {QStringLiteral("asked"), exam.size()},
                          {QStringLiteral("answers"), results}});
  else
    print(QStringLiteral("%1 of %2 right, from memory, 0 pages re-read\n").arg(correct).arg(exam.size()));
  return Done;
}

int summarize(const Options& given) {
  Options options = whereItIs(given);
  options.assistant.resumeReading = false;
  if (!options.out.isEmpty() && !exportFormatOf(options.out))
    throw Exit{
        WrongUsage,
        QStringLiteral("“%1” ends in none of .md, .html, .pdf and .txt, so its form is unknown.").arg(options.out)};
  Session session(options);
  openForAsking(session);
  // A summary is kept, and a file of it is written from what is kept.
  if (!options.out.isEmpty() && session.assistant().readOnly())
    throw Exit{InUse, QStringLiteral("Another Palimpsest is using the library, so the summary cannot be kept; leave "
                                     "--out away to see it only.")};
  const qint64 id = session.book(options.arguments[0]);
  const ui::ConversationItem item = answerOf(session, !options.json, [&] { session.assistant().summarize(id); });
  if (!options.out.isEmpty()) writeSummary(options, id);
  if (options.json)
    printJson(toJson(item));
  else
    print(QStringLiteral("\n\n") + underAnswer(item));
  return Done;
}

}  // namespace palimpsest::app::cli
