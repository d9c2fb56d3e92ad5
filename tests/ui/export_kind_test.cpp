#include "ui/export_kind.h"

#include "fixture.h"

namespace palimpsest::ui {
namespace {

TEST(ExportKindTest, TheSuffixDecides) {
  EXPECT_EQ(exportKindOf("/a/b.md"), ExportKind::Markdown);
  EXPECT_EQ(exportKindOf("/a/b.HTML"), ExportKind::Html);
  EXPECT_EQ(exportKindOf("/a/b.pdf"), ExportKind::Pdf);
  EXPECT_EQ(exportKindOf("/a/b.txt"), ExportKind::Text);
  EXPECT_EQ(exportKindOf("/a/b.docx"), std::nullopt);
  EXPECT_EQ(exportKindOf("/a/b"), std::nullopt);
}

TEST(ExportKindTest, AnyTitleGivesAFileNameThatFileSystemsTake) {
  EXPECT_EQ(fileNameFor("The Time Machine"), "The Time Machine");
  EXPECT_EQ(fileNameFor("a/b: c?"), "a b c");
  EXPECT_EQ(fileNameFor("../../etc/passwd"), "etc passwd");
  EXPECT_EQ(fileNameFor("???"), "book");
  EXPECT_EQ(fileNameFor(""), "book");
  EXPECT_LE(fileNameFor(QString(500, QChar(0x4e00))).toUtf8().size(), 120);
}

}  // namespace
}  // namespace palimpsest::ui
