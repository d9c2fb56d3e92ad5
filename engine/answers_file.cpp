#include "engine/answers_file.h"

#include <cerrno>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>

namespace palimpsest::engine {

namespace {

using Json = nlohmann::ordered_json;

Json jsonOf(const Generation& answer, const std::optional<Generation>& forced,
            const std::map<std::size_t, Generation>& bySection) {
  Json json{{"text", answer.text}, {"unknown", answer.unknown}, {"doubt", nullptr}, {"section", nullptr}};
  if (answer.unknownLead) json["lead"] = *answer.unknownLead;
  if (forced) json["forced"] = forced->text;
  if (!answer.recalled.empty()) json["recalled"] = answer.recalled;
  for (const AnswerStep& step : answer.steps) json["steps"].push_back({step.question, step.said});
  if (answer.section) {
    json["doubt"] = answer.doubt();
    json["section"] = *answer.section;
    json["sections"] = answer.doubts.size();
    if (!bySection.empty()) {
      json["doubts"] = answer.doubts;
      for (const auto& [section, said] : bySection) json["said"][std::to_string(section)] = said.text;
    }
  }
  return json;
}

}  // namespace

AnswersFile::AnswersFile(const std::filesystem::path& file) : name_("“" + file.string() + "”") {
  lines_.open(file, std::ios::binary);
  if (!lines_) fail();
}

void AnswersFile::write(const RowAnswers& asked) {
  Json answers = Json::array();
  for (std::size_t q = 0; q < asked.answers.size(); ++q)
    answers.push_back(asked.answers[q] ? jsonOf(*asked.answers[q], asked.forced[q], asked.bySection[q]) : Json());
  const Json line{{"size", asked.size},
                  {"row", asked.row},
                  {"document", asked.document},
                  {"tokens", asked.tokens},
                  {"condition", nameOf(asked.condition)},
                  {"answers", answers}};
  // An answer may end inside a character.
  lines_ << line.dump(-1, ' ', false, Json::error_handler_t::replace) << std::endl;
  if (!lines_) fail();
}

void AnswersFile::fail() const { throw CasesError(name_ + " cannot be written: " + std::strerror(errno) + "."); }

}  // namespace palimpsest::engine
