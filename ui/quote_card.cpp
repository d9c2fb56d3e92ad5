#include "ui/quote_card.h"

#include <QPainter>

#include "ui/quote_place.h"
#include "ui/text_lines.h"
#include "ui/theme.h"

namespace palimpsest::ui {
namespace {

constexpr int kLeft = 18, kRight = 16, kTop = 11, kBottom = 11, kMostLines = 7;
constexpr double kLeading = 1.42;

QFont quoteFont() { return bookFont(1.06); }
QFont placeFont() { return uiFont(0.86); }
int lineStep() { return static_cast<int>(QFontMetrics(quoteFont()).height() * kLeading * 0.86); }

}  // namespace

QuoteCard::QuoteCard(const Quote& quote, QWidget* parent) : QAbstractButton(parent), quote_(quote) {
  const QString place = placeOf(quote_);
  setObjectName(QStringLiteral("quote"));
  setAccessibleName(place.isEmpty() ? tr("From the book: %1").arg(quote_.text)
                                    : tr("From the book, %1: %2").arg(place, quote_.text));
  setToolTip(tr("Show this place in the book"));
  setCursor(Qt::PointingHandCursor);
  setFocusPolicy(Qt::StrongFocus);
  QSizePolicy policy(QSizePolicy::Expanding, QSizePolicy::Preferred);
  policy.setHeightForWidth(true);
  setSizePolicy(policy);
}

QStringList QuoteCard::lines(int width) const {
  return wrapped(quote_.text, quoteFont(), width - kLeft - kRight, kMostLines);
}

int QuoteCard::heightForWidth(int width) const {
  const int place = placeOf(quote_).isEmpty() ? 0 : QFontMetrics(placeFont()).height() + 6;
  return kTop + static_cast<int>(lines(width).size()) * lineStep() + place + kBottom;
}

QSize QuoteCard::sizeHint() const { return {480, heightForWidth(std::max(480, width()))}; }
QSize QuoteCard::minimumSizeHint() const { return {160, kTop + lineStep() + kBottom}; }

void QuoteCard::enterEvent(QEnterEvent*) { update(); }
void QuoteCard::leaveEvent(QEvent*) { update(); }

void QuoteCard::paintEvent(QPaintEvent*) {
  QPainter painter(this);
  painter.setRenderHint(QPainter::Antialiasing);
  const Colours& colours = currentColours();
  const QRectF card = QRectF(rect()).adjusted(0.5, 0.5, -0.5, -0.5);
  painter.setPen(QPen(hasFocus() ? colours.rubric : colours.rule, 1));
  painter.setBrush(underMouse() || isDown() ? colours.hover : colours.leaf);
  painter.drawRoundedRect(card, 7, 7);
  const bool fromRight = quote_.text.isRightToLeft();
  painter.setPen(Qt::NoPen);
  painter.setBrush(colours.rubric);
  painter.drawRoundedRect(
      QRectF(fromRight ? card.right() - 9 : card.left() + 7, card.top() + 12, 2, card.height() - 24), 1, 1);

  painter.setLayoutDirection(fromRight ? Qt::RightToLeft : Qt::LeftToRight);
  const Qt::Alignment side = fromRight ? Qt::AlignRight : Qt::AlignLeft;
  painter.setFont(quoteFont());
  painter.setPen(colours.ink);
  int y = kTop;
  const QRect column = rect().adjusted(fromRight ? kRight : kLeft, 0, fromRight ? -kLeft : -kRight, 0);
  for (const QString& line : lines(width())) {
    painter.drawText(QRect(column.x(), y, column.width(), lineStep()),
                     side | Qt::AlignAbsolute | Qt::AlignVCenter | Qt::TextSingleLine, line);
    y += lineStep();
  }
  const QString place = placeOf(quote_);
  if (place.isEmpty()) return;
  painter.setFont(placeFont());
  painter.setPen(colours.faded);
  painter.setLayoutDirection(layoutDirection());
  painter.drawText(QRect(column.x(), y + 4, column.width(), QFontMetrics(placeFont()).height() + 2),
                   side | Qt::AlignAbsolute | Qt::AlignVCenter | Qt::TextSingleLine,
                   QFontMetrics(placeFont()).elidedText(place, Qt::ElideRight, column.width()));
}

}  // namespace palimpsest::ui
