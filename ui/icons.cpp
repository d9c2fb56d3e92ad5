#include "ui/icons.h"

#include <QFile>
#include <QPainter>
#include <QPixmapCache>
#include <QSvgRenderer>
#include <cmath>

namespace palimpsest::ui {
namespace {

QPixmap render(const QString& name, const QColor& colour, int pixels) {
  const QString key = QStringLiteral("icon/%1/%2/%3").arg(name, colour.name()).arg(pixels);
  QPixmap pixmap;
  if (QPixmapCache::find(key, &pixmap)) return pixmap;
  QFile file(QStringLiteral(":/icons/%1.svg").arg(name));
  if (!file.open(QIODevice::ReadOnly)) return {};
  QSvgRenderer renderer(file.readAll().replace("#000000", colour.name().toLatin1()));
  pixmap = QPixmap(pixels, pixels);
  pixmap.fill(Qt::transparent);
  QPainter painter(&pixmap);
  renderer.render(&painter);
  painter.end();
  QPixmapCache::insert(key, pixmap);
  return pixmap;
}

}  // namespace

QIcon icon(const QString& name, const QColor& colour) {
  QIcon result;
  for (const int pixels : {16, 18, 20, 24, 32, 36, 40, 48, 64}) {
    const QPixmap pixmap = render(name, colour, pixels);
    if (!pixmap.isNull()) result.addPixmap(pixmap);
  }
  return result;
}

void paintIcon(QPainter& painter, const QRectF& where, const QString& name, const QColor& colour) {
  const qreal ratio = painter.device() ? painter.device()->devicePixelRatioF() : 1.0;
  const QPixmap pixmap = render(name, colour, static_cast<int>(std::ceil(where.width() * ratio)));
  if (pixmap.isNull()) return;
  painter.setRenderHint(QPainter::SmoothPixmapTransform);
  painter.drawPixmap(where, pixmap, QRectF(pixmap.rect()));
}

}  // namespace palimpsest::ui
