// The right side of the window: header, conversation and ask field of the book, or the books, that are selected.
#pragma once

#include <QWidget>
#include <functional>

#include "ui/conversation_model.h"
#include "ui/records.h"

namespace palimpsest::ui {

class AskBar;
class BookHeader;
class ConversationView;

class BookPage : public QWidget {
  Q_OBJECT
 public:
  explicit BookPage(ConversationModel* conversation, QWidget* parent = nullptr);

  void showBook(const LibraryItem& item) { showBooks({item}); }
  void showBooks(const QList<LibraryItem>& books);  // several are asked at once
  void showModel(const ModelStatus& model);
  // `otherTitle`: the book that is being answered about, when it is not this one.
  void showStreaming(bool here, const QString& otherTitle);
  bool canSummarise() const;
  void focusQuestion();  // as soon as one can be asked
  AskBar* askBar() const { return ask_; }
  BookHeader* header() const { return header_; }
  ConversationView* view() const { return view_; }

 private:
  bool isShelf() const { return books_.size() > 1; }
  QString whyNotAsk() const;  // empty = a question can be asked now
  QString whyNotAsk(const LibraryItem& book) const;
  bool memoryUsable() const;
  void refresh();
  void keepFocus(const std::function<void()>& change);

  QList<LibraryItem> books_{LibraryItem()};  // never empty
  ModelStatus model_;
  bool streamingHere_ = false;
  QString streamingElsewhere_;
  bool questionWaits_ = false;  // the field gets the focus when it opens
  BookHeader* header_;
  ConversationView* view_;
  AskBar* ask_;
};

}  // namespace palimpsest::ui
