#include "engine/answer_steps.h"

#include <algorithm>
#include <utility>

namespace palimpsest::engine {

namespace {

constexpr std::string_view kBefore = "Before: ";
// Sections that recall a sentence first are few.
constexpr std::size_t kMostRecalls = 8;
constexpr double kMayRecall = 0.5;  // what doubts more does not recall; what was not asked for its sentence doubts so
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
  std::optional<std::size_t> section = answer.section;
  double doubt = answer.doubt();
  const auto further = [&] {
    return answer.end == Generation::End::EndOfText ? furtherQuestion(answer.text) : std::nullopt;
  };
  const auto say = [&](Generation said) {
    section = said.section;
    doubt = said.doubt();
    answer.promptTokens += said.promptTokens;
    answer.generatedTokens += said.generatedTokens;
    answer.end = said.end;
    answer.text = std::move(said.text);
    answer.recalled = std::move(said.recalled);
    answer.unknown = said.unknown;
    if (said.unknownLead)
      answer.unknownLead = std::max(*said.unknownLead, answer.unknownLead.value_or(*said.unknownLead));
  };
  while (const auto next = further()) {
    if (answer.steps.size() == kMostSteps) {
      answer.text = unknown;
      answer.recalled.clear();
      answer.unknown = true;
      break;
    }
    answer.steps.push_back({asked.text, answer.text, section, doubt});
    asked.text = next->question;
    asked.earlierTurns.clear();
    if (!next->before) {
      say(once(sections, asked));
      continue;
    }
    asked.passages.clear();  // they may be from further on
    sections = section.value_or(0);
    // A section that holds what was said before should have answered by it. Where one errs, and none before it can
    // answer, it is asked itself.
    if (sections > 0) {
      Question first = asked;
      first.mustAnswer = false;
      say(once(sections, first));
    }
    if (sections == 0 || answer.unknown) say(once(++sections, asked));
  }
  if (!answer.steps.empty()) answer.steps.push_back({asked.text, answer.text, section, doubt});
  if (answer.end == Generation::End::Stopped) {  // a step is no answer
    answer.text.clear();
    answer.recalled.clear();
  }
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
  std::map<std::size_t, Recall> recalls;
  for (std::size_t n = 0; n < places.size(); ++n) {
    const std::size_t i = places[n];
    auto recalled = n < kMostRecalls ? recall(i) : std::nullopt;
    if (!recalled) {
      choice.doubts[i] = kMayRecall;
      continue;
    }
    choice.doubts[i] = 1 - (1 - choice.doubts[i]) * (1 - recalled->doubt);
    recalls.emplace(i, *std::move(recalled));
  }
  choice.chosen = 0;
  for (std::size_t i = 1; i < choice.doubts.size(); ++i)
    if (takesOver(choice.doubts[i], choice.doubts[choice.chosen], sure)) choice.chosen = i;
  return recalls;
}

}  // namespace palimpsest::engine
