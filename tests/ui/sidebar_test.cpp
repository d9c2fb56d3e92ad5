#include "ui/sidebar.h"

#include <QAction>
#include <QLineEdit>
#include <QListView>
#include <QPushButton>

#include "fixture.h"

namespace palimpsest::ui {
namespace {

class SidebarTest : public testing::Test {
 protected:
  SidebarTest() : bar(&model) {
    bar.resize(300, 600);
    model.reset({readyBook(1, "The Time Machine"), readyBook(2, "The Invisible Man"), readyBook(3, "Kipps")});
    bar.show();
    bar.select(1);
  }
  QLineEdit* search() { return bar.findChild<QLineEdit*>("librarySearch"); }

  LibraryModel model;
  Sidebar bar;
};

TEST_F(SidebarTest, ArrowKeysChooseBooks) {
  QSignalSpy selected(&bar, &Sidebar::selected);
  QTest::keyClick(bar.list(), Qt::Key_Down);
  ASSERT_EQ(selected.size(), 1);
  EXPECT_EQ(bar.selectedId(), 2);
}

TEST_F(SidebarTest, SearchingHidesBooksButDoesNotSwitchThem) {
  QSignalSpy selected(&bar, &Sidebar::selected);
  QTest::keyClicks(search(), "kipps");
  EXPECT_EQ(bar.list()->model()->rowCount(), 1);
  EXPECT_EQ(bar.selectedId(), 1);
  EXPECT_EQ(selected.size(), 0);
  search()->clear();
  EXPECT_EQ(bar.list()->model()->rowCount(), 3);
  EXPECT_EQ(bar.list()->currentIndex().data(LibraryModel::IdRole).toLongLong(), 1);
  EXPECT_EQ(selected.size(), 0);
}

TEST_F(SidebarTest, EnterInTheSearchGoesToTheFirstBookFound) {
  QTest::keyClicks(search(), "kipps");
  QTest::keyClick(search(), Qt::Key_Return);
  EXPECT_EQ(bar.selectedId(), 3);
}

TEST_F(SidebarTest, EscEmptiesTheSearchAndIsTheWindowsOtherwise) {
  QAction escape;
  escape.setShortcut(Qt::Key_Escape);
  bar.addAction(&escape);
  QSignalSpy pressed(&escape, &QAction::triggered);
  bar.activateWindow();
  ASSERT_TRUE(QTest::qWaitForWindowActive(&bar));
  search()->setFocus();
  QTest::keyClicks(search(), "kipps");
  QTest::keyClick(search(), Qt::Key_Escape);
  EXPECT_TRUE(search()->text().isEmpty());
  EXPECT_EQ(pressed.size(), 0);
  QTest::keyClick(search(), Qt::Key_Escape);
  EXPECT_EQ(pressed.size(), 1);
}

// The one shown is hidden by the search, and the list keeps another as current.
TEST_F(SidebarTest, EnterChoosesTheBookFoundAlsoAfterAnotherSearch) {
  QTest::keyClicks(search(), "invisible");
  search()->clear();
  bar.select(1);
  QTest::keyClicks(search(), "kipps");
  bar.list()->selectionModel()->setCurrentIndex(bar.list()->model()->index(0, 0), QItemSelectionModel::NoUpdate);
  QTest::keyClick(search(), Qt::Key_Return);
  EXPECT_EQ(bar.selectedId(), 3);
}

TEST_F(SidebarTest, WhatCouldNotBeReadIsNoPartOfAShelf) {
  LibraryItem failed = failedBook(4, "no text");
  failed.hasText = false;
  model.put(failed);
  bar.list()->selectAll();
  EXPECT_EQ(bar.selectedIds(), (QList<qint64>{1, 2, 3}));
  EXPECT_EQ(bar.highlightedIds().size(), 4) << "though it can be removed with the others";
  bar.select(4);
  EXPECT_EQ(bar.selectedId(), 4) << "by itself it is shown, with the reason";
}

TEST_F(SidebarTest, RemovingTheSelectedBookSelectsItsNeighbour) {
  bar.select(2);
  QSignalSpy selected(&bar, &Sidebar::selected);
  model.remove(2);
  EXPECT_NE(bar.selectedId(), 0);
  EXPECT_NE(bar.selectedId(), 2);
  ASSERT_EQ(selected.size(), 1);
  EXPECT_EQ(selected[0][0].toLongLong(), bar.selectedId());
}

TEST_F(SidebarTest, CtrlAndShiftSelectSeveralAndAClickOne) {
  QSignalSpy several(&bar, &Sidebar::severalSelected), one(&bar, &Sidebar::selected);
  const auto click = [&](int row, Qt::KeyboardModifiers keys) {
    QTest::mouseClick(bar.list()->viewport(), Qt::LeftButton, keys,
                      bar.list()->visualRect(bar.list()->model()->index(row, 0)).center());
  };
  click(2, Qt::ControlModifier);
  ASSERT_EQ(several.size(), 1);
  EXPECT_EQ(several[0][0].value<QList<qint64>>(), (QList<qint64>{1, 3}));
  EXPECT_EQ(bar.selectedId(), 0);
  click(0, {});
  EXPECT_EQ(bar.selectedId(), 1);
  click(2, Qt::ShiftModifier);
  EXPECT_EQ(bar.selectedIds(), (QList<qint64>{1, 2, 3}));
  click(1, Qt::ControlModifier);
  EXPECT_EQ(bar.selectedIds(), (QList<qint64>{1, 3}));
  click(2, Qt::ControlModifier);
  EXPECT_EQ(bar.selectedId(), 1);
  EXPECT_EQ(one.size(), 2);
}

TEST_F(SidebarTest, TheOnlyBookCannotBeDeselected) {
  QSignalSpy selected(&bar, &Sidebar::selected);
  QTest::mouseClick(bar.list()->viewport(), Qt::LeftButton, Qt::ControlModifier,
                    bar.list()->visualRect(bar.list()->model()->index(0, 0)).center());
  EXPECT_SOON(bar.list()->selectionModel()->selectedIndexes().size() == 1);
  EXPECT_EQ(bar.selectedId(), 1);
  EXPECT_EQ(selected.size(), 0);
}

TEST_F(SidebarTest, SearchingKeepsAShelf) {
  bar.select(QList<qint64>{1, 3});
  QSignalSpy several(&bar, &Sidebar::severalSelected), one(&bar, &Sidebar::selected);
  QTest::keyClicks(search(), "kipps");
  EXPECT_EQ(bar.selectedIds(), (QList<qint64>{1, 3}));
  search()->clear();
  EXPECT_EQ(bar.list()->selectionModel()->selectedIndexes().size(), 2);
  EXPECT_EQ(several.size() + one.size(), 0);
}

TEST_F(SidebarTest, RemovingOneOfAShelfLeavesTheOthersEvenWhereASearchHidesThem) {
  bar.select(QList<qint64>{1, 2, 3});
  QSignalSpy several(&bar, &Sidebar::severalSelected);
  QTest::keyClicks(search(), "kipps");
  model.remove(1);
  ASSERT_EQ(several.size(), 1);
  EXPECT_EQ(several[0][0].value<QList<qint64>>(), (QList<qint64>{2, 3}));
}

TEST_F(SidebarTest, AddButtonAsks) {
  QSignalSpy add(&bar, &Sidebar::addRequested);
  QTest::mouseClick(bar.findChild<QPushButton*>("addButton"), Qt::LeftButton);
  EXPECT_EQ(add.size(), 1);
}

TEST_F(SidebarTest, PiecesHaveNamesForScreenReaders) {
  EXPECT_FALSE(search()->accessibleName().isEmpty());
  EXPECT_FALSE(bar.list()->accessibleName().isEmpty());
  EXPECT_FALSE(bar.findChild<QPushButton*>("addButton")->accessibleName().isEmpty());
}

}  // namespace
}  // namespace palimpsest::ui
