// Paints a book in the library: cover or a drawn page, title, author, state, a thin line for its progress, and the one
// button that its state calls for.
#pragma once

#include <QStyledItemDelegate>

#include "ui/records.h"

namespace palimpsest::ui {

enum class BookAction { None, Pause, Resume, Retry, ReadAgain };

// What the row's button does, and what the first entry of its menu is.
BookAction mainActionFor(const LibraryItem& item);

class LibraryDelegate : public QStyledItemDelegate {
  Q_OBJECT
 public:
  using QStyledItemDelegate::QStyledItemDelegate;

  void paint(QPainter* painter, const QStyleOptionViewItem& option, const QModelIndex& index) const override;
  QSize sizeHint(const QStyleOptionViewItem& option, const QModelIndex& index) const override;
  bool editorEvent(QEvent* event, QAbstractItemModel* model, const QStyleOptionViewItem& option,
                   const QModelIndex& index) override;

  void setReadOnly(bool readOnly) { readOnly_ = readOnly; }  // no buttons

  // Where the button is drawn in a row's rectangle; empty when the state has none.
  QRect buttonRect(const QRect& row, const LibraryItem& item) const;

 signals:
  void actionRequested(qint64 id, palimpsest::ui::BookAction action);

 private:
  BookAction actionFor(const LibraryItem& item) const;
  bool readOnly_ = false;
};

}  // namespace palimpsest::ui
