// Where the library and the model are when nobody says.
#pragma once

#include <QString>

namespace palimpsest::app {

// Name and version of the running program: both executables call it first, for the library's folder hangs on the name.
void nameApplication();

// library.db in QStandardPaths::AppDataLocation.
QString defaultDatabase();

// The first that applies: `chosen` (--model), $PALIMPSEST_MODEL, the installed share folder,
// resources/models/palimpsest-mini beside the build. The last two are taken only if they exist; if none does, the place
// where an installed model would be, so that the error names it.
QString modelFolder(const QString& chosen = {});

// The model that comes with the program, whatever the environment says; empty if there is none.
QString shippedModel();

// The book that comes with the program, looked for in the same places; empty if there is none.
QString bundledBook();

}  // namespace palimpsest::app
