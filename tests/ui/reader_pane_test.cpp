#include "ui/reader_pane.h"

#include <QElapsedTimer>
#include <QLabel>
#include <QScrollBar>
#include <QTextEdit>

#include "fixture.h"

namespace palimpsest::ui {
namespace {

const QString kQuote = "a little woman, whose name was Weena";

QString bookOf(int paragraphs, int at) {
  QString text;
  for (int i = 0; i < paragraphs; ++i) {
    text += i == at
                ? "She was so human: " + kQuote + ".\n\n"
                : QString("Paragraph %1: the big doorway opened into a proportionately great hall hung with brown.\n\n")
                      .arg(i);
  }
  return text;
}

class ReaderPaneTest : public testing::Test {
 protected:
  ReaderPaneTest() {
    pane.resize(480, 600);
    pane.show();
    page = pane.findChild<QTextEdit*>("readerText");
  }
  QString marked() {
    const auto marks = page->extraSelections();
    return marks.isEmpty() ? QString() : marks[0].cursor.selectedText();
  }
  void open(const QString& text) {
    pane.showPassage("The Time Machine", text, Quote{kQuote, 52, "V", text.left(text.indexOf(kQuote)).toUtf8().size()});
    QCoreApplication::processEvents();
  }

  ReaderPane pane;
  QTextEdit* page;
};

TEST_F(ReaderPaneTest, MarksThePassageAndBringsItIntoView) {
  open(bookOf(2000, 1000));
  EXPECT_EQ(marked(), kQuote);
  QTextCursor cursor(page->document());
  cursor.setPosition(page->extraSelections()[0].cursor.selectionStart());
  EXPECT_TRUE(page->viewport()->rect().contains(page->cursorRect(cursor).center()));
}

TEST_F(ReaderPaneTest, ABookOfMegabytesOpensAtOnceBecauseOnlyAStretchIsLaidOut) {
  const QString text = bookOf(25000, 12000);
  ASSERT_GT(text.size(), 2'000'000);
  QElapsedTimer timer;
  timer.start();
  open(text);
  EXPECT_LT(timer.elapsed(), 1000);
  EXPECT_LT(page->document()->characterCount(), 4 * ReaderPane::kAround);
  EXPECT_EQ(marked(), kQuote);
}

TEST_F(ReaderPaneTest, ScrollingToAnEndBringsMoreAndKeepsTheMark) {
  open(bookOf(3000, 1500));
  const TextRange before = pane.shown();
  page->verticalScrollBar()->setValue(page->verticalScrollBar()->maximum());
  EXPECT_GT(pane.shown().begin + pane.shown().length, before.begin + before.length);
  page->verticalScrollBar()->setValue(0);
  EXPECT_LT(pane.shown().begin, before.begin);
  EXPECT_EQ(marked(), kQuote);
  EXPECT_GT(page->verticalScrollBar()->value(), 0) << "the line that was read stays where it was";
}

TEST_F(ReaderPaneTest, ScrollingOnReachesBothEndsOfTheBook) {
  const QString text = bookOf(700, 350);
  open(text);
  for (int i = 0; i < 50; ++i) page->verticalScrollBar()->setValue(page->verticalScrollBar()->maximum());
  for (int i = 0; i < 50; ++i) page->verticalScrollBar()->setValue(0);
  EXPECT_EQ(pane.shown().begin, 0);
  EXPECT_EQ(pane.shown().length, text.size());
  EXPECT_EQ(page->toPlainText(), text);
}

TEST_F(ReaderPaneTest, WordsThatAreGoneAreSaidToBeGone) {
  pane.showPassage("The Time Machine", "Another text.", Quote{kQuote, 52, "V", 40});
  EXPECT_EQ(marked(), "");
  bool said = false;
  for (const auto* label : pane.findChildren<QLabel*>())
    said |= label->text().contains("not in the stored text any more");
  EXPECT_TRUE(said);
}

TEST_F(ReaderPaneTest, MarkupInABookIsText) {
  pane.showPassage("t", "<img src=x> " + kQuote, Quote{kQuote, 0, "", 12});
  EXPECT_EQ(page->toPlainText(), "<img src=x> " + kQuote);
  EXPECT_EQ(marked(), kQuote);
}

}  // namespace
}  // namespace palimpsest::ui
