// What a drop on the window brings: files to add, and a sentence about what cannot be taken.
#pragma once

#include <QStringList>

class QMimeData;

namespace palimpsest::ui {

struct DroppedFiles {
  QStringList files;  // local paths
  QString refusal;    // empty when everything was taken
};

bool mayBeDropped(const QMimeData* data);  // cheap: no disk is asked
DroppedFiles droppedFiles(const QMimeData* data);

}  // namespace palimpsest::ui
