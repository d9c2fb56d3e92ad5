// What the reader does to the window: drops, verbs, dialogs. Outcomes leave as signals.
#include <QAction>
#include <QApplication>
#include <QDesktopServices>
#include <QDragEnterEvent>
#include <QDropEvent>
#include <QFileInfo>
#include <QLayout>
#include <QMenu>
#include <QMessageBox>
#include <QMimeData>
#include <QUrl>

#include "ui/ask_bar.h"
#include "ui/banner.h"
#include "ui/book_header.h"
#include "ui/book_page.h"
#include "ui/conversation_view.h"
#include "ui/dialogs.h"
#include "ui/drop_overlay.h"
#include "ui/dropped_files.h"
#include "ui/empty_library.h"
#include "ui/main_window.h"
#include "ui/reader_pane.h"
#include "ui/sidebar.h"
#include "ui/system_scheme.h"
#include "ui/window_actions.h"

namespace palimpsest::ui {

void MainWindow::connectPieces() {
  connect(sidebar_, &Sidebar::addRequested, this, &MainWindow::openFiles);
  connect(sidebar_, &Sidebar::actionRequested, this, &MainWindow::act);
  connect(sidebar_, &Sidebar::menuRequested, this, [this](qint64 id, const QPoint& where) {
    if (!currentBooks().contains(id) && !sidebar_->highlightedIds().contains(id)) selectBook(id);
    actions_->bookMenu()->popup(where);
  });
  connect(sidebar_, &Sidebar::selected, this, [this](qint64 id) {
    shelf_ = 0;
    page_->askBar()->setChapters({}, false);
    closeReader();
    conversation_->show(id, {});
    refresh();
    if (id > 0) emit bookSelected(id);
  });
  connect(sidebar_, &Sidebar::severalSelected, this, [this](const QList<qint64>& ids) {
    shelf_ = 0;
    page_->askBar()->setChapters({}, false);
    closeReader();
    conversation_->show(0, {});
    refresh();
    emit shelfSelected(ids);
  });
  connect(empty_, &EmptyLibrary::openRequested, this, &MainWindow::openFiles);
  connect(empty_, &EmptyLibrary::bundledBookRequested, this, &MainWindow::bundledBookRequested);
  connect(page_->askBar(), &AskBar::asked, this, [this](const QString& question, AnswerWay way, const BookPart& part) {
    emit askRequested(currentConversation(), question, way, part);
  });
  connect(page_->askBar(), &AskBar::readAgainRequested, this, &MainWindow::readAgain);
  connect(page_->askBar(), &AskBar::refused, this, &MainWindow::showProblem);
  connect(page_->askBar(), &AskBar::stopRequested, this, &MainWindow::stopRequested);
  connect(page_->view(), &ConversationView::stopRequested, this, &MainWindow::stopRequested);
  connect(page_->view(), &ConversationView::quoteOpened, this, [this](const Quote& quote) {
    emit storedTextRequested(quote.bookId > 0 ? quote.bookId : currentBook(), quote);
  });
  connect(page_->view(), &ConversationView::bookOpened, this, &MainWindow::selectBook);
  connect(reader_, &ReaderPane::closed, this, &MainWindow::closeReader);
  connect(modelBanner_, &Banner::actionTriggered, this, &MainWindow::chooseModel);
  connect(modelBanner_, &Banner::secondTriggered, this, &MainWindow::shippedModelRequested);
  connect(noticeBanner_, &Banner::actionTriggered, this,
          [this] { QDesktopServices::openUrl(QUrl::fromLocalFile(exportedFolder_)); });

  const BookHeader* header = page_->header();
  connect(header, &BookHeader::summariseRequested, this, &MainWindow::summarise);
  connect(header, &BookHeader::exportRequested, this, &MainWindow::exportCurrent);
  connect(header, &BookHeader::pauseRequested, this, [this] { emit pauseRequested(currentBook()); });
  connect(header, &BookHeader::resumeRequested, this, [this] { emit resumeRequested(currentBook()); });
  connect(header, &BookHeader::cancelRequested, this, [this] { emit cancelRequested(currentBook()); });
  connect(header, &BookHeader::retryRequested, this, [this] { retry(currentBook()); });
}

void MainWindow::connectActions() {
  const auto on = [this](QAction* action, auto slot) { connect(action, &QAction::triggered, this, slot); };
  on(actions_->open, [this] { openFiles(); });
  on(actions_->exportBook, [this] { exportCurrent(); });
  on(actions_->chooseModel, [this] { chooseModel(); });
  on(actions_->quit, [this] { close(); });
  on(actions_->summarise, [this] { summarise(); });
  on(actions_->pause, [this] { emit pauseRequested(currentBook()); });
  on(actions_->resume, [this] { emit resumeRequested(currentBook()); });
  on(actions_->cancel, [this] { emit cancelRequested(currentBook()); });
  on(actions_->retry, [this] { retry(currentBook()); });
  on(actions_->clear, [this] { clearCurrent(); });
  on(actions_->remove, [this] { removeCurrent(); });
  on(actions_->stop, [this] { stopOrGoBack(); });
  on(actions_->goToQuestion, [this] { page_->askBar()->focusField(); });
  on(actions_->goToSearch, [this] { sidebar_->focusSearch(); });
  on(actions_->about, [this] { showAbout(); });
  connect(actions_, &WindowActions::themeChosen, this, &MainWindow::setTheme);
  connect(scheme_, &SystemScheme::changed, this, &MainWindow::dress);
}

void MainWindow::chooseModel() {
  dialogs::chooseModelFolder(this, [this](const QString& folder) { emit modelFolderChosen(folder); });
}

void MainWindow::openFiles() {
  dialogs::openBooks(this, bookPatterns_, [this](const QStringList& files) { emit addFilesRequested(files); });
}

void MainWindow::exportCurrent() {
  const QList<LibraryItem> items = currentItems();
  if (items.isEmpty() || currentConversation() == 0) return;
  const QString title = items.size() == 1 ? items.constFirst().title : words::titles(items);
  dialogs::exportBook(this, title, [this, id = currentConversation()](const QString& file) {
    if (const auto kind = exportKindOf(file)) return emit exportRequested(id, file, *kind);
    showProblem(tr("“%1” was not written: its name ends in none of .md, .html, .pdf and .txt.")
                    .arg(QFileInfo(file).fileName()));
  });
}

void MainWindow::retry(qint64 id) {
  const auto item = library_->item(id);
  if (!item) return;
  if (!item->needsPassword) {
    emit retryRequested(id, QString());
    return;
  }
  dialogs::askPassword(this, *item, [this, id](const QString& password) { emit retryRequested(id, password); });
}

void MainWindow::summarise() { emit summarizeRequested(currentBook(), page_->askBar()->part()); }

void MainWindow::readAgain() {
  const auto item = library_->item(currentBook());
  if (!item) return;
  dialogs::confirmReadingAgain(this, *item, [this, id = item->id] { emit readAgainRequested(id); });
}

void MainWindow::removeCurrent() {
  // Those that the search hides as well, and those that could not be read and are no part of what is asked.
  QList<qint64> ids = currentBooks();
  for (const qint64 id : sidebar_->highlightedIds())
    if (!ids.contains(id)) ids << id;
  if (ids.size() > 1) {
    QList<LibraryItem> items;
    for (const qint64 id : ids)
      if (const auto item = library_->item(id)) items << *item;
    dialogs::confirmRemovals(this, items, [this, ids] {
      for (const qint64 id : ids) emit removeRequested(id);
    });
    return;
  }
  const auto item = library_->item(currentBook());
  if (!item) return;
  const int turns = conversation_->bookId() == item->id ? conversation_->rowCount() : -1;
  dialogs::confirmRemoval(this, *item, turns, library_->rowCount() > 1,
                          [this, id = item->id] { emit removeRequested(id); });
}

void MainWindow::clearCurrent() {
  if (const auto books = currentItems(); books.size() > 1) {
    dialogs::confirmClearShelf(this, books, [this, shelf = shelf_] { emit clearConversationRequested(shelf); });
    return;
  }
  const auto item = library_->item(currentBook());
  if (!item) return;
  dialogs::confirmClear(this, *item, [this, id = item->id] { emit clearConversationRequested(id); });
}

void MainWindow::act(qint64 id, BookAction action) {
  switch (action) {
    case BookAction::Pause:
      return emit pauseRequested(id);
    case BookAction::Resume:
      return emit resumeRequested(id);
    case BookAction::Retry:
    case BookAction::ReadAgain:
      return retry(id);
    case BookAction::None:
      return;
  }
}

void MainWindow::stopOrGoBack() {
  if (conversation_->streamingBook()) {
    emit stopRequested();
  } else if (reader_->isVisible()) {
    closeReader();
  }
}

void MainWindow::showExported(qint64, const QString& file) {
  exportedFolder_ = QFileInfo(file).absolutePath();
  dialogs::rememberFolderOf(file);  // only now: where it could not be written is no place to offer again
  noticeBanner_->show(tr("Written to %1").arg(file), tr("Open folder"));
}

void MainWindow::showProblem(const QString& sentence) { problemBanner_->append(sentence); }

void MainWindow::withdrawProblem(const QString& sentence) { problemBanner_->withdraw(sentence); }

void MainWindow::showNotice(const QString& sentence) { noticeBanner_->show(sentence); }

void MainWindow::showAbout() {
  auto* box =
      new QMessageBox(QMessageBox::NoIcon, tr("About Palimpsest"),
                      tr("Palimpsest %1").arg(QCoreApplication::applicationVersion()), QMessageBox::Close, this);
  box->setAttribute(Qt::WA_DeleteOnClose);
  box->setTextFormat(Qt::PlainText);
  box->setIconPixmap(windowIcon().pixmap(QSize(72, 72), devicePixelRatioF()));
  box->setInformativeText(tr(
      "A reader that remembers. A book is read once and kept as a memory of fixed size; "
      "everything stays on this computer.\n\nFree software under the GNU General Public License, version 3 or later."));
  box->layout()->setContentsMargins(24, 22, 24, 18);
  box->open();
}

void MainWindow::dragEnterEvent(QDragEnterEvent* event) {
  if (readOnly_ || !mayBeDropped(event->mimeData())) return;
  event->acceptProposedAction();
  overlay_->showFor(static_cast<int>(event->mimeData()->urls().size()));
}

void MainWindow::dragLeaveEvent(QDragLeaveEvent*) { overlay_->hide(); }

void MainWindow::dropEvent(QDropEvent* event) {
  overlay_->hide();
  if (!mayBeDropped(event->mimeData())) return;
  event->acceptProposedAction();
  const DroppedFiles dropped = droppedFiles(event->mimeData());
  if (!dropped.refusal.isEmpty()) showProblem(dropped.refusal);
  if (!dropped.files.isEmpty()) emit addFilesRequested(dropped.files);
}

void MainWindow::resizeEvent(QResizeEvent* event) {
  QMainWindow::resizeEvent(event);
  placeReader();
  if (overlay_->isVisible()) overlay_->setGeometry(rect());
}

void MainWindow::changeEvent(QEvent* event) {
  QMainWindow::changeEvent(event);
  if (event->type() == QEvent::ThemeChange && theme_ == ThemeChoice::System) dress();
}

}  // namespace palimpsest::ui
