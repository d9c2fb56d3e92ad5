#include "ui/dropped_files.h"

#include <QCoreApplication>
#include <QFileInfo>
#include <QMimeData>
#include <QUrl>

#include "ui/file_name.h"

namespace palimpsest::ui {
namespace {

struct Dropped {
  Q_DECLARE_TR_FUNCTIONS(DroppedFiles)
};

}  // namespace

bool mayBeDropped(const QMimeData* data) { return data && data->hasUrls(); }

DroppedFiles droppedFiles(const QMimeData* data) {
  DroppedFiles result;
  QStringList folders;
  int elsewhere = 0;
  for (const QUrl& url : data->urls()) {
    const QString path = nameOfUrl(url);
    if (path.isEmpty()) {
      ++elsewhere;
    } else if (QFileInfo(path).isDir()) {
      folders << QFileInfo(path).fileName();
    } else {
      result.files << path;
    }
  }
  QStringList sentences;
  if (!folders.isEmpty()) {
    sentences << Dropped::tr("“%1” is a folder. Open it and drop the books that are in it.").arg(folders.constFirst());
  }
  if (elsewhere > 0) {
    sentences << Dropped::tr("Only files on this computer can be read. Save the book first, then drop the file.");
  }
  result.refusal = sentences.join(QLatin1Char(' '));
  return result;
}

}  // namespace palimpsest::ui
