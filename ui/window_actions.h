// The verbs of the window as QActions: one place for their words, shortcuts and when they apply.
#pragma once

#include <QKeySequence>
#include <QObject>
#include <optional>

#include "ui/records.h"
#include "ui/theme.h"

class QAction;
class QActionGroup;
class QMenu;
class QMenuBar;

namespace palimpsest::ui {

class WindowActions : public QObject {
  Q_OBJECT
 public:
  // `window` gets the actions, so that their shortcuts work wherever the focus is; `list` alone gets Delete.
  WindowActions(QWidget* window, QWidget* list);

  void fill(QMenuBar* bar);
  QMenu* bookMenu() const { return bookMenu_; }  // also the context menu of a book
  void update(const std::optional<LibraryItem>& item, bool canSummarise, bool hasConversation);
  void disableWriting();  // after update(): all that would change the library
  void setTheme(ThemeChoice choice);

  QAction *open, *exportBook, *chooseModel, *quit;
  QAction *summarise, *pause, *resume, *cancel, *retry, *clear, *remove;
  QAction *stop, *goToQuestion, *goToSearch, *about;

 signals:
  void themeChosen(palimpsest::ui::ThemeChoice choice);

 private:
  QAction* make(const char* name, const QString& text, const QKeySequence& shortcut = {});
  void makeThemeActions();

  QWidget* window_;
  QMenu* bookMenu_;
  QActionGroup* themes_;
};

}  // namespace palimpsest::ui
