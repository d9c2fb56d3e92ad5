// The window and a real Assistant with the tiny model, joined as in the program, without a screen.
#include <SQLiteCpp/SQLiteCpp.h>

#include <QAction>
#include <QElapsedTimer>
#include <QFile>
#include <QFileDialog>
#include <QLabel>
#include <QMenu>
#include <QPushButton>
#include <QTest>
#include <QTextEdit>
#include <algorithm>
#include <atomic>
#include <thread>
#include <utility>

#include "app/gui_handover.h"
#include "app/gui_options.h"
#include "app/gui_wiring.h"
#include "app/paths.h"
#include "documents/document.h"
#include "engine/errors.h"
#include "engine/model.h"
#include "tests/app/fixture.h"
#include "ui/ask_bar.h"
#include "ui/banner.h"
#include "ui/main_window.h"
#include "ui/part_selector.h"
#include "ui/quote_card.h"
#include "ui/settings.h"

namespace palimpsest::app::gui {
namespace {

// The longest that a thread left its beat alone, beyond what it had to wait for one of this machine's cores.
class Beat {
 public:
  void start() {
    last_.start();
    queued_ = queued();
  }
  void measure() {
    const qint64 before = std::exchange(queued_, queued());
    longest_ = std::max<qint64>(longest_, last_.restart() - (queued_ - before));
  }
  qint64 longest() const { return longest_; }  // any thread

 private:
  // How many milliseconds the kernel has let this thread wait though it could run; 0 where it does not count them.
  static qint64 queued() {
    QFile file(QStringLiteral("/proc/thread-self/schedstat"));  // ns on a core, ns waiting for one, turns
    if (!file.open(QIODevice::ReadOnly)) return 0;
    const QByteArrayList fields = file.readAll().split(' ');
    return fields.size() > 1 ? fields[1].toLongLong() / 1'000'000 : 0;
  }
  QElapsedTimer last_;
  qint64 queued_ = 0;
  std::atomic<qint64> longest_ = 0;
};

// How long the UI thread at most left its events alone, beyond what the whole machine stood still.
class Heartbeat {
 public:
  Heartbeat() {
    timer_.setTimerType(Qt::PreciseTimer);
    QObject::connect(&timer_, &QTimer::timeout, [this] { window_.measure(); });
    window_.start();
    timer_.start(kMilliseconds);
    thread_ = std::jthread([this](std::stop_token stop) {
      machine_.start();
      while (!stop.stop_requested()) {
        std::this_thread::sleep_for(std::chrono::milliseconds(kMilliseconds));
        machine_.measure();
      }
    });
  }
  qint64 longestWait() {
    window_.measure();
    return std::max<qint64>(0, window_.longest() - machine_.longest());
  }

 private:
  static constexpr int kMilliseconds = 5;
  QTimer timer_;
  Beat window_, machine_;
  std::jthread thread_;
};

// A window that waited for a book to be read or opened, or for a lock, would stand still for a second and more in the
// tests below. Drawing takes its part of this.
constexpr qint64 kLongestWait = 300;

class WiringTest : public AppTest {
 protected:
  WiringTest() { ui::openSettings().clear(); }

  void open(const QStringList& files = {}, const QString& model = tinyModel(), bool readOnly = false) {
    close();
    window = std::make_unique<ui::MainWindow>();
    window->resize(1400, 800);
    window->show();
    AssistantOptions options;
    options.database = toPath(database());
    options.modelFolder = toPath(model);
    options.threads = 1;
    options.readOnly = readOnly;
    wiring = std::make_unique<Wiring>(*window, options);
    wiring->start(files);
  }
  void close() {
    wiring.reset();
    window.reset();
  }
  bool waitForReady(int books = 1) {
    return waitFor([&] {
      int ready = 0;
      for (int row = 0; row < window->library()->rowCount(); ++row)
        ready += window->library()->index(row).data(ui::LibraryModel::StateRole).toInt() == int(ui::BookState::Ready);
      return ready == books;
    });
  }
  QString problem() {
    QStringList texts;
    for (const auto* banner : window->findChildren<ui::Banner*>())
      if (banner->isVisible()) texts << banner->text();
    const auto* page = visibleChild<QLabel>(*window, "emptySentence");
    if (page && !page->text().contains("read once")) texts << page->text();
    return texts.join('\n');
  }
  template <typename T>
  static T* visibleChild(const QWidget& parent, const char* name) {
    for (T* child : parent.findChildren<T*>(QString::fromLatin1(name)))
      if (child->isVisible()) return child;
    return nullptr;
  }
  void ask(const QString& question) {
    auto* field = window->findChild<ui::AskField*>();
    ASSERT_TRUE(waitFor([&] { return field->isEnabled(); }));
    field->setPlainText(question);
    QTest::keyClick(field, Qt::Key_Return);
  }
  bool waitForAnswers(int count) {
    return waitFor([&] {
      const auto& items = window->conversation()->items();
      return items.size() == count && !items.constLast().streaming;
    });
  }

  std::unique_ptr<ui::MainWindow> window;
  std::unique_ptr<Wiring> wiring;
};

TEST_F(WiringTest, ABookInAnAnswerOutAndAllOfItThereAfterARestart) {
  open({write("novel.txt", novel())});
  ASSERT_TRUE(waitForReady());
  EXPECT_GT(window->currentBook(), 0) << "a book that comes alone is shown";
  ask("Where is the purple umbrella of Professor Zanzibar?");
  ASSERT_TRUE(waitForAnswers(1));
  const ui::ConversationItem answered = window->conversation()->items()[0];
  EXPECT_EQ(answered.error, "");
  EXPECT_THAT(answered.provenance, HasText("0 pages re-read"));
  close();

  open();
  ASSERT_TRUE(waitFor([&] { return window->library()->rowCount() == 1; }));
  ASSERT_EQ(window->conversation()->items().size(), 1);
  EXPECT_EQ(window->conversation()->items()[0].question, answered.question);
  EXPECT_EQ(window->conversation()->items()[0].answer, answered.answer);
  ask("Who kept it?");
  ASSERT_TRUE(waitForAnswers(2));
}

TEST_F(WiringTest, WhatIsChosenOfABookIsWhatIsAskedAndSummedUp) {
  open({write("novel.md", "# One\n\n" + prose(8) + "# Two\n\n" + prose(8, 5) + "# Three\n\n" + novel(8))});
  ASSERT_TRUE(waitForReady());
  auto* selector = window->findChild<ui::PartSelector*>();
  ASSERT_TRUE(waitFor([&] { return selector->isVisible(); }));
  emit selector->menu()->aboutToShow();
  QAction* upToTwo = selector->menu()->actions().at(1)->menu()->actions().at(1);
  ASSERT_TRUE(upToTwo->isEnabled());
  upToTwo->trigger();
  EXPECT_EQ(selector->text(), "Up to Two");
  ask("Who kept the purple umbrella in the lighthouse?");
  ASSERT_TRUE(waitForAnswers(1));
  EXPECT_EQ(window->conversation()->items()[0].provenance, "From memory, up to Two · 0 pages re-read");
  for (const ui::Quote& quote : window->conversation()->items()[0].quotes) EXPECT_NE(quote.chapter, "Three");
  QTest::mouseClick(visibleChild<QPushButton>(*window, "summariseButton"), Qt::LeftButton);
  ASSERT_TRUE(waitForAnswers(2));
  EXPECT_EQ(window->conversation()->items()[1].provenance, "Summed up from memory, up to Two · 0 pages re-read");
}

TEST_F(WiringTest, SeveralBooksAreAskedAtOnceAndTheConversationIsThereAfterARestart) {
  open({write("novel.txt", novel()), write("other.txt", prose(10, 3)), write("third.txt", prose(10, 4))});
  ASSERT_TRUE(waitForReady(3));
  QList<qint64> ids;
  for (int row = 0; row < 2; ++row) ids << window->library()->index(row).data(ui::LibraryModel::IdRole).toLongLong();
  std::ranges::sort(ids);
  window->selectBooks(ids);
  EXPECT_LT(window->currentConversation(), 0);
  ask("Where is the purple umbrella of Professor Zanzibar?");
  ASSERT_TRUE(waitForAnswers(1));
  const ui::ConversationItem answered = window->conversation()->items()[0];
  EXPECT_EQ(answered.error, "");
  EXPECT_THAT(answered.provenance, HasText("2 whole books"));
  EXPECT_EQ(answered.scores.size(), 2);
  window->close();  // which remembers the selection
  close();

  open();
  ASSERT_TRUE(waitFor([&] { return window->library()->rowCount() == 3; }));
  EXPECT_EQ(window->currentBooks(), ids);
  ASSERT_EQ(window->conversation()->items().size(), 1);
  EXPECT_EQ(window->conversation()->items()[0].answer, answered.answer);
  EXPECT_EQ(window->conversation()->items()[0].bookId, answered.bookId);
  auto* supporting = window->findChild<QPushButton*>("supportingBook");
  ASSERT_NE(supporting, nullptr);
  QTest::mouseClick(supporting, Qt::LeftButton);
  EXPECT_EQ(window->currentBook(), answered.bookId);
  EXPECT_TRUE(window->conversation()->items().isEmpty()) << "its own conversation";
  window->selectBooks(ids);
  EXPECT_EQ(window->conversation()->items().size(), 1);
  emit window->clearConversationRequested(window->currentConversation());
  ASSERT_TRUE(waitFor([&] { return window->conversation()->items().isEmpty(); }));
}

TEST_F(WiringTest, AQuoteOpensTheBookWhereItStands) {
  open({write("novel.txt", novel(400))});
  ASSERT_TRUE(waitForReady());
  ask("Where is the purple umbrella of Professor Zanzibar?");
  ASSERT_TRUE(waitForAnswers(1));
  ASSERT_TRUE(waitFor([&] { return window->findChild<ui::QuoteCard*>() != nullptr; }));
  auto* card = window->findChild<ui::QuoteCard*>();
  QTest::mouseClick(card, Qt::LeftButton);
  const auto shown = [&] { return window->findChild<QTextEdit*>("readerText")->extraSelections(); };
  ASSERT_TRUE(waitFor([&] { return !shown().isEmpty(); }));
  const auto marks = shown();
  ASSERT_EQ(marks.size(), 1);
  EXPECT_EQ(marks[0].cursor.selectedText(), card->quote().text);
}

TEST_F(WiringTest, ExportWritesTheFormatThatWasChosen) {
  open({write("novel.txt", novel())});
  ASSERT_TRUE(waitForReady());
  ask("Who kept the umbrella?");
  ASSERT_TRUE(waitForAnswers(1));
  const QString file = path("out.html");
  emit window->exportRequested(window->currentBook(), file, ui::ExportKind::Html);
  ASSERT_TRUE(waitFor([&] { return problem().contains(file); })) << "the window says where it was written";
  QFile written(file);
  ASSERT_TRUE(written.open(QIODevice::ReadOnly));
  const QByteArray html = written.readAll();
  EXPECT_TRUE(html.contains("<h1>"));
  EXPECT_TRUE(html.contains("Who kept the umbrella?"));
}

TEST_F(WiringTest, SeveralFilesAtOnceAndEachBadOneSaysWhy) {
  const QString text = write("novel.txt", novel());
  open({text, write("empty.txt", ""), path("nowhere.epub")});
  ASSERT_TRUE(waitForReady());
  ASSERT_TRUE(waitFor([&] { return problem().contains("nowhere.epub"); }));
  ASSERT_TRUE(waitFor([&] {
    for (int row = 0; row < window->library()->rowCount(); ++row) {
      const auto item = window->library()->index(row).data(ui::LibraryModel::ItemRole).value<ui::LibraryItem>();
      if (item.state == ui::BookState::Failed) return item.failure.contains("empty.txt");
    }
    return problem().contains("empty.txt");
  }));
}

TEST_F(WiringTest, TheSameBookAgainIsBroughtToTheFrontAndNotAddedTwice) {
  const QString first = write("novel.txt", novel()), second = write("other.txt", prose(10, 3));
  open({first, second});
  ASSERT_TRUE(waitForReady(2));
  const qint64 before = window->currentBook();
  const QString other = window->library()->item(before)->title.contains("novel") ? second : first;
  emit window->addFilesRequested({other});
  ASSERT_TRUE(waitFor([&] { return window->currentBook() != before; }));
  EXPECT_EQ(window->library()->rowCount(), 2);
}

TEST_F(WiringTest, AMissingModelIsSaidAndAnotherOneCanBeChosen) {
  open({write("novel.txt", novel())}, path("no-model"));
  ASSERT_TRUE(waitFor([&] { return problem().contains("no-model"); }));
  ASSERT_TRUE(waitFor([&] { return window->library()->rowCount() == 1; }));
  QString reason;
  try {
    engine::Model::load(toPath(path("no-model")));
  } catch (const engine::ModelError& error) {
    reason = asSentence(error);
  }
  EXPECT_EQ(problem(), "The model could not be loaded. " + reason + " Choose the folder of another model.");
  emit window->modelFolderChosen(tinyModel());
  ASSERT_TRUE(waitForReady());
  EXPECT_FALSE(problem().contains("no-model")) << problem().toStdString();
  EXPECT_EQ(ui::openSettings().value("model/folder").toString(), QFileInfo(tinyModel()).absoluteFilePath());
}

TEST_F(WiringTest, AModelThatCannotBeLoadedIsNotRememberedAndTheShippedOneIsOffered) {
  ui::openSettings().setValue("model/folder", tinyModel());
  open();
  ASSERT_TRUE(QDir().mkpath(path("empty")));
  emit window->modelFolderChosen(path("empty"));
  ASSERT_TRUE(waitFor([&] { return problem().contains("empty"); }));
  EXPECT_EQ(ui::openSettings().value("model/folder").toString(), tinyModel());
  ASSERT_TRUE(waitFor([&] { return visibleChild<QPushButton>(*window, "bannerSecond") != nullptr; }));
  auto* shipped = visibleChild<QPushButton>(*window, "bannerSecond");
  EXPECT_EQ(shipped->text(), "Use the shipped model");
  QTest::mouseClick(shipped, Qt::LeftButton);
  EXPECT_FALSE(ui::openSettings().contains("model/folder"));
  EXPECT_TRUE(waitFor([&] { return !problem().contains("empty"); }));
}

TEST_F(WiringTest, ABookThatAnotherModelHasReadIsReadAgainByItsButton) {
  open({write("novel.txt", novel())});
  ASSERT_TRUE(waitForReady());
  close();
  open({}, otherModel());
  const auto item = [&] { return window->library()->item(window->currentBook()).value_or(ui::LibraryItem()); };
  ASSERT_TRUE(waitFor([&] { return item().canReadAgain; }));
  EXPECT_FALSE(item().hasMemory);
  EXPECT_THAT(item().note, HasText("made by another model (tiny-model)"));
  auto* button = window->findChild<QPushButton*>("retryButton");
  ASSERT_TRUE(button->isVisible());
  EXPECT_TRUE(item().note.contains("“" + button->text() + "”")) << "the note names the button";
  QTest::mouseClick(button, Qt::LeftButton);
  ASSERT_TRUE(waitFor([&] { return item().state == ui::BookState::Ready && item().hasMemory; }));
  EXPECT_FALSE(button->isVisible());
  EXPECT_EQ(item().note, "");
}

TEST_F(WiringTest, TheWindowNeverWaitsForABook) {
  const QString book = write("long.txt", prose(6000));
  const QString exported = path("out.html");
  open({write("novel.txt", novel(400))});
  ASSERT_TRUE(waitForReady());
  const qint64 novel = window->currentBook();
  ask("Where is the purple umbrella of Professor Zanzibar?");  // everything that is made once is made
  ASSERT_TRUE(waitForAnswers(1));
  ASSERT_TRUE(waitFor([&] { return window->findChild<ui::QuoteCard*>() != nullptr; }));

  QElapsedTimer whole;
  whole.start();
  Heartbeat heart;
  emit window->addFilesRequested({book});
  ASSERT_TRUE(waitFor([&] {
    const auto item = window->library()->item(window->currentBook());
    return window->currentBook() != novel && item && item->state == ui::BookState::Reading && item->hasMemory;
  }));
  ask("Who sang?");
  ASSERT_TRUE(waitForAnswers(1));
  window->selectBook(novel);
  ASSERT_TRUE(waitForAnswers(1));
  ASSERT_TRUE(waitFor([&] { return window->findChild<ui::QuoteCard*>() != nullptr; }));
  QTest::mouseClick(window->findChild<ui::QuoteCard*>(), Qt::LeftButton);
  ASSERT_TRUE(waitFor([&] { return !window->findChild<QTextEdit*>("readerText")->extraSelections().isEmpty(); }));
  emit window->exportRequested(novel, exported, ui::ExportKind::Html);
  ASSERT_TRUE(waitForReady(2));
  EXPECT_TRUE(QFile::exists(exported));
  EXPECT_LT(heart.longestWait(), kLongestWait);
  EXPECT_GT(whole.elapsed(), 3 * kLongestWait) << "the book is too short to tell waiting from not waiting";
}

TEST_F(WiringTest, AModelIsChangedWithoutWaitingForTheTextThatIsBeingStored) {
  open({write("slow.txt", prose(60000))}, path("no-model"));
  ASSERT_TRUE(waitFor([&] { return problem().contains("no-model"); }));
  // The one transaction that stores the text has begun to reach the disk, and goes on for about a second.
  ASSERT_TRUE(waitFor([&] { return QFileInfo(database() + "-wal").size() > 1'000'000; }));
  Heartbeat heart;
  emit window->modelFolderChosen(tinyModel());
  ASSERT_TRUE(waitFor([&] { return window->library()->item(window->currentBook())->state == ui::BookState::Reading; }));
  EXPECT_LT(heart.longestWait(), kLongestWait);
}

TEST_F(WiringTest, ALibraryThatAnotherProgramLocksDoesNotHoldTheWindow) {
  open({write("novel.txt", novel())});
  ASSERT_TRUE(waitForReady());
  close();
  SQLite::Database other(database().toStdString(), SQLite::OPEN_READWRITE);
  other.exec("PRAGMA locking_mode = EXCLUSIVE");
  other.exec("BEGIN EXCLUSIVE");
  Heartbeat heart;
  open({}, tinyModel(), true);  // for writing it would wait longer, on the writer's thread
  ASSERT_TRUE(waitFor([&] { return problem().contains("locked"); }));
  EXPECT_LT(heart.longestWait(), kLongestWait);
}

TEST_F(WiringTest, OpenOffersWhatCanBeRead) {
  open();
  window->findChild<QAction*>("open")->trigger();
  auto* dialog = window->findChild<QFileDialog*>();
  ASSERT_NE(dialog, nullptr);
  for (const std::string& pattern : documents::supportedFilePatterns())
    EXPECT_THAT(dialog->nameFilters().constFirst(), HasText(pattern.c_str()));
}

TEST_F(WiringTest, ALibraryThatCannotBeOpenedIsSaidAndRefusesBooks) {
  ASSERT_TRUE(QDir().mkpath(database()));  // a folder where the file should be
  open();
  const auto onPage = [&] {
    auto* sentence = visibleChild<QLabel>(*window, "emptySentence");
    return sentence ? sentence->text() : QString();
  };
  EXPECT_TRUE(waitFor([&] { return onPage().contains("library.db"); }, 20000)) << onPage().toStdString();
  emit window->addFilesRequested({write("novel.txt", novel())});
  EXPECT_THAT(problem(), HasText("library.db"));
}

TEST_F(WiringTest, ASecondLaunchGivesItsFilesToTheFirstWindow) {
  EXPECT_FALSE(handOver(toPath(database()), {"/nobody/listens.txt"}));
  open();
  ASSERT_TRUE(waitFor([&] { return problem().isEmpty() && QFile::exists(database()); }));
  const QString book = write("novel.txt", novel());
  std::atomic<int> taken = -1;
  std::jthread second([&] {
    for (int i = 0; i < 200 && taken != 1; ++i) {  // until the library is open
      taken = handOver(toPath(database()), {book}) ? 1 : 0;
      if (taken != 1) std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
  });
  EXPECT_TRUE(waitFor([&] { return taken == 1; }, 20000));
  EXPECT_TRUE(waitForReady());
  EXPECT_FALSE(handOver(toPath(path("other.db")), {book})) << "another library is another window's";
}

TEST_F(WiringTest, BesideAnotherWriterNothingThatWritesIsOffered) {
  start();  // without a window: nobody listens
  add(write("novel.txt", novel()));
  assistant_->pause(added_.last());
  open();
  ASSERT_TRUE(waitFor([&] { return problem().contains("Another Palimpsest"); }));
  EXPECT_FALSE(visibleChild<QPushButton>(*window, "addButton")->isEnabled());
  for (const char* name : {"pauseButton", "resumeButton", "cancelButton", "retryButton"})
    EXPECT_EQ(visibleChild<QPushButton>(*window, name), nullptr) << name;
  for (const char* name : {"open", "pause", "resume", "cancel", "retry", "clear", "remove"})
    EXPECT_FALSE(window->findChild<QAction*>(name)->isEnabled()) << name;
}

TEST_F(WiringTest, WhenTheOtherWriterIsDoneTheWindowWritesAndAddsItsFiles) {
  start();
  assistant_->pause(add(write("novel.txt", novel())));
  const QString file = write("later.txt", novel(8));
  open({file});
  ASSERT_TRUE(waitFor([&] { return problem().contains("Another Palimpsest"); }));
  EXPECT_TRUE(problem().contains("“later.txt” is added as soon as")) << problem().toStdString();
  EXPECT_FALSE(handOver(toPath(database()), {file}));
  assistant_.reset();
  ASSERT_TRUE(waitFor([&] { return visibleChild<QPushButton>(*window, "addButton")->isEnabled(); }));
  EXPECT_FALSE(problem().contains("Another Palimpsest"));
  EXPECT_TRUE(waitFor([&] { return window->library()->rowCount() == 2; }));
  EXPECT_TRUE(window->findChild<QAction*>("open")->isEnabled());
  std::atomic<int> taken = -1;
  std::jthread second([&] { taken = handOver(toPath(database()), {file}) ? 1 : 0; });
  ASSERT_TRUE(waitFor([&] { return taken >= 0; }));
  EXPECT_EQ(taken, 1) << "a second launch finds this window now";
}

TEST_F(WiringTest, RemovedAndClearedIsGone) {
  open({write("novel.txt", novel())});
  ASSERT_TRUE(waitForReady());
  ask("Who kept the umbrella?");
  ASSERT_TRUE(waitForAnswers(1));
  emit window->clearConversationRequested(window->currentBook());
  ASSERT_TRUE(waitFor([&] { return window->conversation()->items().isEmpty(); }));
  emit window->removeRequested(window->currentBook());
  ASSERT_TRUE(waitFor([&] { return window->library()->rowCount() == 0; }));
}

TEST_F(WiringTest, PauseAndResumeReachTheBook) {
  open({write("novel.txt", prose(3000))});
  const auto state = [&] {
    const auto item = window->library()->item(window->currentBook());
    return item ? item->state : ui::BookState::Waiting;
  };
  ASSERT_TRUE(waitFor([&] { return state() == ui::BookState::Reading; }));
  QTest::mouseClick(window->findChild<QPushButton*>("pauseButton"), Qt::LeftButton);
  ASSERT_TRUE(waitFor([&] { return state() == ui::BookState::Paused || state() == ui::BookState::Ready; }));
  ASSERT_EQ(state(), ui::BookState::Paused);
  QTest::mouseClick(window->findChild<QPushButton*>("resumeButton"), Qt::LeftButton);
  ASSERT_TRUE(waitForReady());
}

TEST(OptionsTest, FilesBecomeAbsoluteAndNonsenseIsRefused) {
  QString problem;
  const Options options = parseOptions({"palimpsest", "--db", "/tmp/x.db", "--model", "/m", "--threads", "3",
                                        "--device", "cuda:1", "--weights", "int4", "a.epub"},
                                       &problem);
  EXPECT_EQ(problem, "");
  EXPECT_EQ(options.files, QStringList({QDir::current().absoluteFilePath("a.epub")}));
  EXPECT_EQ(options.assistant.database, "/tmp/x.db");
  EXPECT_EQ(options.assistant.modelFolder, "/m");
  EXPECT_EQ(options.assistant.threads, 3);
  EXPECT_EQ(options.assistant.devices, (std::vector{engine::DeviceChoice{engine::DeviceChoice::Kind::Cuda, 1}}));
  EXPECT_EQ(options.assistant.weights, engine::WeightType::Int4);
  // ctest hides the cards: loading the model on the first then says that there is none.
  EXPECT_EQ(parseOptions({"palimpsest", "--device", "cuda:all"}, &problem).assistant.devices,
            (std::vector{engine::DeviceChoice{engine::DeviceChoice::Kind::Cuda, 0}}));
  EXPECT_EQ(problem, "");
  for (const char* option : {"--threads", "--device", "--weights"}) {
    parseOptions({"palimpsest", option, "many"}, &problem);
    EXPECT_TRUE(problem.startsWith(QString("%1 wants").arg(option))) << problem.toStdString();
    EXPECT_THAT(problem, HasText("not “many”"));
  }
  problem.clear();
  parseOptions({"palimpsest", "--bogus"}, &problem);
  EXPECT_TRUE(problem.contains("bogus"));
}

TEST(OptionsTest, TheFolderChosenInTheWindowCountsWhileItIsThere) {
  qunsetenv("PALIMPSEST_MODEL");
  QString problem;
  const QTemporaryDir folder;
  ui::openSettings().setValue("model/folder", folder.path());
  EXPECT_EQ(parseOptions({"palimpsest"}, &problem).assistant.modelFolder, toPath(folder.path()));
  EXPECT_EQ(parseOptions({"palimpsest", "--model", "/m"}, &problem).assistant.modelFolder, "/m");
  ui::openSettings().setValue("model/folder", "/nowhere/at/all");
  EXPECT_NE(parseOptions({"palimpsest"}, &problem).assistant.modelFolder, "/nowhere/at/all");
}

TEST(OptionsTest, TheBundledBookIsFound) { EXPECT_TRUE(QFileInfo::exists(bundledBook())); }

}  // namespace
}  // namespace palimpsest::app::gui
