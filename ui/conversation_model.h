// The conversation with one book, or with the several of one shelf, oldest first; "book" stands for both, by their ids.
// The answer that is streaming is kept here whichever is shown, so that switching and back loses none of it. UI thread only.
#pragma once

#include <QAbstractListModel>
#include <optional>

#include "ui/records.h"

namespace palimpsest::ui {

class ConversationModel : public QAbstractListModel {
  Q_OBJECT
 public:
  enum Role { ItemRole = Qt::UserRole + 1 };  // DisplayRole is the question, ToolTipRole the answer

  using QAbstractListModel::QAbstractListModel;

  int rowCount(const QModelIndex& parent = {}) const override;
  QVariant data(const QModelIndex& index, int role = Qt::DisplayRole) const override;

  void show(qint64 bookId, const QList<ConversationItem>& items);
  qint64 bookId() const { return book_; }
  const QList<ConversationItem>& items() const { return items_; }

  void answerStarted(qint64 bookId, const ConversationItem& item);
  void answerText(qint64 bookId, const QString& piece);  // ignored when no answer of this book streams
  void answerFinished(qint64 bookId, const ConversationItem& item);
  void forget(qint64 bookId);  // the book is gone

  std::optional<qint64> streamingBook() const;

 private:
  struct Streaming {
    qint64 book = 0;
    ConversationItem item;
  };
  void putLast(const ConversationItem& item);

  qint64 book_ = 0;
  QList<ConversationItem> items_;
  std::optional<Streaming> streaming_;
};

}  // namespace palimpsest::ui
