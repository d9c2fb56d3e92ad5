// The command line: one function per verb, all on the same Assistant as the window.
#pragma once

#include <QJsonValue>
#include <QString>
#include <QStringList>
#include <functional>
#include <memory>
#include <stop_token>

#include "app/assistant.h"
#include "engine/model.h"

namespace palimpsest::app::cli {

// Documented in --help; scripts rely on them.
enum ExitCode {
  Done = 0,
  Failed = 1,
  WrongUsage = 2,
  NoLibrary = 3,
  NoModel = 4,
  InUse = 5,
  NoSuchBook = 6,  // or no such chapter
  Interrupted = 130
};

// Thrown to end a verb: the sentence goes to stderr, the code to the shell.
struct Exit {
  int code;
  QString sentence;
};

struct Options {
  QString verb;
  QStringList arguments;  // what follows the verb
  AssistantOptions assistant;
  ui::AnswerWay way = ui::AnswerWay::Memory;
  Sampling sampling;
  QString out, password;
  QString chapter, upTo;  // ask, summarize: of which chapter, until the end of which; at most one of them is given
  int first = 0;          // questions: only so many, 0 = all
  double benchSeconds = 5;
  bool all = false;       // ask: every book that can be asked
  bool again = false;     // read: books of the library, from their stored text
  bool knockOut = false;  // eval: also with the memory zeroed, and with another document's
  bool json = false, yes = false, force = false;
};

// Throws Exit: Done with the help text, WrongUsage with a sentence.
Options parseOptions(const QStringList& commandLine);

// The form of a file that is to be written. Throws Exit: its ending names none, it is there and --force was not given,
// or its folder is not there.
ExportFormat formToWrite(const Options& options, const QString& file);

// What is wrong with the model, and what to do about it here.
Exit noModel(const QString& problem, bool ofDevice = false);

// Text to stdout and stderr, UTF-8.
void print(const QString& text);
void complain(const QString& text);
void printJson(const QJsonValue& value);
// Why what was printed has not reached its place (a full disk); empty = it has. For the end of the program.
QString outputProblem();

// Ctrl+C from here on sets a flag instead of killing; a second one kills.
void catchInterrupt();
bool interrupted();

// The model of the options, without an Assistant. Throws Exit: NoModel.
std::shared_ptr<const engine::Model> loadModel(const Options& options);
// What blocks runs beside this thread, which looks out for Ctrl+C: then it is asked to stop, and Exit is thrown.
void runInterruptibly(const std::function<void(std::stop_token)>& work);
// For verbs about books that are there: a library that is not is said to be missing, and no empty one is made.
Options whereItIs(Options options);

// One Assistant and the waiting for it. wait() runs the event loop until `done`, and throws Exit on Ctrl+C.
class Session : public QObject {
 public:
  explicit Session(const Options& options);

  Assistant& assistant() { return assistant_; }
  void wait(const std::function<bool()>& done);
  void open(bool forWriting);         // throws Exit: NoLibrary, InUse
  void waitForModel();                // throws Exit: NoModel
  qint64 book(const QString& words);  // throws Exit: NoSuchBook
  // Failures that came since the last call; empty = none.
  QString takeFailure();

 private:
  Assistant assistant_;
  QStringList failures_;
  bool opened_ = false;
};

// The part of the book that --chapter or --up-to means; the whole where neither is given. Throws Exit.
ui::BookPart partAsked(Session& session, const Options& options, const QList<qint64>& books);

int read(const Options& options);
int list(const Options& options);
int chapters(const Options& options);
int ask(const Options& options);
int questions(const Options& options);
int summarize(const Options& options);
int exportBook(const Options& options);
int remove(const Options& options);
int eval(const Options& options);
int bench(const Options& options);

}  // namespace palimpsest::app::cli
