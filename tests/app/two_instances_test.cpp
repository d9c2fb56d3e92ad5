// Two Palimpsests and one library.
#include "fixture.h"

namespace palimpsest::app {
namespace {

using ui::BookState;

class TwoInstancesTest : public AppTest {
 protected:
  void SetUp() override {
    start();
    id_ = addAndRead(write(QStringLiteral("walk.txt"), novel()));
    first_ = std::move(assistant_);
  }
  std::unique_ptr<Assistant> first_;
  qint64 id_ = 0;
};

TEST_F(TwoInstancesTest, TheSecondSaysSoAndCanLookAskAndExport) {
  start();
  ASSERT_TRUE(waitFor([&] { return opened_ && !failures_.isEmpty(); }));
  EXPECT_TRUE(assistant_->readOnly());
  EXPECT_THAT(failures_.last(), HasText("Another Palimpsest (process"));
  ASSERT_EQ(assistant_->library().size(), 1);
  const ui::ConversationItem answer = ask(id_, "Who sang?");
  EXPECT_EQ(answer.error, QString());
  EXPECT_TRUE(first_->conversation(id_).isEmpty());  // not kept, as was said
  assistant_->exportDocument(id_, path(QStringLiteral("a.txt")), ExportFormat::Text);
  EXPECT_TRUE(waitFor([&] { return !exported_.isEmpty(); }));
}

TEST_F(TwoInstancesTest, TheSecondRefusesEveryVerbThatWrites) {
  start();
  ASSERT_TRUE(waitFor([&] { return opened_ && !failures_.isEmpty(); }));
  failures_.clear();
  EXPECT_EQ(add(path(QStringLiteral("walk.txt"))), 0);
  assistant_->remove(id_);
  assistant_->pause(id_);
  assistant_->resume(id_);
  assistant_->retry(id_);
  assistant_->cancel(id_);
  assistant_->clearConversation(id_);
  EXPECT_EQ(failures_.size(), 7);
  EXPECT_EQ(failures_.filter(QStringLiteral("another Palimpsest is using the library")).size(), 7);
  EXPECT_EQ(first_->library().size(), 1);
}

TEST_F(TwoInstancesTest, WhenTheFirstIsGoneTheNextWrites) {
  first_.reset();
  start();
  EXPECT_FALSE(assistant_->readOnly());
  ask(id_, "Who sang?");
  EXPECT_EQ(assistant_->conversation(id_).size(), 1);
}

}  // namespace
}  // namespace palimpsest::app
