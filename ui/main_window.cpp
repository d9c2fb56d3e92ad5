// The window's pieces and the records that it shows; what the reader does to it is in main_window_input.cpp.
#include "ui/main_window.h"

#include <QApplication>
#include <QCloseEvent>
#include <QCryptographicHash>
#include <QListView>
#include <QMenuBar>
#include <QScreen>
#include <QSplitter>
#include <QStackedWidget>
#include <QStyle>
#include <QVBoxLayout>
#include <algorithm>

#include "ui/ask_bar.h"
#include "ui/banner.h"
#include "ui/book_header.h"
#include "ui/book_page.h"
#include "ui/drop_overlay.h"
#include "ui/empty_library.h"
#include "ui/reader_pane.h"
#include "ui/settings.h"
#include "ui/sidebar.h"
#include "ui/system_scheme.h"
#include "ui/window_actions.h"
#include "ui/words.h"

namespace palimpsest::ui {
namespace {

constexpr int kReaderBeside = 1240;  // narrower windows show reader or conversation, not both
constexpr QSize kFirstSize(1180, 760), kLeastSize(760, 520);

// QWidget::screen() is the first one until the window is shown.
const QScreen* screenOf(const QWidget& window) {
  const QScreen* there = QGuiApplication::screenAt(window.geometry().center());
  return there ? there : window.screen();
}

// What a window may take of its screen, less the frame, whose height is only guessed before there is one. Where
// everything is drawn larger, that is little: half of a small laptop's pixels.
QSize roomOnScreen(const QWidget& window) {
  const int bar = window.style()->pixelMetric(QStyle::PM_TitleBarHeight, nullptr, &window);
  return screenOf(window)->availableSize() - QSize(2, bar + 2);
}

const QString kGeometry = QStringLiteral("window/geometry");
const QString kSplitter = QStringLiteral("window/splitter");
const QString kTheme = QStringLiteral("window/theme");
const QString kWay = QStringLiteral("window/way");
const QString kLastBook = QStringLiteral("lastBook");
const QString kLastShelf = QStringLiteral("lastShelf");  // the ids of several

}  // namespace

MainWindow::MainWindow(const QString& bundledTitle, QWidget* parent)
    : QMainWindow(parent),
      library_(new LibraryModel(this)),
      conversation_(new ConversationModel(this)),
      modelBanner_(new Banner(Banner::Kind::Problem, this)),
      problemBanner_(new Banner(Banner::Kind::Problem, this)),
      noticeBanner_(new Banner(Banner::Kind::Notice, this)),
      splitter_(new QSplitter(this)),
      sidebar_(new Sidebar(library_, this)),
      stack_(new QStackedWidget(this)),
      empty_(new EmptyLibrary(bundledTitle, this)),
      page_(new BookPage(conversation_, this)),
      reader_(new ReaderPane(this)),
      overlay_(new DropOverlay(this)),
      actions_(new WindowActions(this, sidebar_->list())),
      scheme_(new SystemScheme(this)) {
  setWindowTitle(tr("Palimpsest"));
  setMinimumSize(leastSize(roomOnScreen(*this)));
  setAcceptDrops(true);
  modelBanner_->setProperty("which", QStringLiteral("model"));
  arrange();
  actions_->fill(menuBar());
  connectPieces();
  connectActions();
  recall();
  showLibrary({});
  empty_->setFocus();
}

MainWindow::~MainWindow() = default;

QSize MainWindow::leastSize(const QSize& room) { return kLeastSize.boundedTo(room); }

void MainWindow::arrange() {
  stack_->addWidget(empty_);
  stack_->addWidget(page_);
  stack_->setMinimumWidth(420);
  splitter_->addWidget(sidebar_);
  splitter_->addWidget(stack_);
  splitter_->addWidget(reader_);
  splitter_->setChildrenCollapsible(false);
  splitter_->setHandleWidth(1);
  splitter_->setStretchFactor(0, 0);
  splitter_->setStretchFactor(1, 3);
  splitter_->setStretchFactor(2, 2);
  splitter_->setSizes({310, 700, 460});
  reader_->hide();
  auto* centre = new QWidget(this);
  auto* column = new QVBoxLayout(centre);
  column->setContentsMargins(0, 0, 0, 0);
  column->setSpacing(0);
  column->addWidget(modelBanner_);
  column->addWidget(problemBanner_);
  column->addWidget(noticeBanner_);
  column->addWidget(splitter_, 1);
  setCentralWidget(centre);
}

void MainWindow::recall() {
  const QSettings settings = openSettings();
  const bool restored = restoreGeometry(settings.value(kGeometry).toByteArray());
  if (!restored) resize(kFirstSize);
  // Else the question's field would be where nobody can see it. What was remembered may be of a larger screen.
  if (!isMaximized() && !isFullScreen()) {
    const QSize room = roomOnScreen(*this);
    const QPoint first = screenOf(*this)->availableGeometry().topLeft();
    resize(size().boundedTo(room));
    const QSize left = (room - size()).expandedTo({0, 0});
    if (restored)  // a new window is placed by the desktop
      move(std::clamp(x(), first.x(), first.x() + left.width()), std::clamp(y(), first.y(), first.y() + left.height()));
  }
  const QByteArray sizes = settings.value(kSplitter).toByteArray();
  if (!sizes.isEmpty()) splitter_->restoreState(sizes);
  splitter_->setHandleWidth(1);
  const int way = settings.value(kWay, 0).toInt();
  page_->askBar()->setWay(way >= 0 && way <= 2 ? static_cast<AnswerWay>(way) : AnswerWay::Memory);
  const int theme = settings.value(kTheme, 0).toInt();
  theme_ = theme >= 0 && theme <= 2 ? static_cast<ThemeChoice>(theme) : ThemeChoice::System;
  setLibraryFile({});  // until it is told
  actions_->setTheme(theme_);
  dress();
}

void MainWindow::setLibraryFile(const QString& file) {
  const QByteArray name = QCryptographicHash::hash(file.toUtf8(), QCryptographicHash::Sha256).toHex().first(16);
  librarySettings_ = QStringLiteral("library-") + QString::fromLatin1(name) + QLatin1Char('/');
  const QSettings settings = openSettings();
  lastBooks_.clear();
  for (const QString& id : settings.value(librarySettings_ + kLastShelf).toStringList()) lastBooks_ << id.toLongLong();
  if (lastBooks_.isEmpty()) lastBooks_ << settings.value(librarySettings_ + kLastBook, 0).toLongLong();
}

void MainWindow::remember() {
  QSettings settings = openSettings();
  settings.setValue(kGeometry, saveGeometry());
  if (!reader_->isVisible() && library_->rowCount() > 0) settings.setValue(kSplitter, splitter_->saveState());
  settings.setValue(kWay, static_cast<int>(page_->askBar()->chosenWay()));
  settings.setValue(kTheme, static_cast<int>(theme_));
  settings.setValue(librarySettings_ + kLastBook, currentBook());
  QStringList shelf;
  if (currentBooks().size() > 1)
    for (const qint64 id : currentBooks()) shelf << QString::number(id);
  settings.setValue(librarySettings_ + kLastShelf, shelf);
}

qint64 MainWindow::currentBook() const { return sidebar_->selectedId(); }

QList<qint64> MainWindow::currentBooks() const { return sidebar_->selectedIds(); }

qint64 MainWindow::currentConversation() const { return currentBooks().size() > 1 ? shelf_ : currentBook(); }

QList<LibraryItem> MainWindow::currentItems() const {
  QList<LibraryItem> items;
  for (const qint64 id : currentBooks())
    if (const auto item = library_->item(id)) items << *item;
  return items;
}

void MainWindow::selectBook(qint64 id) { sidebar_->select(id); }

void MainWindow::selectBooks(const QList<qint64>& ids) { sidebar_->select(ids); }

void MainWindow::showLibrary(const QList<LibraryItem>& items) {
  const QList<qint64> before = currentBooks().isEmpty() ? lastBooks_ : currentBooks();
  library_->reset(items);
  empty_->showProblem({});
  const bool there = std::ranges::all_of(before, [this](qint64 id) { return library_->rowOf(id) >= 0; });
  if (!items.isEmpty()) selectBooks(there ? before : QList<qint64>{items.constFirst().id});
  refresh();
}

void MainWindow::putItem(const LibraryItem& item) {
  library_->put(item);
  if (currentBooks().isEmpty()) selectBook(item.id);
  refresh();
}

void MainWindow::removeItem(qint64 id) {
  if (currentBooks().contains(id)) closeReader();
  library_->remove(id);
  conversation_->forget(id);
  refresh();
}

void MainWindow::showModel(const ModelStatus& status) {
  page_->showModel(status);
  if (!status.loaded && !status.loading && !status.problem.isEmpty()) {
    if (status.deviceProblem)
      modelBanner_->show(status.problem);
    else
      modelBanner_->show(tr("%1 Choose the folder of another model.").arg(status.problem), tr("Choose model folder…"),
                         status.shippedOffered ? tr("Use the shipped model") : QString());
  } else {
    modelBanner_->hide();
  }
  refresh();
}

void MainWindow::showClosedLibrary(const QString& why) {
  library_->reset({});
  empty_->showProblem(why);
  refresh();
}

void MainWindow::setReadOnly(bool readOnly) {
  readOnly_ = readOnly;
  sidebar_->setReadOnly(readOnly);
  page_->header()->setReadOnly(readOnly);
  empty_->setEnabled(!readOnly);
  actions_->open->setEnabled(!readOnly);
  refresh();
}

void MainWindow::comeForward() {
  setWindowState(windowState() & ~Qt::WindowMinimized);
  show();
  raise();
  activateWindow();
}

void MainWindow::showConversation(qint64 id, const QList<ConversationItem>& items) {
  if (id != currentConversation()) return;  // the reader has moved on
  conversation_->show(id, items);
  refresh();
}

void MainWindow::showShelf(qint64 shelf, const QList<ConversationItem>& items) {
  if (currentBooks().size() < 2) return;
  shelf_ = shelf;
  showConversation(shelf, items);
}

void MainWindow::showChapters(qint64 id, const QList<Chapter>& chapters) {
  const auto item = library_->item(id);
  if (!item || id != currentBook()) return;  // the reader has moved on
  page_->askBar()->setChapters(chapters, words::rememberedWhole(*item) && !readOnly_);
}

void MainWindow::answerStarted(qint64 id, const ConversationItem& item) {
  conversation_->answerStarted(id, item);
  refresh();
}

void MainWindow::answerText(qint64 id, const QString& piece) { conversation_->answerText(id, piece); }

void MainWindow::answerFinished(qint64 id, const ConversationItem& item) {
  conversation_->answerFinished(id, item);
  // What could not be answered is not stored either: it is there to be asked again.
  if (!item.error.isEmpty() && !item.isSummary && id == currentConversation()) page_->askBar()->giveBack(item.question);
  refresh();
}

void MainWindow::showStoredText(qint64 id, const QString& text, const Quote& quote) {
  const auto item = library_->item(id);
  if (!item || !currentBooks().contains(id)) return;
  if (text.isEmpty()) return showProblem(tr("The stored text of “%1” could not be loaded.").arg(item->title));
  reader_->show();
  placeReader();
  reader_->showPassage(item->title, text, quote);
}

void MainWindow::refresh() {
  const bool any = library_->rowCount() > 0;
  const QList<LibraryItem> items = currentItems();
  const auto item = items.size() == 1 ? std::optional(items.constFirst()) : std::nullopt;
  showPage(any);
  const auto streaming = conversation_->streamingBook();
  const bool here = streaming && *streaming == currentConversation();
  const auto other = streaming && !here ? library_->item(*streaming) : std::nullopt;
  page_->showStreaming(here, other ? other->title.left(60) : streaming && !here ? tr("several books") : QString());
  page_->showBooks(items);
  actions_->update(item, item && page_->canSummarise(), conversation_->rowCount() > 0);
  if (shelf_ != 0 && items.size() > 1)
    for (QAction* action : {actions_->clear, actions_->exportBook}) action->setEnabled(conversation_->rowCount() > 0);
  if (items.size() > 1) actions_->remove->setEnabled(true);
  actions_->chooseModel->setEnabled(!streaming);
  if (readOnly_) actions_->disableWriting();
  setWindowTitle(item               ? tr("%1 — Palimpsest").arg(item->title.left(120))
                 : items.size() > 1 ? tr("%1 — Palimpsest").arg(words::shelfTitle(items))
                                    : tr("Palimpsest"));
}

// The focus is moved first: left alone it would go to the first button of the page, or from a list that is hidden.
void MainWindow::showPage(bool any) {
  QWidget* shown = any ? static_cast<QWidget*>(page_) : empty_;
  if (stack_->currentWidget() != shown) {
    stack_->setCurrentWidget(shown);
    any ? page_->focusQuestion() : empty_->setFocus();
  }
  sidebar_->setVisible(any);
}

// Beside the conversation where there is room, else in its place.
void MainWindow::placeReader() { stack_->setVisible(!reader_->isVisible() || width() >= kReaderBeside); }

void MainWindow::closeReader() {
  const bool hadFocus = reader_->isAncestorOf(QApplication::focusWidget());
  reader_->hide();
  reader_->clear();
  placeReader();
  if (hadFocus) page_->askBar()->focusField();
}

void MainWindow::setTheme(ThemeChoice choice) {
  theme_ = choice;
  actions_->setTheme(choice);
  dress();
}

void MainWindow::dress() {
  applyTheme(*qApp, theme_ == ThemeChoice::Dark || (theme_ == ThemeChoice::System && scheme_->isDark()));
}

// Hides at once; whoever reads goes on until it has saved its place.
void MainWindow::closeEvent(QCloseEvent* event) {
  remember();
  event->accept();
  hide();
  emit closed();
}

}  // namespace palimpsest::ui
