#include "ui/theme.h"

#include <QApplication>
#include <QDBusVariant>
#include <cmath>

#include "fixture.h"
#include "ui/icons.h"
#include "ui/system_scheme.h"

namespace palimpsest::ui {
namespace {

double luminance(const QColor& colour) {
  const auto part = [](double c) { return c <= 0.03928 ? c / 12.92 : std::pow((c + 0.055) / 1.055, 2.4); };
  return 0.2126 * part(colour.redF()) + 0.7152 * part(colour.greenF()) + 0.0722 * part(colour.blueF());
}

double contrast(const QColor& a, const QColor& b) {
  const double x = luminance(a), y = luminance(b);
  return (std::max(x, y) + 0.05) / (std::min(x, y) + 0.05);
}

class ThemeTest : public testing::TestWithParam<bool> {};

// WCAG AA for text; the book's words and the interface alike.
TEST_P(ThemeTest, TextCanBeReadOnEverySurface) {
  const Colours& c = GetParam() ? darkColours() : lightColours();
  for (const QColor& surface : {c.paper, c.margin, c.leaf, c.hover, c.selected, c.rubricWash}) {
    EXPECT_GE(contrast(c.ink, surface), 7.0) << surface.name().toStdString();
    EXPECT_GE(contrast(c.rubric, surface), 4.5) << surface.name().toStdString();
    EXPECT_GE(contrast(c.faded, surface), 3.9) << surface.name().toStdString();
  }
  for (const QColor& surface : {c.paper, c.margin, c.leaf}) EXPECT_GE(contrast(c.faded, surface), 4.5);
  EXPECT_GE(contrast(c.onRubric, c.rubric), 4.5);
  EXPECT_GE(contrast(c.ink, c.marker), 4.5);
}

INSTANTIATE_TEST_SUITE_P(LightAndDark, ThemeTest, testing::Bool());

TEST(ThemeSwitchTest, DressesTheApplicationAndBack) {
  applyTheme(*qApp, true);
  EXPECT_TRUE(currentColours().dark);
  EXPECT_TRUE(qApp->styleSheet().contains(darkColours().margin.name()));
  EXPECT_FALSE(qApp->styleSheet().contains("@")) << "every colour name of the sheet is known";
  applyTheme(*qApp, false);
  EXPECT_FALSE(currentColours().dark);
}

TEST(ThemeSwitchTest, ThePlatformsPaletteIsSeenThroughOurs) {
  const bool platform = systemIsDark(*qApp);
  applyTheme(*qApp, true);
  EXPECT_EQ(systemIsDark(*qApp), platform);
  EXPECT_TRUE(currentColours().dark) << "asking changes nothing";
  applyTheme(*qApp, false);
  EXPECT_EQ(systemIsDark(*qApp), platform);
}

TEST(SystemSchemeTest, ThePortalsWordIsUnwrapped) {
  const QVariant dark = QVariant::fromValue(QDBusVariant(QVariant::fromValue(QDBusVariant(1u))));
  EXPECT_EQ(darkFromPortal(dark), true);
  EXPECT_EQ(darkFromPortal(2u), false);
  EXPECT_EQ(darkFromPortal(0u), std::nullopt) << "no preference";
  EXPECT_EQ(darkFromPortal("dark"), std::nullopt);
  EXPECT_EQ(darkFromPortal({}), std::nullopt);
}

TEST(SystemSchemeTest, WithoutAPortalThePaletteDecides) { EXPECT_EQ(SystemScheme().isDark(), systemIsDark(*qApp)); }

TEST(ThemeSwitchTest, IconsTakeTheColourAskedFor) {
  const QImage image = icon("add", Qt::red).pixmap(48).toImage();
  ASSERT_FALSE(image.isNull());
  EXPECT_EQ(image.pixelColor(image.width() / 2, image.height() / 2), QColor(Qt::red));
  EXPECT_TRUE(icon("no such icon", Qt::red).isNull());
}

}  // namespace
}  // namespace palimpsest::ui
