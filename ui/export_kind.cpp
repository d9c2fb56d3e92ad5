#include "ui/export_kind.h"

#include <QFileInfo>

namespace palimpsest::ui {

std::optional<ExportKind> exportKindOf(const QString& file) {
  const QString suffix = QFileInfo(file).suffix().toLower();
  if (suffix == QLatin1String("html") || suffix == QLatin1String("htm")) return ExportKind::Html;
  if (suffix == QLatin1String("pdf")) return ExportKind::Pdf;
  if (suffix == QLatin1String("txt")) return ExportKind::Text;
  if (suffix == QLatin1String("md") || suffix == QLatin1String("markdown")) return ExportKind::Markdown;
  return std::nullopt;
}

QString suffixOf(ExportKind kind) {
  switch (kind) {
    case ExportKind::Markdown:
      return QStringLiteral("md");
    case ExportKind::Html:
      return QStringLiteral("html");
    case ExportKind::Pdf:
      return QStringLiteral("pdf");
    case ExportKind::Text:
      return QStringLiteral("txt");
  }
  return {};
}

QString fileNameFor(const QString& title) {
  QString name;
  for (const QChar c : title.simplified()) {
    const bool refused = c.category() == QChar::Other_Control || QStringLiteral("/\\:*?\"<>|").contains(c);
    name += refused ? QLatin1Char(' ') : c;
  }
  name = name.simplified();
  while (name.startsWith(QLatin1Char('.')) || name.startsWith(QLatin1Char(' '))) name.remove(0, 1);
  // File systems count bytes: 255 is the usual limit, and a suffix follows.
  while (name.toUtf8().size() > 120) name.chop(name.size() > 1 && name.back().isLowSurrogate() ? 2 : 1);
  return name.trimmed().isEmpty() ? QStringLiteral("book") : name.trimmed();
}

}  // namespace palimpsest::ui
