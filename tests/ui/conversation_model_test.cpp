#include "ui/conversation_model.h"

#include <QAbstractItemModelTester>

#include "fixture.h"

namespace palimpsest::ui {
namespace {

TEST(ConversationModelTest, StreamingTextAppends) {
  ConversationModel model;
  const QAbstractItemModelTester tester(&model, QAbstractItemModelTester::FailureReportingMode::Fatal);
  model.show(1, {turn("Who?", "Weena.")});
  model.answerStarted(1, streamingTurn("Where?"));
  ASSERT_EQ(model.rowCount(), 2);
  model.answerText(1, "In the ");
  model.answerText(1, "forest.");
  EXPECT_EQ(model.items()[1].answer, "In the forest.");
  EXPECT_TRUE(model.items()[1].streaming);
  EXPECT_EQ(model.streamingBook(), 1);
  ConversationItem done = turn("Where?", "In the forest.");
  done.quotes << Quote{"the forest", 3, "II", 0};
  model.answerFinished(1, done);
  ASSERT_EQ(model.rowCount(), 2);
  EXPECT_FALSE(model.items()[1].streaming);
  EXPECT_EQ(model.items()[1].quotes.size(), 1);
  EXPECT_FALSE(model.streamingBook().has_value());
}

TEST(ConversationModelTest, SwitchingBooksLosesNothingOfAStreamingAnswer) {
  ConversationModel model;
  model.show(1, {});
  model.answerStarted(1, streamingTurn("Where?"));
  model.answerText(1, "In ");
  model.show(2, {turn("Other?", "Yes.")});
  model.answerText(1, "the forest.");
  ASSERT_EQ(model.rowCount(), 1);
  EXPECT_EQ(model.items()[0].answer, "Yes.") << "another book's answer must not show here";
  model.show(1, {});
  ASSERT_EQ(model.rowCount(), 1);
  EXPECT_EQ(model.items()[0].answer, "In the forest.");
}

TEST(ConversationModelTest, AStreamingTurnThatIsAlsoInTheStoredListIsShownOnce) {
  ConversationModel model;
  model.show(1, {});
  model.answerStarted(1, streamingTurn("Where?"));
  model.answerText(1, "In the");
  ConversationItem copy = streamingTurn("Where?");
  copy.answer = "In";
  model.show(1, {turn("Who?", "Weena."), copy});
  ASSERT_EQ(model.rowCount(), 2);
  EXPECT_EQ(model.items()[1].answer, "In the");
}

TEST(ConversationModelTest, TextWithoutAStartIsIgnored) {
  ConversationModel model;
  model.show(1, {turn("Who?", "Weena.")});
  model.answerText(1, "stray");
  EXPECT_EQ(model.items()[0].answer, "Weena.");
}

TEST(ConversationModelTest, FinishingInAnotherBookLeavesThisOneAlone) {
  ConversationModel model;
  model.show(1, {});
  model.answerStarted(1, streamingTurn("Where?"));
  model.show(2, {});
  model.answerFinished(1, turn("Where?", "There."));
  EXPECT_EQ(model.rowCount(), 0);
  EXPECT_FALSE(model.streamingBook().has_value());
}

TEST(ConversationModelTest, ARemovedBookTakesItsAnswerWithIt) {
  ConversationModel model;
  model.show(1, {});
  model.answerStarted(1, streamingTurn("Where?"));
  model.forget(1);
  EXPECT_EQ(model.rowCount(), 0);
  EXPECT_FALSE(model.streamingBook().has_value());
}

}  // namespace
}  // namespace palimpsest::ui
