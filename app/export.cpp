#include "app/export.h"

#include <QFileInfo>
#include <QGuiApplication>
#include <QPageSize>
#include <QPdfWriter>
#include <QSaveFile>
#include <QTextDocument>
#include <stdexcept>

#include "app/library_items.h"
#include "app/words.h"
#include "storage/conversation_store.h"
#include "storage/library.h"

namespace palimpsest::app {

namespace {

[[noreturn]] void refuse(const QString& file, const QString& reason) {
  throw std::runtime_error(QStringLiteral("“%1” could not be written: %2. Choose another place or free some space.")
                               .arg(file, reason)
                               .toStdString());
}

void writePdf(const ExportData& data, QIODevice& device) {
  if (!qobject_cast<QGuiApplication*>(QCoreApplication::instance()))
    throw std::logic_error("a PDF is drawn with fonts, which need a QGuiApplication");
  QPdfWriter writer(&device);
  writer.setPageSize(QPageSize(QPageSize::A4));
  writer.setPageMargins(QMarginsF(22, 22, 22, 22), QPageLayout::Millimeter);
  writer.setTitle(toQt(data.document.title));
  writer.setCreator(QStringLiteral("Palimpsest"));
  QTextDocument document;
  document.setDefaultFont(QFont(QStringLiteral("serif"), 11));
  document.setHtml(exportHtml(data));
  document.print(&writer);
}

}  // namespace

ExportData collectExport(storage::Database& database, const storage::DocumentRecord& document) {
  const storage::Library library(database);
  const storage::ConversationStore conversations(database);
  ExportData data;
  data.document = document;
  if (data.document.title.empty()) data.document.title = QFileInfo(toQt(document.path)).fileName().toStdString();
  if (const auto summary = conversations.latestSummary(document.id)) {
    data.summary = makeConversationItem(library, document, *summary);
    data.models << toQt(summary->modelName);
  }
  for (const storage::TurnRecord& turn : conversations.turns(document.id)) {
    data.turns.append(makeConversationItem(library, document, turn));
    data.models << toQt(turn.modelName);
  }
  data.models.removeDuplicates();
  return data;
}

std::optional<ExportFormat> exportFormatOf(const QString& file) {
  const QString ending = QFileInfo(file).suffix().toLower();
  if (ending == u"md" || ending == u"markdown") return ExportFormat::Markdown;
  if (ending == u"html" || ending == u"htm") return ExportFormat::Html;
  if (ending == u"pdf") return ExportFormat::Pdf;
  if (ending == u"txt") return ExportFormat::Text;
  return std::nullopt;
}

void writeExport(const ExportData& data, const QString& file, ExportFormat format) {
  QSaveFile out(file);
  if (!out.open(QIODevice::WriteOnly)) refuse(file, out.errorString());
  switch (format) {
    case ExportFormat::Markdown:
      out.write(exportMarkdown(data).toUtf8());
      break;
    case ExportFormat::Html:
      out.write(exportHtml(data).toUtf8());
      break;
    case ExportFormat::Text:
      out.write(exportText(data).toUtf8());
      break;
    case ExportFormat::Pdf:
      writePdf(data, out);
      break;
  }
  if (!out.commit()) refuse(file, out.errorString());
}

}  // namespace palimpsest::app
