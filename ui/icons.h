// Line icons from the resources, drawn in the colour that the theme asks for.
#pragma once

#include <QColor>
#include <QIcon>
#include <QRectF>
#include <QString>

class QPainter;

namespace palimpsest::ui {

// name: a file of resources/icons without ".svg". An unknown name gives an empty picture.
QIcon icon(const QString& name, const QColor& colour);
void paintIcon(QPainter& painter, const QRectF& where, const QString& name, const QColor& colour);

}  // namespace palimpsest::ui
