// A line across the top of the window: a problem that stays until it is solved, or a notice that goes by itself.
#pragma once

#include <QTimer>
#include <QWidget>

class QLabel;
class QPushButton;

namespace palimpsest::ui {

class IconButton;

class Banner : public QWidget {
  Q_OBJECT
 public:
  enum class Kind { Problem, Notice };
  explicit Banner(Kind kind, QWidget* parent = nullptr);

  // `action`, `second`: the captions of buttons, empty = none. A notice hides itself after a while.
  void show(const QString& sentence, const QString& action = {}, const QString& second = {});
  using QWidget::show;
  // Keeps what is still being shown: several files dropped at once may fail for several reasons.
  void append(const QString& sentence);
  void withdraw(const QString& sentence);  // one that was appended; the others stay
  QString text() const;

 signals:
  void actionTriggered();
  void secondTriggered();

 protected:
  void changeEvent(QEvent* event) override;

 private:
  void refreshIcon();
  Kind kind_;
  QLabel* icon_;
  QLabel* sentence_;
  QPushButton* action_;
  QPushButton* second_;
  IconButton* close_;
  QTimer hideTimer_;
};

}  // namespace palimpsest::ui
