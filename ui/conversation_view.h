// Shows a ConversationModel as a column of TurnWidgets, the newest at the bottom. Long conversations show their last
// turns first and the earlier ones on request, so that opening a book costs the same however much was asked.
#pragma once

#include <QScrollArea>
#include <QTimer>

#include "ui/conversation_model.h"
#include "ui/words.h"

class QLabel;
class QPushButton;
class QVBoxLayout;

namespace palimpsest::ui {

class TurnWidget;

class ConversationView : public QScrollArea {
  Q_OBJECT
 public:
  static constexpr int kTurnsAtOnce = 30;

  explicit ConversationView(ConversationModel* model, QWidget* parent = nullptr);
  void setHint(const words::Hint& hint);  // shown while nothing has been asked
  // Shows what is pending now instead of with the next frame (for tests).
  void flush();

 signals:
  void stopRequested();
  void quoteOpened(const palimpsest::ui::Quote& quote);
  void bookOpened(qint64 id);

 protected:
  void resizeEvent(QResizeEvent* event) override;
  bool eventFilter(QObject* watched, QEvent* event) override;

 private:
  QWidget* makeHint();
  void rebuild();
  void appendTurns(int first, int last);
  TurnWidget* makeTurn(int row);
  void showEarlier();
  void updateHint();
  void follow();

  ConversationModel* model_;
  QWidget* column_;
  QVBoxLayout* turnsLayout_;
  QPushButton* earlier_;
  QWidget* hint_;
  QLabel* hintHeading_;
  QLabel* hintSentence_;
  QList<TurnWidget*> turns_;  // the rows first_ ... of the model
  int first_ = 0;
  bool following_ = true;  // the bottom is in view, and stays so while text arrives
  QTimer refresh_;         // gathers pieces of a streaming answer to about 30 updates a second
};

}  // namespace palimpsest::ui
