#include "ui/library_model.h"

#include <QAbstractItemModelTester>

#include "fixture.h"

namespace palimpsest::ui {
namespace {

TEST(LibraryModelTest, KeepsTheRulesOfItemModels) {
  LibraryModel model;
  const QAbstractItemModelTester tester(&model, QAbstractItemModelTester::FailureReportingMode::Fatal);
  model.reset({readyBook(1), readingBook(2)});
  model.put(readyBook(3));
  model.remove(1);
  EXPECT_EQ(model.rowCount(), 2);
}

TEST(LibraryModelTest, NewBooksComeFirstAndKnownOnesStayWhereTheyAre) {
  LibraryModel model;
  model.reset({readyBook(1), readyBook(2)});
  model.put(readyBook(3));
  EXPECT_EQ(model.rowOf(3), 0);
  LibraryItem changed = readingBook(2);
  model.put(changed);
  EXPECT_EQ(model.rowOf(2), 2);
  EXPECT_EQ(model.item(2)->state, BookState::Reading);
  EXPECT_EQ(model.rowOf(99), -1);
  EXPECT_FALSE(model.item(99).has_value());
}

TEST(LibraryModelTest, ProgressChangesOneRowAndNoHeights) {
  LibraryModel model;
  model.reset({readyBook(1), readingBook(2)});
  QSignalSpy changed(&model, &QAbstractItemModel::dataChanged);
  QSignalSpy heights(&model, &LibraryModel::rowHeightChanged);
  LibraryItem item = readingBook(2);
  item.progress = 0.5;
  model.put(item);
  ASSERT_EQ(changed.size(), 1);
  EXPECT_EQ(changed[0][0].toModelIndex().row(), 1);
  EXPECT_EQ(heights.size(), 0);
  item.state = BookState::Failed;
  model.put(item);
  EXPECT_EQ(heights.size(), 1);
  item = readyBook(1);
  item.canReadAgain = true;
  model.put(item);
  EXPECT_EQ(heights.size(), 2);
}

TEST(LibraryModelTest, SpeaksTheStateToScreenReaders) {
  LibraryModel model;
  model.reset({failedBook(1, "scan.pdf has no text.")});
  EXPECT_EQ(model.index(0).data(Qt::AccessibleTextRole).toString(), "scan.pdf, scan.pdf has no text.");
}

TEST(LibraryModelTest, ToolTipsShowMarkupOfTitlesAsText) {
  LibraryModel model;
  model.reset({readyBook(1, "<img src='http://example.org/x.png'>")});
  const QString tip = model.index(0).data(Qt::ToolTipRole).toString();
  EXPECT_FALSE(tip.contains("<img")) << tip.toStdString();
  EXPECT_TRUE(tip.contains("&lt;img"));
}

TEST(LibraryFilterTest, FindsAllWordsInTitleAndAuthorInAnyOrder) {
  LibraryModel model;
  model.reset({readyBook(1, "The Time Machine"), readyBook(2, "The Invisible Man")});
  LibraryFilter filter;
  filter.setSourceModel(&model);
  EXPECT_EQ(filter.rowCount(), 2);
  filter.setWords("wells TIME");
  ASSERT_EQ(filter.rowCount(), 1);
  EXPECT_EQ(filter.index(0, 0).data(LibraryModel::IdRole).toLongLong(), 1);
  filter.setWords("time man.");
  EXPECT_EQ(filter.rowCount(), 0);
  filter.setWords("  ");
  EXPECT_EQ(filter.rowCount(), 2);
}

}  // namespace
}  // namespace palimpsest::ui
