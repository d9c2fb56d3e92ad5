// A simple reader of the stored text: opens at a passage and shows it marked, with the pages around it. Only a stretch
// of the text is laid out; more is added as the reader scrolls to either end, so a book of megabytes opens at once.
#pragma once

#include <QWidget>

#include "ui/records.h"
#include "ui/stored_text.h"

class QLabel;
class QTextEdit;

namespace palimpsest::ui {

class LinesLabel;

class ReaderPane : public QWidget {
  Q_OBJECT
 public:
  static constexpr qsizetype kAround = 12000;  // characters laid out to each side

  explicit ReaderPane(QWidget* parent = nullptr);

  // `text` is the book's whole stored text (shared, not copied). A quote that does not stand in it opens the
  // beginning, and the pane says so.
  void showPassage(const QString& title, const QString& text, const Quote& quote);
  void clear();
  TextRange shown() const { return shown_; }

 signals:
  void closed();

 protected:
  void changeEvent(QEvent* event) override;

 private:
  QWidget* makeHead();
  QString slice(qsizetype begin, qsizetype length) const;
  void layOut();
  void mark();
  void bringMarkIntoView();
  void extendWhereNeeded();

  LinesLabel* title_;
  QLabel* place_;
  QTextEdit* page_;
  QString text_;
  TextRange mark_, shown_;
  bool extending_ = false;
};

}  // namespace palimpsest::ui
