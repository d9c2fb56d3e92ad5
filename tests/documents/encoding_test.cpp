#include "documents/encoding.h"

#include "samples.h"

namespace palimpsest::documents::tests {
namespace {

using namespace std::string_literals;

TEST(Encoding, FollowsTheByteOrderMark) {
  EXPECT_EQ(decodeToUtf8("\xEF\xBB\xBFgr\xC3\xBC\xC3\x9F"), "grüß");
  EXPECT_EQ(decodeToUtf8("\xFF\xFEg\0r\0\xFC\0"s), "grü");
  EXPECT_EQ(decodeToUtf8("\xFE\xFF\0g\0r\0\xFC"s), "grü");
}

TEST(Encoding, SeesUtf16WithoutAMark) { EXPECT_EQ(decodeToUtf8("W\0i\0d\0e\0 \0t\0e\0x\0t\0"s), "Wide text"); }

TEST(Encoding, PrefersUtf8AndForgivesADamagedByte) {
  EXPECT_EQ(decodeToUtf8("na\xC3\xAFve"), "naïve");
  std::string text;
  for (int i = 0; i < 40; ++i) text += "é";
  const std::string decoded = decodeToUtf8(text + "\xC3 end");
  EXPECT_EQ(decoded, text + "\xEF\xBF\xBD end");
}

TEST(Encoding, GuessesLegacyEncodingsByTheirStatistics) {
  const std::string cyrillic =
      "\xCF\xF0\xE8\xE2\xE5\xF2, \xFD\xF2\xEE \xEE\xE1\xFB\xF7\xED\xFB\xE9 \xF0\xF3\xF1\xF1\xEA\xE8\xE9 "
      "\xF2\xE5\xEA\xF1\xF2, "
      "\xE2 \xEA\xEE\xF2\xEE\xF0\xEE\xEC \xE4\xEE\xF1\xF2\xE0\xF2\xEE\xF7\xED\xEE \xF1\xEB\xEE\xE2.";
  EXPECT_EQ(decodeToUtf8(cyrillic), "Привет, это обычный русский текст, в котором достаточно слов.");
  const std::string japanese =
      "\x82\xB1\x82\xEA\x82\xCD\x93\xFA\x96\x7B\x8C\xEA\x82\xCC\x95\xB6\x8F\xCD\x82\xC5\x82\xB7\x81\x42";
  EXPECT_EQ(decodeToUtf8(japanese), "これは日本語の文章です。");
}

TEST(Encoding, BelievesADeclarationWhenItIsNotUtf8) {
  EXPECT_EQ(decodeToUtf8("\x93quoted\x94 caf\xE9", "iso-8859-1"), "“quoted” café") << "as browsers read that name";
  EXPECT_EQ(declaredMarkupEncoding("<?xml version='1.0' encoding='ISO-8859-2'?><a/>"), "iso-8859-2");
  EXPECT_EQ(declaredMarkupEncoding("<html><meta charset=\"koi8-r\">"), "koi8-r");
  EXPECT_EQ(declaredMarkupEncoding("<html><body>"), "");
}

TEST(Encoding, TellsTextFromBinary) {
  EXPECT_TRUE(looksLikeText("plain words\r\n\tand a tab\f"));
  EXPECT_TRUE(looksLikeText("\xFF\xFEw\0"s));
  EXPECT_FALSE(looksLikeText("\x7F\x45\x4C\x46\0\1\2\3 program bytes"s));
  EXPECT_FALSE(looksLikeText("\x01\x02\x03\x04\x05\x06 no text"));
}

TEST(Encoding, WholeFilesAreReadInTheirOwnEncoding) {
  const Document document = extractBytes(
      "latin1.txt", "Le gar\xE7on \xE9tait tr\xE8s press\xE9. Il courut jusqu'\xE0 la for\xEAt, sans s'arr\xEAter.\n");
  EXPECT_THAT(texts(document),
              testing::ElementsAre("Le garçon était très pressé. Il courut jusqu'à la forêt, sans s'arrêter."));
}

}  // namespace
}  // namespace palimpsest::documents::tests
