// The library as an item model. Order: as given, newest first. UI thread only.
#pragma once

#include <QAbstractListModel>
#include <QSortFilterProxyModel>
#include <optional>

#include "ui/cover_store.h"
#include "ui/records.h"

namespace palimpsest::ui {

class LibraryModel : public QAbstractListModel {
  Q_OBJECT
 public:
  // DisplayRole is the title, DecorationRole the decoded cover (QImage), ToolTipRole and AccessibleTextRole whole
  // sentences.
  enum Role { IdRole = Qt::UserRole + 1, ItemRole, StateRole };

  explicit LibraryModel(QObject* parent = nullptr);

  int rowCount(const QModelIndex& parent = {}) const override;
  QVariant data(const QModelIndex& index, int role = Qt::DisplayRole) const override;

  void reset(const QList<LibraryItem>& items);
  void put(const LibraryItem& item);  // replaces the item with this id, or adds it on top
  void remove(qint64 id);
  std::optional<LibraryItem> item(qint64 id) const;
  int rowOf(qint64 id) const;  // -1 = not here

 signals:
  void rowHeightChanged();  // a state change gave a row another number of lines

 private:
  QList<LibraryItem> items_;
  CoverStore covers_;
};

// Finds books whose title, author or format has all the words, in any order and case.
class LibraryFilter : public QSortFilterProxyModel {
  Q_OBJECT
 public:
  using QSortFilterProxyModel::QSortFilterProxyModel;
  void setWords(const QString& words);

 protected:
  bool filterAcceptsRow(int row, const QModelIndex& parent) const override;

 private:
  QStringList words_;
};

}  // namespace palimpsest::ui
