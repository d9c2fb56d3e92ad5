#include "ui/library_model.h"

#include <QSet>
#include <algorithm>

#include "ui/words.h"

namespace palimpsest::ui {
namespace {

const QSize kCoverPixels(3 * 42, 3 * 58);  // sharp up to three device pixels per pixel

QString spoken(const LibraryItem& item) {
  QStringList parts{item.title};
  if (!item.author.isEmpty()) parts << item.author;
  parts << words::stateLines(item);
  return parts.join(QStringLiteral(", "));
}

QString toolTip(const LibraryItem& item) {
  QStringList lines{item.title};
  if (!item.author.isEmpty()) lines << item.author;
  lines << words::stateLines(item);
  if (!item.note.isEmpty() && item.state != BookState::Ready) lines << item.note;
  // Escaped: titles come out of strangers' files, and tool tips would read them as HTML.
  return QStringLiteral("<p>%1</p>")
      .arg(lines.join(QLatin1Char('\n')).toHtmlEscaped().replace(QLatin1Char('\n'), QStringLiteral("<br>")));
}

}  // namespace

LibraryModel::LibraryModel(QObject* parent) : QAbstractListModel(parent), covers_(kCoverPixels) {
  connect(&covers_, &CoverStore::coverReady, this, [this](qint64 id) {
    if (const int row = rowOf(id); row >= 0) emit dataChanged(index(row), index(row), {Qt::DecorationRole});
  });
}

int LibraryModel::rowCount(const QModelIndex& parent) const {
  return parent.isValid() ? 0 : static_cast<int>(items_.size());
}

QVariant LibraryModel::data(const QModelIndex& index, int role) const {
  if (!checkIndex(index, CheckIndexOption::IndexIsValid)) return {};
  const LibraryItem& item = items_[index.row()];
  switch (role) {
    case Qt::DisplayRole:
      return item.title;
    case Qt::DecorationRole:
      return covers_.cover(item.id);
    case Qt::ToolTipRole:
      return toolTip(item);
    case Qt::AccessibleTextRole:
      return spoken(item);
    case IdRole:
      return item.id;
    case ItemRole:
      return QVariant::fromValue(item);
    case StateRole:
      return static_cast<int>(item.state);
    default:
      return {};
  }
}

void LibraryModel::reset(const QList<LibraryItem>& items) {
  beginResetModel();
  QSet<qint64> staying;
  for (const LibraryItem& item : items) staying.insert(item.id);
  for (const LibraryItem& old : std::as_const(items_)) {
    if (!staying.contains(old.id)) covers_.forget(old.id);
  }
  items_ = items;
  for (const LibraryItem& item : items_) covers_.setCover(item.id, item.cover);
  endResetModel();
}

void LibraryModel::put(const LibraryItem& item) {
  covers_.setCover(item.id, item.cover);
  const int row = rowOf(item.id);
  if (row < 0) {
    beginInsertRows({}, 0, 0);
    items_.prepend(item);
    endInsertRows();
    return;
  }
  const LibraryItem& old = items_[row];
  const bool otherHeight = old.state != item.state || old.failure != item.failure ||
                           old.canBeRetried() != item.canBeRetried() || old.canReadAgain != item.canReadAgain ||
                           (item.canReadAgain && old.note != item.note);
  items_[row] = item;
  emit dataChanged(index(row), index(row));
  if (otherHeight) emit rowHeightChanged();
}

void LibraryModel::remove(qint64 id) {
  const int row = rowOf(id);
  if (row < 0) return;
  beginRemoveRows({}, row, row);
  items_.removeAt(row);
  endRemoveRows();
  covers_.forget(id);
}

std::optional<LibraryItem> LibraryModel::item(qint64 id) const {
  const int row = rowOf(id);
  return row < 0 ? std::nullopt : std::optional(items_[row]);
}

int LibraryModel::rowOf(qint64 id) const {
  const auto found =
      std::find_if(items_.begin(), items_.end(), [id](const LibraryItem& item) { return item.id == id; });
  return found == items_.end() ? -1 : static_cast<int>(found - items_.begin());
}

void LibraryFilter::setWords(const QString& words) {
  words_ = words.split(QLatin1Char(' '), Qt::SkipEmptyParts);
  invalidateFilter();
}

bool LibraryFilter::filterAcceptsRow(int row, const QModelIndex& parent) const {
  const auto item = sourceModel()->index(row, 0, parent).data(LibraryModel::ItemRole).value<LibraryItem>();
  const QString text = item.title + QLatin1Char(' ') + item.author + QLatin1Char(' ') + item.format;
  return std::all_of(words_.begin(), words_.end(),
                     [&](const QString& word) { return text.contains(word, Qt::CaseInsensitive); });
}

}  // namespace palimpsest::ui
