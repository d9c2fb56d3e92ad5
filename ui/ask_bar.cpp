#include "ui/ask_bar.h"

#include <QComboBox>
#include <QFrame>
#include <QKeyEvent>
#include <QLabel>
#include <QLocale>
#include <QMimeData>
#include <QScrollBar>
#include <QSignalBlocker>
#include <QStandardItemModel>
#include <QStyle>
#include <QStyledItemDelegate>
#include <QTextBlock>
#include <QTextDocument>
#include <QVBoxLayout>
#include <algorithm>
#include <cmath>

#include "ui/icon_button.h"
#include "ui/part_selector.h"
#include "ui/theme.h"
#include "ui/words.h"

namespace palimpsest::ui {
namespace {

constexpr int kMostLines = 6, kColumn = 760;
constexpr int kMostCharacters = 8000;  // a question, not a book

constexpr AnswerWay kWays[] = {AnswerWay::Memory, AnswerWay::MemoryAndPassages, AnswerWay::Passages};

QString tooLong(qsizetype characters) {
  return AskBar::tr("A question has at most %1 characters; this text has %2. Shorten it, or add it as a book.")
      .arg(QLocale().toString(kMostCharacters), QLocale().toString(characters));
}

}  // namespace

AskField::AskField(QWidget* parent) : QPlainTextEdit(parent) {
  setObjectName(QStringLiteral("askField"));
  setFrameShape(QFrame::NoFrame);
  setTabChangesFocus(true);
  setAcceptDrops(false);  // files dropped here are for the window
  setFont(uiFont(1.08));
  setHorizontalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
  viewport()->setAutoFillBackground(false);
  document()->setDocumentMargin(2);
  QTextOption option = document()->defaultTextOption();
  option.setTextDirection(Qt::LayoutDirectionAuto);
  document()->setDefaultTextOption(option);
  connect(this, &QPlainTextEdit::textChanged, this, &AskField::fitHeight);
  fitHeight();
}

void AskField::fitHeight() {
  int lines = 0;
  for (QTextBlock block = document()->begin(); block.isValid() && lines < kMostLines; block = block.next()) {
    lines += std::max(1, block.lineCount());
  }
  lines = std::clamp(lines, 1, kMostLines);
  const double step =
      blockBoundingRect(document()->firstBlock()).height() / std::max(1, document()->firstBlock().lineCount());
  setFixedHeight(static_cast<int>(std::ceil(step * lines)) + 6);
  setVerticalScrollBarPolicy(lines < kMostLines ? Qt::ScrollBarAlwaysOff : Qt::ScrollBarAsNeeded);
}

void AskField::keyPressEvent(QKeyEvent* event) {
  const bool enter = event->key() == Qt::Key_Return || event->key() == Qt::Key_Enter;
  if (enter && !(event->modifiers() & Qt::ShiftModifier)) return emit submitted();
  if (event->key() == Qt::Key_Escape) return event->ignore();  // Esc stops the answer
  QPlainTextEdit::keyPressEvent(event);
}

void AskField::focusInEvent(QFocusEvent* event) {
  QPlainTextEdit::focusInEvent(event);
  emit focused(true);
}

void AskField::focusOutEvent(QFocusEvent* event) {
  QPlainTextEdit::focusOutEvent(event);
  emit focused(false);
}

void AskField::resizeEvent(QResizeEvent* event) {
  QPlainTextEdit::resizeEvent(event);
  fitHeight();
}

void AskField::insertFromMimeData(const QMimeData* source) {
  if (!source->hasText()) return;
  const QString text = source->text();
  if (text.size() > kMostCharacters) return emit pasteRefused(tooLong(text.size()));
  textCursor().insertText(text);
}

AskBar::AskBar(QWidget* parent) : QWidget(parent), frame_(new QFrame(this)), field_(new AskField(frame_)) {
  frame_->setObjectName(QStringLiteral("askFrame"));
  field_->setAccessibleName(tr("Question"));
  auto* inside = new QVBoxLayout(frame_);
  inside->setContentsMargins(14, 11, 9, 8);
  inside->setSpacing(6);
  inside->addWidget(field_);
  inside->addWidget(makeControls());
  frame_->setMaximumWidth(kColumn);
  auto* row = new QHBoxLayout(this);
  row->setContentsMargins(20, 6, 20, 18);
  row->addStretch(1);
  row->addWidget(frame_, 1000);
  row->addStretch(1);

  connect(field_, &AskField::submitted, this, &AskBar::submit);
  connect(field_, &AskField::pasteRefused, this, &AskBar::refused);
  connect(field_, &QPlainTextEdit::textChanged, this, &AskBar::refresh);
  // The frame's own: the field loses its focus when a bar is destroyed, and then the bar is no AskBar any more.
  connect(field_, &AskField::focused, frame_, [frame = frame_](bool on) {
    frame->setProperty("focused", on);
    frame->style()->unpolish(frame);
    frame->style()->polish(frame);
  });
  refresh();
}

QWidget* AskBar::makeControls() {
  auto* controls = new QWidget(frame_);
  ways_ = new QComboBox(controls);
  ways_->setObjectName(QStringLiteral("waySelector"));
  ways_->setAccessibleName(tr("Way of answering"));
  for (const AnswerWay way : kWays) {
    ways_->addItem(words::wayName(way), static_cast<int>(way));
    ways_->setItemData(ways_->count() - 1, words::wayExplained(way), Qt::ToolTipRole);
  }
  ways_->setItemDelegate(new QStyledItemDelegate(ways_));  // the default one ignores the style sheet
  ways_->setSizeAdjustPolicy(QComboBox::AdjustToContents);
  connect(ways_, &QComboBox::activated, this, [this](int index) {
    chosen_ = kWays[index];
    refresh();
    emit wayChosen(chosen_);
  });
  parts_ = new PartSelector(controls);
  parts_->setFont(ways_->font());
  connect(parts_, &PartSelector::readAgainRequested, this, &AskBar::readAgainRequested);
  wayNote_ = new QLabel(controls);
  wayNote_->setProperty("faded", true);
  wayNote_->setFont(uiFont(0.9));
  button_ = new IconButton(QStringLiteral("send"), tr("Ask"), IconButton::Kind::Primary, controls);
  button_->setObjectName(QStringLiteral("askButton"));
  connect(button_, &QPushButton::clicked, this, [this] { streaming_ ? emit stopRequested() : submit(); });
  auto* row = new QHBoxLayout(controls);
  row->setContentsMargins(0, 0, 0, 0);
  row->addWidget(ways_);
  row->addWidget(parts_);
  row->addWidget(wayNote_, 1);
  row->addWidget(button_);
  return controls;
}

void AskBar::setWay(AnswerWay way) {
  chosen_ = way;
  refresh();
}

AnswerWay AskBar::way() const { return memoryUsable_ ? chosen_ : AnswerWay::Passages; }

void AskBar::setAvailability(const QString& why, bool memoryUsable) {
  why_ = why;
  memoryUsable_ = memoryUsable;
  refresh();
}

void AskBar::setStreaming(bool streaming) {
  streaming_ = streaming;
  refresh();
}

void AskBar::setChapters(const QList<Chapter>& chapters, bool mayReadAgain) {
  parts_->setChapters(chapters, mayReadAgain);
}

BookPart AskBar::part() const { return parts_->part(); }

void AskBar::setBookTitle(const QString& title, int books) {
  title_ = title;
  books_ = books;
  refresh();
}

void AskBar::focusField() { field_->setFocus(Qt::ShortcutFocusReason); }

void AskBar::giveBack(const QString& question) {
  if (!field_->toPlainText().trimmed().isEmpty()) return;
  field_->setPlainText(question);
  field_->moveCursor(QTextCursor::End);
}

void AskBar::submit() {
  const QString question = field_->toPlainText().trimmed();
  if (question.isEmpty() || !why_.isEmpty() || streaming_) return;
  if (question.size() > kMostCharacters) return emit refused(tooLong(question.size()));
  field_->clear();
  emit asked(question, way(), part());
}

void AskBar::refresh() {
  const QString shortTitle = title_.size() > 44 ? title_.left(42).trimmed() + QChar(0x2026) : title_;
  // Isolated, so that a right-to-left title does not turn the sentence around it.
  const QString isolated = QChar(0x2068) + shortTitle + QChar(0x2069);
  field_->setPlaceholderText(!why_.isEmpty()    ? why_
                             : books_ > 1       ? tr("Ask these %n books…", nullptr, books_)
                             : title_.isEmpty() ? tr("Ask this book…")
                                                : tr("Ask “%1”…").arg(isolated));
  field_->viewport()->update();  // Qt 6.4 leaves the old words standing
  field_->setEnabled(why_.isEmpty());
  auto* model = qobject_cast<QStandardItemModel*>(ways_->model());
  for (int i = 0; i < ways_->count(); ++i) model->item(i)->setEnabled(memoryUsable_ || kWays[i] == AnswerWay::Passages);
  const QSignalBlocker blocker(ways_);
  ways_->setCurrentIndex(static_cast<int>(std::find(std::begin(kWays), std::end(kWays), way()) - std::begin(kWays)));
  ways_->setToolTip(words::wayExplained(way()));
  parts_->setFromPassages(way() == AnswerWay::Passages);
  wayNote_->setText(memoryUsable_ || !why_.isEmpty() ? QString()
                    : books_ > 1                     ? tr("not all of these are remembered whole")
                                                     : tr("no memory of this book for this model"));
  button_->setText(streaming_ ? tr("Stop") : tr("Ask"));
  button_->setIconName(streaming_ ? QStringLiteral("stop") : QStringLiteral("send"));
  button_->setToolTip(streaming_ ? tr("Stop this answer (Esc)") : tr("Ask (Enter). Shift+Enter starts a new line."));
  button_->setEnabled(streaming_ || (why_.isEmpty() && !field_->toPlainText().trimmed().isEmpty()));
}

}  // namespace palimpsest::ui
