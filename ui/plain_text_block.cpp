#include "ui/plain_text_block.h"

#include <QAbstractTextDocumentLayout>
#include <QKeyEvent>
#include <QTextBlock>
#include <QTextDocument>
#include <QWheelEvent>
#include <cmath>
#include <utility>

#include "ui/theme.h"

namespace palimpsest::ui {

PlainTextBlock::PlainTextBlock(QWidget* parent) : QTextEdit(parent) {
  setReadOnly(true);
  setAcceptRichText(false);
  setAcceptDrops(false);
  setUndoRedoEnabled(false);
  setFrameShape(QFrame::NoFrame);
  setVerticalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
  setHorizontalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
  setWordWrapMode(QTextOption::WrapAtWordBoundaryOrAnywhere);
  setTextInteractionFlags(Qt::TextSelectableByMouse | Qt::TextSelectableByKeyboard);
  setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Fixed);
  setTabChangesFocus(true);
  viewport()->setAutoFillBackground(false);
  setStyleSheet(QStringLiteral("QTextEdit { background: transparent; border: none; }"));
  document()->setDocumentMargin(0);
  QTextOption option = document()->defaultTextOption();
  option.setTextDirection(Qt::LayoutDirectionAuto);  // each paragraph by its own letters
  document()->setDefaultTextOption(option);
  connect(document()->documentLayout(), &QAbstractTextDocumentLayout::documentSizeChanged, this,
          &PlainTextBlock::fitHeight);
}

void PlainTextBlock::showText(const QString& text) {
  if (text == shown_) return;
  QTextCursor cursor(document());
  const bool grows = !shown_.isEmpty() && text.startsWith(shown_);
  if (!grows) document()->clear();
  cursor.movePosition(QTextCursor::End);
  QTextBlockFormat format;
  format.setLineHeight(lineHeight_, QTextBlockFormat::ProportionalHeight);
  cursor.setBlockFormat(format);
  cursor.insertText(grows ? text.mid(shown_.size()) : text, QTextCharFormat());
  shown_ = text;
  fitHeight();
}

void PlainTextBlock::setTextFont(const QFont& font, int lineHeightPercent) {
  lineHeight_ = lineHeightPercent;
  setFont(font);
  document()->setDefaultFont(font);
  const QString text = std::exchange(shown_, QString());
  showText(text);
  fitHeight();
}

QSize PlainTextBlock::sizeHint() const { return {320, static_cast<int>(std::ceil(document()->size().height())) + 1}; }

QSize PlainTextBlock::minimumSizeHint() const { return {80, sizeHint().height()}; }

QVariant PlainTextBlock::loadResource(int, const QUrl&) { return {}; }

void PlainTextBlock::resizeEvent(QResizeEvent* event) {
  QTextEdit::resizeEvent(event);
  fitHeight();
}

// The conversation scrolls, not the block.
void PlainTextBlock::wheelEvent(QWheelEvent* event) { event->ignore(); }

void PlainTextBlock::keyPressEvent(QKeyEvent* event) {
  if (event->key() == Qt::Key_Escape) return event->ignore();  // Esc stops the answer
  QTextEdit::keyPressEvent(event);
}

void PlainTextBlock::changeEvent(QEvent* event) {
  QTextEdit::changeEvent(event);
  if (isThemeChange(event)) viewport()->update();
}

void PlainTextBlock::fitHeight() {
  const int height = sizeHint().height();
  if (height != minimumHeight() || height != maximumHeight()) setFixedHeight(height);
}

}  // namespace palimpsest::ui
