// The formats in which a book's summary and conversation can be written.
#pragma once

#include <QMetaType>
#include <QString>
#include <optional>

namespace palimpsest::ui {

enum class ExportKind { Markdown, Html, Pdf, Text };

// By the file's suffix; nothing = it names no format that can be written.
std::optional<ExportKind> exportKindOf(const QString& file);
QString suffixOf(ExportKind kind);
// A file name that every file system takes, from a title of any length and script.
QString fileNameFor(const QString& title);

}  // namespace palimpsest::ui

Q_DECLARE_METATYPE(palimpsest::ui::ExportKind)
