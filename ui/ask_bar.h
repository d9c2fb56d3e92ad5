// The field in which questions are written, the way of answering, the part of the book that is asked, and the button
// that asks or stops.
#pragma once

#include <QPlainTextEdit>
#include <QWidget>

#include "ui/records.h"

class QComboBox;
class QFrame;
class QLabel;

namespace palimpsest::ui {

class IconButton;
class PartSelector;

// Grows with its text up to six lines. Enter submits, Shift+Enter breaks the line.
class AskField : public QPlainTextEdit {
  Q_OBJECT
 public:
  explicit AskField(QWidget* parent = nullptr);

 signals:
  void submitted();
  void focused(bool on);
  void pasteRefused(const QString& sentence);

 protected:
  void keyPressEvent(QKeyEvent* event) override;
  void focusInEvent(QFocusEvent* event) override;
  void focusOutEvent(QFocusEvent* event) override;
  void resizeEvent(QResizeEvent* event) override;
  void insertFromMimeData(const QMimeData* source) override;

 private:
  void fitHeight();
};

class AskBar : public QWidget {
  Q_OBJECT
 public:
  explicit AskBar(QWidget* parent = nullptr);

  void setWay(AnswerWay way);  // the remembered choice
  AnswerWay chosenWay() const { return chosen_; }
  AnswerWay way() const;  // what will be used: passages where there is no memory
  // `why`: shown in the field while nothing can be asked; empty = it can.
  void setAvailability(const QString& why, bool memoryUsable);
  void setStreaming(bool streaming);
  void setChapters(const QList<Chapter>& chapters, bool mayReadAgain);  // see PartSelector
  BookPart part() const;                                                // what is asked: the whole book unless chosen
  void setBookTitle(const QString& title, int books = 1);               // books > 1: several are asked at once
  void focusField();
  void giveBack(const QString& question);  // one that was not answered, unless another is being written
  AskField* field() const { return field_; }

 signals:
  void asked(const QString& question, palimpsest::ui::AnswerWay way, const palimpsest::ui::BookPart& part);
  void refused(const QString& sentence);  // the question is too long; it stays in the field
  void stopRequested();
  void wayChosen(palimpsest::ui::AnswerWay way);
  void readAgainRequested();  // so that the book's chapters are remembered

 private:
  QWidget* makeControls();
  void submit();
  void refresh();

  QFrame* frame_;
  AskField* field_;
  QComboBox* ways_;
  PartSelector* parts_;
  QLabel* wayNote_;
  IconButton* button_;
  AnswerWay chosen_ = AnswerWay::Memory;
  QString why_, title_;
  int books_ = 1;
  bool memoryUsable_ = true;
  bool streaming_ = false;
};

}  // namespace palimpsest::ui
