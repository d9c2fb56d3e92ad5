// The command line of the window: palimpsest [--db FILE] [--model FOLDER] [--threads N] [--device D]
// [--weights W] [FILE...]
#pragma once

#include <QString>
#include <QStringList>

#include "app/assistant.h"

namespace palimpsest::app::gui {

struct Options {
  AssistantOptions assistant;
  QStringList files;  // to add, absolute paths
};

// Handles --help and --version itself (and ends the program). `problem` gets a sentence when the line makes no sense.
Options parseOptions(const QStringList& commandLine, QString* problem);

}  // namespace palimpsest::app::gui
