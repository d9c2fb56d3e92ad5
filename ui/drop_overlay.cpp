#include "ui/drop_overlay.h"

#include <QPainter>

#include "ui/theme.h"

namespace palimpsest::ui {

DropOverlay::DropOverlay(QWidget* parent) : QWidget(parent) {
  setAttribute(Qt::WA_TransparentForMouseEvents);
  hide();
}

void DropOverlay::showFor(int files) {
  files_ = files;
  setGeometry(parentWidget()->rect());
  raise();
  show();
}

void DropOverlay::paintEvent(QPaintEvent*) {
  QPainter painter(this);
  painter.setRenderHint(QPainter::Antialiasing);
  const Colours& colours = currentColours();
  QColor veil = colours.paper;
  veil.setAlpha(225);
  painter.fillRect(rect(), veil);
  QPen pen(colours.rubric, 2, Qt::CustomDashLine, Qt::RoundCap);
  pen.setDashPattern({4, 4});
  painter.setPen(pen);
  painter.drawRoundedRect(QRectF(rect()).adjusted(20, 20, -20, -20), 16, 16);
  painter.setPen(colours.ink);
  painter.setFont(bookFont(1.9));
  painter.drawText(rect(), Qt::AlignCenter,
                   files_ == 1 ? tr("Drop to read this book") : tr("Drop to read %n books", nullptr, files_));
}

}  // namespace palimpsest::ui
