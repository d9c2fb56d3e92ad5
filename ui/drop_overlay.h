// Laid over the window while files are dragged across it: says what will happen, and lets the drop through.
#pragma once

#include <QWidget>

namespace palimpsest::ui {

class DropOverlay : public QWidget {
  Q_OBJECT
 public:
  explicit DropOverlay(QWidget* parent);
  void showFor(int files);

 protected:
  void paintEvent(QPaintEvent* event) override;

 private:
  int files_ = 0;
};

}  // namespace palimpsest::ui
