#include <chrono>

#include "samples.h"

namespace palimpsest::documents::tests {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

Document read(const std::string& text, const std::string& name = "my book.txt") {
  Document document = extractBytes(name, text);
  expectWellFormed(document);
  EXPECT_EQ(document.format, "TXT");
  EXPECT_EQ(document.pageCount, 0);
  return document;
}

const std::string kWrapped =
    "It was the best of times, it was the worst of times, it was the age of\n"
    "wisdom, it was the age of foolishness, it was the epoch of belief, it was\n"
    "the epoch of incredulity, it was the season of Light.\n";
const std::string kJoined =
    "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness, it "
    "was "
    "the epoch of belief, it was the epoch of incredulity, it was the season of Light.";

TEST(PlainText, JoinsHardWrappedLines) {
  EXPECT_THAT(texts(read(kWrapped + "\n" + kWrapped)), ElementsAre(kJoined, kJoined));
  EXPECT_EQ(read(kWrapped).title, "my book") << "nothing names it: the name of the file";
}

TEST(PlainText, KeepsVerse) {
  const std::string verse =
      "Tyger Tyger, burning bright,\n    In the forests of the night;\nWhat immortal hand or eye,\n    Could frame thy "
      "fearful symmetry?\n";
  EXPECT_THAT(texts(read(kWrapped + "\n" + verse + "\n" + kWrapped)),
              ElementsAre(kJoined,
                          "Tyger Tyger, burning bright,\nIn the forests of the night;\nWhat immortal hand or "
                          "eye,\nCould frame thy fearful symmetry?",
                          kJoined));
}

TEST(PlainText, SplitsAtIndentsWhereThereAreNoBlankLines) {
  const std::string indented = "   " + kWrapped + "   " + kWrapped;
  EXPECT_THAT(texts(read(indented)), ElementsAre(kJoined, kJoined));
}

TEST(PlainText, TakesLongLinesAsParagraphs) {
  EXPECT_THAT(texts(read(kJoined + "\n" + kJoined + "\r\nShort one.\n")), ElementsAre(kJoined, kJoined, "Short one."));
}

TEST(PlainText, KeepsTheHyphenOfABrokenCompound) {
  EXPECT_THAT(texts(read("The night was clear and the sky was full of stars, and every well-\nknown shape stood out "
                         "against it in the cold and quiet air of that\nlong winter.\n")),
              ElementsAre("The night was clear and the sky was full of stars, and every well-known shape stood out "
                          "against it in the cold and quiet air of that long winter."));
}

TEST(PlainText, FindsChapters) {
  const Document book = read("THE BOOK\n\nby Ann Author\n\nPREFACE\n\n" + kWrapped + "\n\nCHAPTER I\n\nThe Period\n\n" +
                             kWrapped + "\n\nChapter 2 - The Mail\n\n" + kWrapped);
  EXPECT_THAT(chapterTitles(book), ElementsAre("PREFACE", "CHAPTER I: The Period", "Chapter 2 - The Mail"));
  EXPECT_EQ(book.title, "THE BOOK");
  EXPECT_EQ(book.author, "Ann Author");
  EXPECT_EQ(book.paragraphs.front().chapter, -1);
  EXPECT_EQ(book.paragraphs.back().chapter, 2);
}

TEST(PlainText, NestsChaptersInParts) {
  const Document book = read("PART ONE\n\nCHAPTER I\n\n" + kWrapped + "\nCHAPTER II\n\n" + kWrapped +
                             "\nPART TWO\n\nCHAPTER I\n\n" + kWrapped);
  ASSERT_THAT(chapterTitles(book), ElementsAre("PART ONE", "CHAPTER I", "CHAPTER II", "PART TWO", "CHAPTER I"));
  EXPECT_EQ(book.chapters[0].level, 0);
  EXPECT_EQ(book.chapters[1].level, 1);
}

TEST(PlainText, BelievesLoneNumeralsOnlyInARow) {
  EXPECT_THAT(chapterTitles(read("I\n\n" + kWrapped + "\nII\n\n" + kWrapped + "\nIII\n\n" + kWrapped)),
              ElementsAre("I", "II", "III"));
  EXPECT_THAT(chapterTitles(read(kWrapped + "\nXL\n\n" + kWrapped)), ElementsAre());
}

TEST(PlainText, DoesNotTakeTheContentsForChapters) {
  const Document book =
      read("CONTENTS\n\nCHAPTER I. Loomings\n\nCHAPTER II. The Carpet-Bag\n\nCHAPTER I. Loomings\n\n" + kWrapped +
           "\nCHAPTER II. The Carpet-Bag\n\n" + kWrapped);
  EXPECT_THAT(chapterTitles(book), ElementsAre("CHAPTER I. Loomings", "CHAPTER II. The Carpet-Bag"));
  EXPECT_EQ(book.paragraphs[1].chapter, -1);
}

TEST(PlainText, DropsTheWrappingOfProjectGutenberg) {
  const Document book = read(
      "The Project Gutenberg eBook of A Tale\n\nTitle: A Tale of Two Cities\n       with a subtitle\n\nAuthor: Charles "
      "Dickens\n\nRelease date: January 1, 1994 [eBook #98]\n\nLanguage: English\n\n"
      "*** START OF THE PROJECT GUTENBERG EBOOK A TALE ***\n\nProduced by Judith Boss\n\nCHAPTER I\n\n" +
      kWrapped +
      "\n*** END OF THE PROJECT GUTENBERG EBOOK A TALE ***\n\nUpdated editions will replace the previous one. Project "
      "Gutenberg license.\n");
  EXPECT_THAT(texts(book), ElementsAre("CHAPTER I", kJoined));
  EXPECT_EQ(book.title, "A Tale of Two Cities with a subtitle");
  EXPECT_EQ(book.author, "Charles Dickens");
  EXPECT_EQ(book.language, "English");
  EXPECT_EQ(book.date, "January 1, 1994");
}

TEST(PlainText, KeepsAMentionOfProjectGutenberg) {
  EXPECT_THAT(allText(read("A note on Project Gutenberg and its volunteers.\n")), HasSubstr("Gutenberg"));
}

TEST(PlainText, ReadsALineOfTwentyMegabytesInSeconds) {
  std::string line;
  while (line.size() < (20u << 20)) line += "All work and no play makes Jack a dull boy, naïve as ever. ";
  const auto start = std::chrono::steady_clock::now();
  const Document book = extractBytes("line.txt", line);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20)) << "sanitizers included";
  std::size_t size = 0;
  for (const auto& paragraph : book.paragraphs) {
    EXPECT_LE(paragraph.text.size(), 32u * 1024);
    EXPECT_EQ(paragraph.text.back(), '.') << "cut after a sentence";
    size += paragraph.text.size() + 1;
  }
  EXPECT_EQ(size, line.size());
}

TEST(PlainText, CutsALineWithoutSpacesBetweenCharacters) {
  std::string line;
  while (line.size() < (1u << 20)) line += "字";
  std::size_t size = 0;
  for (const auto& paragraph : read(line).paragraphs) size += paragraph.text.size();
  EXPECT_EQ(size, line.size());
}

}  // namespace
}  // namespace palimpsest::documents::tests
