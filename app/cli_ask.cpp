// palimpsest-cli ask, questions, summarize.
#include <QFile>
#include <QJsonArray>
#include <QJsonDocument>

#include "app/cli.h"
#include "app/cli_exam.h"
#include "app/cli_words.h"
#include "app/export.h"
#include "app/words.h"
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

// With --all, what cannot be asked is named and left out.
QList<qint64> booksToAsk(Session& session, const Options& options) {
  constexpr qsizetype kNamed = 3;
  QList<qint64> books;
  for (const QString& words : options.arguments) books << session.book(words);
  if (!options.all) return books;
  const bool fromPassages = options.way == ui::AnswerWay::Passages || !session.assistant().model().hasMemory;
  QStringList left;
  QStringList unread;
  for (const ui::LibraryItem& item : session.assistant().library()) {
    const bool whole = item.state == ui::BookState::Ready && item.hasMemory && item.progress >= 1.0;
    if (fromPassages ? item.hasText : whole)
      books << item.id;
    else if (item.couldNotBeRead())
      unread << QStringLiteral("“%1”").arg(item.title);
    else
      left << QStringLiteral("“%1” (%2)").arg(item.title, stateWords(item));
  }
  if (unread.size() > kNamed)
    complain(QStringLiteral("%1 files that could not be read are left out; palimpsest-cli list says why.\n")
                 .arg(unread.size()));
  else if (!unread.isEmpty())
    complain(QStringLiteral("Left out, as it could not be read: %1.\n").arg(unread.join(u", ")));
  if (!left.isEmpty())
    complain((fromPassages ? QStringLiteral("Left out, as nothing has been taken from its file: %1.\n")
                           : QStringLiteral("Left out, as this model has no whole memory of it: %1.\n"))
                 .arg(left.join(u", ")));
  if (books.isEmpty())
    throw Exit{NoSuchBook, QStringLiteral("No book in the library can be asked. Read one: palimpsest-cli read FILE")};
  return books;
}

// Each with how well it alone supports the answer; null where that was not looked at.
QJsonArray booksAsked(Session& session, QList<qint64> books, const ui::ConversationItem& item) {
  std::ranges::sort(books);
  books.erase(std::unique(books.begin(), books.end()), books.end());
  QJsonArray asked;
  for (const qint64 id : books) {
    const auto score = std::ranges::find(item.scores, id, &ui::BookScore::id);
    asked.append(QJsonObject{
        {QStringLiteral("id"), id},
        {QStringLiteral("title"), session.assistant().item(id).value_or(ui::LibraryItem()).title},
        {QStringLiteral("log_probability"), score == item.scores.end() ? QJsonValue() : score->logProbability}});
  }
  return asked;
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

void writeSummary(const Options& options, qint64 id, const ui::BookPart& part) {
  storage::Database database = storage::Database::open(options.assistant.database, storage::Access::ReadOnly);
  ExportData data = collectExport(database, storage::Library(database).find(id).value());
  data.turns.clear();
  data.summaries.removeIf([&](const ui::ConversationItem& summary) { return summary.part != part; });
  writeExport(data, absolutePath(options.out), *exportFormatOf(options.out));
}

}  // namespace

int ask(const Options& given) {
  Options options = whereItIs(given);
  const QString question = options.arguments.takeLast();
  if (question.trimmed().isEmpty())
    throw Exit{WrongUsage,
               QStringLiteral("The question is empty. Usage: palimpsest-cli ask DOC [DOC...] \"QUESTION\"")};
  options.assistant.resumeReading = false;
  Session session(options);
  openForAsking(session);
  const QList<qint64> books = booksToAsk(session, options);
  const ui::BookPart part = partAsked(session, options, books);
  const qint64 id = session.assistant().shelf(books);
  const ui::ConversationItem item = answerOf(
      session, !options.json, [&] { session.assistant().ask(id, question, options.way, options.sampling, part); });
  QJsonObject result = toJson(item);
  if (id < 0) result[QLatin1String("books")] = booksAsked(session, books, item);
  if (options.json)
    printJson(result);
  else
    print(QStringLiteral("\n\n") + underAnswer(item));
  return Done;
}

int questions(const Options& given) {
  Options options = given;
  options.assistant.resumeReading = false;
  options.assistant.readOnly = true;
  options.assistant.keepConversations = false;
  QList<Exam> exam = readExam(options.arguments.takeLast());
  if (options.first > 0 && exam.size() > options.first) exam.resize(options.first);
  Session session(options);
  openForAsking(session);
  const qint64 id = session.assistant().shelf(booksToAsk(session, options));
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
  if (!options.out.isEmpty()) formToWrite(options, options.out);  // before the model is at work
  Session session(options);
  openForAsking(session);
  // A summary is kept, and a file of it is written from what is kept.
  if (!options.out.isEmpty() && session.assistant().readOnly())
    throw Exit{session.assistant().usedElsewhere() ? InUse : NoLibrary,
               QStringLiteral("%1, so the summary cannot be kept; leave --out away to see it only.")
                   .arg(session.assistant().usedElsewhere() ? QStringLiteral("Another Palimpsest is using the library")
                                                            : QStringLiteral("The library cannot be written"))};
  const qint64 id = session.book(options.arguments[0]);
  const ui::BookPart part = partAsked(session, options, {id});
  const ui::ConversationItem item = answerOf(session, !options.json, [&] { session.assistant().summarize(id, part); });
  if (!options.out.isEmpty()) writeSummary(options, id, part);
  if (options.json)
    printJson(toJson(item));
  else
    print(QStringLiteral("\n\n") + underAnswer(item));
  return Done;
}

}  // namespace palimpsest::app::cli
