// Steps of an answer: what a model says on the way to it that was taught to (InfiniAttentionConfig::answersInSteps,
// training/palimpsest_training/steps.py).
//
// An answer may begin with a sentence that is recalled from the memory, in quotation marks: whether it says what is
// asked is told from that sentence by attention, not by the memory (as on a scratchpad, arXiv 2112.00114). And an
// answer may be a question, which is asked in its place (self-ask, arXiv 2210.03350): of the whole book, or, behind
// "Before: ", of what stands before the section that said so (of that section as well where nothing before it answers).
#pragma once

#include <optional>
#include <string>
#include <string_view>

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
};

// The question that an answer is, its recalled sentence left away; none: it is an answer.
std::optional<FurtherQuestion> furtherQuestion(std::string_view answer);

}  // namespace palimpsest::engine
