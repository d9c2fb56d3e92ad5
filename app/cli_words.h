// How the command line shows books and answers.
#pragma once

#include <QJsonObject>
#include <QString>

#include "ui/records.h"

namespace palimpsest::app::cli {

QString progressBar(const ui::LibraryItem& item);  // "[######......] 43 %  8.9K tokens/s  0:21 left  Title"
// Of several that are read at once: "17.8K tokens/s  43 % Title | 7 % Other title", a title cut to its share.
QString progressBar(const QList<ui::LibraryItem>& items, int columns);
QString progressLine(const ui::LibraryItem& item);  // the same without the bar
QString cutTo(const QString& line, int columns);    // with … at its end where something is missing; 0 = as it is
QString endLine(const ui::LibraryItem& item);       // "Title: ready, memory 0.5 MB"
QString listLine(const ui::LibraryItem& item);
QString stateWords(const ui::LibraryItem& item);

// Provenance and quotes of an answer, as shown under it.
QString underAnswer(const ui::ConversationItem& item);

QJsonObject toJson(const ui::LibraryItem& item);
QJsonObject toJson(const ui::ConversationItem& item);

}  // namespace palimpsest::app::cli
