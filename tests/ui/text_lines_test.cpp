#include "ui/text_lines.h"

#include <QElapsedTimer>
#include <QFontMetrics>
#include <QLabel>

#include "fixture.h"
#include "ui/theme.h"

namespace palimpsest::ui {
namespace {

TEST(TextLinesTest, LinesFitAndTheLastIsElided) {
  const QString text = "The Life and Strange Surprizing Adventures of Robinson Crusoe, of York, Mariner";
  const QStringList lines = wrapped(text, uiFont(), 160, 2);
  ASSERT_EQ(lines.size(), 2);
  for (const QString& line : lines) EXPECT_LE(QFontMetrics(uiFont()).horizontalAdvance(line), 160);
  EXPECT_TRUE(lines[1].endsWith(QChar(0x2026)));
}

TEST(TextLinesTest, WhatFitsIsWhole) {
  EXPECT_EQ(wrapped("Kipps", uiFont(), 400, 2), QStringList({"Kipps"}));
  EXPECT_EQ(wrapped("", uiFont(), 400, 2), QStringList({""}));
}

TEST(TextLinesTest, VerseKeepsItsLines) {
  EXPECT_EQ(wrapped("Must I remember?  why,\nshe would hang on him,\n\nAs if", uiFont(), 400, 9),
            QStringList({"Must I remember? why,", "she would hang on him,", "As if"}));
  const QStringList cut = wrapped("Must I remember?\nwhy,\nshe would hang on him", uiFont(), 400, 2);
  EXPECT_EQ(cut, QStringList({"Must I remember?", "why, she would hang on him"}));
}

TEST(TextLinesTest, AMegabyteOfTitleCostsNoMoreThanItsLines) {
  QElapsedTimer timer;
  timer.start();
  EXPECT_EQ(wrapped(QString(1'000'000, 'x'), uiFont(), 200, 2).size(), 2);
  EXPECT_LT(timer.elapsed(), 1000);
}

TEST(TextLinesTest, TheLabelKeepsTheWholeTitleInItsToolTipAsText) {
  LinesLabel label(1);
  label.setText("<b>A title</b> that is far too long for the little room that it is given here");
  label.resize(120, 24);
  label.show();
  EXPECT_TRUE(label.toolTip().contains("&lt;b&gt;")) << label.toolTip().toStdString();
  EXPECT_EQ(label.accessibleName(), label.text());
  label.resize(2000, 24);
  EXPECT_TRUE(label.toolTip().isEmpty());
}

}  // namespace
}  // namespace palimpsest::ui
