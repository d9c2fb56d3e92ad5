// What the reader can do to the window: drops, keys, dialogs.
#include <QDragEnterEvent>
#include <QDropEvent>
#include <QFileDialog>
#include <QInputDialog>
#include <QLineEdit>
#include <QMimeData>
#include <QTemporaryDir>
#include <QUrl>

#include "main_window_fixture.h"

namespace palimpsest::ui {
namespace {

class MainWindowInputTest : public MainWindowTest {
 protected:
  MainWindowInputTest() { fill(); }

  void drop(const QList<QUrl>& urls) {
    QMimeData data;
    data.setUrls(urls);
    QDragEnterEvent enter({50, 50}, Qt::CopyAction, &data, Qt::LeftButton, {});
    QApplication::sendEvent(window.get(), &enter);
    EXPECT_TRUE(enter.isAccepted());
    QDropEvent event({50, 50}, Qt::CopyAction, &data, Qt::LeftButton, {});
    QApplication::sendEvent(window.get(), &event);
  }
  template <typename Dialog>
  Dialog* dialog() {
    for (Dialog* each : window->findChildren<Dialog*>()) {
      if (each->isVisible()) return each;
    }
    return nullptr;
  }
};

TEST_F(MainWindowInputTest, DroppedFilesAreToBeAdded) {
  QSignalSpy add(window.get(), &MainWindow::addFilesRequested);
  drop({QUrl::fromLocalFile("/books/a.epub"), QUrl::fromLocalFile("/books/b.pdf")});
  ASSERT_EQ(add.size(), 1);
  EXPECT_EQ(add[0][0].toStringList(), QStringList({"/books/a.epub", "/books/b.pdf"}));
}

TEST_F(MainWindowInputTest, ADroppedFolderIsRefusedWithASentence) {
  const QTemporaryDir folder;
  QSignalSpy add(window.get(), &MainWindow::addFilesRequested);
  drop({QUrl::fromLocalFile(folder.path())});
  EXPECT_EQ(add.size(), 0);
  ASSERT_NE(banner(), nullptr);
  EXPECT_TRUE(banner()->text().contains("is a folder"));
}

TEST_F(MainWindowInputTest, DraggedTextIsNotTaken) {
  QMimeData data;
  data.setText("hello");
  QDragEnterEvent enter({50, 50}, Qt::CopyAction, &data, Qt::LeftButton, {});
  enter.ignore();
  QApplication::sendEvent(window.get(), &enter);
  EXPECT_FALSE(enter.isAccepted());
}

TEST_F(MainWindowInputTest, NothingInsideTheWindowCatchesADropForItself) {
  for (const QWidget* widget : window->findChildren<QWidget*>()) {
    EXPECT_FALSE(widget->acceptDrops()) << widget->metaObject()->className() << ' '
                                        << widget->objectName().toStdString();
  }
}

TEST_F(MainWindowInputTest, CtrlOOpensBooks) {
  const QTemporaryDir folder;
  QFile file(folder.filePath("a.epub"));
  ASSERT_TRUE(file.open(QIODevice::WriteOnly));
  file.write("x");
  file.close();
  QSignalSpy add(window.get(), &MainWindow::addFilesRequested);
  QTest::keyClick(window.get(), Qt::Key_O, Qt::ControlModifier);
  auto* open = dialog<QFileDialog>();
  ASSERT_NE(open, nullptr);
  EXPECT_EQ(open->fileMode(), QFileDialog::ExistingFiles);
  open->setDirectory(folder.path());
  open->findChild<QLineEdit*>()->setText(file.fileName());
  QMetaObject::invokeMethod(open, "accept");
  ASSERT_EQ(add.size(), 1);
  EXPECT_EQ(add[0][0].toStringList(), QStringList({file.fileName()}));
}

TEST_F(MainWindowInputTest, OpenOffersTheFormatsThatCanBeReadFirst) {
  window->setBookPatterns({"*.epub", "*.fb2"});
  QTest::keyClick(window.get(), Qt::Key_O, Qt::ControlModifier);
  ASSERT_NE(dialog<QFileDialog>(), nullptr);
  EXPECT_EQ(dialog<QFileDialog>()->nameFilters(), QStringList({"Books (*.epub *.fb2)", "All files (*)"}));
}

TEST_F(MainWindowInputTest, AFolderThatIsGoneDoesNotStandInTheDialogAsAFilesName) {
  openSettings().setValue("dialogs/lastFolder", "/no/such/folder");
  QTest::keyClick(window.get(), Qt::Key_O, Qt::ControlModifier);
  auto* open = dialog<QFileDialog>();
  ASSERT_NE(open, nullptr);
  EXPECT_EQ(open->findChild<QLineEdit*>()->text(), QString());
  EXPECT_TRUE(open->directory().exists());
}

TEST_F(MainWindowInputTest, CtrlEExportsInTheFormatOfTheSuffix) {
  const QTemporaryDir folder;
  for (const auto& [name, kind] : {std::pair("a.html", ExportKind::Html), std::pair("a.pdf", ExportKind::Pdf),
                                   std::pair("a.txt", ExportKind::Text), std::pair("a", ExportKind::Markdown)}) {
    QSignalSpy exported(window.get(), &MainWindow::exportRequested);
    QTest::keyClick(window.get(), Qt::Key_E, Qt::ControlModifier);
    auto* save = dialog<QFileDialog>();
    ASSERT_NE(save, nullptr);
    EXPECT_EQ(save->acceptMode(), QFileDialog::AcceptSave);
    save->setDirectory(folder.path());
    save->findChild<QLineEdit*>()->setText(folder.filePath(QString::fromLatin1(name)));
    QMetaObject::invokeMethod(save, "accept");
    ASSERT_EQ(exported.size(), 1) << name;
    EXPECT_EQ(exported[0][0].toLongLong(), 1);
    EXPECT_EQ(exported[0][2].value<ExportKind>(), kind) << name;
    EXPECT_FALSE(QFileInfo(exported[0][1].toString()).suffix().isEmpty());
    QCoreApplication::sendPostedEvents(nullptr, QEvent::DeferredDelete);
  }
}

TEST_F(MainWindowInputTest, AnExportInAFormThatIsNotKnownIsRefused) {
  const QTemporaryDir folder;
  QSignalSpy exported(window.get(), &MainWindow::exportRequested);
  const QString before = openSettings().value("dialogs/lastFolder").toString();
  QTest::keyClick(window.get(), Qt::Key_E, Qt::ControlModifier);
  auto* save = dialog<QFileDialog>();
  ASSERT_NE(save, nullptr);
  EXPECT_TRUE(save->selectedFiles().constFirst().endsWith(".md"));
  save->setDirectory(folder.path());
  save->findChild<QLineEdit*>()->setText(folder.filePath("book.docx"));
  QMetaObject::invokeMethod(save, "accept");
  EXPECT_EQ(exported.size(), 0);
  ASSERT_NE(banner(), nullptr);
  EXPECT_TRUE(banner()->text().contains("book.docx"));
  EXPECT_EQ(openSettings().value("dialogs/lastFolder").toString(), before);
  window->showExported(1, folder.filePath("book.md"));
  EXPECT_EQ(openSettings().value("dialogs/lastFolder").toString(), folder.path());
}

TEST_F(MainWindowInputTest, EnterAsksTheSelectedBook) {
  QSignalSpy asked(window.get(), &MainWindow::askRequested);
  QTest::keyClick(window.get(), Qt::Key_L, Qt::ControlModifier);
  EXPECT_TRUE(field()->hasFocus());
  QTest::keyClicks(field(), "Who is Weena?");
  QTest::keyClick(field(), Qt::Key_Return);
  ASSERT_EQ(asked.size(), 1);
  EXPECT_EQ(asked[0][0].toLongLong(), 1);
  EXPECT_EQ(asked[0][1].toString(), "Who is Weena?");
  EXPECT_EQ(asked[0][2].value<AnswerWay>(), AnswerWay::Memory);
}

TEST_F(MainWindowInputTest, EscStopsTheAnswerWhereverTheFocusIs) {
  QSignalSpy stop(window.get(), &MainWindow::stopRequested);
  window->answerStarted(1, streamingTurn("Where?"));
  QTest::keyClick(window.get(), Qt::Key_L, Qt::ControlModifier);
  QTest::keyClick(field(), Qt::Key_Escape);
  list()->setFocus();
  QTest::keyClick(list(), Qt::Key_Escape);
  EXPECT_EQ(stop.size(), 2);
  window->answerFinished(1, turn("Where?", "There."));
  QTest::keyClick(field(), Qt::Key_Escape);
  EXPECT_EQ(stop.size(), 2) << "there is nothing to stop any more";
}

TEST_F(MainWindowInputTest, DeleteAsksFirstAndSaysWhatIsLost) {
  window->showConversation(1, {turn("a", "b"), turn("c", "d")});
  QSignalSpy remove(window.get(), &MainWindow::removeRequested);
  list()->setFocus();
  QTest::keyClick(list(), Qt::Key_Delete);
  auto* box = dialog<QMessageBox>();
  ASSERT_NE(box, nullptr);
  EXPECT_EQ(remove.size(), 0);
  EXPECT_TRUE(box->text().contains("The Time Machine"));
  EXPECT_TRUE(box->informativeText().contains("0.5 MB")) << box->informativeText().toStdString();
  EXPECT_TRUE(box->informativeText().contains("2 questions"));
  EXPECT_EQ(box->defaultButton(), box->button(QMessageBox::Cancel)) << "Enter must not destroy";
  QTest::mouseClick(box->findChild<QPushButton*>("destroyButton"), Qt::LeftButton);
  ASSERT_EQ(remove.size(), 1);
  EXPECT_EQ(remove[0][0].toLongLong(), 1);
}

TEST_F(MainWindowInputTest, CancellingTheRemovalRemovesNothing) {
  QSignalSpy remove(window.get(), &MainWindow::removeRequested);
  list()->setFocus();
  QTest::keyClick(list(), Qt::Key_Delete);
  QTest::keyClick(dialog<QMessageBox>(), Qt::Key_Escape);
  EXPECT_EQ(dialog<QMessageBox>(), nullptr);
  EXPECT_EQ(remove.size(), 0);
}

TEST_F(MainWindowInputTest, DeleteInTheQuestionDeletesALetterAndNoBook) {
  QTest::keyClick(window.get(), Qt::Key_L, Qt::ControlModifier);
  QTest::keyClicks(field(), "ab");
  field()->moveCursor(QTextCursor::Start);
  QTest::keyClick(field(), Qt::Key_Delete);
  EXPECT_EQ(field()->toPlainText(), "b");
  EXPECT_EQ(dialog<QMessageBox>(), nullptr);
}

TEST_F(MainWindowInputTest, RetryOfALockedFileAsksForThePassword) {
  window->putItem(failedBook(3, "scan.pdf needs a password.", true));
  window->selectBook(3);
  QSignalSpy retry(window.get(), &MainWindow::retryRequested);
  QTest::mouseClick(visibleChild<QPushButton>(*window, "retryButton"), Qt::LeftButton);
  EXPECT_EQ(retry.size(), 0);
  auto* prompt = dialog<QInputDialog>();
  ASSERT_NE(prompt, nullptr);
  EXPECT_EQ(prompt->textEchoMode(), QLineEdit::Password);
  prompt->setTextValue("secret");
  prompt->accept();
  ASSERT_EQ(retry.size(), 1);
  EXPECT_EQ(retry[0][0].toLongLong(), 3);
  EXPECT_EQ(retry[0][1].toString(), "secret");
}

TEST_F(MainWindowInputTest, WithoutAPasswordNothingIsRetried) {
  window->putItem(failedBook(3, "scan.pdf needs a password.", true));
  window->selectBook(3);
  QSignalSpy retry(window.get(), &MainWindow::retryRequested);
  action("retry")->trigger();
  dialog<QInputDialog>()->reject();
  EXPECT_EQ(retry.size(), 0);
}

TEST_F(MainWindowInputTest, TheConversationIsDeletedOnlyAfterAsking) {
  window->showConversation(1, {turn("a", "b")});
  QSignalSpy clear(window.get(), &MainWindow::clearConversationRequested);
  ASSERT_TRUE(action("clear")->isEnabled());
  action("clear")->trigger();
  EXPECT_EQ(clear.size(), 0);
  QTest::mouseClick(dialog<QMessageBox>()->findChild<QPushButton*>("destroyButton"), Qt::LeftButton);
  EXPECT_EQ(clear.size(), 1);
}

TEST_F(MainWindowInputTest, SummariseAsksForTheSelectedBook) {
  QSignalSpy summarise(window.get(), &MainWindow::summarizeRequested);
  QTest::mouseClick(visibleChild<QPushButton>(*window, "summariseButton"), Qt::LeftButton);
  ASSERT_EQ(summarise.size(), 1);
  EXPECT_EQ(summarise[0][0].toLongLong(), 1);
}

TEST_F(MainWindowInputTest, AnotherModelFolderCanBeChosenFromTheBanner) {
  const QTemporaryDir folder;
  ModelStatus missing;
  missing.problem = "There is no model in /nowhere.";
  window->showModel(missing);
  QSignalSpy chosen(window.get(), &MainWindow::modelFolderChosen);
  QTest::mouseClick(visibleChild<QPushButton>(*banner(), "bannerAction"), Qt::LeftButton);
  auto* open = dialog<QFileDialog>();
  ASSERT_NE(open, nullptr);
  open->findChild<QLineEdit*>()->setText(folder.path());
  QMetaObject::invokeMethod(open, "accept");
  ASSERT_EQ(chosen.size(), 1);
  EXPECT_EQ(chosen[0][0].toString(), folder.path());
}

TEST_F(MainWindowInputTest, ClosingHidesAtOnceAndTells) {
  QSignalSpy closed(window.get(), &MainWindow::closed);
  window->close();
  EXPECT_FALSE(window->isVisible());
  EXPECT_EQ(closed.size(), 1);
}

}  // namespace
}  // namespace palimpsest::ui
