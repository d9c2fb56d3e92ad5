// The library at the left: heading and [+ Add], search field, the list, and where to drop. Ctrl and Shift select
// several books, which are then asked at once.
#pragma once

#include <QWidget>

#include "ui/library_delegate.h"
#include "ui/library_model.h"

class QLabel;
class QLineEdit;
class QListView;

namespace palimpsest::ui {

class Sidebar : public QWidget {
  Q_OBJECT
 public:
  explicit Sidebar(LibraryModel* model, QWidget* parent = nullptr);

  qint64 selectedId() const;             // 0 = nothing selected, or several
  QList<qint64> selectedIds() const;     // ascending; of several not those that could not be read
  QList<qint64> highlightedIds() const;  // all that are selected in the list
  void select(qint64 id) { select(QList<qint64>{id}); }
  void select(const QList<qint64>& ids);  // those that are in the library; nothing changes where none is
  void focusSearch();
  void setReadOnly(bool readOnly);
  QListView* list() const { return list_; }

 signals:
  void addRequested();
  void selected(qint64 id);  // one book; 0 = none is left
  void severalSelected(const QList<qint64>& ids);
  void actionRequested(qint64 id, palimpsest::ui::BookAction action);
  void menuRequested(qint64 id, const QPoint& globalPosition);

 protected:
  void changeEvent(QEvent* event) override;
  bool eventFilter(QObject* watched, QEvent* event) override;

 private:
  QLayout* makeHead();
  void makeSearch();
  void makeList();
  void showMenuAt(const QPoint& viewportPosition);
  void choose(const QList<qint64>& ids);
  void showChosen();
  void bringIntoView();

  LibraryModel* model_;
  LibraryFilter* filter_;
  LibraryDelegate* delegate_;
  QLineEdit* search_;
  QAction* searchIcon_ = nullptr;
  QListView* list_;
  QWidget* add_ = nullptr;
  QLabel* hint_;
  QLabel* nothingFound_;
  QList<qint64> chosen_;    // ascending; a search may hide some of them
  bool inView_ = false;     // what was selected from outside stays in view until the reader scrolls
  bool adjusting_ = false;  // the selection follows what is chosen, not the other way round
};

}  // namespace palimpsest::ui
