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
  on(&MainWindow::bookSelected, [this](qint64 id) { showConversation(id); });
  on(&MainWindow::askRequested,
     [this](qint64 id, const QString& question, ui::AnswerWay way) { assistant_->ask(id, question, way); });
  on(&MainWindow::summarizeRequested, [this](qint64 id) { assistant_->summarize(id); });
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
}

void Wiring::connectAssistant() {
  Assistant* assistant = assistant_.get();
  connect(assistant, &Assistant::libraryReset, this, &Wiring::libraryOpened);
  connect(assistant, &Assistant::itemAdded, &window_, &MainWindow::putItem);
  connect(assistant, &Assistant::itemChanged, &window_, &MainWindow::putItem);
  connect(assistant, &Assistant::itemRemoved, &window_, &MainWindow::removeItem);
  connect(assistant, &Assistant::modelChanged, &window_, &MainWindow::showModel);
  connect(assistant, &Assistant::answerStarted, &window_, &MainWindow::answerStarted);
  connect(assistant, &Assistant::answerText, &window_, &MainWindow::answerText);
  connect(assistant, &Assistant::answerFinished, &window_, &MainWindow::answerFinished);
  connect(assistant, &Assistant::exported, &window_, &MainWindow::showExported);
  connect(assistant, &Assistant::notice, &window_, &MainWindow::showNotice);
  connect(assistant, &Assistant::failed, &window_, &MainWindow::showProblem);
  connect(assistant, &Assistant::conversationCleared, this, &Wiring::showConversation);
  connect(assistant, &Assistant::textFetched, this,
          [this](qint64 id, const QString& text) { window_.showStoredText(id, text, wanted_); });
  connect(assistant, &Assistant::added, this, [this](const QString& path, qint64 id, bool) {
    if (id > 0 && path == single_) window_.selectBook(id);
  });
}

void Wiring::libraryOpened() {
  window_.showLibrary(assistant_->library());
  if (window_.currentBook() > 0) showConversation(window_.currentBook());
  isOpen_ = true;
  add(std::exchange(waiting_, {}));
}

void Wiring::add(const QStringList& files) {
  if (!isOpen_) {
    waiting_ += files;
    return;
  }
  single_ = files.size() == 1 ? files.constFirst() : QString();
  for (const QString& file : files) assistant_->addDocument(file);
}

void Wiring::showConversation(qint64 id) { window_.showConversation(id, assistant_->conversation(id)); }

void Wiring::useModel(const QString& folder) {
  ui::openSettings().setValue(QStringLiteral("model/folder"), QFileInfo(folder).absoluteFilePath());
  assistant_->useModel(folder);
}

}  // namespace palimpsest::app::gui
