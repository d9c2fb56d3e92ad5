// Plain text broken into a bounded number of lines, the last one elided; and a label that shows them.
#pragma once

#include <QFont>
#include <QStringList>
#include <QWidget>

namespace palimpsest::ui {

// At most `mostLines` lines of `text` that fit `width` pixels; never empty.
QStringList wrapped(const QString& text, const QFont& font, int width, int mostLines);

// A label for titles of any length: as many lines as allowed, then an ellipsis, the whole in the tool tip.
// Right-to-left text is set from the right.
class LinesLabel : public QWidget {
  Q_OBJECT
 public:
  explicit LinesLabel(int mostLines, QWidget* parent = nullptr);
  void setText(const QString& text);
  QString text() const { return text_; }
  void setTextFont(const QFont& font);
  void setFaded(bool faded);  // secondary text

  bool hasHeightForWidth() const override { return true; }
  int heightForWidth(int width) const override;
  QSize sizeHint() const override;
  QSize minimumSizeHint() const override;

 protected:
  void paintEvent(QPaintEvent* event) override;
  void resizeEvent(QResizeEvent* event) override;

 private:
  QString text_;
  QFont font_;
  int mostLines_;
  bool faded_ = false;
};

}  // namespace palimpsest::ui
