#include "ui/library_delegate.h"

#include <QAbstractItemView>
#include <QFileInfo>
#include <QMouseEvent>
#include <QPainter>
#include <QPainterPath>
#include <QScrollBar>
#include <QTextLayout>
#include <cmath>

#include "ui/icons.h"
#include "ui/library_model.h"
#include "ui/text_lines.h"
#include "ui/theme.h"
#include "ui/words.h"

namespace palimpsest::ui {
namespace {

constexpr int kInset = 8, kPadding = 9, kGap = 12;
constexpr QSize kCover(42, 58);
constexpr int kIconButton = 28, kMostReasonLines = 4, kProgress = 7;

QFont titleFont() { return uiFont(1.0, QFont::DemiBold); }
QFont authorFont() { return uiFont(0.92); }
QFont stateFont() { return uiFont(0.88); }
// The actions that are drawn as words; the others are icons alone. Empty for those.
QString captionOf(BookAction action, const LibraryItem& item) {
  if (action == BookAction::Retry)
    return item.needsPassword ? LibraryDelegate::tr("Unlock…") : LibraryDelegate::tr("Retry");
  return action == BookAction::ReadAgain ? LibraryDelegate::tr("Read again") : QString();
}

int heightOf(const QFont& font) { return QFontMetrics(font).height() + 2; }

// Where everything goes in a row; computed alike for painting, measuring and clicking.
struct Row {
  QRect card, cover, text;  // `text` is the column right of the cover
  QRect button;             // empty when there is none
  QStringList stateLines;
  int height = 0;
};

Row layOut(const QRect& rect, const LibraryItem& item, BookAction action) {
  Row row;
  row.card = rect.adjusted(kInset, 1, -kInset, -1);
  row.cover = QRect(row.card.topLeft() + QPoint(kPadding, kPadding), kCover);
  const int left = row.cover.right() + 1 + kGap;
  const bool iconAction = action == BookAction::Pause || action == BookAction::Resume;
  const int right = row.card.right() - kPadding;
  const int stateWidth = right - left - (iconAction ? kIconButton + 2 : 0);
  for (const QString& line : words::stateLines(item)) {
    const bool reason = item.state == BookState::Failed || item.canReadAgain;
    row.stateLines << wrapped(line, stateFont(), stateWidth, reason ? kMostReasonLines : 1);
  }
  int height = heightOf(titleFont()) + (item.author.isEmpty() ? 0 : heightOf(authorFont())) + 3;
  const int stateTop = height;
  height += static_cast<int>(row.stateLines.size()) * heightOf(stateFont());
  if (item.state == BookState::Reading) height += kProgress;
  if (const QString caption = captionOf(action, item); !caption.isEmpty()) {
    const int width = QFontMetrics(stateFont()).horizontalAdvance(caption) + 38;
    row.button = QRect(left, row.card.top() + kPadding + height + 5, width, heightOf(stateFont()) + 7);
    height += row.button.height() + 5;
  } else if (iconAction) {
    const int stateHeight = static_cast<int>(row.stateLines.size()) * heightOf(stateFont());
    row.button = QRect(right - kIconButton + 4, row.card.top() + kPadding + stateTop + (stateHeight - kIconButton) / 2,
                       kIconButton, kIconButton);
  }
  row.text = QRect(left, row.card.top() + kPadding, right - left, height);
  row.height = std::max(height, kCover.height()) + 2 * kPadding + 2;
  return row;
}

void paintPage(QPainter& painter, const QRectF& where, const QString& format, const Colours& colours) {
  const qreal fold = where.width() * 0.26;
  QPainterPath page;
  page.moveTo(where.topLeft());
  page.lineTo(where.right() - fold, where.top());
  page.lineTo(where.right(), where.top() + fold);
  page.lineTo(where.bottomRight());
  page.lineTo(where.bottomLeft());
  page.closeSubpath();
  painter.setPen(QPen(colours.rule, 1));
  painter.setBrush(colours.leaf);
  painter.drawPath(page);
  painter.drawPolyline(
      QPolygonF({QPointF(where.right() - fold, where.top()), QPointF(where.right() - fold, where.top() + fold),
                 QPointF(where.right(), where.top() + fold)}));
  QFont font = uiFont(0.68, QFont::DemiBold);
  font.setLetterSpacing(QFont::PercentageSpacing, 106);
  painter.setFont(font);
  painter.setPen(colours.faded);
  const QString label = QFontMetrics(font).elidedText(format, Qt::ElideRight, static_cast<int>(where.width()) - 4);
  painter.drawText(where.adjusted(0, where.height() * 0.35, 0, 0), Qt::AlignCenter, label);
}

void paintCover(QPainter& painter, const QRect& box, const QImage& cover, const QString& format,
                const Colours& colours) {
  if (cover.isNull()) return paintPage(painter, QRectF(box).adjusted(2.5, 1.5, -2.5, -1.5), format, colours);
  const QSizeF size = QSizeF(cover.size()).scaled(box.size(), Qt::KeepAspectRatio);
  const QRectF where(QPointF(box.x() + (box.width() - size.width()) / 2, box.y() + (box.height() - size.height()) / 2),
                     size);
  QPainterPath clip;
  clip.addRoundedRect(where, 2.5, 2.5);
  painter.save();
  painter.setClipPath(clip);
  painter.drawImage(where, cover);
  painter.restore();
  painter.setPen(QPen(colours.rule, 1));
  painter.setBrush(Qt::NoBrush);
  painter.drawPath(clip);
}

void paintProgress(QPainter& painter, const QRectF& line, double share, const Colours& colours) {
  painter.setPen(Qt::NoPen);
  painter.setBrush(colours.rule);
  painter.drawRoundedRect(line, 1.5, 1.5);
  painter.setBrush(colours.rubric);
  painter.drawRoundedRect(QRectF(line.topLeft(), QSizeF(line.width() * std::clamp(share, 0.0, 1.0), line.height())),
                          1.5, 1.5);
}

void paintButton(QPainter& painter, const Row& row, const LibraryItem& item, BookAction action, bool hovered,
                 const Colours& colours) {
  const QString caption = captionOf(action, item);
  const QColor& ink = action == BookAction::Retry ? colours.rubric : colours.ink;  // nothing has gone wrong otherwise
  if (hovered || !caption.isEmpty()) {
    const QColor& line = action == BookAction::Retry ? colours.rubric : colours.rule;
    painter.setPen(caption.isEmpty() ? QPen(Qt::NoPen) : QPen(line, 1));
    painter.setBrush(hovered ? colours.selected.darker(colours.dark ? 80 : 105) : QColor(Qt::transparent));
    painter.drawRoundedRect(QRectF(row.button).adjusted(0.5, 0.5, -0.5, -0.5), 6, 6);
  }
  if (!caption.isEmpty()) {
    const qreal side = 15;
    const QRectF glyph(row.button.x() + 9, row.button.center().y() + 0.5 - side / 2, side, side);
    paintIcon(painter, glyph, QStringLiteral("retry"), ink);
    painter.setFont(stateFont());
    painter.setPen(ink);
    painter.drawText(row.button.adjusted(28, 0, 0, 0), Qt::AlignVCenter | Qt::AlignLeft, caption);
  } else {
    const QRectF glyph = QRectF(row.button).adjusted(5, 5, -5, -5);
    paintIcon(painter, glyph, action == BookAction::Pause ? QStringLiteral("pause") : QStringLiteral("resume"),
              colours.ink);
  }
}

void paintText(QPainter& painter, const Row& row, const LibraryItem& item, const Colours& colours) {
  const Qt::LayoutDirection ofTheRest = painter.layoutDirection();
  int y = row.text.y();
  const auto line = [&](const QString& text, const QFont& font, const QColor& colour, int width) {
    painter.setFont(font);
    painter.setPen(colour);
    const bool fromRight = text.isRightToLeft();
    painter.setLayoutDirection(fromRight ? Qt::RightToLeft : Qt::LeftToRight);  // also tells where the … stands
    painter.drawText(
        QRect(row.text.x(), y, width, heightOf(font)),
        (fromRight ? Qt::AlignRight : Qt::AlignLeft) | Qt::AlignAbsolute | Qt::AlignVCenter | Qt::TextSingleLine,
        QFontMetrics(font).elidedText(text, Qt::ElideRight, width));
    y += heightOf(font);
  };
  line(item.title, titleFont(), colours.ink, row.text.width());
  if (!item.author.isEmpty()) line(item.author, authorFont(), colours.faded, row.text.width());
  y += 3;
  const bool failed = item.state == BookState::Failed;
  const int width =
      row.button.isNull() || failed || item.canReadAgain ? row.text.width() : row.button.left() - row.text.x();
  for (const QString& text : row.stateLines) {
    const bool progress = item.state == BookState::Reading && &text == &row.stateLines.constFirst();
    line(text, stateFont(), failed ? colours.rubric : progress ? colours.ink : colours.faded, width);
    if (progress) {
      paintProgress(painter, QRectF(row.text.x(), y + 2, width - 8, 3), item.progress, colours);
      y += kProgress;
    }
  }
  painter.setLayoutDirection(ofTheRest);
}

}  // namespace

BookAction mainActionFor(const LibraryItem& item) {
  switch (item.state) {
    case BookState::Reading:
      return BookAction::Pause;
    case BookState::Paused:
      return BookAction::Resume;
    case BookState::Failed:
      return item.canBeRetried() ? BookAction::Retry : BookAction::None;
    case BookState::Ready:
      return item.canReadAgain ? BookAction::ReadAgain : BookAction::None;
    default:
      return BookAction::None;
  }
}

void LibraryDelegate::paint(QPainter* painter, const QStyleOptionViewItem& option, const QModelIndex& index) const {
  const auto item = index.data(LibraryModel::ItemRole).value<LibraryItem>();
  const Colours& colours = currentColours();
  const Row row = layOut(option.rect, item, actionFor(item));
  painter->save();
  painter->setRenderHint(QPainter::Antialiasing);
  const bool selected = option.state & QStyle::State_Selected;
  if (selected || (option.state & QStyle::State_MouseOver)) {
    painter->setPen(Qt::NoPen);
    painter->setBrush(selected ? colours.selected : colours.hover);
    painter->drawRoundedRect(row.card, 8, 8);
  }
  if ((option.state & QStyle::State_HasFocus) && (option.state & QStyle::State_KeyboardFocusChange)) {
    painter->setPen(QPen(colours.rubric, 1));
    painter->setBrush(Qt::NoBrush);
    painter->drawRoundedRect(QRectF(row.card).adjusted(0.5, 0.5, -0.5, -0.5), 8, 8);
  }
  // A file that could not be opened has no format yet; its name says what it wants to be.
  const QString format = item.format == QLatin1String("Markdown") ? QStringLiteral("MD")
                         : item.format.isEmpty()                  ? QFileInfo(item.title).suffix().toUpper()
                                                                  : item.format;
  paintCover(*painter, row.cover, index.data(Qt::DecorationRole).value<QImage>(), format, colours);
  paintText(*painter, row, item, colours);
  if (!row.button.isNull()) {
    const QPoint mouse = option.widget ? option.widget->mapFromGlobal(QCursor::pos()) : QPoint(-1, -1);
    const bool hovered = (option.state & QStyle::State_MouseOver) && row.button.contains(mouse);
    paintButton(*painter, row, item, actionFor(item), hovered, colours);
  }
  painter->restore();
}

QSize LibraryDelegate::sizeHint(const QStyleOptionViewItem& option, const QModelIndex& index) const {
  const auto* view = qobject_cast<const QAbstractItemView*>(option.widget);
  const int width = view ? view->viewport()->width() : option.rect.width();
  // As tall as beside a scroll bar even while there is none: when one appears, the list does not lay its rows out
  // again.
  const bool bar = view && view->verticalScrollBar()->isVisible();
  const int narrowest = view && !bar ? width - view->verticalScrollBar()->sizeHint().width() : width;
  const auto item = index.data(LibraryModel::ItemRole).value<LibraryItem>();
  return {width, layOut(QRect(0, 0, narrowest, 0), item, actionFor(item)).height};
}

bool LibraryDelegate::editorEvent(QEvent* event, QAbstractItemModel*, const QStyleOptionViewItem& option,
                                  const QModelIndex& index) {
  if (event->type() != QEvent::MouseButtonPress && event->type() != QEvent::MouseButtonRelease) return false;
  const auto* mouse = static_cast<QMouseEvent*>(event);
  const auto item = index.data(LibraryModel::ItemRole).value<LibraryItem>();
  if (mouse->button() != Qt::LeftButton || !buttonRect(option.rect, item).contains(mouse->pos())) return false;
  if (event->type() == QEvent::MouseButtonRelease) emit actionRequested(item.id, actionFor(item));
  return true;
}

QRect LibraryDelegate::buttonRect(const QRect& row, const LibraryItem& item) const {
  return layOut(row, item, actionFor(item)).button;
}

BookAction LibraryDelegate::actionFor(const LibraryItem& item) const {
  return readOnly_ ? BookAction::None : mainActionFor(item);
}

}  // namespace palimpsest::ui
