#include "ui/theme.h"

#include <QApplication>
#include <QEvent>
#include <QFile>
#include <QPalette>
#include <QStyle>
#include <QStyleFactory>

// Resources of a static library are linked only when asked for; the macro must stand outside any namespace.
static void loadResources() { Q_INIT_RESOURCE(palimpsest); }

namespace palimpsest::ui {
namespace {

QPalette paletteOf(const Colours& c) {
  QPalette p;
  p.setColor(QPalette::Window, c.paper);
  p.setColor(QPalette::WindowText, c.ink);
  p.setColor(QPalette::Base, c.leaf);
  p.setColor(QPalette::AlternateBase, c.margin);
  p.setColor(QPalette::Text, c.ink);
  p.setColor(QPalette::Button, c.paper);
  p.setColor(QPalette::ButtonText, c.ink);
  p.setColor(QPalette::BrightText, c.rubric);
  p.setColor(QPalette::PlaceholderText, c.faded);
  p.setColor(QPalette::Highlight, c.rubric);
  p.setColor(QPalette::HighlightedText, c.onRubric);
  p.setColor(QPalette::Link, c.rubric);
  p.setColor(QPalette::LinkVisited, c.rubric);
  p.setColor(QPalette::ToolTipBase, c.leaf);
  p.setColor(QPalette::ToolTipText, c.ink);
  p.setColor(QPalette::Light, c.leaf);
  p.setColor(QPalette::Midlight, c.hover);
  p.setColor(QPalette::Mid, c.rule);
  p.setColor(QPalette::Dark, c.faded);
  p.setColor(QPalette::Shadow, c.dark ? QColor(Qt::black) : c.faded);
  for (const auto role : {QPalette::WindowText, QPalette::Text, QPalette::ButtonText}) {
    p.setColor(QPalette::Disabled, role, c.faded);
  }
  return p;
}

// The sheet names colours as @paper, @ink, ...
QString styleSheetOf(const Colours& c) {
  QFile file(QStringLiteral(":/style/palimpsest.qss"));
  if (!file.open(QIODevice::ReadOnly)) return {};
  QString sheet = QString::fromUtf8(file.readAll());
  const std::pair<const char*, QColor> names[] = {
      {"@paper", c.paper},           {"@margin", c.margin}, {"@leaf", c.leaf},        {"@ink", c.ink},
      {"@faded", c.faded},           {"@rule", c.rule},     {"@hover", c.hover},      {"@selected", c.selected},
      {"@rubricWash", c.rubricWash}, {"@rubric", c.rubric}, {"@onRubric", c.onRubric}};
  for (const auto& [name, colour] : names) sheet.replace(QLatin1String(name), colour.name());
  return sheet.replace(QLatin1String("@icons"),
                       c.dark ? QStringLiteral(":/icons/dark") : QStringLiteral(":/icons/light"));
}

QFont scaled(QFont font, double scale, QFont::Weight weight) {
  if (font.pointSizeF() > 0) {
    font.setPointSizeF(font.pointSizeF() * scale);
  } else {
    font.setPixelSize(static_cast<int>(font.pixelSize() * scale + 0.5));
  }
  font.setWeight(weight);
  return font;
}

}  // namespace

const Colours& lightColours() {
  static const Colours colours{.paper = QColor(0xfcfaf6),
                               .margin = QColor(0xf4f0e8),
                               .leaf = QColor(0xffffff),
                               .ink = QColor(0x2a2520),
                               .faded = QColor(0x736a5e),
                               .rule = QColor(0xe4ddd0),
                               .hover = QColor(0xece6da),
                               .selected = QColor(0xe6ddcc),
                               .rubric = QColor(0x9c3b2b),
                               .onRubric = QColor(0xffffff),
                               .rubricWash = QColor(0xf8ebe4),
                               .marker = QColor(0xfbe9b7),
                               .dark = false};
  return colours;
}

const Colours& darkColours() {
  static const Colours colours{.paper = QColor(0x1d1b19),
                               .margin = QColor(0x171513),
                               .leaf = QColor(0x262320),
                               .ink = QColor(0xe8e1d6),
                               .faded = QColor(0xa0968a),
                               .rule = QColor(0x36322d),
                               .hover = QColor(0x25221f),
                               .selected = QColor(0x332e28),
                               .rubric = QColor(0xe08a72),
                               .onRubric = QColor(0x1d1512),
                               .rubricWash = QColor(0x34231d),
                               .marker = QColor(0x564622),
                               .dark = true};
  return colours;
}

// The application's palette, not a widget's: the style sheet makes those transparent.
const Colours& currentColours() {
  return QApplication::palette().color(QPalette::Window).lightness() < 128 ? darkColours() : lightColours();
}

bool isThemeChange(const QEvent* event) {
  return event->type() == QEvent::PaletteChange || event->type() == QEvent::StyleChange;
}

bool systemIsDark(QApplication& application) {
  const QPalette ours = application.palette();
  application.setPalette(QPalette());
  const bool dark = application.palette().color(QPalette::Window).lightness() < 128;
  application.setPalette(ours);
  return dark;
}

void applyTheme(QApplication& application, bool dark) {
  loadResources();
  const Colours& colours = dark ? darkColours() : lightColours();
  if (application.style()->name() != QLatin1String("fusion"))
    application.setStyle(QStyleFactory::create(QStringLiteral("Fusion")));
  const QString sheet = styleSheetOf(colours);
  if (application.styleSheet() == sheet) return;
  application.setPalette(paletteOf(colours));
  application.setStyleSheet(sheet);
}

QFont uiFont(double scale, QFont::Weight weight) { return scaled(QApplication::font(), scale, weight); }

QFont bookFont(double scale, QFont::Weight weight) {
  QFont font = QApplication::font();
  font.setFamilies({QStringLiteral("Source Serif 4"), QStringLiteral("Source Serif Pro"), QStringLiteral("Noto Serif"),
                    QStringLiteral("Charter"), QStringLiteral("Georgia"), QStringLiteral("Liberation Serif"),
                    QStringLiteral("DejaVu Serif"), QStringLiteral("serif")});
  font.setStyleHint(QFont::Serif);
  return scaled(font, scale, weight);
}

}  // namespace palimpsest::ui
