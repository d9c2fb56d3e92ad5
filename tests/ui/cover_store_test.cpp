#include "ui/cover_store.h"

#include <QBuffer>

#include "fixture.h"

namespace palimpsest::ui {
namespace {

QByteArray picture(const char* format, QSize size) {
  QImage image(size, QImage::Format_RGB32);
  image.fill(Qt::darkRed);
  QByteArray bytes;
  QBuffer buffer(&bytes);
  buffer.open(QIODevice::WriteOnly);
  EXPECT_TRUE(image.save(&buffer, format));
  return bytes;
}

TEST(CoverStoreTest, FitsTheBoxAndKeepsTheShape) {
  const QImage image = decodeCover(picture("PNG", {400, 600}), {120, 120});
  EXPECT_EQ(image.size(), QSize(80, 120));
  EXPECT_EQ(decodeCover(picture("JPG", {600, 300}), {120, 120}).size(), QSize(120, 60));
}

TEST(CoverStoreTest, RefusesOtherFormatsAndBrokenPictures) {
  EXPECT_TRUE(decodeCover(picture("BMP", {40, 60}), {120, 120}).isNull());
  EXPECT_TRUE(decodeCover("<svg xmlns='http://www.w3.org/2000/svg'/>", {120, 120}).isNull());
  EXPECT_TRUE(decodeCover(picture("PNG", {400, 600}).left(30), {120, 120}).isNull());
  EXPECT_TRUE(decodeCover({}, {120, 120}).isNull());
}

TEST(CoverStoreTest, RefusesAPictureThatClaimsToBeHuge) {
  QByteArray bytes = picture("JPG", {16, 16});
  const qsizetype frame = bytes.indexOf(QByteArray("\xff\xc0", 2));
  ASSERT_GT(frame, 0);
  EXPECT_FALSE(decodeCover(bytes, {120, 120}).isNull());
  bytes.replace(frame + 5, 4, QByteArray("\x80\x00\x80\x00", 4));  // height and width
  EXPECT_TRUE(decodeCover(bytes, {120, 120}).isNull());
}

TEST(CoverStoreTest, DecodesLaterAndTellsOnce) {
  CoverStore store({60, 60});
  QSignalSpy ready(&store, &CoverStore::coverReady);
  const QByteArray bytes = picture("PNG", {400, 600});
  store.setCover(7, bytes);
  EXPECT_TRUE(store.cover(7).isNull()) << "setCover() must not decode";
  ASSERT_TRUE(ready.wait(5000));
  EXPECT_EQ(ready[0][0].toLongLong(), 7);
  EXPECT_EQ(store.cover(7).size(), QSize(40, 60));
  store.setCover(7, bytes);  // unchanged
  EXPECT_FALSE(ready.wait(100));
  EXPECT_EQ(ready.size(), 1);
}

TEST(CoverStoreTest, AForgottenCoverDoesNotComeBack) {
  CoverStore store({60, 60});
  QSignalSpy ready(&store, &CoverStore::coverReady);
  store.setCover(7, picture("PNG", {400, 600}));
  store.forget(7);
  EXPECT_FALSE(ready.wait(200));
  EXPECT_TRUE(store.cover(7).isNull());
}

}  // namespace
}  // namespace palimpsest::ui
