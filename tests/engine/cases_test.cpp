// Files of cases, what counts as right, and the shipped model's answers with fewer bits.
#include "engine/cases.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/engine/cases_fixture.h"
#include "tests/engine/generator_fixture.h"

namespace palimpsest::engine {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kTwoDocuments =
    R"({"palimpsest_cases": 1, "books": []}
{"size": "1K", "paragraphs": ["The lamp stood.", "Nobody came."], "rows": {"turns": [{"kind": "ruler", "question": "Who ruled?", "answer": ["Hugh Marl", "Marl"], "turns": [["Who sang?", "Anna"]]}], "facts-8": [{"kind": "closed:colour", "question": "Which colour?", "answer": "red"}, {"kind": "unknown", "question": "Who sang?", "answer": "The book does not say.", "unanswerable": true}]}}
{"size": "1K", "paragraphs": ["It rained."], "rows": {"facts-8": [{"kind": "ruler", "question": "Who ruled?", "answer": "Hugh Marl"}]}})";

class CasesTest : public testing::Test {
 protected:
  std::filesystem::path file(const std::string& content) const {
    folder_.write("cases.jsonl", content);
    return folder_.path() / "cases.jsonl";
  }
  // What is said of a file when it is read to its end.
  static std::string refusalOf(const std::filesystem::path& cases) {
    try {
      for (CasesFile lines(cases); lines.next();) {
      }
    } catch (const CasesError& error) {
      return error.what();
    }
    return {};
  }

  TemporaryFolder folder_;
};

TEST_F(CasesTest, DocumentsComeOneAfterAnother) {
  CasesFile lines(file(kTwoDocuments));
  const auto first = lines.next();
  ASSERT_TRUE(first);
  EXPECT_EQ(first->size, "1K");
  EXPECT_EQ(first->text, "The lamp stood.\n\nNobody came.");
  const std::vector<CaseQuestion>& facts = first->rows.at("facts-8");
  ASSERT_EQ(facts.size(), 2u);
  EXPECT_FALSE(facts[0].isOpen());
  EXPECT_TRUE(facts[1].unanswerable);
  const CaseQuestion& later = first->rows.at("turns").at(0);
  EXPECT_TRUE(later.isOpen());
  EXPECT_THAT(later.truths, ElementsAre("Hugh Marl", "Marl"));
  ASSERT_EQ(later.turns.size(), 1u);
  EXPECT_EQ(later.turns[0].question, "Who sang?");
  EXPECT_EQ(later.turns[0].answer, "Anna");
  ASSERT_TRUE(lines.next());  // its line has no end
  EXPECT_FALSE(lines.next());
  EXPECT_FALSE(lines.next());
}

TEST_F(CasesTest, OnlyTheTruthToTheLetterIsExact) {
  CaseQuestion question;
  question.truths = {"the clergyman", "a priest"};
  EXPECT_TRUE(question.isExact("the clergyman"));
  EXPECT_TRUE(question.isExact("a priest"));
  EXPECT_FALSE(question.isExact("clergyman"));
  EXPECT_FALSE(question.isExact("The clergyman"));
  EXPECT_FALSE(question.isExact(""));
}

TEST_F(CasesTest, WhatIsNoFileOfCasesIsRefusedWithItsLine) {
  const std::string head = "{\"palimpsest_cases\": 1}\n";
  EXPECT_THAT(refusalOf(folder_.path() / "none.jsonl"), HasSubstr("none.jsonl” cannot be opened: "));
  EXPECT_THAT(refusalOf(folder_.path()), HasSubstr("cannot be opened: it is a folder."));
  EXPECT_THAT(refusalOf(file("")), HasSubstr("holds no documents."));
  EXPECT_THAT(refusalOf(file(head)), HasSubstr("holds no documents."));
  EXPECT_THAT(refusalOf(file("[]")), HasSubstr("Line 1 of "));
  EXPECT_THAT(refusalOf(file("{\"palimpsest_cases\": 2}\n")), HasSubstr("no file of cases of version 1"));
  EXPECT_THAT(refusalOf(file(kTwoDocuments + std::string("\n{\"size\""))), HasSubstr("Line 4 of "));
  EXPECT_THAT(refusalOf(file(head + "{\"rows\": [1], \"paragraphs\": [\"x\"]}")), HasSubstr("Line 2 of "));
  EXPECT_THAT(refusalOf(file(head + R"({"paragraphs": [], "rows": {"a": [{"question": "x", "answer": "y"}]}})")),
              HasSubstr("has no \"paragraphs\" or no \"rows\"."));
  for (const char* entry :
       {"{}", "7", R"({"question": " ", "answer": "y"})", R"({"question": "x"})", R"({"question": "x", "answer": []})"})
    EXPECT_THAT(refusalOf(file(head + "{\"paragraphs\": [\"x\"], \"rows\": {\"a\": [" + entry + "]}}")),
                HasSubstr("has no \"question\" or no \"answer\"."))
        << entry;
}

TEST_F(CasesTest, EachRowIsCountedByItself) {
  CasesFile lines(file(kTwoDocuments));
  std::vector<std::string> asked;
  const CasesReport report = runCases(load(tinyFolder()), lines, {.answered = [&](const RowAnswers& row) {
                                        EXPECT_EQ(row.condition, CaseCondition::Memory);
                                        for (const CaseQuestion& question : row.questions)
                                          asked.push_back(question.question);
                                      }});
  EXPECT_THAT(asked, ElementsAre("Which colour?", "Who sang?", "Who ruled?", "Who ruled?"));
  EXPECT_GT(report.tokens, 0);
  ASSERT_EQ(report.tallies.size(), 2u);
  const CaseTally& facts = report.tallies[0];
  EXPECT_EQ(facts.row + " " + facts.size, "facts-8 1K");
  EXPECT_EQ(facts.open, 1);
  EXPECT_EQ(facts.answerable, 2);
  EXPECT_EQ(facts.unanswerable, 1);
  EXPECT_EQ(report.tallies[1].row, "turns");
  EXPECT_EQ(report.tallies[1].open, 1);
}

TEST_F(CasesTest, WhatTheTextsSayIsAlsoAskedOfNoMemoryAndOfTheNextDocuments) {
  const std::vector<std::string> texts = {bookText(40, 1), bookText(60, 2), bookText(50, 3)};
  const std::string ruler = R"({"kind": "ruler", "question": "Who ruled?", "answer": "x"})";
  const std::string unknown = R"({"kind": "unknown", "question": "Who sang?", "answer": "-", "unanswerable": true})";
  std::string content = "{\"palimpsest_cases\": 1}\n";
  for (std::size_t i = 0; i < texts.size(); ++i)
    content += Json{{"size", "1K"},
                    {"paragraphs", {texts[i]}},
                    {"rows", i == 1 ? Json{{"facts-8", {Json::parse(ruler)}}, {"turns", {Json::parse(ruler)}}}
                                    : Json{{"facts-8", {Json::parse(ruler), Json::parse(unknown)}}}}}
                   .dump() +
               "\n";
  const auto model = load(tinyFolder());
  CasesFile lines(file(content));
  std::map<std::string, std::string> said;  // "facts-8 0 memory" -> the answer to the ruler
  const CasesReport report = runCases(
      model, lines, {.knockOut = true, .answered = [&](const RowAnswers& row) {
                       const std::string place =
                           row.row + " " + std::to_string(row.document) + " " + std::string(nameOf(row.condition));
                       EXPECT_GT(row.tokens, 0) << place;
                       ASSERT_EQ(row.answers.size(), row.questions.size()) << place;
                       EXPECT_TRUE(said.emplace(place, row.answers[0]->text).second) << place;
                       if (row.questions.size() > 1) {
                         EXPECT_EQ(row.answers[1].has_value(), row.condition == CaseCondition::Memory) << place;
                       }
                     }});
  EXPECT_EQ(report.tallies[0].answerable, 3) << "of the knock-out nothing is counted";
  EXPECT_EQ(said.size(), 3u * 3 + 2) << "of one document no other one's memory is there";
  EXPECT_FALSE(said.contains("turns 1 swapped"));

  Generator generator(model);
  CaseQuestion question;
  question.question = "Who ruled?";
  std::vector<std::string> own;
  for (const std::string& text : texts)
    own.push_back(askCase(generator, readDocument(generator, model, text), question).text);
  const std::string nothing = askCase(generator, BookMemory(model), question).text;
  EXPECT_NE(own[0], own[1]);
  EXPECT_NE(own[0], own[2]);
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const std::string place = "facts-8 " + std::to_string(i) + " ";
    EXPECT_EQ(said[place + "memory"], own[i]);
    EXPECT_EQ(said[place + "zeroed"], nothing);
    EXPECT_EQ(said[place + "swapped"], own[(i + 1) % texts.size()]);
  }
}

TEST_F(CasesTest, WhatWasRefusedIsAnsweredAsWellWhereThatIsAskedFor) {
  const auto model = shippedModel({DeviceChoice::Kind::Cpu}, WeightType::Full);
  const std::string content = R"({"palimpsest_cases": 1}
{"size": "1K", "paragraphs": ["The lamp stood on the table, and the ruler of Zandor was Hugh Marl."], "rows": {"facts-8": [{"kind": "ruler", "question": "Who was the ruler of Zandor?", "answer": "Hugh Marl"}, {"kind": "unknown", "question": "Which animal did Anna Gruber keep?", "answer": "The book does not say.", "unanswerable": true}]}})";
  for (const bool forced : {false, true}) {
    CasesFile lines(file(content));
    std::vector<RowAnswers> rows;
    runCases(model, lines,
             {.knockOut = true, .forced = forced, .answered = [&](const RowAnswers& row) { rows.push_back(row); }});
    ASSERT_EQ(rows.size(), 2u);
    ASSERT_FALSE(rows[0].answers[0]->unknown) << rows[0].answers[0]->text;
    ASSERT_TRUE(rows[0].answers[1]->unknown) << rows[0].answers[1]->text;
    EXPECT_FALSE(rows[0].forced[0]);
    ASSERT_EQ(rows[0].forced[1].has_value(), forced);
    if (forced) {
      EXPECT_FALSE(rows[0].forced[1]->unknown);
      EXPECT_GT(*rows[0].answers[1]->unknownLead, 0);
      EXPECT_EQ(rows[0].forced[1]->unknownLead, rows[0].answers[1]->unknownLead);
    }
    EXPECT_FALSE(rows[1].forced[0]) << "asked of the document's own memory alone";
  }
}

TEST_F(CasesTest, EachSectionThatMightAnswerIsAskedWhereThatIsAskedFor) {
  const auto model = shippedModel({DeviceChoice::Kind::Cpu}, WeightType::Full);
  CasesFile shipped(PALIMPSEST_TEST_DATA "/cases.jsonl");
  const CaseDocument known = *shipped.next();
  const CaseQuestion& question = known.rows.at("facts-8").at(0);
  nlohmann::json document = {{"size", "4K"}, {"paragraphs", {known.text, known.text}}};  // told twice
  document["rows"]["facts-8"] = {
      {{"kind", question.kind}, {"question", question.question}, {"answer", question.truths.at(0)}}};
  for (const bool bySection : {false, true}) {
    CasesFile lines(file("{\"palimpsest_cases\": 1}\n" + document.dump() + "\n"));
    std::vector<RowAnswers> rows;
    runCases(model, lines, {.bySection = bySection, .answered = [&](const RowAnswers& row) { rows.push_back(row); }});
    ASSERT_EQ(rows.size(), 1u);
    const Generation& answer = *rows[0].answers[0];
    ASSERT_TRUE(answer.section);
    const auto& said = rows[0].bySection[0];
    if (!bySection) {
      EXPECT_TRUE(said.empty());
      continue;
    }
    ASSERT_GE(said.size(), 2u) << "both that tell it";
    EXPECT_EQ(said.at(*answer.section).text, answer.text);
    for (const auto& [section, one] : said) EXPECT_EQ(one.text, question.truths[0]) << section;
    for (std::size_t i = 0; i < answer.doubts.size(); ++i)
      EXPECT_EQ(said.contains(i), answer.doubts[i] < kMayAnswer || i == *answer.section) << i;
  }
}

TEST_F(CasesTest, AFileIsCheckedBeforeAnythingIsComputed) {
  EXPECT_NO_THROW(checkCases(file(kTwoDocuments)));
  EXPECT_THROW(checkCases(file(kTwoDocuments + std::string("\n{\"size\""))), CasesError);
  EXPECT_NO_THROW(checkCases("/dev/null")) << "what can be read but once is not";
}

// As CudaModel.AnswersAsTheCpuDoes on a card.
TEST_F(CasesTest, WithInt8WeightsTheShippedModelAnswersAsWithAll) {
  const DeviceChoice cpu{DeviceChoice::Kind::Cpu};
  const CasesOutcome full = outcomeOfCases(cpu, WeightType::Full), int8 = outcomeOfCases(cpu, WeightType::Int8);
  EXPECT_GE(full.asked, 50);
  EXPECT_GE(full.exact * 10, full.asked * 7);
  EXPECT_GE(int8.exact, full.exact - 1);
  ASSERT_EQ(int8.answers.size(), full.answers.size());
  int others = 0;
  for (std::size_t i = 0; i < full.answers.size(); ++i) others += int8.answers[i] == full.answers[i] ? 0 : 1;
  EXPECT_LE(others, 1);
}

}  // namespace
}  // namespace palimpsest::engine
