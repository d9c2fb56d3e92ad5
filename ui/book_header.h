// Above the conversation: which book, how much of it is remembered, by which model, and what can be done with it.
#pragma once

#include <QWidget>

#include "ui/records.h"

class QLabel;

namespace palimpsest::ui {

class IconButton;
class LinesLabel;

class BookHeader : public QWidget {
  Q_OBJECT
 public:
  explicit BookHeader(QWidget* parent = nullptr);
  void showBook(const LibraryItem& item);
  void showShelf(const QList<LibraryItem>& books);  // several that are asked at once
  void showModel(const ModelStatus& model);
  void setCanSummarise(bool can, const QString& why);
  void setReadOnly(bool readOnly);               // hides the verbs that write
  QWidget* heirOf(const QWidget* button) const;  // what stands in its place: Pause and Resume; nullptr = nothing

 signals:
  void summariseRequested();
  void exportRequested();
  void pauseRequested();
  void resumeRequested();
  void cancelRequested();
  void retryRequested();

 protected:
  void paintEvent(QPaintEvent* event) override;
  void resizeEvent(QResizeEvent* event) override;

 private:
  QWidget* makeButtons();
  void elideModel();

  LibraryItem item_;          // of a shelf: none
  QList<LibraryItem> shelf_;  // empty = one book
  bool readOnly_ = false;
  LinesLabel* title_;
  LinesLabel* author_;
  QLabel* memory_;
  QLabel* model_;
  QString modelText_;
  LinesLabel* note_;
  IconButton* pause_;
  IconButton* resume_;
  IconButton* cancel_;
  IconButton* retry_;
  IconButton* summarise_;
  IconButton* export_;
};

}  // namespace palimpsest::ui
