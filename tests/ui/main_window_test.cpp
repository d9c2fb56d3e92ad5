// What the window shows of the records that it is given.
#include <QImage>
#include <QMenu>
#include <QScreen>
#include <QScrollBar>
#include <QSplitter>
#include <QTextEdit>

#include "main_window_fixture.h"
#include "ui/dialogs.h"
#include "ui/library_model.h"
#include "ui/quote_card.h"
#include "ui/theme.h"

namespace palimpsest::ui {
namespace {

TEST_F(MainWindowTest, AnEmptyLibraryInvites) {
  QSignalSpy bundled(window.get(), &MainWindow::bundledBookRequested);
  ASSERT_NE(visibleChild<QWidget>(*window, "emptyLibrary"), nullptr);
  auto* button = visibleChild<QPushButton>(*window, "bundledButton");
  ASSERT_NE(button, nullptr);
  EXPECT_TRUE(button->text().contains("The Time Machine"));
  QTest::mouseClick(button, Qt::LeftButton);
  EXPECT_EQ(bundled.size(), 1);
  window->putItem(readyBook(1));
  EXPECT_EQ(visibleChild<QWidget>(*window, "emptyLibrary"), nullptr);
  window->removeItem(1);
  EXPECT_NE(visibleChild<QWidget>(*window, "emptyLibrary"), nullptr);
}

TEST_F(MainWindowTest, WithoutABundledBookNoneIsOffered) {
  MainWindow bare;
  EXPECT_EQ(bare.findChild<QPushButton*>("bundledButton"), nullptr);
}

TEST_F(MainWindowTest, TheHeaderNamesMemoryAndModel) {
  fill();
  EXPECT_EQ(visibleChild<QLabel>(*window, "memoryLine")->text(), "memory: whole book, 96 pages, 0.5 MB");
  EXPECT_TRUE(visibleChild<QLabel>(*window, "modelLine")->accessibleName().contains("CPU, 2 threads, bf16"));
}

TEST_F(MainWindowTest, AMissingModelIsSaidInABannerWithWhatToDo) {
  fill();
  EXPECT_EQ(banner(), nullptr);
  ModelStatus missing;
  missing.problem = "There is no model in /nowhere: config.json is missing.";
  window->showModel(missing);
  ASSERT_NE(banner(), nullptr);
  EXPECT_EQ(banner()->text(),
            "There is no model in /nowhere: config.json is missing. Choose the folder of another model.");
  EXPECT_EQ(visibleChild<QPushButton>(*banner(), "bannerAction")->text(), "Choose model folder…");
  EXPECT_FALSE(field()->isEnabled());
  window->showModel(loadedModel());
  EXPECT_EQ(banner(), nullptr);
  EXPECT_TRUE(field()->isEnabled());
}

TEST_F(MainWindowTest, TheBannerIsThereForAnEmptyLibraryToo) {
  ModelStatus missing;
  missing.problem = "There is no model in /nowhere.";
  window->showModel(missing);
  EXPECT_NE(banner(), nullptr);
}

TEST_F(MainWindowTest, ALoadingModelIsNoProblem) {
  ModelStatus loading;
  loading.loading = true;
  window->showModel(loading);
  EXPECT_EQ(banner(), nullptr);
}

TEST_F(MainWindowTest, AFailedBookShowsItsReasonAndRetry) {
  fill();
  window->selectBook(3);
  auto* hint = visibleChild<QLabel>(*window, "hintSentence");
  ASSERT_NE(hint, nullptr);
  EXPECT_EQ(hint->text(), "scan.pdf was not found.");
  QSignalSpy retry(window.get(), &MainWindow::retryRequested);
  QTest::mouseClick(visibleChild<QPushButton>(*window, "retryButton"), Qt::LeftButton);
  ASSERT_EQ(retry.size(), 1);
  EXPECT_EQ(retry[0][0].toLongLong(), 3);
  EXPECT_EQ(retry[0][1].toString(), "");
}

TEST_F(MainWindowTest, WhatWouldFailAgainCanOnlyBeRemoved) {
  fill();
  LibraryItem letter = failedBook(3, "letter.docx is a Word document, a format that Palimpsest cannot read yet.");
  letter.retryHelps = false;
  window->putItem(letter);
  window->selectBook(3);
  EXPECT_EQ(visibleChild<QLabel>(*window, "hintSentence")->text(), letter.failure);
  EXPECT_EQ(visibleChild<QPushButton>(*window, "retryButton"), nullptr);
  EXPECT_FALSE(action("retry")->isEnabled());
  EXPECT_TRUE(action("remove")->isEnabled());
}

TEST_F(MainWindowTest, AReadyBookWithoutAMemoryOffersToBeReadAgain) {
  fill();
  EXPECT_EQ(visibleChild<QPushButton>(*window, "retryButton"), nullptr);
  EXPECT_FALSE(action("retry")->isEnabled());
  LibraryItem foreign = readyBook(1);
  foreign.hasMemory = false;
  foreign.canReadAgain = true;
  window->putItem(foreign);
  QSignalSpy retry(window.get(), &MainWindow::retryRequested);
  auto* button = visibleChild<QPushButton>(*window, "retryButton");
  ASSERT_NE(button, nullptr);
  EXPECT_EQ(button->text(), "Read again");
  QTest::mouseClick(button, Qt::LeftButton);
  EXPECT_EQ(action("retry")->text().remove('&'), "Read again");
  action("retry")->trigger();
  ASSERT_EQ(retry.size(), 2);
  EXPECT_EQ(retry[1][0].toLongLong(), 1);
}

TEST_F(MainWindowTest, ButtonsFollowTheState) {
  fill();
  window->selectBook(2);
  QSignalSpy pause(window.get(), &MainWindow::pauseRequested), cancel(window.get(), &MainWindow::cancelRequested),
      resume(window.get(), &MainWindow::resumeRequested);
  QTest::mouseClick(visibleChild<QPushButton>(*window, "pauseButton"), Qt::LeftButton);
  QTest::mouseClick(visibleChild<QPushButton>(*window, "cancelButton"), Qt::LeftButton);
  LibraryItem paused = readingBook(2);
  paused.state = BookState::Paused;
  window->putItem(paused);
  EXPECT_EQ(visibleChild<QPushButton>(*window, "pauseButton"), nullptr);
  QTest::mouseClick(visibleChild<QPushButton>(*window, "resumeButton"), Qt::LeftButton);
  EXPECT_EQ(pause.size(), 1);
  EXPECT_EQ(cancel.size(), 1);
  EXPECT_EQ(resume.size(), 1);
  EXPECT_TRUE(action("resume")->isEnabled());
  EXPECT_FALSE(action("pause")->isEnabled());
}

TEST_F(MainWindowTest, TheFocusNeverFallsOnCancel) {
  window->showModel(loadedModel());
  LibraryItem book = readingBook(2);
  book.state = BookState::Waiting;
  book.hasMemory = false;
  window->putItem(book);  // the first book of an empty library
  book.state = BookState::Extracting;
  window->putItem(book);
  book.state = BookState::Reading;
  window->putItem(book);
  EXPECT_EQ(qobject_cast<QPushButton*>(window->focusWidget()), nullptr);
  book.hasMemory = true;
  window->putItem(book);
  EXPECT_EQ(window->focusWidget(), field()) << "as soon as a question can be typed";
}

TEST_F(MainWindowTest, PauseAndResumeHandTheFocusToEachOther) {
  fill();
  window->selectBook(2);
  LibraryItem book = readingBook(2);
  visibleChild<QPushButton>(*window, "pauseButton")->setFocus();
  book.state = BookState::Paused;
  window->putItem(book);
  EXPECT_EQ(window->focusWidget(), visibleChild<QPushButton>(*window, "resumeButton"));
  for (const BookState state : {BookState::Waiting, BookState::Reading}) {
    book.state = state;
    window->putItem(book);
    EXPECT_EQ(window->focusWidget(), visibleChild<QPushButton>(*window, "pauseButton"));
  }
  book.state = BookState::Ready;
  window->putItem(book);
  EXPECT_EQ(window->focusWidget(), field());
}

TEST_F(MainWindowTest, AtTheStartTheQuestionHasTheFocus) {
  window->showLibrary({readingBook(1), readyBook(2)});
  EXPECT_EQ(qobject_cast<QPushButton*>(window->focusWidget()), nullptr) << "while the model is being loaded";
  window->showModel(loadedModel());
  EXPECT_EQ(window->focusWidget(), field());
}

TEST_F(MainWindowTest, ABookCanBeAskedWhileItIsRead) {
  fill();
  window->selectBook(2);
  window->showConversation(2, {});
  EXPECT_TRUE(field()->isEnabled());
  LibraryItem first = readingBook(2);
  first.hasMemory = false;
  window->putItem(first);
  EXPECT_FALSE(field()->isEnabled());
}

TEST_F(MainWindowTest, AModelWithoutMemoryHeadsAnswersFromPassagesOnly) {
  fill();
  ModelStatus plain = loadedModel();
  plain.hasMemory = false;
  window->showModel(plain);
  EXPECT_EQ(window->findChild<QComboBox*>("waySelector")->currentText(), "Passages only");
  EXPECT_FALSE(visibleChild<QPushButton>(*window, "summariseButton")->isEnabled());
}

TEST_F(MainWindowTest, SelectingAnotherBookAsksForItsConversation) {
  fill();
  QSignalSpy selected(window.get(), &MainWindow::bookSelected);
  window->selectBook(2);
  ASSERT_EQ(selected.size(), 1);
  window->showConversation(1, {turn("late", "answer")});
  EXPECT_TRUE(window->conversation()->items().isEmpty()) << "a conversation that comes too late is not this book's";
}

TEST_F(MainWindowTest, OnlyOneAnswerAtATime) {
  fill();
  window->answerStarted(1, streamingTurn("Where?"));
  window->selectBook(2);
  window->showConversation(2, {});
  EXPECT_FALSE(field()->isEnabled());
  EXPECT_TRUE(field()->placeholderText().contains("The Time Machine"));
  window->answerFinished(1, turn("Where?", "There."));
  EXPECT_TRUE(field()->isEnabled());
}

TEST_F(MainWindowTest, AQuestionThatWasNotAnsweredIsGivenBack) {
  fill();
  window->answerStarted(1, streamingTurn("Where?"));
  ConversationItem failed = turn("Where?", {});
  failed.error = "The question is too long for this model.";
  window->answerFinished(1, failed);
  EXPECT_EQ(field()->toPlainText(), "Where?");
  window->answerFinished(1, failed);
  field()->setPlainText("Another");
  window->answerFinished(1, failed);
  EXPECT_EQ(field()->toPlainText(), "Another") << "what is being written stays";
}

TEST_F(MainWindowTest, ALockedBookIsToBeUnlocked) {
  fill();
  window->putItem(failedBook(3, "scan.pdf needs a password.", true));
  window->selectBook(3);
  EXPECT_EQ(visibleChild<QPushButton>(*window, "retryButton")->text(), "Unlock…");
  EXPECT_TRUE(action("retry")->text().contains("nlock"));
}

TEST_F(MainWindowTest, AQuoteOpensTheStoredTextAtItsPlace) {
  fill();
  ConversationItem item = turn("Who?", "Weena.");
  item.quotes << Quote{"whose name was Weena", 52, "V", 15};
  window->showConversation(1, {item});
  QSignalSpy wanted(window.get(), &MainWindow::storedTextRequested);
  QTest::mouseClick(window->findChild<QuoteCard*>(), Qt::LeftButton);
  ASSERT_EQ(wanted.size(), 1);
  window->showStoredText(1, "A little woman whose name was Weena.", wanted[0][1].value<Quote>());
  auto* page = visibleChild<QTextEdit>(*window, "readerText");
  ASSERT_NE(page, nullptr);
  ASSERT_EQ(page->extraSelections().size(), 1);
  EXPECT_EQ(page->extraSelections()[0].cursor.selectedText(), "whose name was Weena");
  QTest::keyClick(window.get(), Qt::Key_Escape);
  EXPECT_EQ(visibleChild<QTextEdit>(*window, "readerText"), nullptr);
  EXPECT_TRUE(field()->isVisible());
}

TEST_F(MainWindowTest, ANarrowWindowShowsReaderOrConversation) {
  fill();
  window->resize(900, 600);
  window->showStoredText(1, "text", Quote{"text", 0, "", 0});
  EXPECT_FALSE(field()->isVisible());
  window->resize(1500, 800);
  EXPECT_SOON(field()->isVisible());
  EXPECT_NE(visibleChild<QTextEdit>(*window, "readerText"), nullptr);
}

TEST_F(MainWindowTest, TextThatCannotBeLoadedIsSaid) {
  fill();
  window->showStoredText(1, "", Quote{"text", 0, "", 0});
  ASSERT_NE(banner(), nullptr);
  EXPECT_TRUE(banner()->text().contains("could not be loaded"));
}

TEST_F(MainWindowTest, ProblemsOfOneMomentStandTogetherAndEachOnce) {
  fill();
  window->showProblem("a.pdf is locked.");
  window->showProblem("b.pdf is empty.");
  window->showProblem("b.pdf is empty.");
  EXPECT_EQ(banner()->text(), "a.pdf is locked.\nb.pdf is empty.");
}

TEST_F(MainWindowTest, ExportIsConfirmedWithItsPlace) {
  fill();
  window->showExported(1, "/home/someone/book.md");
  ASSERT_NE(banner(), nullptr);
  EXPECT_TRUE(banner()->text().contains("/home/someone/book.md"));
}

TEST_F(MainWindowTest, RemovingABookClosesWhatShowedIt) {
  fill();
  window->showStoredText(1, "text", Quote{"text", 0, "", 0});
  window->removeItem(1);
  EXPECT_EQ(visibleChild<QTextEdit>(*window, "readerText"), nullptr);
  EXPECT_NE(window->currentBook(), 1);
  EXPECT_GT(window->currentBook(), 0);
}

TEST_F(MainWindowTest, TheRememberedBookIsInViewAfterARestart) {
  QList<LibraryItem> books;
  for (int id = 40; id > 0; --id) books << readyBook(id, QString("Book %1").arg(id));
  window->showLibrary(books);
  window->selectBook(12);
  window->close();
  make();
  const auto inView = [this] {
    const QRect row = list()->visualRect(list()->currentIndex());
    return list()->currentIndex().data(LibraryModel::IdRole) == 12 && list()->viewport()->rect().contains(row);
  };
  window->showLibrary(books);
  EXPECT_SOON(inView());
  // Rows grow when the model is there and has not read them; nothing may cut the book off then, nor in a lower window.
  for (LibraryItem& book : books) {
    book.canReadAgain = true;
    window->putItem(book);
  }
  EXPECT_SOON(inView());
  window->resize(1100, 520);
  EXPECT_SOON(inView());
  list()->verticalScrollBar()->triggerAction(QAbstractSlider::SliderToMinimum);
  window->resize(1100, 700);
  QCoreApplication::processEvents();
  EXPECT_EQ(list()->verticalScrollBar()->value(), 0) << "the reader looks elsewhere";
}

TEST_F(MainWindowTest, ThemeWayAndBookAreRemembered) {
  fill();
  action("themeDark")->trigger();
  EXPECT_TRUE(currentColours().dark);
  auto* ways = window->findChild<QComboBox*>("waySelector");
  ways->setCurrentIndex(1);
  emit ways->activated(1);
  window->selectBook(2);
  window->resize(787, 677);
  window->close();
  applyTheme(*qApp, false);
  window = std::make_unique<MainWindow>();
  window->show();
  EXPECT_TRUE(currentColours().dark);
  EXPECT_TRUE(action("themeDark")->isChecked());
  window->showModel(loadedModel());
  window->showLibrary({readyBook(1), readingBook(2)});
  EXPECT_EQ(window->currentBook(), 2);
  EXPECT_EQ(window->findChild<QComboBox*>("waySelector")->currentText(), "Memory and passages");
  EXPECT_EQ(window->size(), QSize(787, 677));
}

TEST_F(MainWindowTest, EachLibraryHasALastBookOfItsOwn) {
  const auto lastOf = [&](const char* file, qint64 choose) {
    window = std::make_unique<MainWindow>();
    window->setLibraryFile(QString::fromLatin1(file));
    window->show();
    window->showLibrary({readyBook(1), readyBook(2), readyBook(3)});
    const qint64 first = window->currentBook();
    if (choose > 0) window->selectBook(choose);
    window->close();
    return first;
  };
  lastOf("/a/library.db", 2);
  lastOf("/b/library.db", 3);
  EXPECT_EQ(lastOf("/a/library.db", 0), 2);
  EXPECT_EQ(lastOf("/b/library.db", 0), 3);
  EXPECT_EQ(lastOf("/c/library.db", 0), 1);
}

TEST_F(MainWindowTest, BrokenSettingsAreNoHindrance) {
  openSettings().setValue("window/theme", 99);
  openSettings().setValue("window/way", -7);
  openSettings().setValue("window/geometry", QByteArray("nonsense"));
  openSettings().setValue("window/splitter", QByteArray("nonsense"));
  make();
  fill();
  EXPECT_EQ(window->findChild<QComboBox*>("waySelector")->currentText(), "From memory");
}

// The screen of the tests is 800 wide.
TEST_F(MainWindowTest, IsNoLargerThanTheScreen) {
  const QSize screen = window->screen()->availableSize();
  ASSERT_LT(screen.width(), 1180);
  const auto fits = [&] {
    window = std::make_unique<MainWindow>();
    window->show();
    const QRect where = window->geometry();
    window->close();
    return window->screen()->availableGeometry().contains(where) && where.height() < screen.height();
  };
  window->close();
  openSettings().clear();
  EXPECT_TRUE(fits()) << "the first time";
  window->show();
  window->resize(1500, 1000);  // as on a larger screen
  window->close();
  EXPECT_TRUE(fits()) << "restored";
  window->show();
  window->move(screen.width() / 2, screen.height() / 2);  // there it went on, on a larger screen
  window->close();
  EXPECT_TRUE(fits()) << "restored to its place";
}

TEST_F(MainWindowTest, OfAScreenThatIsSmallTheWindowAsksNoMore) {
  EXPECT_EQ(MainWindow::leastSize({1920, 1040}), QSize(760, 520));
  EXPECT_EQ(MainWindow::leastSize({910, 480}), QSize(760, 480));
  EXPECT_EQ(MainWindow::leastSize({640, 400}), QSize(640, 400));
  fill();
  window->setMinimumSize(MainWindow::leastSize({900, 440}));
  window->resize(900, 440);
  EXPECT_SOON(window->height() == 440 && field()->mapTo(window.get(), field()->rect().bottomRight()).y() < 440 &&
              field()->height() >= field()->fontMetrics().height());
}

TEST_F(MainWindowTest, AReadingOfOneSecondIsCountedAsOne) {
  const auto said = [&](double seconds) {
    LibraryItem item = readyBook(1);
    item.secondsSpent = seconds;
    dialogs::confirmReadingAgain(window.get(), item, [] {});
    auto* box = window->findChild<QMessageBox*>();
    const QString text = box->informativeText();
    delete box;
    return text;
  };
  EXPECT_TRUE(said(1.2).endsWith("The last reading took one second."));
  EXPECT_TRUE(said(8.4).endsWith("The last reading took 8 seconds."));
}

TEST_F(MainWindowTest, EveryPieceThatTakesTheFocusHasAName) {
  fill();
  ConversationItem item = turn("Who?", "Weena.");
  item.quotes << Quote{"whose name was Weena", 52, "V", 15};
  window->showConversation(1, {item});
  for (const QWidget* widget : window->findChildren<QWidget*>()) {
    if (!widget->isVisible() || !(widget->focusPolicy() & Qt::TabFocus)) continue;
    const auto* button = qobject_cast<const QAbstractButton*>(widget);
    const bool named = !widget->accessibleName().isEmpty() || (button && !button->text().isEmpty());
    EXPECT_TRUE(named) << widget->metaObject()->className() << ' ' << widget->objectName().toStdString();
  }
}

}  // namespace
}  // namespace palimpsest::ui
