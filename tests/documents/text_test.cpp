#include "documents/text.h"

#include "samples.h"

namespace palimpsest::documents::tests {
namespace {

TEST(CleanText, ComposesToNfcAndExpandsLigatures) {
  EXPECT_EQ(cleanText("cafe\u0301", LineBreaks::Join), "caf\u00E9");
  EXPECT_EQ(cleanText("e\uFB03cient \uFB01sh \uFB02oor \uFB00 \uFB04 \uFB06", LineBreaks::Join),
            "efficient fish floor ff ffl st");
  EXPECT_EQ(cleanText("na\u0131\u0308ve", LineBreaks::Join), "na\u00EFve") << "TeX's accent over a dotless i";
}

TEST(CleanText, DropsWhatNobodySees) {
  EXPECT_EQ(cleanText("co\u00ADop\u200Be\u2060ra\uFEFFte\u200E", LineBreaks::Join), "cooperate");
  EXPECT_EQ(cleanText(std::string_view("a\0b\x01"
                                       "c\x7F"
                                       "d\u0085e",
                                       11),
                      LineBreaks::Join),
            "abcd e");
  EXPECT_EQ(cleanText("x\uE123y \uF0B7 item", LineBreaks::Join), "xy \u2022 item")
      << "private use, save Symbol's bullet";
}

TEST(CleanText, KeepsJoinersWhereTheySpell) {
  const std::string persian = "\u0645\u06CC\u200C\u062E\u0648\u0627\u0647\u0645";
  EXPECT_EQ(cleanText(persian, LineBreaks::Join), persian);
  EXPECT_EQ(cleanText("auf\u200Clage", LineBreaks::Join), "auflage");
}

TEST(CleanText, MakesWhiteSpacePlain) {
  EXPECT_EQ(cleanText("  a\u00A0\u2003b\t\tc \r\n d  ", LineBreaks::Join), "a b c d");
  EXPECT_EQ(cleanText("\n a \r\n\r\n b\u2028c \n", LineBreaks::Keep), "a\nb\nc");
  EXPECT_EQ(cleanText(" \t\n", LineBreaks::Keep), "");
}

TEST(CleanText, TurnsShapedArabicIntoLetters) {
  EXPECT_EQ(cleanText("\uFEB3\uFEE0\uFE8E\uFEE1", LineBreaks::Join), "\u0633\u0644\u0627\u0645");
}

TEST(CleanText, GivesValidUtf8ForAnyBytes) {
  const std::pair<std::string, std::string> samples[] = {{"\xFF\xFE", "\uFFFD\uFFFD"},
                                                         {"a\xC3", "a\uFFFD"},
                                                         {"\xED\xA0\x80", "\uFFFD\uFFFD\uFFFD"},
                                                         {"\xF8\x88\x80\x80\x80", "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD"},
                                                         {"ok\x80ok", "ok\uFFFDok"}};
  for (const auto& [bytes, expected] : samples) EXPECT_EQ(cleanText(bytes, LineBreaks::Join), expected);
}

TEST(Lines, JoinWithASpaceButNotBetweenIdeographs) {
  std::string western = "one", eastern = "山路を";
  appendLine(western, "two");
  appendLine(eastern, "登りながら");
  EXPECT_EQ(western, "one two");
  EXPECT_EQ(eastern, "山路を登りながら");
}

TEST(RomanNumerals, CountOnlyInTheirUsualSpelling) {
  EXPECT_EQ(romanNumeral("XIV"), 14);
  EXPECT_EQ(romanNumeral("mcmlxxxiv"), 1984);
  for (const auto* wrong : {"", "IIII", "VX", "IVI", "Xi", "MIX3", "HELLO", "VV"})
    EXPECT_EQ(romanNumeral(wrong), 0) << wrong;
}

TEST(NoteMarkers, AreShortNumbersAndSigns) {
  for (const auto* marker : {"1", "[12]", "*", "†", "(a)", "**"}) EXPECT_TRUE(isNoteMarker(marker)) << marker;
  for (const auto* other : {"", "12345", "the", "n+1", "1st"}) EXPECT_FALSE(isNoteMarker(other)) << other;
}

TEST(Superscripts, ExistForDigitsOnly) {
  EXPECT_EQ(superscript("2"), "²");
  EXPECT_EQ(superscript("-10"), "⁻¹⁰");
  EXPECT_EQ(subscript("12"), "₁₂");
  EXPECT_EQ(superscript("th"), "");
}

}  // namespace
}  // namespace palimpsest::documents::tests
