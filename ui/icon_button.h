// A push button with a line icon that follows the theme.
#pragma once

#include <QPushButton>

namespace palimpsest::ui {

class IconButton : public QPushButton {
  Q_OBJECT
 public:
  enum class Kind { Normal, Quiet, Primary };
  IconButton(const QString& iconName, const QString& text, Kind kind = Kind::Normal, QWidget* parent = nullptr);

  void setIconName(const QString& name);

 protected:
  void changeEvent(QEvent* event) override;

 private:
  void refreshIcon();
  QString iconName_;
  Kind kind_;
};

}  // namespace palimpsest::ui
