#include "app/gui_options.h"

#include <QCommandLineParser>
#include <QCoreApplication>
#include <QFileInfo>

#include "app/paths.h"
#include "app/words.h"
#include "ui/settings.h"

namespace palimpsest::app::gui {
namespace {

constexpr int kMostThreads = 4096;

}  // namespace

Options parseOptions(const QStringList& commandLine, QString* problem) {
  const QCommandLineOption db(QStringLiteral("db"), QCoreApplication::translate("Options", "The library's file."),
                              QStringLiteral("file"), defaultDatabase());
  const QCommandLineOption model(QStringLiteral("model"), QCoreApplication::translate("Options", "The model's folder."),
                                 QStringLiteral("folder"));
  const QCommandLineOption threads(
      QStringLiteral("threads"),
      QCoreApplication::translate("Options", "Threads to compute with; 0 = the physical cores."), QStringLiteral("n"),
      QStringLiteral("0"));
  const QCommandLineOption device(
      QStringLiteral("device"),
      QCoreApplication::translate("Options",
                                  "Where to compute: cpu, cuda (the first graphics card), cuda:1, ..., cuda:all (every "
                                  "card that the model fits on, each reading a book of its own), or auto "
                                  "(default): a card that the model fits on, else the CPU."),
      QStringLiteral("device"), QStringLiteral("auto"));
  const QCommandLineOption weights(
      QStringLiteral("weights"),
      QCoreApplication::translate("Options",
                                  "How weights are kept: full, int8, fp8, int4, or auto: the best that fits on the "
                                  "graphics card, full on the CPU, where fewer bits save no memory. fp8 is for reading "
                                  "fast on an H100 or H200."),
      QStringLiteral("weights"), QStringLiteral("auto"));
  QCommandLineParser parser;
  parser.setApplicationDescription(
      QCoreApplication::translate("Options", "A reader that remembers: reads a book once and answers from memory."));
  parser.addOptions({db, model, threads, device, weights});
  parser.addHelpOption();
  parser.addVersionOption();
  parser.addPositionalArgument(QStringLiteral("file"),
                               QCoreApplication::translate("Options", "Books to add to the library."),
                               QStringLiteral("[file...]"));
  if (!parser.parse(commandLine)) {
    *problem = parser.errorText();
    return {};
  }
  parser.process(commandLine);  // the words that --help and --version ask for

  Options options;
  bool isNumber = false;
  options.assistant.threads = parser.value(threads).toInt(&isNumber);
  if (!isNumber || options.assistant.threads < 0 || options.assistant.threads > kMostThreads) {
    *problem = QCoreApplication::translate("Options", "--threads wants a whole number from 0 to 4096, not “%1”.")
                   .arg(parser.value(threads));
  }
  const auto chosenDevices = engine::devicesOf(parser.value(device).toStdString());
  if (!chosenDevices.empty()) {
    options.assistant.devices = chosenDevices;
  } else {
    *problem = QCoreApplication::translate("Options", "--device wants auto, cpu, cuda, cuda:1 or cuda:all, not “%1”.")
                   .arg(parser.value(device));
  }
  if (const auto chosenWeights = engine::weightsOf(parser.value(weights).toStdString())) {
    options.assistant.weights = *chosenWeights;
  } else {
    *problem = QCoreApplication::translate("Options", "--weights wants auto, full, int8, fp8 or int4, not “%1”.")
                   .arg(parser.value(weights));
  }
  const bool modelNamed = parser.isSet(model) || qEnvironmentVariableIsSet("PALIMPSEST_MODEL");
  // A folder that was chosen in the window counts as long as it is there.
  const QString chosen = ui::openSettings().value(QStringLiteral("model/folder")).toString();
  const bool useChosen = !modelNamed && !chosen.isEmpty() && QFileInfo(chosen).isDir();
  options.assistant.modelFolder = toPath(useChosen ? chosen : modelFolder(parser.value(model)));
  options.assistant.database = toPath(parser.value(db));
  for (const QString& file : parser.positionalArguments()) options.files << absolutePath(file);
  return options;
}

}  // namespace palimpsest::app::gui
