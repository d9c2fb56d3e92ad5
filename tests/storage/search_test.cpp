#include "fixture.h"
#include "storage/search_words.h"

namespace palimpsest::storage {
namespace {

using testing::ElementsAre;

class SearchTest : public StorageTest {
 protected:
  Database database_ = Database::open(file());
  Library library_{database_};

  Id add(const std::string& hash, const std::vector<std::string>& texts) {
    const Id id = library_.add(book(hash));
    const std::vector<ChapterRecord> chapters = {{0, "Chapter V", 0}};
    library_.storeText(id, book(hash), chapters, passages(texts), {});
    return id;
  }

  std::string best(Id id, const std::string& words) {
    const auto found = library_.search(id, words, 3);
    return found.empty() ? "" : found.front().text;
  }
};

TEST(SearchWords, KeepTheWordsAQuestionIsAbout) {
  EXPECT_THAT(searchWords("Who is Weena, and where did she come from?"), ElementsAre("weena", "come"));
  EXPECT_THAT(searchWords("“Filby’s” house—in Richmond 1895"), ElementsAre("filby", "house", "richmond", "1895"));
  EXPECT_THAT(searchWords("größer Ärger 漢字。次"), ElementsAre("größer", "Ärger", "漢字", "次"));
}

TEST(SearchWords, AQuestionOfStopWordsOnlyIsStillAQuestion) {
  EXPECT_THAT(searchWords("Who are you?"), ElementsAre("who", "are", "you"));
  EXPECT_EQ(ftsQuery(" ?! -- \"\" "), "");
}

TEST(SearchWords, AShorterNameIsNotCountedInALongerOne) {
  EXPECT_EQ(occurrencesOf("Bates", "Miss Bates and Mrs. Bates, Bates’s; it was Bates. Miss\nBates"), 3);
  EXPECT_EQ(occurrencesOf("Sancho", "Sancho Panza, Sancho and Sancho. He"), 2);
  EXPECT_EQ(occurrencesOf("Weena", "There sat Ann. Weena slept.  Weena woke. “Oh, Weena”"), 3);
  EXPECT_EQ(occurrencesOf("Time Traveller", "The Time Traveller. And Time Traveller; Old Time Traveller"), 2);
  EXPECT_EQ(occurrencesOf("machine", "Time machine, The machine"), 2) << "no name";
}

TEST(SearchWords, APhraseStandsWhereItIsNoPartOfAWord) {
  EXPECT_EQ(occurrencesOf("Weena", "Weena’s “Weena” Weenas. weena, Rweena—Weena"), 3);
  EXPECT_EQ(occurrencesOf("Mr. Knight", "Mr. Knightley, Mr. Knight and Mr. Knight"), 2);
  EXPECT_EQ(occurrencesOf("Zoë", "Zoë, Zoëa, Azoë, ÄZoë"), 1);
  EXPECT_EQ(occurrencesOf("", "Weena"), 0);
}

TEST_F(SearchTest, APhraseIsCountedAsItIsWrittenInItsPartOfTheBook) {
  const Id id = add("h1", {"Stone said: “Mr. Stone?”", "A stone, and stones.", "Stone again."});
  add("h2", {"Stone, of another book."});
  EXPECT_EQ(library_.countOccurrences(id, "Stone"), 2);
  EXPECT_EQ(library_.countOccurrences(id, "Mr. Stone"), 1);
  EXPECT_EQ(library_.countOccurrences(id, "stone"), 1);
  EXPECT_EQ(library_.countOccurrences(id, "\"Stone\""), 0);
  EXPECT_EQ(library_.countOccurrences(id, "?!"), 0);
  const auto begin = library_.passages(id).at(1).begin;
  EXPECT_EQ(library_.countOccurrences(id, "Stone", {.begin = begin}), 1);
  EXPECT_EQ(library_.countOccurrences(id, "Stone", {.begin = 0, .end = begin}), 1);
}

TEST(SearchWords, ALongTextBecomesABoundedQuery) {
  std::string text;
  for (int i = 0; i < 10000; ++i) text += "word" + std::to_string(i) + " ";
  EXPECT_EQ(searchWords(text).size(), 64U);
}

TEST_F(SearchTest, StopWordsDoNotDrownTheNameThatMatters) {
  const Id id =
      add("h1", {"Who was it that was there, and what was it that they were and where is it from? Who is he?",
                 "A little woman, whose name was Weena.", "Is that what it is? Who is it? Where is it? What is it?"});
  EXPECT_EQ(best(id, "Who is Weena and what was it that she was?"), "A little woman, whose name was Weena.");
}

TEST_F(SearchTest, InflectedWordsAndAccentsMatch) {
  const Id id = add("h1", {"They were climbing the cliffs.", "Le café était fermé.", "Nothing here."});
  EXPECT_EQ(best(id, "Who climbed a cliff?"), "They were climbing the cliffs.");
  EXPECT_EQ(best(id, "cafe ferme"), "Le café était fermé.");
}

TEST_F(SearchTest, OnlyTheOneBookIsSearched) {
  const Id first = add("h1", {"The walrus of the first book."});
  const Id second = add("h2", {"The walrus of the second book."});
  add("h3", {"The walrus of the third book."});
  EXPECT_EQ(library_.search(second, "walrus", 9).size(), 1U);
  EXPECT_EQ(best(second, "walrus"), "The walrus of the second book.");
  EXPECT_EQ(best(first, "walrus"), "The walrus of the first book.");
  EXPECT_TRUE(library_.search(999, "walrus", 9).empty());
}

TEST_F(SearchTest, ResultsAreBestFirstWithPlaceAndScore) {
  const Id id = add("h1", {"A walrus.", "A carpenter.", "The walrus and the carpenter."});
  const auto found = library_.search(id, "walrus carpenter", 2);
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].text, "The walrus and the carpenter.");
  EXPECT_GE(found[0].score, found[1].score);
  EXPECT_EQ(found[0].page, 3);
  EXPECT_EQ(found[0].chapterTitle, "Chapter V");
  EXPECT_EQ(library_.text(id).substr(static_cast<std::size_t>(found[0].begin), found[0].text.size()), found[0].text);
}

// Whatever is typed is words: no operator, column filter, quote or wildcard of FTS5 has an effect.
class HostileWords : public SearchTest, public testing::WithParamInterface<const char*> {};

TEST_P(HostileWords, NeverReachTheQueryLanguage) {
  const Id id = add("h1", {"The walrus sings.", "The carpenter weeps."});
  std::vector<PassageRecord> found;
  EXPECT_NO_THROW(found = library_.search(id, GetParam(), 5));
  EXPECT_LE(found.size(), 1U);
}

INSTANTIATE_TEST_SUITE_P(FreeText, HostileWords,
                         testing::Values("\"walrus", "walrus\"\"", "walrus*", "w*", "NOT walrus", "walrus NOT walrus",
                                         "text:walrus", "nosuch:walrus", "NEAR(walrus", "^walrus", "walrus) OR (zebra",
                                         "-walrus", "+walrus", "{text}: walrus", "'; DROP TABLE passages; --",
                                         "walrus AND zebra", "\xff\xfe walrus", "\xe2\x80", ""));

TEST_F(SearchTest, OnlyWhatLiesWholeInTheRangeIsFound) {
  const Id id = library_.add(book("ranges"));
  library_.storeText(id, {}, std::vector<ChapterRecord>{{0, "One", 0}},
                     passages({"A walrus.", "The wälrus again: a walrus.", "No such beast."}), {});
  EXPECT_EQ(library_.search(id, "walrus", 9).size(), 2U);
  EXPECT_EQ(library_.search(id, "walrus", 9, {0, 9}).size(), 1U);
  EXPECT_EQ(library_.search(id, "walrus", 9, {0, 8}).size(), 0U);
  EXPECT_EQ(library_.search(id, "walrus", 9, {1, 39}).size(), 1U) << "bytes, not letters";
  EXPECT_EQ(library_.search(id, "walrus", 9, {1, 38}).size(), 0U);
  const auto spans = library_.chapterSpans(id);
  ASSERT_EQ(spans.size(), 1U);
  EXPECT_EQ(spans[0].chapter, 0);
  EXPECT_EQ(spans[0].begin, 0);
  EXPECT_EQ(spans[0].end, static_cast<std::int64_t>(library_.text(id).size()));
}

}  // namespace
}  // namespace palimpsest::storage
