#include "documents/language.h"

#include "samples.h"

namespace palimpsest::documents::tests {
namespace {

Document bookOf(const std::string& text, int times) {
  Document document;
  for (int i = 0; i < times; ++i) document.paragraphs.push_back({text, 0, -1});
  return document;
}

const std::string kGerman =
    "Es war einmal mitten im Winter, und die Schneeflocken fielen wie Federn vom Himmel herab. Da saß eine Königin an "
    "einem Fenster, das einen Rahmen von schwarzem Ebenholz hatte, und nähte.";
const std::string kDutch =
    "Ik ben makelaar in koffie, en woon op de Lauriergracht, No. 37. Het is mijn gewoonte niet, romans te schrijven, "
    "of "
    "zulke dingen, en het heeft dan ook lang geduurd, voor ik er toe overging een paar riem papier extra te bestellen.";
const std::string kEnglish =
    "It was a bright cold day in April, and the clocks were striking thirteen. The hallway smelt of boiled cabbage and "
    "old rag mats. At one end of it a coloured poster had been tacked to the wall.";

TEST(Language, OtherLanguagesAreTold) {
  for (const std::string& text : {kGerman, kDutch, std::string("吾輩は猫である。名前はまだ無い。"),
                                  std::string("Все счастливые семьи похожи друг на друга, каждая несчастлива.")})
    EXPECT_TRUE(isPlainlyNotEnglish(bookOf(text, 120))) << text;
}

// A whole clause of these has no space in it, so that a story of a few pages is few words.
TEST(Language, ScriptsWithoutSpacesAreToldFromFewWords) {
  for (const std::string& text :
       {std::string("吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。"),
        std::string("话说天下大势，分久必合，合久必分。"), std::string("กาลครั้งหนึ่งนานมาแล้วมีพระราชาองค์หนึ่ง")}) {
    EXPECT_TRUE(isPlainlyNotEnglish(bookOf(text, 30))) << text;
    EXPECT_FALSE(isPlainlyNotEnglish(bookOf(text, 1))) << "a line is not judged: " << text;
  }
}

TEST(Language, EnglishWithSomeOfSuchAScriptStaysEnglish) {
  Document mixed = bookOf(kEnglish, 12);
  for (int i = 0; i < 20; ++i) mixed.paragraphs.push_back({"吾輩は猫である。名前はまだ無い。", 0, -1});
  EXPECT_FALSE(isPlainlyNotEnglish(mixed));
}

TEST(Language, EnglishIsNoneWhateverItsCaseAndALittleOfAnotherLanguageMakesNoOther) {
  EXPECT_FALSE(isPlainlyNotEnglish(bookOf(kEnglish, 120)));
  EXPECT_FALSE(isPlainlyNotEnglish(bookOf("THE END OF THE ROAD", 120)));
  Document mixed = bookOf(kEnglish, 60);
  for (int i = 0; i < 40; ++i) mixed.paragraphs.push_back({kGerman, 0, -1});
  EXPECT_FALSE(isPlainlyNotEnglish(mixed));
}

TEST(Language, AFewWordsAreNotJudged) {
  EXPECT_FALSE(isPlainlyNotEnglish(bookOf(kGerman, 2)));
  EXPECT_FALSE(isPlainlyNotEnglish(bookOf("1895", 500)));
}

}  // namespace
}  // namespace palimpsest::documents::tests
