#include "ui/reader_pane.h"

#include <QEvent>
#include <QLabel>
#include <QScrollBar>
#include <QTextBlock>
#include <QTextDocument>
#include <QTextEdit>
#include <QTimer>
#include <QVBoxLayout>

#include "ui/icon_button.h"
#include "ui/quote_place.h"
#include "ui/text_lines.h"
#include "ui/theme.h"

namespace palimpsest::ui {
namespace {

// Every character of the stored text is one position of the document, so a place in one is a place in the other.
QTextBlockFormat bookFormat() {
  QTextBlockFormat format;
  format.setLineHeight(128, QTextBlockFormat::ProportionalHeight);
  return format;
}

QTextCharFormat bookInk() {
  QTextCharFormat format;
  format.setFont(bookFont(1.1));
  return format;
}

}  // namespace

ReaderPane::ReaderPane(QWidget* parent)
    : QWidget(parent), title_(new LinesLabel(1, this)), place_(new QLabel(this)), page_(new QTextEdit(this)) {
  setObjectName(QStringLiteral("readerPane"));
  setAttribute(Qt::WA_StyledBackground);
  setMinimumWidth(320);
  page_->setObjectName(QStringLiteral("readerText"));
  page_->setAccessibleName(tr("Text of the book"));
  page_->setReadOnly(true);
  page_->setAcceptRichText(false);
  page_->setAcceptDrops(false);
  page_->setUndoRedoEnabled(false);
  page_->setTabChangesFocus(true);
  page_->setTextInteractionFlags(Qt::TextSelectableByMouse | Qt::TextSelectableByKeyboard);
  page_->document()->setDocumentMargin(28);
  QTextOption option = page_->document()->defaultTextOption();
  option.setTextDirection(Qt::LayoutDirectionAuto);
  option.setWrapMode(QTextOption::WrapAtWordBoundaryOrAnywhere);
  page_->document()->setDefaultTextOption(option);
  connect(page_->verticalScrollBar(), &QScrollBar::valueChanged, this, &ReaderPane::extendWhereNeeded);

  auto* column = new QVBoxLayout(this);
  column->setContentsMargins(0, 0, 0, 0);
  column->setSpacing(0);
  column->addWidget(makeHead());
  column->addWidget(page_, 1);
}

QWidget* ReaderPane::makeHead() {
  auto* head = new QWidget(this);
  head->setObjectName(QStringLiteral("readerHead"));
  head->setAttribute(Qt::WA_StyledBackground);
  title_->setTextFont(bookFont(1.12));
  place_->setProperty("faded", true);
  place_->setFont(uiFont(0.9));
  place_->setTextFormat(Qt::PlainText);
  auto* close = new IconButton(QStringLiteral("cancel"), QString(), IconButton::Kind::Quiet, head);
  close->setObjectName(QStringLiteral("closeReader"));
  close->setAccessibleName(tr("Close the book's text"));
  close->setToolTip(tr("Back to the conversation (Esc)"));
  connect(close, &QPushButton::clicked, this, &ReaderPane::closed);
  auto* words = new QVBoxLayout;
  words->setSpacing(1);
  words->addWidget(title_);
  words->addWidget(place_);
  auto* row = new QHBoxLayout(head);
  row->setContentsMargins(28, 12, 12, 12);
  row->addLayout(words, 1);
  row->addWidget(close, 0, Qt::AlignTop);
  return head;
}

void ReaderPane::showPassage(const QString& title, const QString& text, const Quote& quote) {
  text_ = text;
  mark_ = locate(text, quote.text, quote.begin);
  title_->setText(title);
  place_->setText(mark_.found() ? placeOf(quote)
                                : tr("These words are not in the stored text any more; this is its beginning."));
  place_->setVisible(!place_->text().isEmpty());
  shown_ = paragraphsAround(text_, mark_.found() ? mark_ : TextRange{0, 0}, kAround);
  layOut();
  page_->setFocus(Qt::OtherFocusReason);
}

void ReaderPane::clear() {
  text_.clear();
  mark_ = shown_ = {};
  page_->clear();
}

// A lone '\r' would be swallowed by the document and shift every position after it.
QString ReaderPane::slice(qsizetype begin, qsizetype length) const {
  return text_.mid(begin, length).replace(QLatin1Char('\r'), QLatin1Char(' '));
}

void ReaderPane::layOut() {
  extending_ = true;
  page_->clear();
  QTextCursor cursor(page_->document());
  cursor.setBlockFormat(bookFormat());
  cursor.insertText(slice(shown_.begin, shown_.length), bookInk());
  mark();
  extending_ = false;
  // Once now, and once when the pane has its final width.
  bringMarkIntoView();
  QTimer::singleShot(0, this, &ReaderPane::bringMarkIntoView);
}

void ReaderPane::mark() {
  QList<QTextEdit::ExtraSelection> marks;
  if (mark_.found()) {
    QTextEdit::ExtraSelection selection;
    selection.cursor = QTextCursor(page_->document());
    selection.cursor.setPosition(static_cast<int>(mark_.begin - shown_.begin));
    selection.cursor.setPosition(static_cast<int>(mark_.begin - shown_.begin + mark_.length), QTextCursor::KeepAnchor);
    selection.format.setBackground(currentColours().marker);
    selection.format.setForeground(currentColours().ink);
    marks << selection;
  }
  page_->setExtraSelections(marks);
}

void ReaderPane::bringMarkIntoView() {
  if (text_.isEmpty()) return;
  QTextCursor cursor(page_->document());
  if (mark_.found()) cursor.setPosition(static_cast<int>(mark_.begin - shown_.begin));
  page_->setTextCursor(cursor);
  const int third = page_->viewport()->height() / 3;
  page_->verticalScrollBar()->setValue(page_->verticalScrollBar()->value() + page_->cursorRect().top() - third);
}

void ReaderPane::extendWhereNeeded() {
  if (extending_ || text_.isEmpty()) return;
  QScrollBar* bar = page_->verticalScrollBar();
  const int near = page_->viewport()->height();
  extending_ = true;
  const qsizetype end = shown_.begin + shown_.length;
  if (bar->value() > bar->maximum() - near && end < text_.size()) {
    const TextRange more = paragraphsAround(text_, {end, 0}, kAround);
    const qsizetype newEnd = std::max(end, more.begin + more.length);
    QTextCursor cursor(page_->document());
    cursor.movePosition(QTextCursor::End);
    cursor.insertText(slice(end, newEnd - end), bookInk());
    shown_.length = newEnd - shown_.begin;
  } else if (bar->value() < near / 2 && shown_.begin > 0) {
    const TextRange more = paragraphsAround(text_, {shown_.begin, 0}, kAround);
    const qsizetype newBegin = std::min(shown_.begin, more.begin);
    const int before = static_cast<int>(page_->document()->size().height());
    QTextCursor cursor(page_->document());
    cursor.insertText(slice(newBegin, shown_.begin - newBegin), bookInk());
    shown_ = {newBegin, end - newBegin};
    bar->setValue(bar->value() + static_cast<int>(page_->document()->size().height()) - before);
    mark();
  }
  extending_ = false;
}

void ReaderPane::changeEvent(QEvent* event) {
  QWidget::changeEvent(event);
  if (isThemeChange(event)) mark();
}

}  // namespace palimpsest::ui
