// A passage of the book under an answer: the book's own words in the book's face, with the page they stand on.
// A button, so that mouse and keyboard open the place alike.
#pragma once

#include <QAbstractButton>

#include "ui/records.h"

namespace palimpsest::ui {

class QuoteCard : public QAbstractButton {
  Q_OBJECT
 public:
  explicit QuoteCard(const Quote& quote, QWidget* parent = nullptr);
  const Quote& quote() const { return quote_; }

  bool hasHeightForWidth() const override { return true; }
  int heightForWidth(int width) const override;
  QSize sizeHint() const override;
  QSize minimumSizeHint() const override;

 protected:
  void paintEvent(QPaintEvent* event) override;
  void enterEvent(QEnterEvent* event) override;
  void leaveEvent(QEvent* event) override;

 private:
  QStringList lines(int width) const;
  Quote quote_;
};

}  // namespace palimpsest::ui
