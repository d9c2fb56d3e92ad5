#include "ui/conversation_view.h"

#include <QImage>
#include <QLabel>
#include <QPushButton>
#include <QScrollBar>
#include <QTextDocument>

#include "fixture.h"
#include "ui/plain_text_block.h"
#include "ui/quote_card.h"
#include "ui/turn_widget.h"

namespace palimpsest::ui {
namespace {

class ConversationViewTest : public testing::Test {
 protected:
  ConversationViewTest() : view(&model) {
    view.resize(700, 500);
    view.show();
  }
  QList<PlainTextBlock*> answers() { return view.findChildren<PlainTextBlock*>("answer"); }

  ConversationModel model;
  ConversationView view;
};

TEST_F(ConversationViewTest, AnswersStreamIntoTheirTurn) {
  model.show(1, {});
  model.answerStarted(1, streamingTurn("Where?"));
  EXPECT_NE(visibleChild<QPushButton>(view, "stopButton"), nullptr);
  model.answerText(1, "In the ");
  model.answerText(1, "forest.");
  view.flush();
  ASSERT_EQ(answers().size(), 1);
  EXPECT_EQ(answers()[0]->toPlainText(), "In the forest.");
  model.answerFinished(1, turn("Where?", "In the forest."));
  view.flush();
  EXPECT_EQ(visibleChild<QPushButton>(view, "stopButton"), nullptr) << "nothing is left to stop";
}

TEST_F(ConversationViewTest, PiecesAreGatheredAndShownWithTheNextFrame) {
  model.show(1, {});
  model.answerStarted(1, streamingTurn("Where?"));
  model.answerText(1, "In the forest.");
  EXPECT_SOON(answers()[0]->toPlainText() == QString("In the forest."));
}

TEST_F(ConversationViewTest, MarkupIsShownAsTheCharactersThatItIs) {
  const QString evil =
      "<b>bold</b> <img src=\"http://example.org/a.png\"> ![x](http://example.org/b.png) [link](http://example.org) "
      "<script>1</script>";
  model.show(1, {turn(evil, evil)});
  ASSERT_EQ(answers().size(), 1);
  EXPECT_EQ(answers()[0]->toPlainText(), evil);
  EXPECT_EQ(view.findChild<PlainTextBlock*>("question")->toPlainText(), evil);
  const QString html = answers()[0]->document()->toHtml();
  EXPECT_FALSE(html.contains("<img")) << html.toStdString();
  EXPECT_FALSE(html.contains("<a "));
}

TEST_F(ConversationViewTest, MarkupThatStreamsInPiecesIsShownLiterallyToo) {
  model.show(1, {});
  model.answerStarted(1, streamingTurn("Where?"));
  for (const char* piece : {"<im", "g src=x", "> ![a](http://exa", "mple.org)"}) {
    model.answerText(1, piece);
    view.flush();
  }
  EXPECT_EQ(answers()[0]->toPlainText(), "<img src=x> ![a](http://example.org)");
  EXPECT_FALSE(answers()[0]->document()->toHtml().contains("<img"));
}

TEST_F(ConversationViewTest, TextBlocksLoadNothing) {
  model.show(1, {turn("q", "a")});
  EXPECT_FALSE(answers()[0]->loadResource(QTextDocument::ImageResource, QUrl("file:///etc/hostname")).isValid());
}

TEST_F(ConversationViewTest, LabelsOfTheModelsWordsArePlainText) {
  ConversationItem item = turn("q", "");
  item.error = "<img src=x> no memory";
  item.provenance = "<b>From</b>";
  model.show(1, {item});
  const auto* remark = visibleChild<QLabel>(view, "remark");
  ASSERT_NE(remark, nullptr);
  EXPECT_EQ(remark->text(), item.error);
  EXPECT_EQ(remark->textFormat(), Qt::PlainText);
  EXPECT_EQ(visibleChild<QLabel>(view, "origin")->textFormat(), Qt::PlainText);
}

TEST_F(ConversationViewTest, AnAnswerInStepsTellsThemOnceItIsThere) {
  ConversationItem item = turn("Where is the milk?", "office");
  model.show(1, {item});
  EXPECT_EQ(visibleChild<QLabel>(view, "steps"), nullptr);
  item.furtherQuestions = QStringList{"Where is <b>Mary</b>?"};
  item.recalled = "Mary went to the office.";
  model.show(1, {item});
  const auto* steps = visibleChild<QLabel>(view, "steps");
  ASSERT_NE(steps, nullptr);
  EXPECT_EQ(
      steps->text(),
      "To answer, it asked itself: Where is <b>Mary</b>?\nIts memory, in its own words: “Mary went to the office.”");
  EXPECT_EQ(steps->textFormat(), Qt::PlainText);
  item.streaming = true;
  model.show(1, {item});
  EXPECT_EQ(visibleChild<QLabel>(view, "steps"), nullptr);
}

TEST_F(ConversationViewTest, AnErrorTakesTheAnswersPlaceAndAStopIsNamed) {
  ConversationItem stopped = turn("q", "Half an ans");
  stopped.stopped = true;
  model.show(1, {stopped});
  EXPECT_EQ(visibleChild<QLabel>(view, "remark")->text(), "Stopped here.");
  ConversationItem failed = turn("q", "");
  failed.error = "The memory was made by another model.";
  model.show(1, {failed});
  EXPECT_EQ(visibleChild<QLabel>(view, "remark")->text(), failed.error);
  EXPECT_FALSE(answers()[0]->isVisible());
}

TEST_F(ConversationViewTest, QuotesOpenByMouseAndKeyboard) {
  ConversationItem item = turn("Who?", "Weena.");
  item.quotes << Quote{"a little woman, whose name was Weena", 52, "V", 1234};
  model.show(1, {item});
  auto* card = view.findChild<QuoteCard*>();
  ASSERT_NE(card, nullptr);
  EXPECT_TRUE(card->accessibleName().contains("whose name was Weena"));
  QSignalSpy opened(&view, &ConversationView::quoteOpened);
  QTest::mouseClick(card, Qt::LeftButton);
  card->setFocus();
  QTest::keyClick(card, Qt::Key_Space);
  ASSERT_EQ(opened.size(), 2);
  EXPECT_EQ(opened[0][0].value<Quote>().begin, 1234);
}

TEST_F(ConversationViewTest, AnAnswerWithoutQuotesSaysThatThereAreNone) {
  model.show(1, {});
  model.answerStarted(1, streamingTurn("Where?"));
  model.answerText(1, "In the forest.");
  view.flush();
  EXPECT_EQ(visibleChild<QLabel>(view, "bookHeading"), nullptr) << "not while the answer may still get some";
  ConversationItem item = turn("Where?", "In the forest.");
  model.answerFinished(1, item);
  view.flush();
  const auto* line = visibleChild<QLabel>(view, "bookHeading");
  ASSERT_NE(line, nullptr);
  EXPECT_TRUE(line->text().startsWith("No sentence of the book is near enough")) << line->text().toStdString();
  item.bookId = 2;
  item.bookTitle = "Kipps";
  model.show(1, {item});
  EXPECT_TRUE(visibleChild<QLabel>(view, "bookHeading")->text().contains("“Kipps”"));
  item.quotes << Quote{"a little woman, whose name was Weena", 52, "V", 1234};
  model.show(1, {item});
  EXPECT_EQ(visibleChild<QLabel>(view, "bookHeading")->text(), "In “Kipps”");
  ConversationItem summary = turn("", "People: Weena");
  summary.isSummary = true;
  model.show(1, {summary, turn("Who?", "")});
  EXPECT_EQ(visibleChild<QLabel>(view, "bookHeading"), nullptr) << "neither is an answer";
}

TEST_F(ConversationViewTest, StopButtonStops) {
  model.show(1, {});
  model.answerStarted(1, streamingTurn("Where?"));
  QSignalSpy stop(&view, &ConversationView::stopRequested);
  QTest::mouseClick(visibleChild<QPushButton>(view, "stopButton"), Qt::LeftButton);
  EXPECT_EQ(stop.size(), 1);
}

TEST_F(ConversationViewTest, LongConversationsShowTheirEndFirst) {
  QList<ConversationItem> items;
  for (int i = 0; i < 100; ++i) items << turn(QString("q%1").arg(i), "a");
  model.show(1, items);
  EXPECT_EQ(view.findChildren<TurnWidget*>().size(), ConversationView::kTurnsAtOnce);
  EXPECT_EQ(view.findChildren<PlainTextBlock*>("question").last()->toPlainText(), "q99");
  for (auto* button : view.findChildren<QPushButton*>()) {
    if (button->text() == "Show earlier questions") QTest::mouseClick(button, Qt::LeftButton);
  }
  EXPECT_EQ(view.findChildren<TurnWidget*>().size(), 2 * ConversationView::kTurnsAtOnce);
}

TEST_F(ConversationViewTest, TheEndOfALongAnswerStaysInViewWhileItStreams) {
  model.show(1, {});
  model.answerStarted(1, streamingTurn("Where?"));
  for (int i = 0; i < 60; ++i) model.answerText(1, "A line of the answer that goes on for a while.\n");
  view.flush();
  EXPECT_SOON(view.verticalScrollBar()->maximum() > 0);
  EXPECT_SOON(view.verticalScrollBar()->value() == view.verticalScrollBar()->maximum());
}

TEST_F(ConversationViewTest, AnswersAreAsHighAsTheirText) {
  QString longAnswer;
  for (int i = 0; i < 400; ++i) longAnswer += "words and more words ";
  model.show(1, {turn("q", longAnswer)});
  EXPECT_SOON(answers()[0]->height() > 400);
  EXPECT_GE(answers()[0]->height(), answers()[0]->document()->size().height());
}

}  // namespace
}  // namespace palimpsest::ui
