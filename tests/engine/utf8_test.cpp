#include "engine/utf8.h"

#include <gtest/gtest.h>

namespace palimpsest::engine {
namespace {

constexpr const char* kBad = "\xEF\xBF\xBD";  // U+FFFD

TEST(Utf8, WellFormedTextStaysAsItIs) {
  for (const std::string text : {"", "plain ASCII that is longer than eight", "na\xC3\xAFve", "\xE6\x99\x82",
                                 "\xF0\x9F\xA6\x80", "\xF4\x8F\xBF\xBF"}) {
    EXPECT_TRUE(isUtf8(text));
    EXPECT_EQ(repairUtf8(text), text);
  }
}

TEST(Utf8, IllFormedBytesBecomeReplacementCharacters) {
  const auto repaired = [](std::string_view text) {
    EXPECT_FALSE(isUtf8(text));
    return repairUtf8(text);
  };
  EXPECT_EQ(repaired("a\xFFz"), std::string("a") + kBad + "z");
  EXPECT_EQ(repaired("\x80"), kBad);
  EXPECT_EQ(repaired("\xC0\xAF"), std::string(kBad) + kBad) << "overlong";
  EXPECT_EQ(repaired("\xED\xA0\x80"), std::string(kBad) + kBad + kBad) << "a surrogate";
  EXPECT_EQ(repaired("\xF4\x90\x80\x80"), std::string(kBad) + kBad + kBad + kBad) << "beyond U+10FFFF";
  EXPECT_EQ(repaired("\xE6\x99"), kBad) << "one for a sequence that the end cuts off";
  EXPECT_EQ(repaired("\xE6\x99z"), std::string(kBad) + "z");
}

TEST(Utf8, IncompleteTailCanBeKeptForLater) {
  std::size_t used = 0;
  EXPECT_EQ(repairUtf8("a\xF0\x9F\xA6", true, used), "a");
  EXPECT_EQ(used, 1U);
  EXPECT_EQ(repairUtf8("a\xF0\x9Fz", true, used), std::string("a") + kBad + "z");
  EXPECT_EQ(used, 4U);
}

TEST(Utf8, CodePointsAreWrittenAndReadBack) {
  for (const char32_t codePoint : {U'a', U'\u00e9', U'\u6642', U'\U0001f980', U'\U0010ffff'}) {
    std::string text;
    appendUtf8(text, codePoint);
    const Utf8Step step = utf8At(text, 0);
    EXPECT_TRUE(step.valid);
    EXPECT_EQ(step.codePoint, codePoint);
    EXPECT_EQ(step.length, text.size());
  }
}

}  // namespace
}  // namespace palimpsest::engine
