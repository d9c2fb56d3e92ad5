#include "app/gui_wiring.h"

#include <QFileInfo>

#include "app/extraction.h"
#include "app/paths.h"
#include "app/words.h"
#include "ui/main_window.h"
#include "ui/settings.h"

namespace palimpsest::app::gui {
namespace {

using ui::MainWindow;

ExportFormat formatOf(ui::ExportKind kind) {
  switch (kind) {
    case ui::ExportKind::Markdown:
      return ExportFormat::Markdown;
    case ui::ExportKind::Html:
      return ExportFormat::Html;
    case ui::ExportKind::Pdf:
      return ExportFormat::Pdf;
    case ui::ExportKind::Text:
      return ExportFormat::Text;
  }
  return ExportFormat::Markdown;
}

}  // namespace

Wiring::Wiring(MainWindow& window, AssistantOptions options) : window_(window), options_(std::move(options)) {
  window_.setBookPatterns(bookPatterns());
  options_.takeOver = true;
  window_.setLibraryFile(QFileInfo(fromPath(options_.database)).absoluteFilePath());
  connectWindow();
}

Wiring::~Wiring() = default;

void Wiring::start(const QStringList& files) {
  waiting_ = files;
  assistant_ = std::make_unique<Assistant>(options_);
  connectAssistant();
  assistant_->start();
}

void Wiring::connectWindow() {
  const auto on = [this](auto signal, auto slot) { connect(&window_, signal, this, slot); };
  on(&MainWindow::addFilesRequested, [this](const QStringList& files) { add(files); });
  on(&MainWindow::bundledBookRequested, [this] { add({bundledBook()}); });
  on(&MainWindow::bookSelected, [this](qint64 id) {
    showConversation(id);
    showChapters(id);
  });
  on(&MainWindow::shelfSelected, [this](const QList<qint64>& books) { showShelf(books); });
  on(&MainWindow::askRequested, [this](qint64 id, const QString& question, ui::AnswerWay way,
                                       const ui::BookPart& part) { assistant_->ask(id, question, way, {}, part); });
  on(&MainWindow::summarizeRequested, [this](qint64 id, const ui::BookPart& part) { assistant_->summarize(id, part); });
  on(&MainWindow::readAgainRequested, [this](qint64 id) { assistant_->readAgain(id); });
  on(&MainWindow::stopRequested, [this] { assistant_->stopAnswer(); });
  on(&MainWindow::exportRequested, [this](qint64 id, const QString& file, ui::ExportKind kind) {
    assistant_->exportDocument(id, file, formatOf(kind));
  });
  on(&MainWindow::pauseRequested, [this](qint64 id) { assistant_->pause(id); });
  on(&MainWindow::resumeRequested, [this](qint64 id) { assistant_->resume(id); });
  on(&MainWindow::cancelRequested, [this](qint64 id) { assistant_->cancel(id); });
  on(&MainWindow::retryRequested, [this](qint64 id, const QString& password) { assistant_->retry(id, password); });
  on(&MainWindow::removeRequested, [this](qint64 id) { assistant_->remove(id); });
  on(&MainWindow::clearConversationRequested, [this](qint64 id) { assistant_->clearConversation(id); });
  on(&MainWindow::storedTextRequested, [this](qint64 id, const ui::Quote& quote) {
    wanted_ = quote;
    assistant_->fetchText(id);
  });
  on(&MainWindow::modelFolderChosen, [this](const QString& folder) { useModel(folder); });
  on(&MainWindow::shippedModelRequested, [this] { useShippedModel(); });
  on(&MainWindow::closed, [this] { reception_.close(); });  // who comes now waits for the library itself
  connect(&reception_, &Reception::arrived, this, &Wiring::receive);
}

void Wiring::connectAssistant() {
  Assistant* assistant = assistant_.get();
  connect(assistant, &Assistant::libraryReset, this, &Wiring::libraryOpened);
  connect(assistant, &Assistant::itemAdded, &window_, &MainWindow::putItem);
  connect(assistant, &Assistant::itemChanged, &window_, &MainWindow::putItem);
  connect(assistant, &Assistant::chaptersChanged, this, &Wiring::showChapters);
  connect(assistant, &Assistant::itemRemoved, &window_, &MainWindow::removeItem);
  connect(assistant, &Assistant::modelChanged, this, &Wiring::showModel);
  connect(assistant, &Assistant::answerStarted, &window_, &MainWindow::answerStarted);
  connect(assistant, &Assistant::answerText, &window_, &MainWindow::answerText);
  connect(assistant, &Assistant::answerFinished, &window_, &MainWindow::answerFinished);
  connect(assistant, &Assistant::exported, &window_, &MainWindow::showExported);
  connect(assistant, &Assistant::notice, &window_, &MainWindow::showNotice);
  connect(assistant, &Assistant::failed, this, &Wiring::showFailure);
  connect(assistant, &Assistant::conversationCleared, this, &Wiring::showConversation);
  connect(assistant, &Assistant::textFetched, this,
          [this](qint64 id, const QString& text) { window_.showStoredText(id, text, wanted_); });
  connect(assistant, &Assistant::added, this, [this](const QString& path, qint64 id, bool) {
    if (id > 0 && path == single_) window_.selectBook(id);
  });
}

void Wiring::showFailure(const QString& sentence) {
  if (isOpen_ || assistant_->problem().isEmpty()) return window_.showProblem(sentence);
  window_.showClosedLibrary(assistant_->problem());
  waiting_.clear();
}

void Wiring::libraryOpened() {
  window_.setReadOnly(assistant_->readOnly());
  if (!assistant_->readOnly()) reception_.open(options_.database);
  window_.showLibrary(assistant_->library());
  if (window_.currentBook() > 0) {
    showConversation(window_.currentBook());
    showChapters(window_.currentBook());
  }
  if (window_.currentBooks().size() > 1) showShelf(window_.currentBooks());
  isOpen_ = true;
  window_.withdrawProblem(whyReadOnly_);
  whyReadOnly_ = assistant_->whyReadOnly();
  if (!assistant_->usedElsewhere())
    add(std::exchange(waiting_, {}));
  else if (!waiting_.isEmpty())
    window_.showNotice(
        waiting_.size() == 1
            ? tr("“%1” is added as soon as the other Palimpsest is done.").arg(QFileInfo(waiting_.first()).fileName())
            : tr("%1 files are added as soon as the other Palimpsest is done.").arg(waiting_.size()));
}

void Wiring::add(const QStringList& files) {
  if (!assistant_->problem().isEmpty()) return window_.showProblem(assistant_->problem());
  if (!isOpen_) {
    waiting_ += files;
    return;
  }
  single_ = files.size() == 1 ? files.constFirst() : QString();
  for (const QString& file : files) assistant_->addDocument(file);
}

void Wiring::showConversation(qint64 id) { window_.showConversation(id, assistant_->conversation(id)); }

void Wiring::showChapters(qint64 id) {
  if (id == window_.currentBook()) window_.showChapters(id, assistant_->chapters(id));
}

void Wiring::showShelf(const QList<qint64>& books) {
  const qint64 shelf = assistant_->shelf(books);
  window_.showShelf(shelf, assistant_->conversation(shelf));
}

void Wiring::useModel(const QString& folder) {
  chosenModel_ = QFileInfo(folder).absoluteFilePath();
  options_.modelFolder = toPath(chosenModel_);
  assistant_->useModel(chosenModel_);
}

void Wiring::useShippedModel() {
  ui::openSettings().remove(QStringLiteral("model/folder"));
  useModel(shippedModel());
  chosenModel_.clear();  // it needs no remembering
}

// A folder that cannot be loaded is not remembered: the next start would fail as well.
void Wiring::showModel(ui::ModelStatus status) {
  if (status.loaded && !chosenModel_.isEmpty())
    ui::openSettings().setValue(QStringLiteral("model/folder"), std::exchange(chosenModel_, {}));
  const QString shipped = shippedModel();
  status.shippedOffered = !shipped.isEmpty() && QFileInfo(fromPath(options_.modelFolder)) != QFileInfo(shipped);
  window_.showModel(status);
  showChapters(window_.currentBook());  // what is remembered is each model's own
}

void Wiring::receive(const QStringList& files) {
  window_.comeForward();
  add(files);
}

}  // namespace palimpsest::app::gui
