// Asking, summing up, conversations.
#include <QJsonDocument>
#include <QJsonObject>
#include <algorithm>
#include <utility>

#include "app/engine_parts.h"
#include "fixture.h"

namespace palimpsest::app {
namespace {

using ui::AnswerWay;
using ui::BookState;

class AnswersTest : public AppTest {
 protected:
  qint64 book() { return addAndRead(write(QStringLiteral("walk.txt"), novel())); }
};

TEST_F(AnswersTest, AnAnswerFromMemoryStreamsIsKeptAndRereadsNothing) {
  start();
  const qint64 id = book();
  const ui::ConversationItem answer = ask(id, "Who kept the purple umbrella?");
  EXPECT_EQ(answer.error, QString());
  EXPECT_EQ(answer.provenance, QStringLiteral("From memory · 0 pages re-read · whole book"));
  EXPECT_FALSE(answer.streaming);
  EXPECT_EQ(pieces_.join(QString()).trimmed(), answer.answer);
  start();
  const auto kept = assistant_->conversation(id);
  ASSERT_EQ(kept.size(), 1);
  EXPECT_EQ(kept[0].question, QStringLiteral("Who kept the purple umbrella?"));
  EXPECT_EQ(kept[0].answer, answer.answer);
  EXPECT_EQ(kept[0].provenance, answer.provenance);
  EXPECT_EQ(kept[0].id, answer.id);
  EXPECT_GT(kept[0].id, 0);
  storage::Database connection = reader();
  const auto turns = storage::ConversationStore(connection).turns(id);
  EXPECT_EQ(turns[0].modelName, "tiny-model");
  EXPECT_EQ(turns[0].way, "memory");
  EXPECT_DOUBLE_EQ(turns[0].coverage, 1.0);
}

TEST_F(AnswersTest, PassagesThatAreReadAgainAreCounted) {
  start();
  const qint64 id = book();
  const ui::ConversationItem both =
      ask(id, "Where is the umbrella of Professor Zanzibar?", AnswerWay::MemoryAndPassages);
  EXPECT_EQ(both.error, QString());
  EXPECT_THAT(both.provenance, HasText("From memory and passages · 1 passage re-read · whole book"));
  const ui::ConversationItem only = ask(id, "Where is the umbrella of Professor Zanzibar?", AnswerWay::Passages);
  EXPECT_THAT(only.provenance, HasText("From passages only · 1 passage re-read"));
}

TEST_F(AnswersTest, WherePassagesAreAllAndNoneMatchesNothingIsMadeUp) {
  start();
  EXPECT_THAT(ask(book(), "Xylophones?", AnswerWay::Passages).error, HasText("No passage of the book matches"));
}

TEST_F(AnswersTest, PassagesThatDoNotFitAreNoGroundForAnAnswer) {
  start();
  const qint64 id = addAndRead(
      write(QStringLiteral("page.txt"), prose(12).replace("\n\n", " ")));  // one paragraph, longer than the context
  EXPECT_THAT(ask(id, "Who sang?", AnswerWay::Passages).error, HasText("too long for the context of tiny-model"));
  EXPECT_TRUE(assistant_->conversation(id).isEmpty());
}

TEST_F(AnswersTest, QuotesAreTheBooksOwnWordsAtTheirPlace) {
  start();
  const qint64 id = book();
  const ui::ConversationItem answer = ask(id, "Who kept the purple umbrella in the lighthouse?");
  ASSERT_FALSE(answer.quotes.isEmpty());
  const QByteArray text = storedText(id).toUtf8();
  for (const ui::Quote& quote : answer.quotes) {
    const QByteArray words = quote.text.toUtf8();
    EXPECT_EQ(text.mid(quote.begin, words.size()), words);
  }
  EXPECT_EQ(answer.quotes[0].text, QStringLiteral("Professor Zanzibar kept the purple umbrella in the lighthouse."));
}

TEST_F(AnswersTest, ABookCanBeAskedWhileItIsBeingRead) {
  start();
  const qint64 id = add(write(QStringLiteral("long.txt"), prose(2000)));
  ASSERT_TRUE(waitForProgress(id, 0.02));
  const ui::ConversationItem answer = ask(id, "Who sang?");
  EXPECT_EQ(item(id).state, BookState::Reading);
  EXPECT_EQ(answer.error, QString());
  EXPECT_THAT(answer.provenance, HasText("· first "));
  EXPECT_THAT(answer.provenance, HasText(" %"));
  storage::Database connection = reader();
  const double coverage = storage::ConversationStore(connection).turns(id).at(0).coverage;
  EXPECT_GT(coverage, 0.0);
  EXPECT_LT(coverage, 1.0);
  EXPECT_TRUE(waitForState(id, BookState::Ready));
}

TEST_F(AnswersTest, AnotherBookCanBeAskedWhileOneIsBeingRead) {
  start();
  const qint64 done = book();
  const qint64 id = add(write(QStringLiteral("long.txt"), prose(2000)));
  ASSERT_TRUE(waitForProgress(id, 0.0));
  EXPECT_EQ(ask(done, "Who sang?").provenance, QStringLiteral("From memory · 0 pages re-read · whole book"));
  EXPECT_EQ(item(id).state, BookState::Reading);
}

TEST_F(AnswersTest, StopStopsTheAnswerAndKeepsWhatWasSaid) {
  // No token ends this model's answers: without the stop they go on to the most that is generated.
  AssistantOptions endless = options();
  const QString folder = modelCopy(QStringLiteral("endless-model"));
  for (const char* name : {"/config.json", "/generation_config.json"}) {
    QFile file(folder + QString::fromLatin1(name));
    ASSERT_TRUE(file.open(QIODevice::ReadWrite));
    QJsonObject config = QJsonDocument::fromJson(file.readAll()).object();
    config.remove(QStringLiteral("eos_token_id"));
    file.resize(0);
    file.write(QJsonDocument(config).toJson());
  }
  endless.modelFolder = toPath(folder);
  start(endless);
  const qint64 id = book();
  const ui::ConversationItem whole = ask(id, "Tell me everything about the bridge.");
  EXPECT_FALSE(whole.stopped);
  const qsizetype pieces = std::exchange(pieces_, {}).size();
  assistant_->clearConversation(id);
  ASSERT_TRUE(waitFor([&] { return assistant_->conversation(id).isEmpty(); }));

  QObject::connect(assistant_.get(), &Assistant::answerText, assistant_.get(), [&] { assistant_->stopAnswer(); });
  const ui::ConversationItem answer = ask(id, "Tell me everything about the bridge.");
  EXPECT_TRUE(answer.stopped);
  EXPECT_FALSE(answer.streaming);
  EXPECT_LT(pieces_.size(), pieces);
  EXPECT_EQ(pieces_.join(QString()).trimmed(), answer.answer);
  EXPECT_TRUE(whole.answer.startsWith(answer.answer));
  EXPECT_TRUE(assistant_->conversation(id).last().stopped);
  EXPECT_EQ(assistant_->conversation(id).last().answer, answer.answer);
}

TEST_F(AnswersTest, AQuestionStoppedBeforeItsTurnLeavesNothing) {
  start();
  const qint64 id = book();
  QObject::connect(assistant_.get(), &Assistant::answerStarted, assistant_.get(), [&] { assistant_->stopAnswer(); });
  const ui::ConversationItem answer = ask(id, "Who?");
  EXPECT_TRUE(answer.stopped);
  EXPECT_EQ(answer.answer, QString());
  EXPECT_TRUE(assistant_->conversation(id).isEmpty());
}

TEST(TurnsBefore, AreTheLatestTwoOfOtherQuestionsThatWereAnswered) {
  std::vector<storage::TurnRecord> conversation(5);
  for (std::size_t i = 0; i < conversation.size(); ++i) {
    conversation[i].question = i == 3 ? "Who sang?" : "Question " + std::to_string(i);
    conversation[i].answer = "Answer " + std::to_string(i);
    conversation[i].finished = i != 4;
  }
  const auto turns = turnsBefore("Who sang?", conversation);
  ASSERT_EQ(turns.size(), 2u);
  EXPECT_EQ(turns[0].question, "Question 1");
  EXPECT_EQ(turns[1].question, "Question 2");
  EXPECT_EQ(turns[1].answer, "Answer 2");
  EXPECT_EQ(turnsBefore("Who else?", conversation).back().question, "Who sang?");
}

TEST_F(AnswersTest, ASummaryIsMadeFromMemoryAndKept) {
  start();
  const qint64 id = book();
  const ui::ConversationItem summary = finished([&] { assistant_->summarize(id); });
  EXPECT_TRUE(summary.isSummary);
  EXPECT_FALSE(summary.answer.isEmpty());
  EXPECT_GT(pieces_.size(), 1);  // it streamed
  EXPECT_EQ(pieces_.join(QString()).trimmed(), summary.answer);
  EXPECT_EQ(summary.provenance, QStringLiteral("Summed up from memory · 0 pages re-read · whole book"));
  start();
  const auto kept = assistant_->conversation(id);
  ASSERT_EQ(kept.size(), 1);
  EXPECT_TRUE(kept[0].isSummary);
  EXPECT_EQ(kept[0].answer, summary.answer);
}

TEST_F(AnswersTest, AClearedConversationIsGoneAndTheMemoryStays) {
  start();
  const qint64 id = book();
  ask(id, "Who sang?");
  bool cleared = false;
  QObject::connect(assistant_.get(), &Assistant::conversationCleared, assistant_.get(), [&] { cleared = true; });
  assistant_->clearConversation(id);
  ASSERT_TRUE(waitFor([&] { return cleared; }));
  EXPECT_TRUE(assistant_->conversation(id).isEmpty());
  EXPECT_TRUE(item(id).hasMemory);
}

TEST_F(AnswersTest, AnEmptyQuestionIsNone) {
  start();
  const qint64 id = book();
  bool started = false;
  QObject::connect(assistant_.get(), &Assistant::answerStarted, assistant_.get(), [&] { started = true; });
  assistant_->ask(id, QStringLiteral("  \n "), AnswerWay::Memory);
  EXPECT_FALSE(started);
}

TEST_F(AnswersTest, AConversationIsExportedInEveryForm) {
  start();
  const qint64 id = book();
  ask(id, "Who kept the purple umbrella in the lighthouse?");
  const QList<std::pair<QString, ExportFormat>> forms = {{QStringLiteral("a.md"), ExportFormat::Markdown},
                                                         {QStringLiteral("a.html"), ExportFormat::Html},
                                                         {QStringLiteral("a.pdf"), ExportFormat::Pdf},
                                                         {QStringLiteral("a.txt"), ExportFormat::Text}};
  for (const auto& [name, format] : forms) {
    assistant_->exportDocument(id, path(name), format);
    ASSERT_TRUE(waitFor([&, file = path(name)] { return exported_.contains(file); }));
    EXPECT_GT(QFileInfo(path(name)).size(), 100);
  }
  assistant_->exportDocument(id, path(QStringLiteral("nowhere/a.md")), ExportFormat::Markdown);
  ASSERT_TRUE(waitFor([&] { return !failures_.isEmpty(); }));
  EXPECT_THAT(failures_.last(), HasText("could not be written"));
}

}  // namespace
}  // namespace palimpsest::app
