#include "ui/text_lines.h"

#include <QFontMetrics>
#include <QPainter>
#include <QTextLayout>
#include <algorithm>

#include "ui/theme.h"

namespace palimpsest::ui {
namespace {

// A title of a megabyte must not cost more than the lines that are shown.
constexpr qsizetype kMostCharacters = 4000;

}  // namespace

QStringList wrapped(const QString& whole, const QFont& font, int width, int mostLines) {
  QStringList own = whole.left(kMostCharacters).split(QLatin1Char('\n'), Qt::SkipEmptyParts);  // verse keeps its lines
  for (QString& line : own) line = line.simplified();
  const QString text = own.join(QChar::LineSeparator);
  const QFontMetrics metrics(font);
  QTextLayout layout(text, font);
  QTextOption option;
  option.setWrapMode(QTextOption::WrapAtWordBoundaryOrAnywhere);
  layout.setTextOption(option);
  layout.beginLayout();
  QStringList lines;
  while (lines.size() < mostLines) {
    QTextLine line = layout.createLine();
    if (!line.isValid()) break;
    line.setLineWidth(std::max(width, 1));
    const bool last = lines.size() + 1 == mostLines;
    lines << (last ? metrics.elidedText(text.mid(line.textStart()).replace(QChar::LineSeparator, QLatin1Char(' ')),
                                        Qt::ElideRight, width)
                   : text.mid(line.textStart(), line.textLength()).trimmed());
  }
  layout.endLayout();
  return lines.isEmpty() ? QStringList{QString()} : lines;
}

LinesLabel::LinesLabel(int mostLines, QWidget* parent) : QWidget(parent), font_(font()), mostLines_(mostLines) {
  QSizePolicy policy(QSizePolicy::Expanding, QSizePolicy::Preferred);
  policy.setHeightForWidth(true);
  setSizePolicy(policy);
}

void LinesLabel::setText(const QString& text) {
  if (text == text_) return;
  text_ = text;
  setAccessibleName(text);
  updateGeometry();
  update();
}

void LinesLabel::setTextFont(const QFont& font) {
  font_ = font;
  updateGeometry();
}

void LinesLabel::setFaded(bool faded) {
  faded_ = faded;
  update();
}

int LinesLabel::heightForWidth(int width) const {
  return static_cast<int>(wrapped(text_, font_, width, mostLines_).size()) * QFontMetrics(font_).lineSpacing() + 2;
}

QSize LinesLabel::sizeHint() const {
  const int width = std::min(QFontMetrics(font_).horizontalAdvance(text_.left(kMostCharacters)) + 2, 560);
  return {width, heightForWidth(std::max(width, this->width()))};
}

QSize LinesLabel::minimumSizeHint() const { return {60, QFontMetrics(font_).lineSpacing() + 2}; }

void LinesLabel::resizeEvent(QResizeEvent* event) {
  QWidget::resizeEvent(event);
  const QStringList lines = wrapped(text_, font_, width(), mostLines_);
  const bool cut = lines.constLast() != text_ && lines.join(QLatin1Char(' ')) != text_.simplified();
  setToolTip(cut ? QStringLiteral("<p>%1</p>").arg(text_.left(kMostCharacters).toHtmlEscaped()) : QString());
}

void LinesLabel::paintEvent(QPaintEvent*) {
  QPainter painter(this);
  painter.setFont(font_);
  const Colours& colours = currentColours();
  painter.setPen(faded_ ? colours.faded : colours.ink);
  const int spacing = QFontMetrics(font_).lineSpacing();
  const bool fromRight = text_.isRightToLeft();
  painter.setLayoutDirection(fromRight ? Qt::RightToLeft : Qt::LeftToRight);
  int y = 0;
  for (const QString& line : wrapped(text_, font_, width(), mostLines_)) {
    painter.drawText(
        QRect(0, y, width(), spacing),
        Qt::AlignVCenter | Qt::AlignAbsolute | (fromRight ? Qt::AlignRight : Qt::AlignLeft) | Qt::TextSingleLine, line);
    y += spacing;
  }
}

}  // namespace palimpsest::ui
