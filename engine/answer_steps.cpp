#include "engine/answer_steps.h"

#include <algorithm>
#include <utility>

namespace palimpsest::engine {

namespace {

constexpr std::string_view kBefore = "Before: ";
// Sections that recall a sentence first are few; of more, those that doubt most are taken by their first token.
constexpr std::size_t kMostRecalls = 8;
constexpr double kMayRecall = 0.5;  // what doubts more does not answer, whatever it would recall
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

Generation answerInSteps(std::size_t sections, const Question& question, std::string_view unknown,
                         const std::function<Generation(std::size_t, const Question&)>& once) {
  Generation answer = once(sections, question);
  Question asked = question;
  std::size_t section = answer.section.value_or(0);
  const auto further = [&] {
    return answer.end == Generation::End::EndOfText ? furtherQuestion(answer.text) : std::nullopt;
  };
  while (const auto next = further()) {
    answer.steps.push_back({asked.text, answer.text, section});
    if (answer.steps.size() > kMostSteps) {
      answer.text = unknown;
      answer.unknown = true;
      break;
    }
    asked.text = next->question;
    asked.earlierTurns.clear();
    if (next->before) sections = section;
    std::optional<Generation> said;
    if (sections > 0) said = once(sections, asked);
    // What was said before may stand in the same section.
    if (next->before && (!said || said->unknown)) said = once(++sections, asked);
    section = said->section.value_or(0);
    answer.promptTokens += said->promptTokens;
    answer.generatedTokens += said->generatedTokens;
    answer.end = said->end;
    answer.text = std::move(said->text);
    answer.recalled = std::move(said->recalled);
    answer.unknown = said->unknown;
    if (said->unknownLead)
      answer.unknownLead = std::max(*said->unknownLead, answer.unknownLead.value_or(*said->unknownLead));
  }
  if (!answer.steps.empty()) answer.steps.push_back({asked.text, answer.text, section});
  return answer;
}

std::optional<std::map<std::size_t, Recall>> chooseByRecall(
    SectionChoice& choice, TokenId mark, double sure,
    const std::function<std::optional<Recall>(std::size_t place)>& recall) {
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i < choice.doubts.size(); ++i)
    if (choice.first[i] == mark && choice.doubts[i] < kMayRecall) places.push_back(i);
  if (places.empty()) return std::nullopt;
  std::ranges::stable_sort(places, {}, [&](std::size_t i) { return choice.doubts[i]; });
  places.resize(std::min(places.size(), kMostRecalls));
  std::map<std::size_t, Recall> recalls;
  for (const std::size_t i : places) {
    auto recalled = recall(i);
    if (!recalled) continue;
    choice.doubts[i] = 1 - (1 - choice.doubts[i]) * (1 - recalled->doubt);
    recalls.emplace(i, *std::move(recalled));
  }
  choice.chosen = 0;
  for (std::size_t i = 1; i < choice.doubts.size(); ++i)
    if (takesOver(choice.doubts[i], choice.doubts[choice.chosen], sure)) choice.chosen = i;
  return recalls;
}

}  // namespace palimpsest::engine
