#include "ui/conversation_model.h"

#include "ui/words.h"

namespace palimpsest::ui {

int ConversationModel::rowCount(const QModelIndex& parent) const {
  return parent.isValid() ? 0 : static_cast<int>(items_.size());
}

QVariant ConversationModel::data(const QModelIndex& index, int role) const {
  if (!checkIndex(index, CheckIndexOption::IndexIsValid)) return {};
  const ConversationItem& item = items_[index.row()];
  switch (role) {
    case Qt::DisplayRole:
      return item.question;
    case Qt::ToolTipRole:
      return item.answer;
    case ItemRole:
      return QVariant::fromValue(item);
    default:
      return {};
  }
}

void ConversationModel::show(qint64 bookId, const QList<ConversationItem>& items) {
  beginResetModel();
  book_ = bookId;
  items_ = items;
  if (streaming_ && streaming_->book == bookId) {
    if (!items_.isEmpty() && items_.constLast().streaming) items_.removeLast();  // ours is as new or newer
    items_.append(streaming_->item);
  }
  endResetModel();
}

void ConversationModel::answerStarted(qint64 bookId, const ConversationItem& item) {
  streaming_ = Streaming{bookId, item};
  streaming_->item.streaming = true;
  if (bookId != book_) return;
  const int row = rowCount();
  beginInsertRows({}, row, row);
  items_.append(streaming_->item);
  endInsertRows();
}

void ConversationModel::answerText(qint64 bookId, const QString& piece) {
  if (!streaming_ || streaming_->book != bookId) return;
  streaming_->item.answer += piece;
  if (bookId == book_) putLast(streaming_->item);
}

void ConversationModel::answerFinished(qint64 bookId, const ConversationItem& item) {
  const bool wasStreaming = streaming_ && streaming_->book == bookId;
  if (wasStreaming) streaming_.reset();
  if (bookId != book_) return;
  ConversationItem finished = item;
  finished.streaming = false;
  if (wasStreaming && !items_.isEmpty() && items_.constLast().streaming) {
    putLast(finished);
    return;
  }
  const int row = rowCount();
  beginInsertRows({}, row, row);
  items_.append(finished);
  endInsertRows();
}

void ConversationModel::forget(qint64 bookId) {
  if (streaming_ && streaming_->book == bookId) streaming_.reset();
  if (bookId == book_) show(0, {});
}

std::optional<qint64> ConversationModel::streamingBook() const {
  return streaming_ ? std::optional(streaming_->book) : std::nullopt;
}

void ConversationModel::putLast(const ConversationItem& item) {
  items_.last() = item;
  const QModelIndex last = index(rowCount() - 1);
  emit dataChanged(last, last);
}

}  // namespace palimpsest::ui
