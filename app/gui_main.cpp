// palimpsest: the window.
#include <QApplication>
#include <QIcon>
#include <QTextStream>

#include "app/gui_options.h"
#include "app/gui_wiring.h"
#include "app/paths.h"
#include "ui/main_window.h"

int main(int argc, char** argv) {
  using namespace palimpsest;
  QApplication application(argc, argv);
  app::nameApplication();
  QGuiApplication::setApplicationDisplayName(QStringLiteral("Palimpsest"));
  QGuiApplication::setDesktopFileName(QStringLiteral("org.palimpsest.Palimpsest"));
  QString problem;
  const app::gui::Options options = app::gui::parseOptions(QApplication::arguments(), &problem);
  if (!problem.isEmpty()) {
    QTextStream(stderr) << problem << Qt::endl;
    return 2;
  }
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
