#include "ui/ask_bar.h"

#include <QApplication>
#include <QClipboard>
#include <QComboBox>
#include <QPaintEvent>
#include <QPushButton>
#include <QStandardItemModel>

#include "fixture.h"

namespace palimpsest::ui {
namespace {

class AskBarTest : public testing::Test {
 protected:
  AskBarTest() {
    bar.resize(600, 120);
    bar.show();
    bar.setAvailability({}, true);
  }
  QPushButton* button() { return bar.findChild<QPushButton*>("askButton"); }
  QComboBox* ways() { return bar.findChild<QComboBox*>("waySelector"); }
  void choose(int index) {
    ways()->setCurrentIndex(index);
    emit ways()->activated(index);
  }

  AskBar bar;
};

TEST_F(AskBarTest, EnterAsksAndEmptiesTheField) {
  QSignalSpy asked(&bar, &AskBar::asked);
  QTest::keyClicks(bar.field(), "  Who is Weena? ");
  QTest::keyClick(bar.field(), Qt::Key_Return);
  ASSERT_EQ(asked.size(), 1);
  EXPECT_EQ(asked[0][0].toString(), "Who is Weena?");
  EXPECT_EQ(asked[0][1].value<AnswerWay>(), AnswerWay::Memory);
  EXPECT_TRUE(bar.field()->toPlainText().isEmpty());
}

TEST_F(AskBarTest, ShiftEnterBreaksTheLineAndTheFieldGrows) {
  QSignalSpy asked(&bar, &AskBar::asked);
  const int before = bar.field()->height();
  QTest::keyClicks(bar.field(), "one");
  QTest::keyClick(bar.field(), Qt::Key_Return, Qt::ShiftModifier);
  QTest::keyClicks(bar.field(), "two");
  EXPECT_EQ(asked.size(), 0);
  EXPECT_EQ(bar.field()->toPlainText(), "one\ntwo");
  EXPECT_GT(bar.field()->height(), before);
}

TEST_F(AskBarTest, AnEmptyQuestionIsNotAsked) {
  QSignalSpy asked(&bar, &AskBar::asked);
  QTest::keyClicks(bar.field(), "   ");
  QTest::keyClick(bar.field(), Qt::Key_Return);
  EXPECT_EQ(asked.size(), 0);
  EXPECT_FALSE(button()->isEnabled());
}

TEST_F(AskBarTest, TheWaySelectorDecidesHowItIsAnswered) {
  QSignalSpy asked(&bar, &AskBar::asked);
  QSignalSpy chosen(&bar, &AskBar::wayChosen);
  choose(1);
  EXPECT_EQ(chosen.size(), 1);
  QTest::keyClicks(bar.field(), "Who?");
  QTest::mouseClick(button(), Qt::LeftButton);
  ASSERT_EQ(asked.size(), 1);
  EXPECT_EQ(asked[0][1].value<AnswerWay>(), AnswerWay::MemoryAndPassages);
  choose(2);
  EXPECT_EQ(bar.way(), AnswerWay::Passages);
}

TEST_F(AskBarTest, WithoutMemoryOnlyPassagesAreOfferedAndTheChoiceIsKept) {
  bar.setWay(AnswerWay::MemoryAndPassages);
  bar.setAvailability({}, false);
  EXPECT_EQ(bar.way(), AnswerWay::Passages);
  EXPECT_EQ(ways()->currentText(), "Passages only");
  auto* model = qobject_cast<QStandardItemModel*>(ways()->model());
  EXPECT_FALSE(model->item(0)->isEnabled());
  EXPECT_TRUE(model->item(2)->isEnabled());
  bar.setAvailability({}, true);
  EXPECT_EQ(bar.way(), AnswerWay::MemoryAndPassages);
}

TEST_F(AskBarTest, WhatCannotBeAskedSaysWhy) {
  QSignalSpy asked(&bar, &AskBar::asked);
  bar.setAvailability("The model is being loaded…", true);
  EXPECT_EQ(bar.field()->placeholderText(), "The model is being loaded…");
  EXPECT_FALSE(bar.field()->isEnabled());
  EXPECT_FALSE(button()->isEnabled());
}

TEST_F(AskBarTest, ATooLongQuestionIsNeitherCutNorLost) {
  QSignalSpy asked(&bar, &AskBar::asked), refused(&bar, &AskBar::refused);
  bar.field()->setPlainText(QString(8001, 'x'));
  QTest::keyClick(bar.field(), Qt::Key_Return);
  EXPECT_EQ(asked.size(), 0);
  ASSERT_EQ(refused.size(), 1);
  EXPECT_TRUE(refused[0][0].toString().contains(QLocale().toString(8001)));
  EXPECT_EQ(bar.field()->toPlainText().size(), 8001);
  bar.field()->clear();
  QApplication::clipboard()->setText(QString(9000, 'x'));
  bar.field()->paste();
  EXPECT_EQ(refused.size(), 2);
  EXPECT_TRUE(bar.field()->toPlainText().isEmpty());
}

// Paintings of the whole field: a blinking cursor is a narrow one.
class PaintCounter : public QObject {
 public:
  int paints = 0;
  bool eventFilter(QObject* field, QEvent* event) override {
    if (event->type() == QEvent::Paint)
      paints += static_cast<QPaintEvent*>(event)->rect().width() == static_cast<QWidget*>(field)->width() ? 1 : 0;
    return false;
  }
};

TEST_F(AskBarTest, AnotherBooksNameIsPainted) {
  PaintCounter counter;
  bar.field()->viewport()->installEventFilter(&counter);
  const auto painted = [&] { return counter.paints > 0; };  // when is up to the screen: never count on the next event
  bar.setBookTitle("Moby-Dick");
  ASSERT_TRUE(QTest::qWaitFor(painted));
  QTest::qWait(50);
  counter.paints = 0;
  bar.setBookTitle("The Time Machine");
  EXPECT_TRUE(QTest::qWaitFor(painted));
}

TEST_F(AskBarTest, WhileAnAnswerStreamsTheButtonStopsIt) {
  QSignalSpy asked(&bar, &AskBar::asked);
  QSignalSpy stop(&bar, &AskBar::stopRequested);
  bar.setStreaming(true);
  EXPECT_EQ(button()->text(), "Stop");
  QTest::keyClicks(bar.field(), "Next?");
  QTest::keyClick(bar.field(), Qt::Key_Return);
  EXPECT_EQ(asked.size(), 0);
  EXPECT_EQ(bar.field()->toPlainText(), "Next?") << "what was typed meanwhile stays";
  QTest::mouseClick(button(), Qt::LeftButton);
  EXPECT_EQ(stop.size(), 1);
}

}  // namespace
}  // namespace palimpsest::ui
