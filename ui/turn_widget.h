// One exchange: the question, where the answer comes from, the answer, and the book's own words beneath it.
#pragma once

#include <QWidget>

#include "ui/records.h"

class QLabel;
class QVBoxLayout;

namespace palimpsest::ui {

class IconButton;
class PlainTextBlock;

class TurnWidget : public QWidget {
  Q_OBJECT
 public:
  explicit TurnWidget(const ConversationItem& item, QWidget* parent = nullptr);
  void show(const ConversationItem& item);  // cheap when only the answer grew
  using QWidget::show;

 signals:
  void stopRequested();
  void quoteOpened(const palimpsest::ui::Quote& quote);
  void bookOpened(qint64 id);  // the one that an answer of several books names

 protected:
  void changeEvent(QEvent* event) override;

 private:
  QWidget* makeOrigin();
  QWidget* makeBook();
  void showQuotes(const QList<Quote>& quotes);
  void refreshIcon();

  ConversationItem item_;
  PlainTextBlock* question_;
  QLabel* originIcon_;
  QLabel* origin_;
  IconButton* stop_;
  PlainTextBlock* answer_;
  QLabel* steps_;                  // how the model came to its answer, if not at once
  QLabel* remark_;                 // stopped, or why there is no answer
  IconButton* supporting_;         // the book of a shelf that supports the answer best
  QWidget* book_;                  // the quotes under their heading
  QLabel* bookHeading_ = nullptr;  // says whether they support the answer
  QVBoxLayout* quotes_;
};

}  // namespace palimpsest::ui
