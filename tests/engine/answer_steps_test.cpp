#include "engine/answer_steps.h"

#include <gmock/gmock.h>

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

bool operator==(const FurtherQuestion& a, const FurtherQuestion& b) {
  return a.question == b.question && a.before == b.before;
}

TEST(AnswerSteps, AnAnswerThatIsAQuestionIsAskedOn) {
  EXPECT_THAT(furtherQuestion("Where is Mary?"), Optional(FurtherQuestion{"Where is Mary?", false}));
  EXPECT_THAT(furtherQuestion("Before: Where is Mary?"), Optional(FurtherQuestion{"Where is Mary?", true}));
  EXPECT_THAT(furtherQuestion("\"Mary has it.\" Where is Mary?"), Optional(FurtherQuestion{"Where is Mary?", false}));
  EXPECT_EQ(furtherQuestion("office"), std::nullopt);
  EXPECT_EQ(furtherQuestion(""), std::nullopt);
  EXPECT_EQ(furtherQuestion("\"Where is Mary?\" he asked."), std::nullopt);
}

}  // namespace
}  // namespace palimpsest::engine
