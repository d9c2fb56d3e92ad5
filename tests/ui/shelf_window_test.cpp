// The window where several books are selected: they are shown as one shelf and asked at once.
#include <QFileDialog>
#include <QLineEdit>
#include <QMenu>
#include <QRegularExpression>
#include <QTextEdit>

#include "main_window_fixture.h"
#include "ui/quote_card.h"
#include "ui/sidebar.h"
#include "ui/text_lines.h"

namespace palimpsest::ui {
namespace {

class ShelfWindowTest : public MainWindowTest {
 protected:
  ShelfWindowTest() {
    window->showModel(loadedModel());
    window->showLibrary(books());
    window->selectBook(1);
    window->showConversation(1, {turn("Alone?", "Yes.")});
  }
  static QList<LibraryItem> books() {
    return {readyBook(1), readyBook(2, "Kipps"), readyBook(3, "Emma"), readingBook(4)};
  }
  // As the program answers shelfSelected().
  void selectShelf(const QList<qint64>& ids, const QList<ConversationItem>& items = {}) {
    QSignalSpy selected(window.get(), &MainWindow::shelfSelected);
    window->selectBooks(ids);
    ASSERT_EQ(selected.size(), 1);
    EXPECT_EQ(selected[0][0].value<QList<qint64>>(), ids);
    window->showShelf(-1, items);
  }
  static ConversationItem answered() {
    ConversationItem item = turn("Who?", "Weena.");
    item.bookId = 2;
    item.bookTitle = "Kipps";
    item.scores = {{2, "Kipps", -0.25}, {1, "The Time Machine", -1.5}};
    item.quotes << Quote{"whose name was Weena", 52, "V", 15, 2};
    return item;
  }
  QPushButton* supporting() { return visibleChild<QPushButton>(*window, "supportingBook"); }
};

TEST_F(ShelfWindowTest, IsShownWithItsTitlesAndAsked) {
  selectShelf({1, 2});
  EXPECT_EQ(window->currentBook(), 0);
  EXPECT_EQ(window->currentConversation(), -1);
  EXPECT_TRUE(window->conversation()->items().isEmpty()) << "not the conversation of one of them";
  EXPECT_EQ(visibleChild<LinesLabel>(*window, "bookTitle")->text(), "2 books");
  EXPECT_EQ(visibleChild<QLabel>(*window, "memoryLine")->text(), "memory: 2 whole books, added, 0.5 MB");
  EXPECT_EQ(window->windowTitle(), "2 books — Palimpsest");
  EXPECT_EQ(field()->placeholderText(), "Ask these 2 books…");
  EXPECT_TRUE(visibleChild<QLabel>(*window, "hintSentence")->text().contains("Their memories are added"));
  QSignalSpy asked(window.get(), &MainWindow::askRequested);
  field()->setPlainText("Who is Weena?");
  QTest::keyClick(field(), Qt::Key_Return);
  ASSERT_EQ(asked.size(), 1);
  EXPECT_EQ(asked[0][0].toLongLong(), -1);
}

TEST_F(ShelfWindowTest, NamesTheBookThatSupportsTheAnswerAndAClickSelectsIt) {
  selectShelf({1, 2}, {answered()});
  ASSERT_NE(supporting(), nullptr);
  EXPECT_EQ(supporting()->text(), "From “Kipps”");
  EXPECT_TRUE(supporting()->toolTip().contains("-0.25  Kipps")) << supporting()->toolTip().toStdString();
  EXPECT_TRUE(supporting()->toolTip().contains("-1.50  The Time Machine"));
  QSignalSpy selected(window.get(), &MainWindow::bookSelected);
  QTest::mouseClick(supporting(), Qt::LeftButton);
  ASSERT_EQ(selected.size(), 1);
  EXPECT_EQ(window->currentBook(), 2);
}

TEST_F(ShelfWindowTest, OneBooksAnswerNamesNone) {
  EXPECT_EQ(supporting(), nullptr);
  ConversationItem unknown = answered();
  unknown.scores.clear();
  unknown.quotesSupport = false;
  selectShelf({1, 2}, {unknown});
  EXPECT_EQ(supporting(), nullptr) << "what the books do not say is supported by none";
  bool named = false;
  for (const auto* label : window->findChildren<QLabel*>())
    named |= label->isVisible() && label->text() == "Nearest to the question, in “Kipps”";
  EXPECT_TRUE(named) << "but what is quoted is said";
}

TEST_F(ShelfWindowTest, ATitleIsShownAsTheCharactersThatItIs) {
  ConversationItem item = answered();
  item.bookTitle = item.scores[0].title = "<b>Crime</b> & Punishment";
  selectShelf({1, 2}, {item});
  EXPECT_EQ(supporting()->text(), "From “<b>Crime</b> && Punishment”");
  EXPECT_FALSE(supporting()->toolTip().contains("<b>")) << supporting()->toolTip().toStdString();
}

TEST_F(ShelfWindowTest, AQuoteOpensTheBookThatItStandsIn) {
  selectShelf({1, 2}, {answered()});
  QSignalSpy wanted(window.get(), &MainWindow::storedTextRequested);
  QTest::mouseClick(window->findChild<QuoteCard*>(), Qt::LeftButton);
  ASSERT_EQ(wanted.size(), 1);
  EXPECT_EQ(wanted[0][0].toLongLong(), 2);
  window->showStoredText(3, "another book's text", Quote{"text", 0, "", 0});
  EXPECT_EQ(visibleChild<QTextEdit>(*window, "readerText"), nullptr) << "a book that is not on the shelf";
  window->showStoredText(2, "A little woman whose name was Weena.", wanted[0][1].value<Quote>());
  EXPECT_NE(visibleChild<QTextEdit>(*window, "readerText"), nullptr);
}

TEST_F(ShelfWindowTest, WhatIsDoneToOneBookIsNotOffered) {
  selectShelf({1, 2}, {answered()});
  for (const char* name : {"summariseButton", "exportButton", "pauseButton", "retryButton"})
    EXPECT_EQ(visibleChild<QPushButton>(*window, name), nullptr) << name;
  for (const char* name : {"summarise", "pause", "resume", "cancel", "retry"})
    EXPECT_FALSE(action(name)->isEnabled()) << name;
  EXPECT_TRUE(action("remove")->isEnabled());
  window->setReadOnly(true);
  EXPECT_EQ(visibleChild<LinesLabel>(*window, "bookTitle")->text(), "2 books");
  EXPECT_FALSE(action("clear")->isEnabled());
  EXPECT_FALSE(action("remove")->isEnabled());
}

TEST_F(ShelfWindowTest, SeveralAreRemovedAfterOneQuestion) {
  selectShelf({1, 2});
  QSignalSpy remove(window.get(), &MainWindow::removeRequested);
  action("remove")->trigger();
  auto* box = qobject_cast<QMessageBox*>(QApplication::activeModalWidget());
  if (!box) box = window->findChild<QMessageBox*>();
  ASSERT_NE(box, nullptr);
  EXPECT_TRUE(box->text().contains("2 books")) << box->text().toStdString();
  EXPECT_EQ(remove.size(), 0);
  QTest::mouseClick(box->findChild<QPushButton*>("destroyButton"), Qt::LeftButton);
  ASSERT_EQ(remove.size(), 2);
  EXPECT_EQ(remove[0][0].toLongLong() + remove[1][0].toLongLong(), 3);
}

TEST_F(ShelfWindowTest, OnesThatASearchHidesAreRemovedWithTheOthers) {
  selectShelf({1, 2});
  QTest::keyClicks(window->findChild<QLineEdit*>("librarySearch"), "kipps");
  QSignalSpy remove(window.get(), &MainWindow::removeRequested);
  action("remove")->trigger();
  auto* box = window->findChild<QMessageBox*>();
  ASSERT_NE(box, nullptr);
  EXPECT_TRUE(box->text().contains("2 books")) << box->text().toStdString();
  QTest::mouseClick(box->findChild<QPushButton*>("destroyButton"), Qt::LeftButton);
  EXPECT_EQ(remove.size(), 2);
}

// The page shows the two that can be asked; the menu is of all three.
TEST_F(ShelfWindowTest, TheMenuOfAFileThatCouldNotBeReadKeepsTheSelection) {
  LibraryItem failed = failedBook(9, "no text");
  failed.hasText = false;
  window->putItem(failed);
  auto* list = window->findChild<Sidebar*>()->list();
  list->selectAll();
  const QList<qint64> asked = window->currentBooks();
  ASSERT_GT(asked.size(), 1);
  ASSERT_FALSE(asked.contains(9));
  emit window->findChild<Sidebar*>()->menuRequested(9, QPoint(0, 0));
  EXPECT_EQ(window->currentBooks(), asked);
  QSignalSpy remove(window.get(), &MainWindow::removeRequested);
  action("remove")->trigger();
  QTest::mouseClick(window->findChild<QMessageBox*>()->findChild<QPushButton*>("destroyButton"), Qt::LeftButton);
  EXPECT_EQ(remove.size(), asked.size() + 1);
}

TEST_F(ShelfWindowTest, OfManyBooksAFewAreNamedBeforeTheyAreRemoved) {
  for (qint64 id = 10; id < 60; ++id)
    window->putItem(readyBook(id, QString("Volume %1 of a very long row of books").arg(id)));
  window->findChild<Sidebar*>()->list()->selectAll();
  action("remove")->trigger();
  auto* box = window->findChild<QMessageBox*>();
  ASSERT_NE(box, nullptr);
  EXPECT_TRUE(box->informativeText().contains(QRegularExpression("and \\d+ more")))
      << box->informativeText().toStdString();
  EXPECT_LT(box->informativeText().size(), 800);
}

TEST_F(ShelfWindowTest, BooksThatAreNotReadWholeAreNamedAndLeavePassages) {
  selectShelf({1, 4});
  EXPECT_EQ(visibleChild<QLabel>(*window, "memoryLine")->text(), "memory: 1 of 2 books");
  EXPECT_EQ(window->findChild<QComboBox*>("waySelector")->currentText(), "Passages only");
  bool named = false;
  for (const auto* label : window->findChildren<LinesLabel*>())
    named |= label->isVisible() && label->text() == "Not remembered whole: “Moby-Dick”";
  EXPECT_TRUE(named);
  LibraryItem whole = readyBook(4, "Moby-Dick");
  window->putItem(whole);
  EXPECT_EQ(window->findChild<QComboBox*>("waySelector")->currentText(), "From memory");
  EXPECT_EQ(window->currentConversation(), -1) << "it is still the same shelf";
  LibraryItem waiting = readingBook(4);
  waiting.state = BookState::Waiting;
  waiting.hasMemory = false;
  window->putItem(waiting);
  EXPECT_FALSE(field()->isEnabled());
  EXPECT_EQ(field()->placeholderText(), "“Moby-Dick”: This book is not open yet…");
}

TEST_F(ShelfWindowTest, ItsConversationIsDeletedByItself) {
  selectShelf({1, 2});
  EXPECT_FALSE(action("clear")->isEnabled());
  window->showConversation(-1, {answered()});
  ASSERT_TRUE(action("clear")->isEnabled());
  QSignalSpy cleared(window.get(), &MainWindow::clearConversationRequested);
  action("clear")->trigger();
  auto* box = window->findChild<QMessageBox*>();
  ASSERT_NE(box, nullptr);
  EXPECT_TRUE(box->informativeText().contains("The Time Machine · Kipps"));
  QTest::mouseClick(box->findChild<QPushButton*>("destroyButton"), Qt::LeftButton);
  ASSERT_EQ(cleared.size(), 1);
  EXPECT_EQ(cleared[0][0].toLongLong(), -1);
}

TEST_F(ShelfWindowTest, ItsConversationIsExported) {
  selectShelf({1, 2});
  EXPECT_FALSE(action("export")->isEnabled());
  window->showConversation(-1, {answered()});
  ASSERT_TRUE(action("export")->isEnabled());
  QSignalSpy wanted(window.get(), &MainWindow::exportRequested);
  action("export")->trigger();
  auto* chooser = window->findChild<QFileDialog*>();
  ASSERT_NE(chooser, nullptr);
  emit chooser->fileSelected("/tmp/both.md");
  ASSERT_EQ(wanted.size(), 1);
  EXPECT_EQ(wanted[0][0].toLongLong(), -1);
}

TEST_F(ShelfWindowTest, OneAnswerAtATimeForShelvesToo) {
  selectShelf({1, 2});
  window->answerStarted(-1, streamingTurn("Where?"));
  EXPECT_EQ(window->conversation()->items().size(), 1);
  window->selectBook(3);
  window->showConversation(3, {});
  EXPECT_FALSE(field()->isEnabled());
  EXPECT_TRUE(field()->placeholderText().contains("several books"));
  ConversationItem failed = turn("Where?", {});
  failed.error = "“Kipps” has not been read to its end.";
  window->answerFinished(-1, failed);
  EXPECT_TRUE(field()->isEnabled());
  EXPECT_EQ(field()->toPlainText(), "") << "it was not asked of this book";
}

TEST_F(ShelfWindowTest, AConversationThatComesTooLateIsNotShown) {
  selectShelf({1, 2});
  window->selectBook(3);
  window->showShelf(-1, {answered()});
  EXPECT_TRUE(window->conversation()->items().isEmpty());
  EXPECT_EQ(window->currentConversation(), 3);
}

TEST_F(ShelfWindowTest, RemovingABookLeavesTheOthers) {
  selectShelf({1, 2, 3});
  QSignalSpy several(window.get(), &MainWindow::shelfSelected), one(window.get(), &MainWindow::bookSelected);
  window->removeItem(2);
  ASSERT_EQ(several.size(), 1);
  EXPECT_EQ(several[0][0].value<QList<qint64>>(), (QList<qint64>{1, 3}));
  window->removeItem(1);
  ASSERT_EQ(one.size(), 1);
  EXPECT_EQ(one[0][0].toLongLong(), 3);
}

TEST_F(ShelfWindowTest, IsSelectedAgainAtTheNextStart) {
  selectShelf({2, 3});
  window->close();
  make();
  QSignalSpy selected(window.get(), &MainWindow::shelfSelected);
  window->showModel(loadedModel());
  window->showLibrary(books());
  EXPECT_EQ(window->currentBooks(), (QList<qint64>{2, 3}));
  EXPECT_EQ(selected.size(), 1);
  window->selectBook(1);
  window->close();
  make();
  window->showLibrary({readyBook(1), readyBook(2, "Kipps")});
  EXPECT_EQ(window->currentBook(), 1);
}

}  // namespace
}  // namespace palimpsest::ui
