#include "samples.h"

namespace palimpsest::documents::tests {
namespace {

using testing::ElementsAre;

Document read(const std::string& markdown) {
  Document document = extractBytes("notes.md", markdown);
  expectWellFormed(document);
  EXPECT_EQ(document.format, "Markdown");
  return document;
}

TEST(Markdown, BecomesPlainParagraphsAndChapters) {
  const Document notes = read(
      "# Title\n\nSome *text*\nin two lines with [a link](http://x.org).\n\n## One\n\n- item\n- `code`\n\n## Two\n\n> "
      "quoted\n");
  EXPECT_THAT(texts(notes),
              ElementsAre("Title", "Some text in two lines with a link.", "One", "item", "code", "Two", "quoted"));
  EXPECT_THAT(chapterTitles(notes), ElementsAre("One", "Two"));
  EXPECT_EQ(notes.title, "Title");
}

TEST(Markdown, KeepsCodeLines) {
  EXPECT_THAT(texts(read("```\nint a;\nint b;\n```\n")), ElementsAre("int a;\nint b;"));
}

TEST(Markdown, ReadsFrontMatter) {
  const Document notes = read(
      "---\r\ntitle: \"The Real Title\"\r\nauthor: Ann\r\ndate: 2024-05-01\r\n---\r\n\r\n# Heading\r\n\r\nText.\r\n");
  EXPECT_EQ(notes.title, "The Real Title");
  EXPECT_EQ(notes.author, "Ann");
  EXPECT_EQ(notes.date, "2024-05-01");
  EXPECT_THAT(texts(notes), ElementsAre("Heading", "Text."));
}

TEST(Markdown, MayBeginWithAnHtmlElement) {
  EXPECT_THAT(texts(read("<p align=\"center\">Logo</p>\n\nText **here**.\n<script>no()</script>\n")),
              ElementsAre("Logo", "Text here."));
}

TEST(Markdown, NeedsItsNameForTextHasNoMagic) {
  EXPECT_EQ(extractBytes("notes.txt", "# Title\n\nText.\n").format, "TXT");
}

}  // namespace
}  // namespace palimpsest::documents::tests
