#include "engine/answer_steps.h"

#include <gmock/gmock.h>

#include <map>
#include <utility>
#include <vector>

namespace palimpsest::engine {
namespace {

using testing::Optional;

TEST(AnswerSteps, ASentenceThatIsRecalledStandsBeforeWhatIsSaid) {
  const AnswerParts parts = partsOf("\"The garden is south of the kitchen.\" garden");
  EXPECT_EQ(parts.recalled, "The garden is south of the kitchen.");
  EXPECT_EQ(parts.said, "garden");
}

TEST(AnswerSteps, WithoutOneTheAnswerIsAllThatIsSaid) {
  for (const std::string_view answer :
       {"garden", "", "He said \"no\" and went.", "\"", "\"Yes", "\"Yes.\"", "\"Yes.\" \n"}) {
    EXPECT_EQ(partsOf(answer).recalled, "") << answer;
    EXPECT_EQ(partsOf(answer).said, answer);
  }
}

TEST(AnswerSteps, AnAnswerThatIsAQuestionIsAskedOn) {
  EXPECT_THAT(furtherQuestion("Where is Mary?"), Optional(FurtherQuestion{"Where is Mary?", false}));
  EXPECT_THAT(furtherQuestion("Before: Where is Mary?"), Optional(FurtherQuestion{"Where is Mary?", true}));
  EXPECT_THAT(furtherQuestion("\"Mary has it.\" Where is Mary?"), Optional(FurtherQuestion{"Where is Mary?", false}));
  EXPECT_EQ(furtherQuestion("office"), std::nullopt);
  EXPECT_EQ(furtherQuestion(""), std::nullopt);
  EXPECT_EQ(furtherQuestion("\"Where is Mary?\" he asked."), std::nullopt);
}

// What a book of sections says to a question, put to the first so many of them.
class Told {
 public:
  struct Said {
    std::string text;
    std::size_t section = 0;
    Generation::End end = Generation::End::EndOfText;
  };

  std::map<std::pair<std::string, std::size_t>, Said> said;
  std::vector<std::pair<std::string, std::size_t>> asked;
  std::vector<bool> forced;
  std::vector<std::size_t> passages;

  Generation answer(const std::string& question, std::size_t sections) {
    Question first{question, {{"Who is Mary?", "a nurse"}}, {"A passage."}, {}};
    first.mustAnswer = true;
    return answerInSteps(sections, first, kUnknown, [&](std::size_t count, const Question& put) {
      asked.emplace_back(put.text, count);
      EXPECT_EQ(put.earlierTurns.empty(), asked.size() > 1) << "what was said before belongs to the first question";
      forced.push_back(put.mustAnswer);
      passages.push_back(put.passages.size());
      const Said found = said.contains({put.text, count}) ? said.at({put.text, count}) : Said{std::string(kUnknown)};
      Generation one;
      one.text = found.text;
      one.section = found.section;
      one.doubts.assign(count, 0.1 * static_cast<double>(asked.size()));
      one.end = found.end;
      one.unknown = found.text == kUnknown;
      one.promptTokens = 10;
      one.generatedTokens = 1;
      one.unknownLead = -static_cast<double>(asked.size());
      return one;
    });
  }

  static constexpr std::string_view kUnknown = "The book does not say.";
};

TEST(AnswerSteps, WhoHasAThingIsAskedForInTheWholeBook) {
  Told book;
  book.said[{"Where is the milk?", 9}] = {"Where is Mary?", 4};
  book.said[{"Where is Mary?", 9}] = {"office", 7};
  const Generation answer = book.answer("Where is the milk?", 9);
  EXPECT_EQ(answer.text, "office");
  EXPECT_FALSE(answer.unknown);
  EXPECT_EQ(answer.section, 4u);
  EXPECT_EQ(answer.promptTokens, 20);
  EXPECT_EQ(answer.generatedTokens, 2);
  EXPECT_EQ(answer.unknownLead, -1) << "of the question that was nearest to being refused";
  ASSERT_EQ(answer.steps.size(), 2u);
  EXPECT_EQ(answer.steps[0].said, "Where is Mary?");
  EXPECT_EQ(answer.steps[0].section, 4u);
  EXPECT_EQ(answer.steps[1].question, "Where is Mary?");
  EXPECT_EQ(answer.steps[1].said, "office");
  EXPECT_EQ(answer.steps[1].section, 7u);
  EXPECT_EQ(answer.lastSection(), 7u);
  EXPECT_DOUBLE_EQ(answer.largestDoubt(), 0.2);
  EXPECT_DOUBLE_EQ(answer.doubt(), 0.1);
  EXPECT_EQ(book.forced, (std::vector{true, true}));
  EXPECT_EQ(book.passages, (std::vector<std::size_t>{1, 1}));
}

TEST(AnswerSteps, WhoPutAThingDownIsAskedForBeforeThat) {
  Told book;
  book.said[{"Where is the milk?", 9}] = {"Before: Where is Mary?", 4};
  book.said[{"Where is Mary?", 9}] = {"office", 7};
  book.said[{"Where is Mary?", 4}] = {"kitchen", 2};
  EXPECT_EQ(book.answer("Where is the milk?", 9).text, "kitchen");
  EXPECT_EQ(book.passages, (std::vector<std::size_t>{1, 0})) << "a passage may be from further on";
}

TEST(AnswerSteps, WhereNothingBeforeAnswersTheSectionItselfMay) {
  for (const std::size_t section : {0u, 4u}) {
    Told book;
    book.said[{"Where is the milk?", 9}] = {"Before: Where is Mary?", section};
    book.said[{"Where is Mary?", 9}] = {"office", 7};
    book.said[{"Where is Mary?", section + 1}] = {"kitchen", section};
    EXPECT_EQ(book.answer("Where is the milk?", 9).text, "kitchen") << section;
    EXPECT_EQ(book.asked.size(), section == 0 ? 2u : 3u) << "no memory is asked that is none";
    EXPECT_TRUE(book.forced.back());
    EXPECT_EQ(book.forced[1], section == 0) << "forced, those before would never let the section itself answer";
  }
}

TEST(AnswerSteps, AnAnswerAtOnceHasNoSteps) {
  Told book;
  book.said[{"Where is Mary?", 9}] = {"office", 7};
  const Generation answer = book.answer("Where is Mary?", 9);
  EXPECT_EQ(answer.text, "office");
  EXPECT_TRUE(answer.steps.empty());
  EXPECT_EQ(book.asked.size(), 1u);
}

TEST(AnswerSteps, WhatIsAskedOnAndNotToldIsUnknown) {
  Told book;
  book.said[{"Where is the milk?", 9}] = {"Where is Mary?", 4};
  const Generation answer = book.answer("Where is the milk?", 9);
  EXPECT_TRUE(answer.unknown);
  EXPECT_EQ(answer.text, Told::kUnknown);
}

TEST(AnswerSteps, AModelThatAsksForEverComesToAnEnd) {
  Told book;
  book.said[{"Where is Mary?", 9}] = {"Where is Mary?", 4};
  const Generation answer = book.answer("Where is Mary?", 9);
  EXPECT_TRUE(answer.unknown);
  EXPECT_EQ(answer.text, Told::kUnknown);
  EXPECT_EQ(book.asked.size(), kMostSteps + 1);
  ASSERT_EQ(answer.steps.size(), kMostSteps + 1) << "each question once";
  EXPECT_EQ(answer.steps.back().said, Told::kUnknown);
}

TEST(AnswerSteps, WhatWasStoppedIsNotAskedOn) {
  for (const auto end : {Generation::End::Stopped, Generation::End::MaxTokens}) {
    Told book;
    book.said[{"Where is the milk?", 9}] = {"Where is Mary?", 4, end};
    const Generation answer = book.answer("Where is the milk?", 9);
    EXPECT_EQ(answer.text, end == Generation::End::Stopped ? "" : "Where is Mary?");
    EXPECT_EQ(answer.end, end);
    EXPECT_EQ(book.asked.size(), 1u);
  }
}

constexpr TokenId kMark = 3;

SectionChoice choiceOf(std::vector<double> doubts, std::vector<TokenId> first, std::size_t chosen) {
  SectionChoice choice;
  choice.chosen = chosen;
  choice.doubts = std::move(doubts);
  choice.first = std::move(first);
  return choice;
}

TEST(AnswerSteps, ASectionThatRecallsAnotherSentenceDoubtsBehindIt) {
  SectionChoice choice = choiceOf({0.9, 0.05, 0.01, 0.4}, {8, kMark, kMark, kMark}, 2);
  const std::vector<double> behind{1, 0.1, 0.98, 0.9};
  const auto recalls = chooseByRecall(choice, kMark, 0, [&](std::size_t place) {
    return Recall{{kMark, static_cast<TokenId>(place)}, "sentence " + std::to_string(place), behind[place]};
  });
  ASSERT_TRUE(recalls);
  EXPECT_EQ(choice.chosen, 1u) << "the surest one recalled a sentence that does not say it";
  EXPECT_EQ(recalls->size(), 3u);
  EXPECT_EQ(recalls->at(1).sentence, "sentence 1");
  EXPECT_DOUBLE_EQ(choice.doubts[1], 1 - 0.95 * 0.9);
  EXPECT_DOUBLE_EQ(choice.doubts[0], 0.9);
}

TEST(AnswerSteps, OnlyThoseThatBeginSoAndDoNotRefuseRecall) {
  SectionChoice choice = choiceOf({0.6, 0.3, 0.2}, {kMark, 8, 9}, 2);
  EXPECT_FALSE(chooseByRecall(choice, kMark, 0, [](std::size_t) -> std::optional<Recall> {
    ADD_FAILURE() << "nothing is to be recalled";
    return std::nullopt;
  }));
  EXPECT_EQ(choice.chosen, 2u);
  EXPECT_EQ(choice.doubts, (std::vector{0.6, 0.3, 0.2}));
}

TEST(AnswerSteps, OfManyTheFewThatDoubtLeastRecall) {
  std::vector<double> doubts;
  for (int i = 0; i < 20; ++i) doubts.push_back(0.3 - 0.01 * i);
  SectionChoice choice = choiceOf(doubts, std::vector<TokenId>(20, kMark), 19);
  std::vector<std::size_t> asked;
  const auto recalls = chooseByRecall(choice, kMark, 0, [&](std::size_t place) -> std::optional<Recall> {
    asked.push_back(place);
    if (place == 19) return std::nullopt;  // its sentence does not end
    return Recall{{kMark}, "", 0.9};
  });
  EXPECT_EQ(asked, (std::vector<std::size_t>{19, 18, 17, 16, 15, 14, 13, 12}));
  EXPECT_EQ(recalls->size(), 7u);
  for (const std::size_t unchecked : {0u, 11u, 19u}) EXPECT_EQ(choice.doubts[unchecked], 0.5);
  EXPECT_EQ(choice.chosen, 0u) << "the first of those that were not checked";
}

TEST(AnswerSteps, TheNewestOfThoseThatAreSureBehindTheirSentencesIsChosen) {
  SectionChoice choice = choiceOf({0.001, 0.002, 0.003}, {kMark, kMark, kMark}, 2);
  const std::vector<double> behind{0.01, 0.01, 0.5};
  chooseByRecall(choice, kMark, 0.02, [&](std::size_t place) { return Recall{{kMark}, "", behind[place]}; });
  EXPECT_EQ(choice.chosen, 1u);
}

}  // namespace
}  // namespace palimpsest::engine
