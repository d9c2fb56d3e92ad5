#include <fcntl.h>
#include <unistd.h>

#include <QCoreApplication>
#include <QJsonArray>
#include <QJsonDocument>
#include <QJsonObject>
#include <QSocketNotifier>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>
#include <filesystem>
#include <thread>

#include "app/cli.h"
#include "app/words.h"
#include "engine/errors.h"

namespace palimpsest::app::cli {

namespace {

volatile std::sig_atomic_t interruptSeen = 0;
int wakePipe[2] = {-1, -1};
int outputError = 0;  // errno of the first text that could not be written

extern "C" void onInterrupt(int) {
  interruptSeen = 1;
  const char byte = 0;
  if (write(wakePipe[1], &byte, 1) < 0) return;  // full: the loop is awake already
}

}  // namespace

Exit noModel(const QString& problem, bool ofDevice) {
  return {NoModel, asSentence(problem) +
                       (ofDevice ? QStringLiteral(" The CPU computes with --device cpu.")
                                 : QStringLiteral(" Choose another folder with --model or PALIMPSEST_MODEL."))};
}

void print(const QString& text) {
  const QByteArray bytes = text.toUtf8();
  const auto size = static_cast<std::size_t>(bytes.size());
  const bool written = std::fwrite(bytes.constData(), 1, size, stdout) == size && std::fflush(stdout) == 0;
  // Kept for the end: an answer prints from within the event loop, which no exception may cross.
  if (!written && outputError == 0) outputError = errno;
}

QString outputProblem() {
  if (outputError == 0) return {};
  return QStringLiteral("What was to be printed could not be written: %1.")
      .arg(QString::fromLocal8Bit(std::strerror(outputError)));
}

void complain(const QString& text) {
  const QByteArray bytes = text.toUtf8();
  std::fwrite(bytes.constData(), 1, static_cast<std::size_t>(bytes.size()), stderr);
}

void printJson(const QJsonValue& value) {
  const QJsonDocument document = value.isArray() ? QJsonDocument(value.toArray()) : QJsonDocument(value.toObject());
  print(QString::fromUtf8(document.toJson(QJsonDocument::Indented)));
}

void catchInterrupt() {
  if (pipe2(wakePipe, O_CLOEXEC | O_NONBLOCK) != 0) return;  // Ctrl+C then ends at once; the checkpoints stand
  new QSocketNotifier(wakePipe[0], QSocketNotifier::Read, QCoreApplication::instance());
  struct sigaction action = {};
  action.sa_handler = onInterrupt;
  action.sa_flags = SA_RESETHAND;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

bool interrupted() { return interruptSeen != 0; }

std::shared_ptr<const engine::Model> loadModel(const Options& options) {
  engine::LoadOptions load;
  load.threads = options.assistant.threads;
  load.device = options.assistant.devices.front();
  load.weights = options.assistant.weights;
  load.planned = [](const engine::DevicePlan& plan) {
    if (!plan.room.empty()) complain(toQt(plan.room) + QLatin1Char('\n'));
  };
  try {
    auto model = engine::Model::load(options.assistant.modelFolder, load);
    if (!model->deviceFallback().empty())
      complain(QStringLiteral("The CPU computes. %1\n").arg(toQt(model->deviceFallback())));
    return model;
  } catch (const engine::DeviceError& error) {  // another folder would not help
    throw Exit{NoModel, asSentence(error)};
  } catch (const engine::ModelError& error) {
    throw noModel(QStringLiteral("The model could not be loaded. ") + asSentence(error));
  }
}

void runInterruptibly(const std::function<void(std::stop_token)>& work) {
  std::exception_ptr error;
  std::atomic<bool> done = false;
  std::stop_source stop;
  std::jthread worker([&] {
    try {
      work(stop.get_token());
    } catch (...) {
      error = std::current_exception();
    }
    done = true;
  });
  while (!done) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    if (interrupted()) stop.request_stop();
  }
  worker.join();
  if (interrupted()) throw Exit{Interrupted, {}};
  if (error) std::rethrow_exception(error);
}

Session::Session(const Options& options) : assistant_(options.assistant) {
  connect(&assistant_, &Assistant::libraryReset, this, [this] { opened_ = true; });
  connect(&assistant_, &Assistant::failed, this, [this](const QString& sentence) { failures_ << sentence; });
}

void Session::wait(const std::function<bool()>& done) {
  while (!done()) {
    if (interrupted()) throw Exit{Interrupted, {}};
    QCoreApplication::processEvents(QEventLoop::WaitForMoreEvents);
  }
}

Options whereItIs(Options options) {
  std::error_code unknown;
  if (!std::filesystem::exists(options.assistant.database, unknown)) options.assistant.readOnly = true;
  return options;
}

void Session::open(bool forWriting) {
  assistant_.start();
  wait([this] { return opened_ || !failures_.isEmpty(); });
  if (!opened_) throw Exit{NoLibrary, takeFailure()};
  if (!assistant_.readOnly()) return;
  if (forWriting) {
    wait([this] { return !failures_.isEmpty(); });
    throw Exit{assistant_.usedElsewhere() ? InUse : NoLibrary, takeFailure()};
  }
}

void Session::waitForModel() {
  wait([this] { return !assistant_.model().loading; });
  if (!assistant_.model().loaded) throw noModel(assistant_.model().problem, assistant_.model().deviceProblem);
}

qint64 Session::book(const QString& words) {
  // Every title begins with nothing, and a library of one book would take it for that one.
  if (words.trimmed().isEmpty()) throw Exit{WrongUsage, QStringLiteral("Which book? See palimpsest-cli list.")};
  QList<qint64> found = assistant_.match(words);
  // A book without a title is listed by its file's name, and found by the beginning of that as well.
  if (found.isEmpty())
    for (const ui::LibraryItem& item : assistant_.library())
      if (item.title.startsWith(words, Qt::CaseInsensitive)) found << item.id;
  if (found.size() == 1) return found.first();
  if (found.isEmpty())
    throw Exit{NoSuchBook,
               QStringLiteral("No book in the library is called “%1”. See palimpsest-cli list.").arg(words)};
  QString sentence = QStringLiteral("“%1” fits several books; say it by number:").arg(words);
  for (const qint64 id : found)
    sentence += QStringLiteral("\n  %1  ").arg(id) + assistant_.item(id).value_or(ui::LibraryItem()).title;
  throw Exit{NoSuchBook, sentence};
}

QString Session::takeFailure() {
  const QString all = failures_.join(QLatin1Char('\n'));
  failures_.clear();
  return all;
}

}  // namespace palimpsest::app::cli
