#include "ui/conversation_view.h"

#include <QEvent>
#include <QLabel>
#include <QPushButton>
#include <QScrollBar>
#include <QVBoxLayout>
#include <algorithm>

#include "ui/theme.h"
#include "ui/turn_widget.h"

namespace palimpsest::ui {
namespace {

constexpr int kColumn = 720, kFrame = 33;

}  // namespace

ConversationView::ConversationView(ConversationModel* model, QWidget* parent)
    : QScrollArea(parent), model_(model), column_(new QWidget), turnsLayout_(new QVBoxLayout) {
  setObjectName(QStringLiteral("conversation"));
  setAccessibleName(tr("Conversation"));
  setWidgetResizable(true);
  setFrameShape(QFrame::NoFrame);
  setHorizontalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
  setFocusPolicy(Qt::StrongFocus);  // arrow keys scroll
  column_->setObjectName(QStringLiteral("conversationContent"));
  earlier_ = new QPushButton(tr("Show earlier questions"), column_);
  earlier_->hide();
  connect(earlier_, &QPushButton::clicked, this, &ConversationView::showEarlier);
  turnsLayout_->setSpacing(34);
  turnsLayout_->setContentsMargins(0, 0, 0, 0);
  auto* content = new QVBoxLayout(column_);
  content->setSpacing(20);
  content->addWidget(earlier_, 0, Qt::AlignHCenter);
  content->addLayout(turnsLayout_);
  content->addWidget(makeHint(), 1);
  content->addStretch();
  setWidget(column_);
  column_->installEventFilter(this);

  refresh_.setSingleShot(true);
  refresh_.setInterval(kFrame);
  connect(&refresh_, &QTimer::timeout, this, &ConversationView::flush);
  connect(model_, &QAbstractItemModel::modelReset, this, &ConversationView::rebuild);
  connect(model_, &QAbstractItemModel::rowsInserted, this, [this](const QModelIndex&, int first, int last) {
    following_ = true;  // a new question is always brought into view
    appendTurns(first, last);
  });
  connect(model_, &QAbstractItemModel::dataChanged, this, [this] {
    if (!refresh_.isActive()) refresh_.start();
  });
  connect(verticalScrollBar(), &QScrollBar::actionTriggered, this,
          [this] { following_ = verticalScrollBar()->sliderPosition() >= verticalScrollBar()->maximum() - 48; });
}

QWidget* ConversationView::makeHint() {
  hint_ = new QWidget(column_);
  hintHeading_ = new QLabel(hint_);
  hintSentence_ = new QLabel(hint_);
  for (QLabel* label : {hintHeading_, hintSentence_}) {
    label->setTextFormat(Qt::PlainText);
    label->setWordWrap(true);
    label->setAlignment(Qt::AlignHCenter);
  }
  hintHeading_->setFont(bookFont(1.7));
  hintSentence_->setFont(uiFont(1.04));
  hintSentence_->setProperty("faded", true);
  hintSentence_->setObjectName(QStringLiteral("hintSentence"));
  auto* layout = new QVBoxLayout(hint_);
  layout->setContentsMargins(40, 0, 40, 40);
  layout->setSpacing(12);
  layout->addStretch(2);
  layout->addWidget(hintHeading_);
  layout->addWidget(hintSentence_);
  layout->addStretch(3);
  return hint_;
}

void ConversationView::setHint(const words::Hint& hint) {
  hintHeading_->setText(hint.heading);
  hintSentence_->setText(hint.sentence);
}

void ConversationView::rebuild() {
  refresh_.stop();
  qDeleteAll(turns_);
  turns_.clear();
  first_ = std::max(0, model_->rowCount() - kTurnsAtOnce);
  following_ = true;
  appendTurns(first_, model_->rowCount() - 1);
  updateHint();
}

void ConversationView::appendTurns(int first, int last) {
  for (int row = first; row <= last; ++row) {
    TurnWidget* turn = makeTurn(row);
    turnsLayout_->addWidget(turn);
    turns_.append(turn);
  }
  updateHint();
}

TurnWidget* ConversationView::makeTurn(int row) {
  auto* turn = new TurnWidget(model_->items()[row], column_);
  connect(turn, &TurnWidget::stopRequested, this, &ConversationView::stopRequested);
  connect(turn, &TurnWidget::quoteOpened, this, &ConversationView::quoteOpened);
  connect(turn, &TurnWidget::bookOpened, this, &ConversationView::bookOpened);
  return turn;
}

void ConversationView::showEarlier() {
  following_ = false;
  const int from = std::max(0, first_ - kTurnsAtOnce);
  for (int row = first_ - 1; row >= from; --row) {
    TurnWidget* turn = makeTurn(row);
    turnsLayout_->insertWidget(0, turn);
    turns_.prepend(turn);
  }
  first_ = from;
  updateHint();
}

// Only the last turn ever changes: the one that streams.
void ConversationView::flush() {
  refresh_.stop();
  if (!turns_.isEmpty() && !model_->items().isEmpty()) turns_.constLast()->show(model_->items().constLast());
}

void ConversationView::updateHint() {
  earlier_->setVisible(first_ > 0);
  hint_->setVisible(model_->rowCount() == 0);
}

void ConversationView::follow() {
  if (following_) verticalScrollBar()->setValue(verticalScrollBar()->maximum());
}

// A column of comfortable length in the middle of a wide window.
void ConversationView::resizeEvent(QResizeEvent* event) {
  const int side = std::max(28, (viewport()->width() - kColumn) / 2);
  column_->layout()->setContentsMargins(side, 26, side, 30);
  QScrollArea::resizeEvent(event);
  follow();
}

bool ConversationView::eventFilter(QObject* watched, QEvent* event) {
  const bool handled = QScrollArea::eventFilter(watched, event);
  if (watched == column_ && (event->type() == QEvent::Resize || event->type() == QEvent::LayoutRequest)) {
    QMetaObject::invokeMethod(this, &ConversationView::follow, Qt::QueuedConnection);
  }
  return handled;
}

}  // namespace palimpsest::ui
