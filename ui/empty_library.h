// What an empty library shows: an invitation, not a blank.
#pragma once

#include <QWidget>

class QLabel;

namespace palimpsest::ui {

class EmptyLibrary : public QWidget {
  Q_OBJECT
 public:
  // `bundledTitle`: the book that came with the program; empty = none, and no button for it.
  explicit EmptyLibrary(const QString& bundledTitle, QWidget* parent = nullptr);
  // Instead of the invitation: why the library could not be opened. Empty = the invitation again.
  void showProblem(const QString& why);

 signals:
  void openRequested();
  void bundledBookRequested();

 protected:
  void paintEvent(QPaintEvent* event) override;

 private:
  QLabel* heading_;
  QLabel* sentence_;
  QLabel* formats_;
  QWidget* buttons_;
};

}  // namespace palimpsest::ui
