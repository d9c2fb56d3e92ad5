// What is written of the answers to a file of cases.
#include "engine/answers_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/engine/temporary_folder.h"

namespace palimpsest::engine {
namespace {

using Json = nlohmann::json;
using testing::HasSubstr;

RowAnswers someAnswers() {
  RowAnswers asked{.row = "facts-8",
                   .size = "8K",
                   .document = 3,
                   .tokens = 8209,
                   .questions = {},
                   .answers = {},
                   .forced = {},
                   .bySection = {}};
  asked.answers.resize(2);
  asked.forced.resize(2);
  asked.bySection.resize(2);
  asked.answers[0].emplace();
  asked.answers[0]->text = "“Höchst” \"Marl\"";
  asked.answers[0]->section = 1;
  asked.answers[0]->doubts = {0.5, 0.25};
  asked.answers[1].emplace();
  asked.answers[1]->text = "The book does not say.";
  asked.answers[1]->unknown = true;
  asked.answers[1]->unknownLead = 1.5;
  asked.forced[1].emplace().text = "Marl";
  return asked;
}

std::vector<Json> linesOf(const std::filesystem::path& file) {
  std::vector<Json> lines;
  std::istringstream content(contentOf(file));
  for (std::string line; std::getline(content, line);) lines.push_back(Json::parse(line));
  return lines;
}

TEST(AnswersFile, HasALineForEachRowAndCondition) {
  const TemporaryFolder folder;
  folder.write("answers.jsonl", "what was there before\n");
  RowAnswers asked = someAnswers();
  AnswersFile file(folder.path() / "answers.jsonl");
  file.write(asked);
  asked.condition = CaseCondition::Swapped;
  asked.answers[1].reset();
  file.write(asked);
  const std::vector<Json> lines = linesOf(folder.path() / "answers.jsonl");  // though the file is still open
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0], Json::parse(R"({"size": "8K", "row": "facts-8", "document": 3, "tokens": 8209,
    "condition": "memory", "answers": [
      {"text": "“Höchst” \"Marl\"", "unknown": false, "doubt": 0.25, "section": 1, "sections": 2},
      {"text": "The book does not say.", "unknown": true, "doubt": null, "section": null, "lead": 1.5, "forced": "Marl"}
    ]})"));
  EXPECT_EQ(lines[1]["condition"], "swapped");
  EXPECT_EQ(lines[1]["answers"][0], lines[0]["answers"][0]);
  EXPECT_EQ(lines[1]["answers"][1], Json()) << "it was not asked";
}

TEST(AnswersFile, HasWhatEachSectionSaid) {
  const TemporaryFolder folder;
  RowAnswers asked = someAnswers();
  asked.bySection[0][0].text = "Kest";
  asked.bySection[0][1].text = asked.answers[0]->text;
  AnswersFile(folder.path() / "answers.jsonl").write(asked);
  const Json answers = linesOf(folder.path() / "answers.jsonl").at(0)["answers"];
  EXPECT_EQ(answers[0]["doubts"], Json::parse("[0.5, 0.25]"));
  EXPECT_EQ(answers[0]["said"], Json::parse(R"({"0": "Kest", "1": "“Höchst” \"Marl\""})"));
  EXPECT_FALSE(answers[1].contains("said") || answers[1].contains("doubts"));
}

TEST(AnswersFile, AnAnswerMayEndInsideACharacter) {
  const TemporaryFolder folder;
  RowAnswers asked = someAnswers();
  asked.answers[0]->text = "caf\xc3";
  AnswersFile(folder.path() / "answers.jsonl").write(asked);
  EXPECT_EQ(linesOf(folder.path() / "answers.jsonl").at(0)["answers"][0]["text"], "caf\uFFFD");
}

TEST(AnswersFile, SaysWhyItCannotBeWritten) {
  const TemporaryFolder folder;
  const auto refusal = [](const std::filesystem::path& path) -> std::string {
    try {
      AnswersFile(path).write(someAnswers());
    } catch (const CasesError& error) {
      return error.what();
    }
    return {};
  };
  EXPECT_THAT(refusal(folder.path()), HasSubstr("” cannot be written: Is a directory."));
  EXPECT_THAT(refusal(folder.path() / "none" / "x.jsonl"), HasSubstr("x.jsonl” cannot be written: No such file"));
  EXPECT_THAT(refusal("/dev/full"), HasSubstr("“/dev/full” cannot be written: No space left on device."));
}

}  // namespace
}  // namespace palimpsest::engine
