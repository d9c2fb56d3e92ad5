#include "engine/answer_steps.h"

namespace palimpsest::engine {

namespace {

constexpr std::string_view kBefore = "Before: ";
constexpr std::string_view kWhiteSpace = " \t\r\n";

}  // namespace

AnswerParts partsOf(std::string_view answer) {
  if (!answer.starts_with(kRecallMark)) return {{}, answer};
  const auto end = answer.find(kRecallMark, 1);
  const auto rest = end == answer.npos ? answer.npos : answer.find_first_not_of(kWhiteSpace, end + 1);
  if (rest == answer.npos) return {{}, answer};
  return {answer.substr(1, end - 1), answer.substr(rest)};
}

std::optional<FurtherQuestion> furtherQuestion(std::string_view answer) {
  std::string_view said = partsOf(answer).said;
  if (!said.ends_with('?')) return std::nullopt;
  const bool before = said.starts_with(kBefore);
  if (before) said.remove_prefix(kBefore.size());
  return FurtherQuestion{std::string(said), before};
}

}  // namespace palimpsest::engine
