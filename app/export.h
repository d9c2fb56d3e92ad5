// A book's summary, conversation and quotes as a file to keep.
#pragma once

#include <QString>
#include <optional>
#include <vector>

#include "app/assistant.h"
#include "storage/database.h"
#include "storage/records.h"
#include "ui/records.h"

namespace palimpsest::app {

struct ExportData {
  storage::DocumentRecord document;             // of several books only the title: all of theirs
  std::vector<storage::DocumentRecord> shelf;   // the several; else empty
  std::vector<storage::MemoryRecord> memories;  // headers: which models have read it, and when
  QStringList models;                           // every model that said something of what follows
  QList<ui::ConversationItem> summaries;        // the latest of the whole book, then of each part of it
  QList<ui::ConversationItem> turns;
};

// Throws DatabaseError.
ExportData collectExport(storage::Database& database, const storage::DocumentRecord& document);
// What was asked of several books at once, which are in the order of their ids.
ExportData collectExport(storage::Database& database, std::vector<storage::DocumentRecord> shelf);

// Told by the ending: .md .markdown, .html .htm, .pdf, .txt.
std::optional<ExportFormat> exportFormatOf(const QString& file);

// Everything in the data is text: whatever looks like markup in it is escaped.
QString exportMarkdown(const ExportData& data);
QString exportHtml(const ExportData& data);
QString exportText(const ExportData& data);

// Written whole or not at all. Throws std::runtime_error with a sentence. Pdf needs a QGuiApplication. Any thread.
void writeExport(const ExportData& data, const QString& file, ExportFormat format);

}  // namespace palimpsest::app
