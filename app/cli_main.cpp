#include <QCoreApplication>
#include <QGuiApplication>
#include <algorithm>
#include <map>
#include <memory>

#include "app/cli.h"
#include "app/export.h"
#include "app/paths.h"
#include "app/words.h"

namespace {

using namespace palimpsest::app;

// Only a PDF that is written needs fonts, and with them the GUI half of Qt; it never needs a screen. Options may stand
// before the verb.
bool writesPdf(int argc, char** argv) {
  const auto isPdf = [](const char* word) { return exportFormatOf(QString::fromLocal8Bit(word)) == ExportFormat::Pdf; };
  const auto writes = [](const QByteArray& word) { return word == "export" || word == "summarize"; };
  return std::any_of(argv, argv + argc, isPdf) && std::any_of(argv, argv + argc, writes);
}

// Without a desktop there is no runtime folder; the GUI half looks for one, and it is needed for nothing here.
void installSilenceAboutRuntimeFolder() {
  static QtMessageHandler former = nullptr;
  former = qInstallMessageHandler([](QtMsgType type, const QMessageLogContext& context, const QString& message) {
    if (!message.startsWith(QLatin1String("QStandardPaths: "))) former(type, context, message);
  });
}

std::unique_ptr<QCoreApplication> makeApplication(int& argc, char** argv) {
  if (!writesPdf(argc, argv)) return std::make_unique<QCoreApplication>(argc, argv);
  installSilenceAboutRuntimeFolder();
  qputenv("QT_QPA_PLATFORM", "offscreen");
  return std::make_unique<QGuiApplication>(argc, argv);
}

int run(const QStringList& commandLine) {
  using Verb = int (*)(const cli::Options&);
  static const std::map<QString, Verb> verbs = {
      {QStringLiteral("read"), cli::read},           {QStringLiteral("list"), cli::list},
      {QStringLiteral("chapters"), cli::chapters},   {QStringLiteral("ask"), cli::ask},
      {QStringLiteral("questions"), cli::questions}, {QStringLiteral("summarize"), cli::summarize},
      {QStringLiteral("export"), cli::exportBook},   {QStringLiteral("remove"), cli::remove},
      {QStringLiteral("eval"), cli::eval},           {QStringLiteral("bench"), cli::bench}};
  try {
    const cli::Options options = cli::parseOptions(commandLine);
    const auto verb = verbs.find(options.verb);
    if (verb == verbs.end())
      throw cli::Exit{cli::WrongUsage,
                      QStringLiteral("There is no verb “%1”. See palimpsest-cli --help.").arg(options.verb)};
    cli::catchInterrupt();
    return verb->second(options);
  } catch (const cli::Exit& exit) {
    if (!exit.sentence.isEmpty())
      exit.code == cli::Done ? cli::print(exit.sentence) : cli::complain(exit.sentence + QLatin1Char('\n'));
    return exit.code;
  } catch (const std::exception& error) {
    cli::complain(asSentence(error) + QLatin1Char('\n'));
    return cli::Failed;
  }
}

}  // namespace

int main(int argc, char** argv) {
  const auto application = makeApplication(argc, argv);
  nameApplication();
  const int code = run(argumentsOf(argc, argv));
  const QString problem = cli::outputProblem();
  if (problem.isEmpty()) return code;
  cli::complain(problem + QLatin1Char('\n'));
  return code == cli::Done ? cli::Failed : code;
}
