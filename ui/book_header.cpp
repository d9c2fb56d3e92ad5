#include "ui/book_header.h"

#include <QHBoxLayout>
#include <QLabel>
#include <QPainter>
#include <QVBoxLayout>
#include <algorithm>

#include "ui/icon_button.h"
#include "ui/text_lines.h"
#include "ui/theme.h"
#include "ui/words.h"

namespace palimpsest::ui {

BookHeader::BookHeader(QWidget* parent)
    : QWidget(parent),
      title_(new LinesLabel(2, this)),
      author_(new LinesLabel(1, this)),
      memory_(new QLabel(this)),
      model_(new QLabel(this)),
      note_(new LinesLabel(2, this)) {
  setObjectName(QStringLiteral("bookHeader"));
  setAttribute(Qt::WA_StyledBackground);
  title_->setObjectName(QStringLiteral("bookTitle"));
  title_->setTextFont(bookFont(1.5));
  author_->setTextFont(uiFont(1.0));
  author_->setFaded(true);
  note_->setTextFont(uiFont(0.92));
  note_->setFaded(true);
  memory_->setObjectName(QStringLiteral("memoryLine"));
  model_->setObjectName(QStringLiteral("modelLine"));
  for (QLabel* label : {memory_, model_}) {
    label->setTextFormat(Qt::PlainText);
    label->setProperty("faded", true);
    label->setFont(uiFont(0.92));
  }
  model_->setAlignment(Qt::AlignRight | Qt::AlignVCenter);
  model_->setSizePolicy(QSizePolicy::Ignored, QSizePolicy::Preferred);

  auto* words = new QVBoxLayout;
  words->setSpacing(2);
  words->addWidget(title_);
  words->addWidget(author_);
  auto* top = new QHBoxLayout;
  top->setSpacing(16);
  top->addLayout(words, 1);
  top->addWidget(makeButtons(), 0, Qt::AlignTop);
  auto* bottom = new QHBoxLayout;
  bottom->setSpacing(16);
  bottom->addWidget(memory_);
  bottom->addWidget(model_, 1);
  auto* column = new QVBoxLayout(this);
  column->setContentsMargins(28, 18, 20, 13);
  column->setSpacing(8);
  column->addLayout(top);
  column->addWidget(note_);
  column->addLayout(bottom);
}

QWidget* BookHeader::makeButtons() {
  auto* buttons = new QWidget(this);
  auto* row = new QHBoxLayout(buttons);
  row->setContentsMargins(0, 0, 0, 0);
  row->setSpacing(8);
  const auto add = [&](const char* name, const char* iconName, const QString& text, auto signal) {
    auto* button = new IconButton(QString::fromLatin1(iconName), text, IconButton::Kind::Normal, buttons);
    button->setObjectName(QString::fromLatin1(name));
    connect(button, &QPushButton::clicked, this, signal);
    row->addWidget(button);
    return button;
  };
  pause_ = add("pauseButton", "pause", tr("Pause"), &BookHeader::pauseRequested);
  resume_ = add("resumeButton", "resume", tr("Resume"), &BookHeader::resumeRequested);
  cancel_ = add("cancelButton", "cancel", tr("Cancel"), &BookHeader::cancelRequested);
  cancel_->setFocusPolicy(Qt::TabFocus);  // what is typed next must not press it
  cancel_->setToolTip(tr("Stop reading here. What has been read is kept."));
  retry_ = add("retryButton", "retry", tr("Retry"), &BookHeader::retryRequested);
  summarise_ = add("summariseButton", "summarise", tr("Summarise"), &BookHeader::summariseRequested);
  export_ = add("exportButton", "export", tr("Export"), &BookHeader::exportRequested);
  export_->setToolTip(tr("Write summary and conversation to a file (Ctrl+E)"));
  return buttons;
}

// What is done to one book is not offered for several.
void BookHeader::showShelf(const QList<LibraryItem>& books) {
  item_ = {};
  shelf_ = books;
  title_->setText(words::shelfTitle(books));
  author_->setText(words::titles(books));
  author_->show();
  memory_->setText(words::shelfMemoryLine(books));
  note_->setText(words::shelfNote(books));
  note_->setVisible(!note_->text().isEmpty());
  for (IconButton* button : {pause_, resume_, cancel_, retry_, export_, summarise_}) button->hide();
  update();
}

void BookHeader::showBook(const LibraryItem& item) {
  item_ = item;
  shelf_.clear();
  title_->setText(item.title);
  author_->setText(item.author);
  author_->setVisible(!item.author.isEmpty());
  memory_->setText(words::memoryLine(item));
  note_->setText(item.note);
  note_->setVisible(!item.note.isEmpty());
  const bool busy =
      item.state == BookState::Reading || item.state == BookState::Extracting || item.state == BookState::Waiting;
  // A book that goes on waits for a moment before it reads.
  const bool pausable = item.state == BookState::Reading || (item.state == BookState::Waiting && item.hasMemory);
  pause_->setVisible(pausable && !readOnly_);
  resume_->setVisible(item.state == BookState::Paused && !readOnly_);
  cancel_->setVisible(busy && !readOnly_);
  retry_->setText(item.canReadAgain ? tr("Read again") : item.needsPassword ? tr("Unlock…") : tr("Retry"));
  retry_->setToolTip(item.canReadAgain ? tr("Make a memory of its stored text (F5)") : tr("Try once more (F5)"));
  retry_->setVisible((item.canBeRetried() || item.canReadAgain) && !readOnly_);
  export_->setVisible(!busy && (item.state != BookState::Failed || item.hasMemory));
  summarise_->setVisible(item.state == BookState::Ready || item.hasMemory);
  update();
}

void BookHeader::setReadOnly(bool readOnly) {
  readOnly_ = readOnly;
  if (shelf_.isEmpty()) showBook(LibraryItem(item_));
}

QWidget* BookHeader::heirOf(const QWidget* button) const {
  IconButton* heir = button == pause_ ? resume_ : button == resume_ ? pause_ : nullptr;
  return heir && heir->isVisibleTo(this) ? heir : nullptr;
}

void BookHeader::showModel(const ModelStatus& model) {
  modelText_ = words::modelLine(model);
  model_->setToolTip(modelText_);
  model_->setAccessibleName(tr("Model: %1").arg(modelText_));
  elideModel();
}

void BookHeader::setCanSummarise(bool can, const QString& why) {
  summarise_->setEnabled(can);
  summarise_->setToolTip(can ? tr("What the book holds, from memory") : why);
}

void BookHeader::elideModel() {
  model_->setText(QFontMetrics(model_->font()).elidedText(modelText_, Qt::ElideRight, std::max(40, model_->width())));
}

void BookHeader::resizeEvent(QResizeEvent* event) {
  QWidget::resizeEvent(event);
  elideModel();
}

// While reading, the line under the header fills.
void BookHeader::paintEvent(QPaintEvent* event) {
  QWidget::paintEvent(event);
  if (item_.state != BookState::Reading && item_.state != BookState::Paused) return;
  QPainter painter(this);
  const int filled = static_cast<int>(width() * std::clamp(item_.progress, 0.0, 1.0));
  painter.fillRect(QRect(0, height() - 2, filled, 2), currentColours().rubric);
}

}  // namespace palimpsest::ui
