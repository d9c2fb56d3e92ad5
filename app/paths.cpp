#include "app/paths.h"

#include <QCoreApplication>
#include <QDir>
#include <QFileInfo>
#include <QStandardPaths>

namespace palimpsest::app {

namespace {

const QString kModel = QStringLiteral("palimpsest-mini");

// A build folder lies inside the source tree or beside it; the tree is found by going up from the program.
QString besideTheBuild() {
  QDir folder(QCoreApplication::applicationDirPath());
  do {
    const QString candidate = folder.filePath(QStringLiteral("resources/models/") + kModel);
    if (QFileInfo::exists(candidate)) return candidate;
  } while (folder.cdUp());
  const QString source = QStringLiteral(PALIMPSEST_SOURCE_DIR "/resources/models/") + kModel;
  return QFileInfo::exists(source) ? source : QString();
}

}  // namespace

void nameApplication() {
  QCoreApplication::setApplicationName(QStringLiteral("palimpsest"));
  QCoreApplication::setApplicationVersion(QStringLiteral(PALIMPSEST_VERSION));
}

QString defaultDatabase() {
  return QDir(QStandardPaths::writableLocation(QStandardPaths::AppDataLocation)).filePath(QStringLiteral("library.db"));
}

QString modelFolder(const QString& chosen) {
  if (!chosen.isEmpty()) return chosen;
  const QString named = qEnvironmentVariable("PALIMPSEST_MODEL");
  if (!named.isEmpty()) return named;
  const QString installed =
      QDir::cleanPath(QCoreApplication::applicationDirPath() + QStringLiteral("/../share/palimpsest/models/") + kModel);
  if (QFileInfo::exists(installed)) return installed;
  const QString built = besideTheBuild();
  return built.isEmpty() ? installed : built;
}

}  // namespace palimpsest::app
