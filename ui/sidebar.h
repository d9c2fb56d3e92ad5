// The library at the left: heading and [+ Add], search field, the list, and where to drop.
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

  qint64 selectedId() const;  // 0 = nothing selected
  void select(qint64 id);
  void focusSearch();
  void setReadOnly(bool readOnly);
  QListView* list() const { return list_; }

 signals:
  void addRequested();
  void selected(qint64 id);
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

  LibraryModel* model_;
  LibraryFilter* filter_;
  LibraryDelegate* delegate_;
  QLineEdit* search_;
  QAction* searchIcon_ = nullptr;
  QListView* list_;
  QWidget* add_ = nullptr;
  QLabel* hint_;
  QLabel* nothingFound_;
  qint64 selected_ = 0;
  bool filtering_ = false;
};

}  // namespace palimpsest::ui
