#include "ui/dropped_files.h"

#include <QMimeData>
#include <QTemporaryDir>
#include <QUrl>

#include "fixture.h"
#include "ui/file_name.h"

namespace palimpsest::ui {
namespace {

TEST(DroppedFilesTest, TakesSeveralFiles) {
  QMimeData data;
  data.setUrls({QUrl::fromLocalFile("/books/a.epub"), QUrl::fromLocalFile("/books/b c.pdf")});
  EXPECT_TRUE(mayBeDropped(&data));
  const DroppedFiles dropped = droppedFiles(&data);
  EXPECT_EQ(dropped.files, QStringList({"/books/a.epub", "/books/b c.pdf"}));
  EXPECT_TRUE(dropped.refusal.isEmpty());
}

TEST(DroppedFilesTest, KeepsTheBytesOfNamesThatAreNoUtf8) {
  QMimeData data;
  data.setData("text/uri-list", "file:///books/caf%E9%20%C3%B6.epub\r\nfile:///books/%EF%BF%BD.pdf\r\n");
  const DroppedFiles dropped = droppedFiles(&data);
  ASSERT_EQ(dropped.files.size(), 2);
  EXPECT_EQ(bytesOfName(dropped.files[0]), "/books/caf\xe9 ö.epub");
  EXPECT_EQ(bytesOfName(dropped.files[1]), "/books/\xef\xbf\xbd.pdf");
}

TEST(DroppedFilesTest, RefusesFoldersByNameAndStillTakesTheFiles) {
  const QTemporaryDir folder;
  QMimeData data;
  data.setUrls({QUrl::fromLocalFile(folder.path()), QUrl::fromLocalFile("/books/a.epub")});
  const DroppedFiles dropped = droppedFiles(&data);
  EXPECT_EQ(dropped.files, QStringList({"/books/a.epub"}));
  EXPECT_TRUE(dropped.refusal.contains("is a folder")) << dropped.refusal.toStdString();
  EXPECT_TRUE(dropped.refusal.contains(folder.path().section('/', -1)));
}

TEST(DroppedFilesTest, RefusesAddressesOfTheWeb) {
  QMimeData data;
  data.setUrls({QUrl("https://example.org/a.epub")});
  EXPECT_TRUE(droppedFiles(&data).files.isEmpty());
  EXPECT_TRUE(droppedFiles(&data).refusal.contains("on this computer"));
}

TEST(DroppedFilesTest, TextIsNoDrop) {
  QMimeData data;
  data.setText("hello");
  EXPECT_FALSE(mayBeDropped(&data));
  EXPECT_FALSE(mayBeDropped(nullptr));
}

}  // namespace
}  // namespace palimpsest::ui
