#include "app/content_hash.h"

#include <sys/stat.h>

#include <fstream>

#include "fixture.h"

namespace palimpsest::app {
namespace {

using testing::HasSubstr;

class ContentHashTest : public AppTest {
 protected:
  static std::string refusal(const QString& file, std::stop_token stop = {}) {
    try {
      contentHash(toPath(file), stop);
    } catch (const FileError& error) {
      return error.what();
    }
    return "";
  }
};

TEST_F(ContentHashTest, IsTheSha256OfTheBytesWhateverTheName) {
  const QString a = write(QStringLiteral("a.txt"), "abc"), b = write(QStringLiteral("Größe b.epub"), "abc");
  EXPECT_EQ(contentHash(toPath(a)), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(contentHash(toPath(a)), contentHash(toPath(b)));
}

TEST_F(ContentHashTest, NamesThatAreNoUtf8AreFoundAndKeepTheirBytes) {
  for (const char* bytes :
       {"caf\xe9.txt", "\xff\xfe", "gr\xc3\xb6\xc3.txt", "\xed\xb2\xa9", "\xf0\x9f\x93\x96\x80", "\xef\xbb\xbf\xe9"})
    EXPECT_EQ(toPath(fromPath(bytes)), std::filesystem::path(bytes));
  EXPECT_EQ(fromPath("Gr\xc3\xb6\xc3\x9f"
                     "e \xf0\x9f\x93\x96"),
            QStringLiteral("Größe 📖"));
  const std::filesystem::path file = toPath(folder_.path()) / "caf\xe9.txt";
  std::ofstream(file) << "abc";
  EXPECT_EQ(contentHash(file), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_THAT(refusal(fromPath(toPath(folder_.path()) / "th\xe9.txt")), HasSubstr("There is no file"));
}

TEST_F(ContentHashTest, RefusesWhatIsNoFileWithBytesAndNamesIt) {
  EXPECT_THAT(refusal(path(QStringLiteral("none.txt"))), HasSubstr("There is no file"));
  EXPECT_THAT(refusal(folder_.path()), HasSubstr("is a folder"));
  EXPECT_THAT(refusal(write(QStringLiteral("empty.txt"), "")), HasSubstr("empty.txt” is empty"));
  for (const QByteArray& blank : {QByteArray("\n \n\t\r\n"), QByteArray("\xef\xbb\xbf\n"),
                                  QByteArray("\xff\xfe \0\n\0", 6), QByteArray(3 << 20, ' ')})
    EXPECT_THAT(refusal(write(QStringLiteral("blank.txt"), blank)), HasSubstr("blank.txt” holds only blank lines"));
  EXPECT_EQ(refusal(write(QStringLiteral("late.txt"), QByteArray(3 << 20, ' ') + 'x')), "");
  ASSERT_EQ(mkfifo(path(QStringLiteral("pipe")).toUtf8().constData(), 0600), 0);
  EXPECT_THAT(refusal(path(QStringLiteral("pipe"))), HasSubstr("not an ordinary file"));
}

TEST_F(ContentHashTest, CanBeStopped) {
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(refusal(write(QStringLiteral("a.txt"), "abc"), stop.get_token()), "stopped");
}

}  // namespace
}  // namespace palimpsest::app
