#include "ui/window_actions.h"

#include <QAction>
#include <QActionGroup>
#include <QMenu>
#include <QMenuBar>

namespace palimpsest::ui {

WindowActions::WindowActions(QWidget* window, QWidget* list) : QObject(window), window_(window) {
  open = make("open", tr("&Open books…"), QKeySequence::Open);
  exportBook = make("export", tr("&Export…"), QKeySequence(Qt::CTRL | Qt::Key_E));
  chooseModel = make("chooseModel", tr("Choose the &model…"));
  quit = make("quit", tr("&Quit"), QKeySequence::Quit);
  summarise = make("summarise", tr("&Summarise"), QKeySequence(Qt::CTRL | Qt::Key_M));
  pause = make("pause", tr("&Pause reading"));
  resume = make("resume", tr("&Resume reading"));
  cancel = make("cancel", tr("Ca&ncel reading"));
  retry = make("retry", tr("Re&try"), QKeySequence(Qt::Key_F5));
  clear = make("clear", tr("Delete &conversation…"));
  remove = make("remove", tr("Re&move from library…"), QKeySequence::Delete);
  stop = make("stop", tr("&Stop the answer, or go back"), QKeySequence(Qt::Key_Escape));
  goToQuestion = make("goToQuestion", tr("Go to the &question"), QKeySequence(Qt::CTRL | Qt::Key_L));
  goToSearch = make("goToSearch", tr("&Find a book"), QKeySequence::Find);
  about = make("about", tr("&About Palimpsest"));
  // Delete belongs to the list: in a text field it deletes a letter.
  remove->setShortcutContext(Qt::WidgetShortcut);
  window->removeAction(remove);
  list->addAction(remove);

  bookMenu_ = new QMenu(tr("&Book"), window);
  bookMenu_->addActions({summarise, exportBook});
  bookMenu_->addSeparator();
  bookMenu_->addActions({pause, resume, cancel, retry});
  bookMenu_->addSeparator();
  bookMenu_->addActions({clear, remove});
  makeThemeActions();
}

QAction* WindowActions::make(const char* name, const QString& text, const QKeySequence& shortcut) {
  auto* action = new QAction(text, this);
  action->setObjectName(QString::fromLatin1(name));
  if (!shortcut.isEmpty()) action->setShortcut(shortcut);
  window_->addAction(action);
  return action;
}

void WindowActions::makeThemeActions() {
  themes_ = new QActionGroup(this);
  const std::pair<ThemeChoice, QString> choices[] = {{ThemeChoice::System, tr("As the &system")},
                                                     {ThemeChoice::Light, tr("&Light")},
                                                     {ThemeChoice::Dark, tr("&Dark")}};
  const char* names[] = {"themeSystem", "themeLight", "themeDark"};
  int i = 0;
  for (const auto& [choice, text] : choices) {
    QAction* action = make(names[i++], text);
    action->setCheckable(true);
    action->setData(static_cast<int>(choice));
    themes_->addAction(action);
  }
  connect(themes_, &QActionGroup::triggered, this,
          [this](QAction* action) { emit themeChosen(static_cast<ThemeChoice>(action->data().toInt())); });
}

void WindowActions::fill(QMenuBar* bar) {
  QMenu* file = bar->addMenu(tr("&File"));
  file->addActions({open, exportBook});
  file->addSeparator();
  file->addAction(chooseModel);
  file->addSeparator();
  file->addAction(quit);
  bar->addMenu(bookMenu_);
  QMenu* view = bar->addMenu(tr("&View"));
  view->addActions({goToQuestion, goToSearch, stop});
  view->addSeparator();
  view->addActions(themes_->actions());
  QMenu* help = bar->addMenu(tr("&Help"));
  help->addAction(about);
}

void WindowActions::update(const std::optional<LibraryItem>& item, bool canSummarise, bool hasConversation) {
  const auto is = [&](BookState state) { return item && item->state == state; };
  exportBook->setEnabled(item && (item->hasMemory || hasConversation || is(BookState::Ready)));
  summarise->setEnabled(item && canSummarise);
  pause->setEnabled(is(BookState::Reading) || (is(BookState::Waiting) && item->hasMemory));
  resume->setEnabled(is(BookState::Paused));
  cancel->setEnabled(is(BookState::Reading) || is(BookState::Waiting) || is(BookState::Extracting));
  const bool readAgain = item && item->canReadAgain;
  const bool locked = item && item->needsPassword;
  retry->setText(readAgain ? tr("Read &again") : locked ? tr("&Unlock…") : tr("Re&try"));
  retry->setEnabled((item && item->canBeRetried()) || readAgain);
  clear->setEnabled(item && hasConversation);
  remove->setEnabled(item.has_value());
}

void WindowActions::disableWriting() {
  for (QAction* action : {open, pause, resume, cancel, retry, clear, remove}) action->setEnabled(false);
}

void WindowActions::setTheme(ThemeChoice choice) {
  for (QAction* action : themes_->actions()) action->setChecked(action->data().toInt() == static_cast<int>(choice));
}

}  // namespace palimpsest::ui
