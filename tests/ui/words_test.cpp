#include "ui/words.h"

#include <QLocale>

#include "fixture.h"
#include "ui/quote_place.h"

namespace palimpsest::ui {
namespace {

class WordsTest : public testing::Test {
 protected:
  void SetUp() override { QLocale::setDefault(QLocale::c()); }
};

TEST_F(WordsTest, DurationsReadLikeAClock) {
  EXPECT_EQ(words::duration(21), "0:21");
  EXPECT_EQ(words::duration(725), "12:05");
  EXPECT_EQ(words::duration(3725), "1:02:05");
  EXPECT_EQ(words::duration(-3), "0:00");
}

TEST_F(WordsTest, AMemoryThatIsWholeTellsWhatItTook) {
  LibraryItem item = readyBook(1);
  item.secondsSpent = 8.4;
  EXPECT_EQ(words::memoryLine(item), "memory: whole book, 96 pages, 0.5 MB · read in 0:09");
  item.state = BookState::Paused;
  EXPECT_FALSE(words::memoryLine(item).contains("read in"));
}

TEST_F(WordsTest, SpeedsAreShortAndAbsentUntilKnown) {
  EXPECT_EQ(words::speed(640), "640 tokens/s");
  EXPECT_EQ(words::speed(8900), "8.9K tokens/s");
  EXPECT_EQ(words::speed(0), "");
}

TEST_F(WordsTest, SizesAreInMegabytes) {
  EXPECT_EQ(words::bytes(524288), "0.5 MB");
  EXPECT_EQ(words::bytes(17'000'000), "17 MB");
  EXPECT_EQ(words::bytes(900), "1 KB");
}

TEST_F(WordsTest, ReadingSaysShareTimeLeftAndSpeed) {
  const QStringList lines = words::stateLines(readingBook(1));
  ASSERT_EQ(lines.size(), 2);
  EXPECT_EQ(QString(lines[0]).replace(QChar(0xa0), ' '), "reading 43 % · 0:21 left");
  EXPECT_EQ(lines[1], "8.9K tokens/s");
}

TEST_F(WordsTest, NearlyDoneIsNotDone) { EXPECT_EQ(words::percent(0.9999).remove(QChar(0xa0)), "99%"); }

TEST_F(WordsTest, FailureIsItsSentence) {
  EXPECT_EQ(words::stateLines(failedBook(1, "scan.pdf has no text."))[0], "scan.pdf has no text.");
  EXPECT_FALSE(words::stateLines(failedBook(1, ""))[0].isEmpty())
      << "a failure without a reason must not look like success";
}

TEST_F(WordsTest, MemoryLineNamesWhatIsCovered) {
  EXPECT_EQ(words::memoryLine(readyBook(1)), "memory: whole book, 96 pages, 0.5 MB");
  EXPECT_EQ(words::memoryLine(readingBook(1)), "memory: pages 1–212 of 480, 0.5 MB");
  LibraryItem printed = readingBook(1);  // 160 pages of an anthology, numbered from 101 on
  printed.printedPages = true;
  printed.pageCount = 160;
  EXPECT_EQ(words::memoryLine(printed).replace(QChar(0xa0), ' '), "memory: the first 43 %, up to page 212, 0.5 MB");
  printed.state = BookState::Ready;
  EXPECT_FALSE(words::memoryLine(printed).contains("whole")) << "page 212 is not beyond the last of 160";
  LibraryItem noPages = readyBook(1);
  noPages.pageCount = noPages.pagesCovered = 0;
  EXPECT_EQ(words::memoryLine(noPages), "memory: whole book, 0.5 MB");
  noPages.state = BookState::Paused;
  noPages.progress = 0.12;
  EXPECT_EQ(words::memoryLine(noPages).replace(QChar(0xa0), ' '), "memory: the first 12 %, 0.5 MB");
  noPages.hasMemory = false;
  EXPECT_EQ(words::memoryLine(noPages), "memory: none");
}

TEST_F(WordsTest, PlacesOfQuotes) {
  EXPECT_EQ(placeOf({"x", 52, "V", 0}), "p. 52 · ch. V");
  EXPECT_EQ(placeOf({"x", 0, "In the Golden Age", 0}), "In the Golden Age");
  EXPECT_EQ(placeOf({"x", 0, "", 0}), "");
}

TEST_F(WordsTest, RemovalSaysWhatIsLostAndWhatIsNot) {
  const QString loss = words::removalLoss(readyBook(1), 12);
  EXPECT_TRUE(loss.contains("stored text")) << loss.toStdString();
  EXPECT_TRUE(loss.contains("0.5 MB"));
  EXPECT_TRUE(loss.contains("12 questions"));
  EXPECT_TRUE(loss.contains("stays where it is"));
  const QString without = words::removalLoss(failedBook(1, "no"), 0);
  EXPECT_FALSE(without.contains("memory")) << without.toStdString();
}

TEST_F(WordsTest, RemovalSaysThatWhatWasAskedOfSeveralGoesAsWell) {
  EXPECT_TRUE(words::removalLoss(readyBook(1), 0, true).contains("together with other books"));
  EXPECT_FALSE(words::removalLoss(readyBook(1), 0, false).contains("together with other books"));
}

TEST_F(WordsTest, AShelfSaysWhichOfItsBooksCannotBeAskedFromMemory) {
  LibraryItem foreign = readyBook(3, "Emma");
  foreign.canReadAgain = true;
  EXPECT_TRUE(words::rememberedWhole(readyBook(1)));
  EXPECT_FALSE(words::rememberedWhole(readingBook(2)));
  EXPECT_FALSE(words::rememberedWhole(foreign));
  EXPECT_EQ(words::shelfNote({readyBook(1), readingBook(2), foreign}), "Not remembered whole: “Moby-Dick”, “Emma”");
  EXPECT_EQ(words::shelfNote({readyBook(1), readyBook(2)}), "");
  ModelStatus plain = loadedModel();
  plain.hasMemory = false;
  EXPECT_TRUE(words::hintForShelf({readyBook(1), readyBook(2)}, plain).sentence.contains("passages"));
}

TEST_F(WordsTest, AShelfOfBooksInSectionsIsNotAddedAndIsAsLargeAsAllOfThem) {
  QList<LibraryItem> books{readyBook(1), readyBook(2)};
  for (LibraryItem& book : books) book.inSections = true;
  books[0].memoryBytes = 16'900'000;
  books[1].memoryBytes = 2'100'000;
  EXPECT_EQ(words::shelfMemoryLine(books), "memory: 2 whole books, 19 MB");
  EXPECT_TRUE(words::hintForShelf(books, loadedModel()).sentence.contains("All sections of their memories are asked"));
}

TEST_F(WordsTest, ModelLineSaysWhoAndWhere) {
  EXPECT_EQ(words::modelLine(loadedModel()), "palimpsest-mini · CPU, 2 threads, bf16");
  EXPECT_EQ(words::modelLine({}), "no model");
}

TEST_F(WordsTest, AWaitingBookSaysWhatItWaitsFor) {
  LibraryItem item = readyBook(1);
  item.state = BookState::Waiting;
  item.hasMemory = false;
  ModelStatus missing;
  missing.problem = "There is no model.";
  EXPECT_EQ(words::hintFor(item, missing).heading, "Waiting for a model");
  EXPECT_EQ(words::hintFor(item, loadedModel()).heading, "Waiting its turn");
}

TEST_F(WordsTest, RemovingAFileThatGaveNoTextLosesNone) {
  LibraryItem item = failedBook(1, "is empty");
  item.hasText = false;
  EXPECT_FALSE(words::removalLoss(item, 0).contains("stored text"));
  EXPECT_TRUE(words::removalLoss(item, 0).contains("stays where it is"));
}

}  // namespace
}  // namespace palimpsest::ui
