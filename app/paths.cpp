#include "app/paths.h"

#include <QCoreApplication>
#include <QDir>
#include <QFileInfo>
#include <QStandardPaths>

namespace palimpsest::app {

namespace {

const QString kModel = QStringLiteral("models/palimpsest-mini");
const QString kBook = QStringLiteral("books/se_the-time-machine.epub");

QString installed(const QString& resource) {
  return QDir::cleanPath(QCoreApplication::applicationDirPath() + QStringLiteral("/../share/palimpsest/") + resource);
}

// Installed, or beside the build: a build folder lies inside the source tree, which is found by going up from the
// program, or elsewhere, and then the tree it was built from is asked. Empty if it is in none of these places.
QString findResource(const QString& resource) {
  if (QFileInfo::exists(installed(resource))) return installed(resource);
  QDir folder(QCoreApplication::applicationDirPath());
  do {
    const QString candidate = folder.filePath(QStringLiteral("resources/") + resource);
    if (QFileInfo::exists(candidate)) return candidate;
  } while (folder.cdUp());
  const QString source = QStringLiteral(PALIMPSEST_SOURCE_DIR "/resources/") + resource;
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
  const QString found = findResource(kModel);
  return found.isEmpty() ? installed(kModel) : found;
}

QString shippedModel() { return findResource(kModel); }

QString bundledBook() { return findResource(kBook); }

}  // namespace palimpsest::app
