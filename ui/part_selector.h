// The quiet choice beside the way of answering: the whole book, all of it up to a chapter, or one chapter.
#pragma once

#include <QPushButton>

#include "ui/records.h"

class QMenu;

namespace palimpsest::ui {

class PartSelector : public QPushButton {
  Q_OBJECT
 public:
  explicit PartSelector(QWidget* parent = nullptr);

  // Of the book that is selected; the choice stays while its chapter is there, and is the whole book else. Without
  // chapters there is nothing to choose, and the button is hidden. `mayReadAgain`: a reading would bring the memories
  // that a book which was read before lacks.
  void setChapters(const QList<Chapter>& chapters, bool mayReadAgain);
  void setFromPassages(bool fromPassages);  // what is asked needs text, not memory
  BookPart part() const { return part_; }

 signals:
  void chosen(const palimpsest::ui::BookPart& part);
  void readAgainRequested();

 private:
  void choose(const BookPart& part);
  void refresh();
  void fill();
  void add(QMenu* menu, const QString& text, const BookPart& part, bool possible);
  bool possible(const Chapter& chapter, BookPart::Kind kind) const;
  QString titleOf(const BookPart& part) const;

  QMenu* menu_;
  QList<Chapter> chapters_;
  BookPart part_;
  bool mayReadAgain_ = false, fromPassages_ = false;
};

}  // namespace palimpsest::ui
