#include "ui/book_page.h"

#include <QVBoxLayout>
#include <algorithm>

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

void BookPage::showBooks(const QList<LibraryItem>& books) {
  if (books.isEmpty()) return;
  books_ = books;
  keepFocus([&] {
    isShelf() ? header_->showShelf(books_) : header_->showBook(books_.constFirst());
    ask_->setBookTitle(books_.constFirst().title, static_cast<int>(books_.size()));
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

// Memories are added whole: what has been read of a book so far can be asked of that book alone.
bool BookPage::memoryUsable() const {
  const bool all =
      isShelf() ? std::all_of(books_.begin(), books_.end(), words::rememberedWhole) : books_.constFirst().hasMemory;
  return all && model_.hasMemory;
}

bool BookPage::canSummarise() const { return !isShelf() && whyNotAsk().isEmpty() && memoryUsable() && !streamingHere_; }

QString BookPage::whyNotAsk() const {
  if (model_.loading) return tr("The model is being loaded…");
  if (!model_.loaded) return tr("There is no model to answer yet.");
  for (const LibraryItem& book : books_)
    if (const QString why = whyNotAsk(book); !why.isEmpty())
      return isShelf() ? tr("“%1”: %2").arg(book.title.left(60), why) : why;
  if (!streamingElsewhere_.isEmpty()) return tr("One answer at a time: “%1” is answering…").arg(streamingElsewhere_);
  return {};
}

QString BookPage::whyNotAsk(const LibraryItem& book) const {
  if (book.state == BookState::Waiting || book.state == BookState::Extracting) return tr("This book is not open yet…");
  if (book.state == BookState::Failed && !book.hasMemory) return tr("This book could not be read.");
  if (book.state == BookState::Reading && !book.hasMemory) return tr("The first pages are being read…");
  return {};
}

void BookPage::refresh() {
  ask_->setAvailability(whyNotAsk(), memoryUsable() || !whyNotAsk().isEmpty());
  ask_->setStreaming(streamingHere_);
  const QString why = whyNotAsk();
  header_->setCanSummarise(canSummarise(), !why.isEmpty()   ? why
                                           : streamingHere_ ? tr("One answer at a time.")
                                                            : tr("A summary needs a memory of this book."));
  view_->setHint(isShelf() ? words::hintForShelf(books_, model_) : words::hintFor(books_.constFirst(), model_));
}

}  // namespace palimpsest::ui
