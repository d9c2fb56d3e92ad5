// palimpsest: the window.
#include <QApplication>
#include <QIcon>
#include <QTextStream>
#include <algorithm>

#include "app/gui_handover.h"
#include "app/gui_options.h"
#include "app/gui_wiring.h"
#include "app/paths.h"
#include "app/words.h"
#include "ui/main_window.h"

namespace {

// Words alone need no screen.
bool onlyWords(int argc, char** argv) {
  static const QByteArrayList kOptions = {"-h", "--help", "--help-all", "-v", "--version"};
  return std::any_of(argv + 1, argv + argc, [](const char* word) { return kOptions.contains(word); });
}

}  // namespace

int main(int argc, char** argv) {
  using namespace palimpsest;
  if (argc > 1 && onlyWords(argc, argv)) {
    const QCoreApplication words(argc, argv);
    app::nameApplication();
    QString problem;
    app::gui::parseOptions(QCoreApplication::arguments(), &problem);  // says them and ends the program
    QTextStream(stderr) << problem << Qt::endl;
    return 2;
  }
  QApplication application(argc, argv);
  app::nameApplication();
  QGuiApplication::setApplicationDisplayName(QStringLiteral("Palimpsest"));
  QGuiApplication::setDesktopFileName(QStringLiteral("org.palimpsest.Palimpsest"));
  QString problem;
  const app::gui::Options options = app::gui::parseOptions(app::argumentsOf(argc, argv), &problem);
  if (!problem.isEmpty()) {
    QTextStream(stderr) << problem << Qt::endl;
    return 2;
  }
  if (app::gui::handOver(options.assistant.database, options.files)) return 0;
  ui::MainWindow window(app::bundledBook().isEmpty() ? QString() : QStringLiteral("The Time Machine"));
  QGuiApplication::setWindowIcon(QIcon(QStringLiteral(":/icons/palimpsest.svg")));
  app::gui::Wiring wiring(window, options.assistant);
  window.show();
  wiring.start(options.files);
  const int result = QApplication::exec();
  // Let the hidden window leave the screen before the last checkpoint is written.
  QCoreApplication::processEvents();
  return result;
}
