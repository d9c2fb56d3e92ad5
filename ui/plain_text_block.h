// A block of selectable text as high as its text. Everything is shown as the characters that it is: no HTML, no
// Markdown, no links, and nothing is ever loaded.
#pragma once

#include <QTextEdit>

namespace palimpsest::ui {

class PlainTextBlock : public QTextEdit {
  Q_OBJECT
 public:
  explicit PlainTextBlock(QWidget* parent = nullptr);

  // When `text` begins with what is shown, only the rest is laid out: streaming stays cheap.
  void showText(const QString& text);
  QString shownText() const { return shown_; }
  void setTextFont(const QFont& font, int lineHeightPercent);

  QSize sizeHint() const override;
  QSize minimumSizeHint() const override;
  QVariant loadResource(int type, const QUrl& name) override;

 protected:
  void resizeEvent(QResizeEvent* event) override;
  void wheelEvent(QWheelEvent* event) override;
  void keyPressEvent(QKeyEvent* event) override;
  void changeEvent(QEvent* event) override;

 private:
  void fitHeight();
  QString shown_;
  int lineHeight_ = 145;
};

}  // namespace palimpsest::ui
