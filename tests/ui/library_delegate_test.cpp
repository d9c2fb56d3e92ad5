#include "ui/library_delegate.h"

#include <QImage>
#include <QListView>
#include <QPainter>
#include <utility>

#include "fixture.h"
#include "ui/library_model.h"
#include "ui/theme.h"

namespace palimpsest::ui {
namespace {

class LibraryDelegateTest : public testing::Test {
 protected:
  LibraryDelegateTest() {
    list.setModel(&model);
    list.setItemDelegate(&delegate);
    list.resize(300, 600);
    list.show();
  }
  void clickButton(int row) {
    const QModelIndex index = model.index(row);
    const QRect button =
        delegate.buttonRect(list.visualRect(index), index.data(LibraryModel::ItemRole).value<LibraryItem>());
    ASSERT_FALSE(button.isEmpty());
    QTest::mouseClick(list.viewport(), Qt::LeftButton, {}, button.center());
  }
  QImage painted(const LibraryItem& item, int height) {
    model.reset({item});
    QImage image(300, height, QImage::Format_RGB32);
    image.fill(lightColours().margin);
    QPainter painter(&image);
    QStyleOptionViewItem option;
    option.rect = image.rect();
    option.widget = &list;
    delegate.paint(&painter, option, model.index(0));
    return image;
  }

  LibraryModel model;
  LibraryDelegate delegate;
  QListView list;
};

TEST_F(LibraryDelegateTest, TheButtonOfARowDoesWhatItsStateCallsFor) {
  LibraryItem paused = readingBook(3);
  paused.state = BookState::Paused;
  model.reset({failedBook(1, "scan.pdf was not found."), readingBook(2), paused, readyBook(4)});
  QSignalSpy action(&delegate, &LibraryDelegate::actionRequested);
  for (int row = 0; row < 3; ++row) clickButton(row);
  ASSERT_EQ(action.size(), 3);
  EXPECT_EQ(action[0][0].toLongLong(), 1);
  EXPECT_EQ(action[0][1].value<BookAction>(), BookAction::Retry);
  EXPECT_EQ(action[1][1].value<BookAction>(), BookAction::Pause);
  EXPECT_EQ(action[2][1].value<BookAction>(), BookAction::Resume);
  LibraryItem hopeless = failedBook(5, "letter.docx is a Word document, a format that Palimpsest cannot read yet.");
  hopeless.retryHelps = false;
  for (const LibraryItem& item : {readyBook(4), hopeless})
    EXPECT_TRUE(delegate.buttonRect({0, 0, 300, 80}, item).isEmpty());
}

TEST_F(LibraryDelegateTest, ABookWithoutAMemoryOfThisModelOffersToBeReadAgain) {
  LibraryItem foreign = readyBook(1);
  foreign.canReadAgain = true;
  model.reset({foreign});
  QSignalSpy action(&delegate, &LibraryDelegate::actionRequested);
  clickButton(0);
  ASSERT_EQ(action.size(), 1);
  EXPECT_EQ(action[0][1].value<BookAction>(), BookAction::ReadAgain);
}

TEST_F(LibraryDelegateTest, AReasonMakesTheRowHigherAndNeverEndless) {
  model.reset(
      {readyBook(1),
       failedBook(2, "scan.pdf has no text on its twelve pages: they are pictures only, and must be recognised first."),
       failedBook(3, QString(20000, 'x'))});
  QStyleOptionViewItem option;
  option.widget = &list;
  const int ready = delegate.sizeHint(option, model.index(0)).height();
  EXPECT_GT(delegate.sizeHint(option, model.index(1)).height(), ready);
  EXPECT_LT(delegate.sizeHint(option, model.index(2)).height(), 4 * ready);
}

// Else the reason below would run into the next row when a scroll bar appears.
TEST_F(LibraryDelegateTest, ARowIsAsTallWithAScrollBarAsWithout) {
  model.reset({failedBook(1, "noise.pdf is in a format that Palimpsest does not know, whatever its name says of it.")});
  QStyleOptionViewItem option;
  option.widget = &list;
  int narrower = 0;
  for (int width = 220; width <= 340; width += 4) {
    list.resize(width, 600);
    list.setVerticalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
    QApplication::processEvents();
    const QSize without = delegate.sizeHint(option, model.index(0));
    list.setVerticalScrollBarPolicy(Qt::ScrollBarAlwaysOn);
    QApplication::processEvents();
    const QSize with = delegate.sizeHint(option, model.index(0));
    EXPECT_EQ(without.height(), with.height()) << width;
    narrower += with.width() < without.width();
  }
  EXPECT_GT(narrower, 0);
}

// Where the ink of the title begins and ends, of a row 300 wide.
TEST_F(LibraryDelegateTest, ATitleThatIsReadFromTheRightStandsThereAndIsCutAtItsEnd) {
  const auto drawn = [&](const QString& title) {
    LibraryItem item = readyBook(1, title);
    item.author.clear();
    return painted(item, 100).copy(75, 8, 225, QFontMetrics(uiFont(1.0, QFont::DemiBold)).height());
  };
  const auto columns = [](const QImage& image) {
    int first = -1, last = -1;
    for (int x = 0; x < image.width(); ++x)
      for (int y = 0; y < image.height(); ++y)
        if (image.pixelColor(x, y).lightness() < 110) {
          first = first < 0 ? x : first;
          last = x;
        }
    return std::pair(first, last);
  };
  const QString hebrew = QString::fromUtf8("ספר הזמן");
  const auto [left, leftEnd] = columns(drawn("Emma"));
  const auto [right, rightEnd] = columns(drawn(hebrew));
  EXPECT_LT(leftEnd, 112);
  EXPECT_GT(right, 112);
  // What is too long loses its end: the beginning is the same as that of a title a little shorter.
  const auto beginning = [](const QImage& image) { return image.copy(140, 0, 85, image.height()); };
  EXPECT_EQ(beginning(drawn(hebrew + u' ' + QString(60, QChar(0x05D0)))),
            beginning(drawn(hebrew + u' ' + QString(6, QChar(0x05D0)))));
}

TEST_F(LibraryDelegateTest, ProgressIsDrawn) {
  const auto redPixels = [&](double progress) {
    LibraryItem item = readingBook(1);
    item.progress = progress;
    const QImage image = painted(item, 110);
    int count = 0;
    for (int y = 0; y < image.height(); ++y)
      for (int x = 0; x < image.width(); ++x) count += image.pixelColor(x, y) == lightColours().rubric;
    return count;
  };
  const int little = redPixels(0.2), much = redPixels(0.8);
  EXPECT_GT(little, 20);
  EXPECT_GT(much, 3 * little);
}

}  // namespace
}  // namespace palimpsest::ui
