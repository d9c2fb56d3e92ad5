#include "app/export.h"

#include <QBuffer>
#include <QFileInfo>
#include <QGuiApplication>
#include <QPageSize>
#include <QPdfWriter>
#include <QSaveFile>
#include <QTextBlock>
#include <QTextCursor>
#include <QTextDocument>
#include <algorithm>
#include <stdexcept>
#include <utility>

#include "app/library_items.h"
#include "app/words.h"
#include "storage/conversation_store.h"
#include "storage/library.h"
#include "storage/memory_store.h"
#include "ui/file_name.h"

namespace palimpsest::app {

namespace {

[[noreturn]] void refuse(const QString& file, const QString& reason) {
  throw std::runtime_error(Words::tr("“%1” could not be written: %2. Choose another place or free some space.")
                               .arg(file, reason)
                               .toStdString());
}

// The layout takes a left margin for dots of the device: the 40 of a block quote would be less than a millimetre.
void indentQuotes(QTextDocument& document, int dotsPerInch) {
  constexpr double kMillimetres = 8;
  const double title = document.begin().blockFormat().leftMargin();
  for (QTextBlock block = document.begin(); block.isValid(); block = block.next()) {
    if (block.blockFormat().leftMargin() <= title) continue;
    QTextBlockFormat indented = block.blockFormat();
    indented.setLeftMargin(kMillimetres / 25.4 * dotsPerInch);
    QTextCursor(block).setBlockFormat(indented);
  }
}

QByteArray exportPdf(const ExportData& data) {
  if (!qobject_cast<QGuiApplication*>(QCoreApplication::instance()))
    throw std::logic_error("a PDF is drawn with fonts, which need a QGuiApplication");
  QByteArray bytes;
  QBuffer buffer(&bytes);
  buffer.open(QIODevice::WriteOnly);
  QPdfWriter writer(&buffer);
  writer.setPageSize(QPageSize(QPageSize::A4));
  // QTextDocument::print() keeps 20 mm of its own inside these.
  writer.setPageMargins(QMarginsF(2, 2, 2, 2), QPageLayout::Millimeter);
  writer.setTitle(toQt(data.document.title));
  writer.setCreator(QStringLiteral("Palimpsest"));
  QTextDocument document;
  document.setDefaultFont(QFont(QStringLiteral("serif"), 11));
  document.setHtml(exportHtml(data));
  indentQuotes(document, writer.resolution());
  document.print(&writer);
  return bytes;
}

QByteArray inForm(const ExportData& data, ExportFormat format) {
  switch (format) {
    case ExportFormat::Markdown:
      return exportMarkdown(data).toUtf8();
    case ExportFormat::Html:
      return exportHtml(data).toUtf8();
    case ExportFormat::Text:
      return exportText(data).toUtf8();
    case ExportFormat::Pdf:
      break;
  }
  return exportPdf(data);
}

}  // namespace

ExportData collectExport(storage::Database& database, const storage::DocumentRecord& document) {
  const storage::Library library(database);
  const storage::ConversationStore conversations(database);
  ExportData data;
  data.document = document;
  data.document.title = titleOf(document).toStdString();
  data.memories = storage::MemoryStore(database).list(document.id);
  for (const storage::SummaryRecord& summary : conversations.summaries(document.id)) {
    const ui::ConversationItem item = makeConversationItem(library, document, summary);
    if (std::ranges::find(data.summaries, item.part, &ui::ConversationItem::part) != data.summaries.end())
      continue;  // the newest come first
    data.summaries << item;
    data.models << toQt(summary.modelName);
  }
  std::ranges::stable_sort(data.summaries, {}, [](const ui::ConversationItem& item) {
    return std::pair(item.part.chapter, item.part.kind);
  });
  for (const storage::TurnRecord& turn : conversations.turns(document.id)) {
    data.turns.append(makeConversationItem(library, document, turn));
    data.models << toQt(turn.modelName);
  }
  data.models.removeDuplicates();
  return data;
}

ExportData collectExport(storage::Database& database, std::vector<storage::DocumentRecord> shelf) {
  std::vector<storage::Id> ids;
  QStringList titles;
  for (const storage::DocumentRecord& document : shelf) {
    ids.push_back(document.id);
    titles << titleOf(document);
  }
  ExportData data;
  data.document.title = titles.join(QStringLiteral(" · ")).toStdString();
  for (const storage::TurnRecord& turn : storage::ConversationStore(database).shelfTurns(ids)) {
    data.turns.append(makeConversationItem(shelf, turn));
    data.models << toQt(turn.modelName);
  }
  data.models.removeDuplicates();
  data.shelf = std::move(shelf);
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
  if (!ui::isNameInUtf8(file)) refuse(file, Words::tr("its name is not UTF-8"));
  // It would be replaced by a file: a device, a pipe.
  if (QFileInfo(file).exists() && !QFileInfo(file).isFile()) refuse(file, Words::tr("it is no ordinary file"));
  QSaveFile out(file);
  if (!out.open(QIODevice::WriteOnly)) refuse(file, out.errorString());
  const QByteArray bytes = inForm(data, format);
  // Where a disk fills in the middle of a write, Qt takes the part for the whole: only the size tells.
  const bool whole = out.write(bytes) == bytes.size() && out.flush() && out.size() == bytes.size();
  if (!whole)
    refuse(file, out.error() == QFileDevice::NoError ? Words::tr("not all of it fits there") : out.errorString());
  if (!out.commit()) refuse(file, out.errorString());
}

}  // namespace palimpsest::app
