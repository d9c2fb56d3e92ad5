// Where the window keeps what it remembers: palimpsest.ini in the person's configuration folder. The file's name does
// not hang on the application's names, which also place the library.
#pragma once

#include <QSettings>

namespace palimpsest::ui {

inline QSettings openSettings() {
  return QSettings(QSettings::IniFormat, QSettings::UserScope, QStringLiteral("palimpsest"),
                   QStringLiteral("palimpsest"));
}

}  // namespace palimpsest::ui
