#include "ui/stored_text.h"

#include "fixture.h"

namespace palimpsest::ui {
namespace {

TEST(StoredTextTest, ByteOffsetsCountUtf8) {
  const QString text = QString::fromUtf8("Ünïcödé 𝄞 first.\n\nname was Weena");
  const qint64 bytes = text.left(text.indexOf("name")).toUtf8().size();
  const TextRange range = locate(text, "name was Weena", bytes);
  EXPECT_EQ(range.begin, text.indexOf("name"));
  EXPECT_EQ(range.length, 14);
}

TEST(StoredTextTest, OfSeveralPlacesTheOneAtTheOffsetIsTaken) {
  const QString text = "and so.\n\nand so.\n\nand so.";
  EXPECT_EQ(locate(text, "and so.", 9).begin, 9);
  EXPECT_EQ(locate(text, "and so.", 0).begin, 0);
}

TEST(StoredTextTest, AShiftedOffsetFindsTheNearestPlace) {
  const QString text = "and so.\n\nand so.\n\nand so.";
  EXPECT_EQ(locate(text, "and so.", 11).begin, 9);
  EXPECT_EQ(locate(text, "and so.", 16).begin, 18);
  EXPECT_EQ(locate(text, "and so.", 5000).begin, 18);
}

TEST(StoredTextTest, WordsThatAreNotThereAreNotFound) {
  EXPECT_FALSE(locate("some text", "other", 0).found());
  EXPECT_FALSE(locate("some text", "", 3).found());
  EXPECT_FALSE(locate("", "other", 3).found());
}

TEST(StoredTextTest, AQuoteThatWasCutIsFoundWithoutItsMark) {
  const QString text = QString::fromUtf8("“Well…” he said.\n\nOf Man’s first disobedience, and the fruit");
  const TextRange cut = locate(text, QString::fromUtf8("Of Man’s first disobedience…"), 24);
  EXPECT_EQ(text.mid(cut.begin, cut.length), QString::fromUtf8("Of Man’s first disobedience"));
  const TextRange own = locate(text, QString::fromUtf8("“Well…"), 0);
  EXPECT_EQ(text.mid(own.begin, own.length), QString::fromUtf8("“Well…")) << "the book's own";
  EXPECT_FALSE(locate(text, QString::fromUtf8("Of Woman…"), 0).found());
  EXPECT_FALSE(locate("", QString::fromUtf8("…"), 0).found());
}

TEST(StoredTextTest, TheStretchAroundAPlaceHasWholeParagraphs) {
  QString text;
  for (int i = 0; i < 1000; ++i) text += QString("Paragraph %1 of the book.\n\n").arg(i);
  const TextRange middle = locate(text, "Paragraph 500", 0);
  const TextRange range = paragraphsAround(text, middle, 300);
  const QString part = text.mid(range.begin, range.length);
  EXPECT_TRUE(part.startsWith("Paragraph"));
  EXPECT_TRUE(part.contains("Paragraph 500 of"));
  EXPECT_LT(part.size(), 1000);
  EXPECT_TRUE(part.endsWith("book."));
}

TEST(StoredTextTest, AShortTextIsTakenWhole) {
  const QString text = "One.\n\nTwo.";
  const TextRange range = paragraphsAround(text, {6, 4}, 12000);
  EXPECT_EQ(range.begin, 0);
  EXPECT_EQ(range.length, text.size());
}

TEST(StoredTextTest, AParagraphOfMegabytesIsCutAndNoCharacterIsHalved) {
  QString text;
  for (int i = 0; i < 200000; ++i) text += QString::fromUtf8("𝄞");
  for (const qsizetype at : {100001, 100002}) {
    const TextRange range = paragraphsAround(text, {at, 2}, 501);
    EXPECT_LT(range.length, 2000);
    EXPECT_TRUE(text[range.begin].isHighSurrogate());
    EXPECT_TRUE(text[range.begin + range.length - 1].isLowSurrogate());
  }
}

}  // namespace
}  // namespace palimpsest::ui
