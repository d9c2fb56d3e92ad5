// The book that comes with the program, read as a person would: its text, all of it, and nothing else.
#include <algorithm>

#include "documents/language.h"
#include "samples.h"

namespace palimpsest::documents::tests {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class TimeMachine : public testing::Test {
 protected:
  static const Document& book() {
    static const Document document =
        extractDocument(fs::path(PALIMPSEST_SOURCE_DIR) / "resources/books/se_the-time-machine.epub");
    return document;
  }
};

TEST_F(TimeMachine, KnowsTitleAuthorLanguageAndDate) {
  EXPECT_EQ(book().format, "EPUB");
  EXPECT_EQ(book().title, "The Time Machine");
  EXPECT_EQ(book().author, "H. G. Wells");
  EXPECT_EQ(book().language, "en-GB");
  EXPECT_EQ(book().date, "2014-05-25");
  EXPECT_TRUE(book().warnings.empty());
  EXPECT_FALSE(isPlainlyNotEnglish(book()));
  expectWellFormed(book());
}

TEST_F(TimeMachine, HasTwelveChaptersEpilogueAndEndnotes) {
  EXPECT_THAT(chapterTitles(book()), ElementsAre("I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI",
                                                 "XII", "Epilogue", "Endnotes"));
  for (const auto& chapter : book().chapters) EXPECT_EQ(chapter.level, 0);
}

TEST_F(TimeMachine, BeginsAndEndsWithItsOwnText) {
  const auto& paragraphs = book().paragraphs;
  ASSERT_GT(paragraphs.size(), 300u);
  EXPECT_EQ(paragraphs[0].text, "I");
  EXPECT_THAT(paragraphs[1].text,
              StartsWith("The Time Traveller (for so it will be convenient to speak of him) was expounding"));
  EXPECT_EQ(paragraphs[1].chapter, 0);
  EXPECT_THAT(paragraphs.back().text, HasSubstr("the museum was built into the side of a hill"));
  EXPECT_EQ(paragraphs.back().chapter, 13);
  const auto epilogue =
      std::find_if(paragraphs.begin(), paragraphs.end(), [](const Paragraph& p) { return p.text == "Epilogue"; });
  ASSERT_NE(epilogue, paragraphs.end());
  EXPECT_THAT((epilogue + 1)->text, StartsWith("One cannot choose but wonder. Will he ever return?"));
}

TEST_F(TimeMachine, LeavesOutWhatIsAboutTheEdition) {
  const std::string text = allText(book());
  EXPECT_THAT(text, Not(HasSubstr("Standard Ebooks")));
  EXPECT_THAT(text, Not(HasSubstr("Creative Commons")));
  EXPECT_THAT(text, Not(HasSubstr("Project Gutenberg")));
  EXPECT_THAT(text, Not(HasSubstr("↩")));
}

TEST_F(TimeMachine, TakesNoteMarkersOutOfTheText) {
  EXPECT_THAT(allText(book()), HasSubstr("the floor of the gallery sloped at all. The end I had come in at"));
}

TEST_F(TimeMachine, ChaptersHoldTheirOwnParagraphs) {
  // The publisher counts 32,429 words, with the notes and without the headings.
  std::size_t words = 0;
  int last = 0;
  for (const auto& paragraph : book().paragraphs) {
    EXPECT_GE(paragraph.chapter, last);
    last = paragraph.chapter;
    words += 1 + static_cast<std::size_t>(std::count(paragraph.text.begin(), paragraph.text.end(), ' '));
  }
  EXPECT_NEAR(static_cast<double>(words), 32'429, 600);
}

TEST_F(TimeMachine, BringsTheCoverPaintedInsideTheDrawing) {
  ASSERT_GT(book().cover.size(), 100'000u);
  EXPECT_EQ(std::to_integer<int>(book().cover[0]), 0xFF);
  EXPECT_EQ(std::to_integer<int>(book().cover[1]), 0xD8);
}

}  // namespace
}  // namespace palimpsest::documents::tests
