// Choosing a part of a book: what is offered, and what is asked then.
#include "ui/part_selector.h"

#include <QAction>
#include <QMenu>

#include "main_window_fixture.h"

namespace palimpsest::ui {
namespace {

using Kind = BookPart::Kind;

QList<Chapter> chapters() {
  return {{0, "I", 0, true, true, true},
          {1, "The & Sphinx", 1, true, true, false},
          {2, "III", 0, true, false, false},
          {3, "Plates", 0, false, false, false}};
}

class PartSelectorTest : public MainWindowTest {
 protected:
  PartSelectorTest() { fill(); }
  PartSelector* selector() { return window->findChild<PartSelector*>("partSelector"); }
  QList<QAction*> opened() {
    emit selector()->menu()->aboutToShow();
    return selector()->menu()->actions();
  }
  QList<QAction*> submenu(int index) { return opened().at(index)->menu()->actions(); }
};

TEST_F(PartSelectorTest, IsThereWhereTheBookHasChapters) {
  EXPECT_FALSE(selector()->isVisible());
  window->showChapters(1, chapters());
  EXPECT_TRUE(selector()->isVisible());
  EXPECT_EQ(selector()->text(), "Whole book");
  window->showChapters(2, {});  // of a book that is not selected
  EXPECT_TRUE(selector()->isVisible());
  window->selectBook(2);
  EXPECT_FALSE(selector()->isVisible());
}

TEST_F(PartSelectorTest, OffersWhatIsRemembered) {
  window->showChapters(1, chapters());
  const auto upTo = submenu(1);
  ASSERT_EQ(upTo.size(), 4);
  EXPECT_EQ(upTo[0]->text(), "ch. I");
  EXPECT_EQ(upTo[1]->text(), "    The && Sphinx");
  EXPECT_TRUE(upTo[0]->isEnabled() && upTo[1]->isEnabled());
  EXPECT_FALSE(upTo[2]->isEnabled() || upTo[3]->isEnabled());
  const auto only = submenu(2);
  EXPECT_TRUE(only[0]->isEnabled());
  EXPECT_FALSE(only[1]->isEnabled());
}

TEST_F(PartSelectorTest, FromPassagesAChapterNeedsNoMemory) {
  window->showChapters(1, chapters());
  window->findChild<AskBar*>()->setWay(AnswerWay::Passages);
  const auto only = submenu(2);
  EXPECT_TRUE(only[2]->isEnabled());
  EXPECT_FALSE(only[3]->isEnabled()) << "it has no text";
}

TEST_F(PartSelectorTest, TheChoiceAppliesToQuestionsAndSummariesUntilAnotherBookIsShown) {
  QSignalSpy asked(window.get(), &MainWindow::askRequested), summarise(window.get(), &MainWindow::summarizeRequested);
  window->showChapters(1, chapters());
  submenu(1)[1]->trigger();
  EXPECT_EQ(selector()->text(), "Up to The && Sphinx");
  QTest::keyClicks(field(), "Who?");
  QTest::keyClick(field(), Qt::Key_Return);
  ASSERT_EQ(asked.size(), 1);
  EXPECT_EQ(asked[0][3].value<BookPart>(), (BookPart{Kind::UpToChapter, 1}));
  submenu(2)[0]->trigger();
  EXPECT_EQ(selector()->text(), "Only ch. I");
  QTest::mouseClick(visibleChild<QPushButton>(*window, "summariseButton"), Qt::LeftButton);
  ASSERT_EQ(summarise.size(), 1);
  EXPECT_EQ(summarise[0][1].value<BookPart>(), (BookPart{Kind::Chapter, 0}));

  window->showChapters(1, chapters());  // more is remembered
  EXPECT_EQ(selector()->part(), (BookPart{Kind::Chapter, 0}));
  window->selectBook(2);
  window->showChapters(2, chapters());
  EXPECT_EQ(selector()->part(), BookPart());
}

TEST_F(PartSelectorTest, ABookWithoutChapterMemoriesCanBeReadAgain) {
  QSignalSpy again(window.get(), &MainWindow::readAgainRequested);
  QList<Chapter> before = chapters();
  for (Chapter& chapter : before) chapter.upTo = chapter.alone = false;
  window->showChapters(1, before);
  const auto actions = opened();
  ASSERT_EQ(actions.size(), 5);
  actions[4]->trigger();
  QTest::mouseClick(window->findChild<QMessageBox*>()->findChild<QPushButton*>("destroyButton"), Qt::LeftButton);
  ASSERT_EQ(again.size(), 1);
  EXPECT_EQ(again[0][0].toLongLong(), 1);
  window->showChapters(1, chapters());
  EXPECT_EQ(opened().size(), 3) << "some are remembered: reading again would not help";
}

TEST_F(PartSelectorTest, WhereOnlySomeEndsAreKeptReadingAgainIsNotOffered) {
  const auto offered = [&](const QList<Chapter>& shown) {
    window->showChapters(1, shown);
    return opened().size() > 3;
  };
  // Of more chapters than are remembered every second end is kept, and none is known alone.
  EXPECT_FALSE(offered({{0, "I", 0, true, false, false},
                        {1, "II", 0, true, true, false},
                        {2, "III", 0, true, false, false},
                        {3, "IV", 0, true, true, false}}));
  EXPECT_TRUE(offered({{0, "I", 0, true, false, false},
                       {1, "Part two", 0, true, true, false},
                       {2, "II", 1, true, true, false},
                       {3, "Plates", 0, false, false, false}}))
      << "what is known is the whole book, whose end the part and its chapter share";
}

TEST_F(PartSelectorTest, AnAnswerSaysOfWhichPartItIs) {
  ConversationItem item = streamingTurn("Who?");
  item.provenance.clear();
  item.part = {Kind::UpToChapter, 4};
  item.chapterTitle = "V";
  window->answerStarted(1, item);
  EXPECT_EQ(visibleChild<QLabel>(*window, "origin")->text(), "From memory, up to ch. V");
  item.streaming = false;
  item.provenance = "From memory, up to ch. V · 0 pages re-read";
  window->answerFinished(1, item);
  EXPECT_SOON(visibleChild<QLabel>(*window, "origin")->text() == item.provenance);
}

}  // namespace
}  // namespace palimpsest::ui
