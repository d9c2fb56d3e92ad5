#include "documents/headings.h"

#include "samples.h"

namespace palimpsest::documents::tests {
namespace {

TEST(Headings, AreKnownByTheirWords) {
  for (const auto* line :
       {"CHAPTER I", "Chapter 3 - The Return", "Chapter 12: Home", "CHAPTER THE LAST", "Chapter Twenty-One",
        "BOOK THE SECOND", "PART TWO", "Kapitel 4", "CHAPITRE II", "Глава 5", "Scene II. A hall.", "PREFACE",
        "Epilogue", "CHAPTER I. Down the Rabbit-Hole", "Letter 4", "_CHAPTER V_"})
    EXPECT_TRUE(guessHeading(line).heading) << line;
}

TEST(Headings, AreNotSentencesThatBeginLikeOne) {
  for (const auto* line :
       {"Chapter and verse were quoted.", "chapter 3 of the book says so", "Part of the crowd left.", "Book me a room.",
        "Letter after letter arrived.", "Chapter 3 was the one he liked best, and he read it aloud to them all.",
        "I was there.", "I", "Introduction to the theory of heads of state and all that follows from it, in prose.",
        ""})
    EXPECT_FALSE(guessHeading(line).heading && !guessHeading(line).weak) << line;
}

TEST(Headings, LoneNumeralsAreWeak) {
  EXPECT_TRUE(guessHeading("XIV").weak);
  EXPECT_TRUE(guessHeading("XIV").bare);
  EXPECT_EQ(guessHeading("XIV.").number, 14);
  EXPECT_TRUE(guessHeading("IV. THE SPECKLED BAND").heading);
  EXPECT_FALSE(guessHeading("MIX").heading && !guessHeading("MIX").weak);
}

TEST(Headings, KnowDivisionsAndNumbers) {
  EXPECT_TRUE(guessHeading("PART II").division);
  EXPECT_FALSE(guessHeading("CHAPTER II").division);
  EXPECT_EQ(guessHeading("Chapter 17").number, 17);
  EXPECT_TRUE(guessHeading("CHAPTER 17").bare);
  EXPECT_FALSE(guessHeading("CHAPTER 17: End").bare);
}

}  // namespace
}  // namespace palimpsest::documents::tests
