#include <algorithm>
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

// From "Charles Dickens and Music" by James T. Lightwood, 1912.
TEST(PlainText, JoinsAQuotationThatIsSetNarrower) {
  EXPECT_THAT(texts(read(kWrapped +
                         "\n"
                         "    The steward lent me one on the passage out, and I\n"
                         "    regaled the ladies' cabin with my performances. You\n"
                         "    can't think with what feelings I play 'Home, Sweet Home'\n"
                         "    every night, or how pleasantly sad it makes us.\n\n" +
                         kWrapped)),
              ElementsAre(kJoined,
                          "The steward lent me one on the passage out, and I regaled the ladies' cabin with my "
                          "performances. You can't think with what feelings I play 'Home, Sweet Home' every night, or "
                          "how pleasantly sad it makes us.",
                          kJoined));
}

// The page is wider than the text: a table on it is.
TEST(PlainText, JoinsGermanLinesNarrowerThanThePage) {
  const std::string wide = std::string(50, 'x') + "     " + std::string(50, 'y') + "\n";
  EXPECT_THAT(
      texts(read("Dieses Skript wurde im Wintersemester von dem Verfasser geschrieben. Es beinhaltet\n"
                 "die Mitschriften aus der Vorlesung sowie die Mitschriften einiger Wieder-\n"
                 "holungen und Tutorien. Das Skript ist kostenlos zu haben, und viele\n"
                 "Wiederholungen gibt es nicht.\n\n" +
                 wide + wide + wide)),
      testing::Contains("Dieses Skript wurde im Wintersemester von dem Verfasser geschrieben. Es beinhaltet die "
                        "Mitschriften aus der Vorlesung sowie die Mitschriften einiger Wiederholungen und "
                        "Tutorien. Das Skript ist kostenlos zu haben, und viele Wiederholungen gibt es nicht."));
}

TEST(PlainText, SplitsAtIndentsWhereThereAreNoBlankLines) {
  const std::string indented = "   " + kWrapped + "   " + kWrapped;
  EXPECT_THAT(texts(read(indented)), ElementsAre(kJoined, kJoined));
}

TEST(PlainText, SplitsDialogueAtIndents) {
  EXPECT_THAT(texts(read("   \"Where did the ship go that sailed from here last year?\" she asked him.\n"
                         "   \"Into the fog,\" he said, and looked out over the grey and silent water of\n"
                         "the harbour.\n"
                         "   \"And was she never seen again by anybody who lives along the coast?\"\n"
                         "   \"Never. But there are men who say that they have heard her bell at night.\"\n")),
              testing::SizeIs(4));
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

TEST(PlainText, MendsWordsBrokenAtLineEnds) {
  EXPECT_THAT(texts(read("The compiler was built in the first year of the project, and it is this com-\n"
                         "piler that everybody used. The client and the server agreed, as each client-\n"
                         "server pair does. How that came about is an old and well-known story, as the Anglo-\n"
                         "Saxon kings are, and the men of 1914-\n18, and like every such story it ends well-\n"
                         "known as it is.\n")),
              ElementsAre("The compiler was built in the first year of the project, and it is this compiler that "
                          "everybody used. The client and the server agreed, as each client-server pair does. How that "
                          "came about is an old and well-known story, as the Anglo-Saxon kings are, and the men of "
                          "1914-18, and like every such story it ends well-known as it is."));
}

TEST(PlainText, KeepsHyphensOfATextThatBreaksWordsOnlyThere) {
  EXPECT_THAT(allText(read("He was an old-fashioned man in an arm-chair, and to-morrow he would go. In the old-\n"
                           "fashioned arm-\nchair by the fire the red-\nhaired boy sat and read in his book until it "
                           "was quite dark outside, and to-\nmorrow he would go.\n")),
              HasSubstr("In the old-fashioned arm-chair by the fire the red-haired boy sat and read in his book until "
                        "it was quite dark outside, and to-morrow he would go."));
}

std::string prose(int number) {
  const std::string n = std::to_string(number);
  return "Sentence " + n + " tells of a ship that sailed from the harbour into the fog\nand was not seen again, " + n +
         " years ago, by anybody who lived there then.\n";
}

TEST(PlainText, DropsHeadsAndNumbersOfPages) {
  std::string text;
  for (int page = 1; page <= 6; ++page)
    text += (page > 1 ? std::string(page % 2 ? "CHAPTER ONE: THE SHIP\n\n" : "            A BOOK OF SHIPS\n\n")
                      : std::string("A BOOK OF SHIPS\n\n")) +
            prose(10 * page) + "\n" + prose(10 * page + 1) + "\n" + prose(10 * page + 2) + "\n" +
            std::to_string(page + 6) + "\n\n\f";
  const Document book = read(text);
  std::vector<std::string> expected = {"A BOOK OF SHIPS"};  // the title, kept on its own page
  for (int page = 1; page <= 6; ++page)
    for (int i = 0; i < 3; ++i) {
      if (page == 3 && i == 0) expected.push_back("CHAPTER ONE: THE SHIP");  // where it is first named
      std::string sentence = prose(10 * page + i);
      std::replace(sentence.begin(), sentence.end(), '\n', ' ');
      expected.push_back(sentence.substr(0, sentence.size() - 1));
    }
  EXPECT_EQ(texts(book), expected);
  EXPECT_THAT(chapterTitles(book), ElementsAre("CHAPTER ONE: THE SHIP"));
  EXPECT_EQ(book.pageCount, 6);
  EXPECT_EQ(book.paragraphs.front().page, 1);
  EXPECT_EQ(book.paragraphs.back().page, 6);
}

TEST(PlainText, DropsHeadsAndFeetOfAStandard) {
  std::string text;
  for (int page = 1; page <= 5; ++page)
    text += "RFC 9999               Ships in the Fog             June 1999\n\n\n" + prose(10 * page) + "\n" +
            prose(10 * page + 1) + std::string(static_cast<std::size_t>(page), '\n') +
            "Author                 Standards Track             [Page " + std::to_string(page) + "]\n\f\n";
  const std::string all = allText(read(text));
  EXPECT_THAT(all, Not(HasSubstr("[Page")));
  EXPECT_THAT(all, Not(HasSubstr("June 1999")));
  EXPECT_THAT(all, HasSubstr("Sentence 10 tells"));
  EXPECT_THAT(all, HasSubstr("Sentence 51 tells"));
}

TEST(PlainText, JoinsAParagraphOverAPageEnd) {
  const Document book = read(
      "The captain knew the dangerous water, and he had long made up his mind about\n"
      "the weather and all that it would mean for the men, so that now it was a lit-\n\n1\n\f"
      "tle late to turn. Nobody on board had seen the like of it before that winter\nand all\n"
      "\n2\n\fof them were afraid.\n\nHe was little too.\n\n3\n\f");
  EXPECT_THAT(
      texts(book),
      ElementsAre("The captain knew the dangerous water, and he had long made up his mind about the weather and "
                  "all that it would mean for the men, so that now it was a little late to turn. Nobody on board "
                  "had seen the like of it before that winter and all of them were afraid.",
                  "He was little too."));
  EXPECT_EQ(book.paragraphs[0].page, 1);
  EXPECT_EQ(book.paragraphs[1].page, 3);
}

TEST(PlainText, KeepsChaptersThatBeginPages) {
  std::string text;
  for (int chapter = 1; chapter <= 5; ++chapter)
    text += "Chapter " + std::to_string(chapter) + "\n\n" + prose(10 * chapter) + "\n" + prose(10 * chapter + 1) + "\f";
  const Document book = read(text);
  EXPECT_THAT(chapterTitles(book), ElementsAre("Chapter 1", "Chapter 2", "Chapter 3", "Chapter 4", "Chapter 5"));
  EXPECT_EQ(book.paragraphs.size(), 15u);
}

TEST(PlainText, TakesFormFeedsFarApartForEndsOfChapters) {
  std::string text;
  for (int chapter = 1; chapter <= 4; ++chapter) {
    text += std::to_string(chapter) + "\n\n";
    for (int i = 0; i < 80; ++i) text += prose(100 * chapter + i) + "\n";
    text += "\f";
  }
  const Document book = read(text);
  EXPECT_THAT(chapterTitles(book), ElementsAre("1", "2", "3", "4"));
  EXPECT_EQ(book.pageCount, 0);
}

TEST(PlainText, FindsChapters) {
  const Document book = read("THE BOOK\n\nby Ann Author\n\nPREFACE\n\n" + kWrapped + "\n\nCHAPTER I\n\nThe Period\n\n" +
                             kWrapped + "\n\nChapter 2 - The Mail\n\n" + kWrapped);
  EXPECT_THAT(chapterTitles(book), ElementsAre("PREFACE", "CHAPTER I: The Period", "Chapter 2 - The Mail"));
  EXPECT_EQ(book.title, "THE BOOK");
  EXPECT_EQ(book.author, "Ann Author");
  EXPECT_EQ(book.paragraphs.front().chapter, -1);
  EXPECT_EQ(book.paragraphs.back().chapter, 2);
  EXPECT_EQ(book.pageCount, 0);
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

TEST(PlainText, DropsTheMarksOfProjectGutenberg) {
  const std::string text =
      "_CHAPTER I_\n\n                         [Illustration]\n\nHe heard Gounod's _Faust_ whilst he was in Paris, and "
      "\"_what_\" he heard,\nthe _Orph\u00E9e aux enfers_, too; but some_name, ____ and [Illustration: a map] stay.\n";
  const Document book = read(
      "Project Gutenberg's Music\n\nTitle: Music\n\n*** START OF THIS PROJECT GUTENBERG EBOOK MUSIC ***\n\n" + text);
  EXPECT_THAT(texts(book),
              ElementsAre("CHAPTER I",
                          "He heard Gounod's Faust whilst he was in Paris, and \"what\" he heard, the "
                          "Orph\u00E9e aux enfers, too; but some_name, ____ and [Illustration: a map] stay."));
  EXPECT_THAT(chapterTitles(book), ElementsAre("CHAPTER I"));
  EXPECT_THAT(allText(read(text)), HasSubstr("_Faust_")) << "elsewhere they may mean something";
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
