// The right side of the window: header, conversation and ask field of the book that is selected.
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

  void showBook(const LibraryItem& item);
  void showModel(const ModelStatus& model);
  // `otherTitle`: the book that is being answered about, when it is not this one.
  void showStreaming(bool here, const QString& otherTitle);
  const LibraryItem& book() const { return item_; }
  bool canSummarise() const;
  void focusQuestion();  // as soon as one can be asked
  AskBar* askBar() const { return ask_; }
  BookHeader* header() const { return header_; }
  ConversationView* view() const { return view_; }

 private:
  QString whyNotAsk() const;  // empty = a question can be asked now
  bool memoryUsable() const;
  void refresh();
  void keepFocus(const std::function<void()>& change);

  LibraryItem item_;
  ModelStatus model_;
  bool streamingHere_ = false;
  QString streamingElsewhere_;
  bool questionWaits_ = false;  // the field gets the focus when it opens
  BookHeader* header_;
  ConversationView* view_;
  AskBar* ask_;
};

}  // namespace palimpsest::ui
