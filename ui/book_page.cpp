#include "ui/book_page.h"

#include <QVBoxLayout>

#include "ui/ask_bar.h"
#include "ui/book_header.h"
#include "ui/conversation_view.h"
#include "ui/words.h"

namespace palimpsest::ui {

BookPage::BookPage(ConversationModel* conversation, QWidget* parent)
    : QWidget(parent),
      header_(new BookHeader(this)),
      view_(new ConversationView(conversation, this)),
      ask_(new AskBar(this)) {
  auto* column = new QVBoxLayout(this);
  column->setContentsMargins(0, 0, 0, 0);
  column->setSpacing(0);
  column->addWidget(header_);
  column->addWidget(view_, 1);
  column->addWidget(ask_);
}

void BookPage::showBook(const LibraryItem& item) {
  item_ = item;
  keepFocus([&] {
    header_->showBook(item);
    ask_->setBookTitle(item.title);
    refresh();
  });
}

void BookPage::showModel(const ModelStatus& model) {
  model_ = model;
  header_->showModel(model);
  keepFocus([this] { refresh(); });
}

void BookPage::showStreaming(bool here, const QString& otherTitle) {
  streamingHere_ = here;
  streamingElsewhere_ = otherTitle;
  keepFocus([this] { refresh(); });
}

void BookPage::focusQuestion() {
  questionWaits_ = !ask_->field()->isEnabled();
  questionWaits_ ? view_->setFocus(Qt::OtherFocusReason) : ask_->focusField();
}

// What disappears or is switched off passes the focus to whatever comes next, and the next key then presses Cancel.
void BookPage::keepFocus(const std::function<void()>& change) {
  const QWidget* before = window()->focusWidget();
  change();
  const bool ours = before && isAncestorOf(before);
  if (ours && (!before->isVisibleTo(this) || !before->isEnabledTo(this))) {
    QWidget* heir = header_->heirOf(before);
    heir ? heir->setFocus(Qt::OtherFocusReason) : focusQuestion();
  } else if (questionWaits_ && ask_->field()->isEnabled()) {
    questionWaits_ = false;
    if (before == view_) ask_->focusField();
  }
}

bool BookPage::memoryUsable() const { return item_.hasMemory && model_.hasMemory; }

bool BookPage::canSummarise() const { return whyNotAsk().isEmpty() && memoryUsable() && !streamingHere_; }

QString BookPage::whyNotAsk() const {
  if (model_.loading) return tr("The model is being loaded…");
  if (!model_.loaded) return tr("There is no model to answer yet.");
  if (item_.state == BookState::Waiting || item_.state == BookState::Extracting)
    return tr("This book is not open yet…");
  if (item_.state == BookState::Failed && !item_.hasMemory) return tr("This book could not be read.");
  if (item_.state == BookState::Reading && !item_.hasMemory) return tr("The first pages are being read…");
  if (!streamingElsewhere_.isEmpty()) return tr("One answer at a time: “%1” is answering…").arg(streamingElsewhere_);
  return {};
}

void BookPage::refresh() {
  ask_->setAvailability(whyNotAsk(), memoryUsable() || !whyNotAsk().isEmpty());
  ask_->setStreaming(streamingHere_);
  const QString why = whyNotAsk();
  header_->setCanSummarise(canSummarise(), !why.isEmpty()   ? why
                                           : streamingHere_ ? tr("One answer at a time.")
                                                            : tr("A summary needs a memory of this book."));
  view_->setHint(words::hintFor(item_, model_));
}

}  // namespace palimpsest::ui
