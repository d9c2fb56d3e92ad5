// The tests of the window run without a screen, and with settings of their own.
#include <gtest/gtest.h>

#include <QApplication>
#include <QSettings>
#include <QTemporaryDir>

#include "ui/theme.h"

int main(int argc, char** argv) {
  qputenv("QT_QPA_PLATFORM", "offscreen");
  qputenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent");  // the tester's own desktop has no say
  QApplication application(argc, argv);
  const QTemporaryDir settings;
  QSettings::setPath(QSettings::IniFormat, QSettings::UserScope, settings.path());
  // Real file dialogs of a desktop would not be found among the window's children.
  QApplication::setAttribute(Qt::AA_DontUseNativeDialogs);
  palimpsest::ui::applyTheme(application, false);
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
