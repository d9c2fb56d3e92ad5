// A window with a library of three books, made anew for each test.
#pragma once

#include <QAction>
#include <QApplication>
#include <QComboBox>
#include <QLabel>
#include <QListView>
#include <QMessageBox>
#include <QPushButton>

#include "fixture.h"
#include "ui/ask_bar.h"
#include "ui/banner.h"
#include "ui/main_window.h"
#include "ui/settings.h"

namespace palimpsest::ui {

class MainWindowTest : public testing::Test {
 protected:
  MainWindowTest() {
    openSettings().clear();
    make();
  }
  ~MainWindowTest() override {
    window.reset();
    applyTheme(*qApp, false);
  }

  void make() {
    window.reset();
    window = std::make_unique<MainWindow>(QStringLiteral("The Time Machine"));
    window->resize(1100, 700);
    window->show();
    QApplication::setActiveWindow(window.get());
  }
  void fill() {
    window->showModel(loadedModel());
    window->showLibrary({readyBook(1), readingBook(2), failedBook(3, QStringLiteral("scan.pdf was not found."))});
    window->selectBook(1);
    window->showConversation(1, {});
  }
  AskField* field() { return window->findChild<AskField*>("askField"); }
  QListView* list() { return window->findChild<QListView*>("libraryList"); }
  QAction* action(const char* name) { return window->findChild<QAction*>(QString::fromLatin1(name)); }
  Banner* banner() { return visibleChild<Banner>(*window, "banner"); }

  std::unique_ptr<MainWindow> window;
};

}  // namespace palimpsest::ui
