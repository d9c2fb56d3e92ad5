#include "app/quote_finder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <QTemporaryDir>

namespace palimpsest::app {
namespace {

using storage::PassageRecord;

std::vector<std::string> cut(const std::string& text) {
  std::vector<std::string> pieces;
  for (const SentenceSpan& span : sentences(text)) pieces.push_back(text.substr(span.begin, span.end - span.begin));
  return pieces;
}

PassageRecord passage(const std::string& text, std::int64_t begin = 0, int page = 0) {
  PassageRecord record;
  record.id = begin + 1;
  record.text = text;
  record.begin = begin;
  record.page = page;
  record.chapterTitle = "Chapter V";
  return record;
}

TEST(Sentences, EndWithTheirClosingQuotes) {
  EXPECT_THAT(cut("He came. “Who is it?” she asked. Nobody!"),
              testing::ElementsAre("He came.", "“Who is it?” she asked.", "Nobody!"));
  EXPECT_THAT(cut("“It is late.” He rose…  Then he left"),
              testing::ElementsAre("“It is late.”", "He rose…", "Then he left"));
}

TEST(Sentences, GoOnAfterTitlesAndInitials) {
  EXPECT_THAT(cut("Mr. Filby met H. G. Wells at St. James. They spoke."),
              testing::ElementsAre("Mr. Filby met H. G. Wells at St. James.", "They spoke."));
  EXPECT_THAT(cut("It cost 3.50 pounds, i.e. nothing."), testing::ElementsAre("It cost 3.50 pounds, i.e. nothing."));
}

TEST(Sentences, OfNothingAreNone) {
  EXPECT_TRUE(cut("").empty());
  EXPECT_THAT(cut("..."), testing::ElementsAre("..."));
}

TEST(QuoteFinder, ChoosesTheSentenceThatHoldsQuestionAndAnswer) {
  const std::vector<PassageRecord> candidates = {
      passage("Weena slept. The night was dark.", 0, 50),
      passage("I was tired. A little woman, whose name was Weena, gave me flowers. I thanked her.", 100, 52)};
  const auto quotes = findQuotes("Who is Weena?", "a little woman", candidates);
  ASSERT_EQ(quotes.size(), 1U);
  EXPECT_EQ(quotes[0].text, "A little woman, whose name was Weena, gave me flowers.");
  EXPECT_EQ(quotes[0].page, 52);
  EXPECT_EQ(quotes[0].chapterTitle, "Chapter V");
  EXPECT_EQ(quotes[0].begin, 113);
  EXPECT_EQ(quotes[0].passageId, 101);
}

TEST(QuoteFinder, EveryQuoteIsASubstringOfItsPassageAtItsPlace) {
  const std::string text =
      "The Émile, “who wept”, kept a lamp. The lamp of Émile was green! Émile’s lamp burned…  Nobody saw.";
  for (const auto& quote : findQuotes("What lamp did Émile keep?", "a green lamp", {passage(text, 1000)}))
    EXPECT_EQ(text.substr(static_cast<std::size_t>(quote.begin - 1000), quote.text.size()), quote.text);
}

TEST(QuoteFinder, AHeadingIsNoSentence) {
  const auto quotes = findQuotes("What is a trace tree?", "a tree of traces",
                                 {passage("3.2 Trace Trees"), passage("A trace tree is a tree of recorded traces.")});
  ASSERT_EQ(quotes.size(), 1U);
  EXPECT_EQ(quotes[0].text, "A trace tree is a tree of recorded traces.");
}

TEST(QuoteFinder, GivesNoneWhereNothingMatchesWell) {
  const std::vector<PassageRecord> candidates = {passage("The lamp burned all night."),
                                                 passage("A bridge over the river.")};
  EXPECT_TRUE(findQuotes("Who murdered the captain of the lamp guard?", "the boatswain", candidates).empty());
  EXPECT_TRUE(findQuotes("", "", candidates).empty());
  EXPECT_TRUE(findQuotes("Who?", "Who?", {}).empty());
}

TEST(QuoteFinder, GivesAtMostAsManyAsAskedAndNoneTwice) {
  std::vector<PassageRecord> candidates;
  for (int i = 0; i < 6; ++i)
    candidates.push_back(
        passage("Weena was a little woman" + std::string(i < 3 ? "" : " number " + std::to_string(i)) + ".", i * 100));
  const auto quotes = findQuotes("Who was Weena?", "a little woman", candidates, 3);
  ASSERT_EQ(quotes.size(), 3U);
  EXPECT_NE(quotes[0].text, quotes[1].text);
  EXPECT_NE(quotes[1].text, quotes[2].text);
}

TEST(QuoteFinder, TellsAQuoteThatHoldsTheAnswerFromOneThatHoldsAnother) {
  const std::string question = "Who said \"Don’t follow you\"?";
  const auto quotes = findQuotes(question, "the Psychologist", {passage("“Don’t follow you,” said Filby.")});
  ASSERT_EQ(quotes.size(), 1U);
  EXPECT_FALSE(holdTheAnswer(quotes, question, "the Psychologist"));
  EXPECT_TRUE(holdTheAnswer(quotes, question, "Filby"));
  EXPECT_FALSE(holdTheAnswer(quotes, question, "Do follow"));                       // nothing but words of the question
  EXPECT_FALSE(holdTheAnswer(quotes, question, "the tall and slender old Filby"));  // one word of many
  EXPECT_FALSE(holdTheAnswer({}, question, "Filby"));
}

TEST(QuoteFinder, CutsASentenceOfAPageAfterAWord) {
  std::string text = "Weena was a little woman";
  for (int i = 0; i < 300; ++i) text += " größer";
  const auto quotes = findQuotes("Who was Weena?", "a little woman", {passage(text + ".")});
  ASSERT_EQ(quotes.size(), 1U);
  EXPECT_LE(quotes[0].text.size(), 500U + 3U);
  EXPECT_TRUE(quotes[0].text.ends_with(" größer…")) << quotes[0].text;
  EXPECT_TRUE(text.starts_with(quotes[0].text.substr(0, quotes[0].text.size() - 3)));
}

TEST(QuoteFinder, AQuoteIsMarkedWhereItIsCutAndNowhereElse) {
  const std::string line = "Sing, Heavenly Muse, that on the secret top\nOf Oreb didst inspire that shepherd";
  const std::string longer = line + ",\n" + line + ",\n" + line + ",\n" + line + ",\n" + line;
  for (const std::string& whole : {line + ".", longer + ".", longer + ",\n" + longer + ".", line + "… And more."}) {
    const auto quotes = findQuotes("Who sang on the secret top?", "the Heavenly Muse", {passage(whole)});
    ASSERT_EQ(quotes.size(), 1U);
    const bool cut = whole.size() > 500;
    EXPECT_EQ(quotes[0].text.ends_with("…") && !whole.starts_with(quotes[0].text), cut) << quotes[0].text;
    EXPECT_TRUE(whole.starts_with(quotes[0].text.substr(0, quotes[0].text.size() - (cut ? 3 : 0))));
    EXPECT_EQ(quotes[0].begin, 0);
  }
}

class QuotesOfABook : public testing::Test {
 protected:
  void store(const std::vector<PassageRecord>& passages) { library_.storeText(book_, record_, {}, passages, {}); }

  const QTemporaryDir folder_;
  storage::Database database_ = storage::Database::open(folder_.filePath(QStringLiteral("library.db")).toStdString());
  storage::Library library_{database_};
  const storage::DocumentRecord record_ = [] {
    storage::DocumentRecord record;
    record.contentHash = "h";
    return record;
  }();
  const storage::Id book_ = library_.add(record_);
};

TEST_F(QuotesOfABook, SearchesTheBookForTheAnswersWordsToo) {
  // More speak of the lamp than are looked through, and all of them say it shorter than the one that is meant.
  std::vector<PassageRecord> passages;
  for (int i = 0; i < 40; ++i) passages.push_back(passage("The lamp burned."));
  passages.push_back(
      passage("Professor Zanzibar lit the lamp, late, on the last evening of that long and cold winter."));
  store(passages);
  const auto quotes = supportingQuotes(library_, book_, "Who had the lamp?", "Professor Zanzibar");
  ASSERT_FALSE(quotes.empty());
  EXPECT_TRUE(quotes[0].text.starts_with("Professor Zanzibar"));
}

TEST_F(QuotesOfABook, NearestAreTheEarliestSentencesThatHoldTheRareWords) {
  std::vector<PassageRecord> passages;
  for (int i = 0; i < 30; ++i) passages.push_back(passage("The traveller walked on."));
  passages.push_back(passage("It was late. Her name was Weena, as I learned from the others around us. I slept."));
  for (int i = 0; i < 20; ++i) passages.push_back(passage("Weena " + std::to_string(i) + "."));
  store(passages);

  auto quotes = nearestQuotes(library_, book_, "Who is Weena?");
  ASSERT_EQ(quotes.size(), 3U);
  EXPECT_EQ(quotes[0].text, "Her name was Weena, as I learned from the others around us.");
  EXPECT_LT(quotes[0].begin, quotes[1].begin);
  // "traveller" stands everywhere and weighs little, "unicorn" nowhere and counts for nothing
  quotes = nearestQuotes(library_, book_, "Did the traveller know Weena the unicorn?");
  ASSERT_FALSE(quotes.empty());
  EXPECT_EQ(quotes[0].text, "Her name was Weena, as I learned from the others around us.");
  EXPECT_TRUE(nearestQuotes(library_, book_, "Where is the unicorn?").empty());
  // a name counts for more than a word that is as rare
  quotes = nearestQuotes(library_, book_, "Who learned from Weena?");
  ASSERT_FALSE(quotes.empty());
  EXPECT_NE(quotes[0].text.find("Weena"), std::string::npos);
  EXPECT_TRUE(nearestQuotes(library_, book_, "Who is Weena?", {0, 100}).empty()) << "not read yet";
}

TEST_F(QuotesOfABook, WhatHasNotBeenReadSupportsNothing) {
  std::vector<PassageRecord> passages;
  passages.push_back(passage("Early on, and with no great haste, Professor Zanzibar himself lit the old lamp."));
  for (int i = 0; i < 40; ++i) passages.push_back(passage("Professor Zanzibar lit the lamp."));
  store(passages);
  const auto all = supportingQuotes(library_, book_, "Who lit the lamp?", "Professor Zanzibar");
  ASSERT_FALSE(all.empty());
  EXPECT_GT(all[0].begin, 0);
  const auto read = supportingQuotes(library_, book_, "Who lit the lamp?", "Professor Zanzibar", {0, 90});
  ASSERT_EQ(read.size(), 1U);
  EXPECT_EQ(read[0].begin, 0);
  EXPECT_TRUE(supportingQuotes(library_, book_, "Who lit the lamp?", "Professor Zanzibar", {0, 10}).empty());
}

}  // namespace
}  // namespace palimpsest::app
