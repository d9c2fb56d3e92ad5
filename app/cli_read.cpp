// palimpsest-cli read: progress on a terminal as a bar, elsewhere as plain lines.
#include <sys/ioctl.h>
#include <unistd.h>

#include <QElapsedTimer>
#include <QJsonArray>
#include <QJsonObject>
#include <QMap>
#include <QSet>
#include <utility>

#include "app/cli.h"
#include "app/cli_words.h"
#include "app/words.h"

namespace palimpsest::app::cli {

namespace {

using ui::BookState;

constexpr qint64 kMillisecondsBetweenLines = 5000;

// Columns of the terminal on stderr; it may be made wider or narrower at any time. 0 = not known.
int terminalColumns() {
  winsize size = {};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

class ProgressView {
 public:
  explicit ProgressView(bool quiet) : terminal_(isatty(STDERR_FILENO) != 0), quiet_(quiet) { lastLine_.start(); }
  ~ProgressView() { clear(); }

  void show(const ui::LibraryItem& item) {
    if (quiet_) return;
    if (item.state != BookState::Reading || item.tokensPerSecond <= 0) {
      reading_.remove(item.id);
      return;
    }
    reading_.removeIf([](const auto& book) { return book->progress >= 1; });  // read, and being stored
    reading_[item.id] = item;
    if (terminal_) {
      complain(QStringLiteral("\r\033[K") + progressBar(reading_.values(), terminalColumns() - 1));
      drawn_ = true;
    } else if (!said_ || lastLine_.elapsed() >= kMillisecondsBetweenLines) {
      for (const ui::LibraryItem& book : std::as_const(reading_)) complain(progressLine(book) + QLatin1Char('\n'));
      said_ = true;
      lastLine_.restart();
    }
  }

  void say(const QString& line) {
    if (!quiet_) fail(line);
  }
  // Also where JSON is wanted: no book carries the reason why a file was not taken.
  void fail(const QString& line) {
    clear();
    complain(line + QLatin1Char('\n'));
  }

 private:
  void clear() {
    if (drawn_) complain(QStringLiteral("\r\033[K"));
    drawn_ = false;
  }

  QElapsedTimer lastLine_;
  QMap<qint64, ui::LibraryItem> reading_;  // now; several, where several devices read
  bool terminal_, quiet_, drawn_ = false, said_ = false;
};

// What has been asked for and has not come to an end yet.
struct Work {
  qsizetype notTaken = 0;  // paths whose fate is open
  QSet<qint64> open;       // books under way
  QList<qint64> all;       // every book of this call
  QString problem;         // said last of what no book can carry
  QJsonArray refused;      // files that were not taken, each with its problem
};

void follow(Session& session, Work& work, ProgressView& view, qint64 id) {
  const auto item = session.assistant().item(id);
  if (!item || !work.open.contains(id)) return;
  view.show(*item);
  const bool ended =
      item->state == BookState::Ready || item->state == BookState::Failed || item->state == BookState::Paused;
  if (!ended) return;
  work.open.remove(id);
  view.say(endLine(*item));
}

void begin(Session& session, Work& work, qint64 id) {
  if (work.all.contains(id)) return;
  work.open.insert(id);
  work.all.append(id);
  // A book that is in the library already goes on where it is.
  const auto item = session.assistant().item(id);
  if (item && item->state == BookState::Ready && !item->hasMemory)
    session.assistant().retry(id);
  else
    session.assistant().resume(id);
}

// Books that are under way or queued go on as they are.
void readAgain(Session& session, Work& work, const Options& options) {
  QList<qint64> books;
  for (const QString& words : options.arguments) books << session.book(words);
  for (const qint64 id : books) {
    if (work.all.contains(id)) continue;
    // Its state tells its end only after it has told the beginning; a short book may be read within one wait.
    bool begun = false;
    QString failure;
    const auto heard =
        QObject::connect(&session.assistant(), &Assistant::itemChanged, &session, [&](const ui::LibraryItem& item) {
          const bool under = item.state == BookState::Waiting || item.state == BookState::Reading;
          begun = begun || (item.id == id && under);
        });
    session.assistant().readAgain(id);
    session.wait([&] {
      failure = session.takeFailure();
      return begun || !failure.isEmpty();
    });
    QObject::disconnect(heard);
    if (!begun) throw Exit{Failed, failure};
    work.open.insert(id);
    work.all.append(id);
  }
}

int outcome(Session& session, const Work& work, const Options& options) {
  QJsonArray books;
  bool failed = !work.refused.isEmpty();
  for (const qint64 id : work.all) {
    const auto item = session.assistant().item(id);
    failed = failed || !item || item->state != BookState::Ready;
    if (item) books.append(toJson(*item));
  }
  for (const QJsonValue& file : work.refused) books.append(file);
  if (options.json) printJson(books);
  return failed ? Failed : Done;
}

}  // namespace

int read(const Options& given) {
  Options options = given;
  options.assistant.resumeReading = options.arguments.isEmpty();
  Session session(options);
  Assistant& assistant = session.assistant();
  ProgressView view(options.json);
  Work work;
  QObject::connect(&assistant, &Assistant::itemChanged, &session,
                   [&](const ui::LibraryItem& item) { follow(session, work, view, item.id); });
  QObject::connect(&assistant, &Assistant::failed, &session, [&](const QString& sentence) {
    work.problem = sentence;
    if (!work.all.isEmpty() || work.notTaken > 0) view.fail(sentence);
  });
  QObject::connect(&assistant, &Assistant::notice, &session, [&](const QString& sentence) { view.say(sentence); });
  QObject::connect(&assistant, &Assistant::added, &session, [&](const QString& file, qint64 id, bool) {
    --work.notTaken;
    if (id != 0) begin(session, work, id);
    if (id == 0)
      work.refused.append(QJsonObject{{QStringLiteral("file"), file},
                                      {QStringLiteral("state"), QStringLiteral("refused")},
                                      {QStringLiteral("failure"), work.problem}});
  });
  try {
    session.open(true);
    session.waitForModel();
    for (const ui::LibraryItem& item : assistant.library())
      if (options.arguments.isEmpty() && item.state != BookState::Ready && item.state != BookState::Failed)
        begin(session, work, item.id);
    if (options.arguments.isEmpty() && work.all.isEmpty())
      view.say(assistant.library().isEmpty()
                   ? QStringLiteral("The library is empty. Add a book with: palimpsest-cli read FILE")
                   : QStringLiteral("No book in the library is unfinished."));
    if (options.again) {
      readAgain(session, work, options);
    } else {
      work.notTaken = options.arguments.size();
      for (const QString& file : options.arguments) assistant.addDocument(absolutePath(file), options.password);
    }
    for (const qint64 id : QList<qint64>(work.all)) follow(session, work, view, id);
    session.wait([&] {
      for (const qint64 id : QList<qint64>(work.open.cbegin(), work.open.cend())) follow(session, work, view, id);
      return work.notTaken == 0 && work.open.isEmpty();
    });
  } catch (const Exit& exit) {
    if (exit.code != Interrupted) throw;
    view.say(QStringLiteral("Stopped. What was read is kept: run the same command again to go on."));
    throw;
  }
  return outcome(session, work, options);
}

}  // namespace palimpsest::app::cli
