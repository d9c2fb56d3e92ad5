// Steps of an answer: what a model says on the way to it that was taught to (InfiniAttentionConfig::answersInSteps,
// training/palimpsest_training/steps.py).
//
// An answer may begin with a sentence that is recalled from the memory, in quotation marks: whether it says what is
// asked is told from that sentence by attention, not by the memory (as on a scratchpad, arXiv 2112.00114). And an
// answer may be a question, which is asked in its place (self-ask, arXiv 2210.03350): of the same sections, or, behind
// "Before: ", of what stands before the section that said so (of that section as well where nothing before it answers).
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/generator.h"
#include "engine/section_choice.h"

namespace palimpsest::engine {

inline constexpr char kRecallMark = '"';
inline constexpr std::size_t kMostSteps = 3;  // questions that may follow one another

struct AnswerParts {
  std::string_view recalled;  // empty where the answer begins with none
  std::string_view said;
};

// Of a trimmed answer. A quotation alone is the answer itself.
AnswerParts partsOf(std::string_view answer);

struct FurtherQuestion {
  std::string question;
  bool before = false;  // of what stands before the section that asks
  bool operator==(const FurtherQuestion&) const = default;
};

// The question that an answer is, its recalled sentence left away; none: it is an answer.
std::optional<FurtherQuestion> furtherQuestion(std::string_view answer);

// The answer to a question, the questions that stand in its way answered first. once: puts a question to the first so
// many sections of a book, and tells in Generation::unknown whether they do not say. unknown: what is answered where
// kMostSteps more would not do. An answer that was stopped is empty: a step is none.
Generation answerInSteps(std::size_t sections, const Question& question, std::string_view unknown,
                         const std::function<Generation(std::size_t sections, const Question& question)>& once);

// The sentence with which a section's answer begins.
struct Recall {
  std::vector<TokenId> tokens;  // up to its closing mark
  std::string sentence;         // as it stands between its marks
  double doubt = 0;             // behind it, that of SectionChoice
};

// Chooses anew where sections would begin with `mark`, if they do not refuse anyway: each of these (those few that
// doubt least) doubts what it doubts behind its sentence, too; the others are not sure. recall: of the section at a
// place; none where its sentence does not end. The recalls by their places; none where no section begins so, and the
// choice is as it was.
std::optional<std::map<std::size_t, Recall>> chooseByRecall(
    SectionChoice& choice, TokenId mark, double sure,
    const std::function<std::optional<Recall>(std::size_t place)>& recall);

}  // namespace palimpsest::engine
