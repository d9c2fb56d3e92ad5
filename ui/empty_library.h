// What an empty library shows: an invitation, not a blank.
#pragma once

#include <QWidget>

namespace palimpsest::ui {

class EmptyLibrary : public QWidget {
  Q_OBJECT
 public:
  // `bundledTitle`: the book that came with the program; empty = none, and no button for it.
  explicit EmptyLibrary(const QString& bundledTitle, QWidget* parent = nullptr);

 signals:
  void openRequested();
  void bundledBookRequested();

 protected:
  void paintEvent(QPaintEvent* event) override;
};

}  // namespace palimpsest::ui
