#include "samples.h"

namespace palimpsest::documents::tests {
namespace {

using testing::ElementsAre;

Document read(const std::string& html) {
  Document document = extractBytes("page.html", html);
  expectWellFormed(document);
  EXPECT_EQ(document.format, "HTML");
  return document;
}

TEST(Html, KeepsTheTextAndDropsTheMachinery) {
  const Document page = read(
      "<!DOCTYPE html><html lang=de><head><title>A  Page</title><meta name=Author content='Ada "
      "L.'><style>p{}</style></head><body>"
      "<nav><a href=/>Home</a></nav><script>var x='<p>no</p>';</script><h1>Heading</h1><p>One <b>bold</b>\n   "
      "text.<p>Two"
      "<ul><li>first</li><li>second</li></ul><div style='display: none'>hidden</div><p hidden>also hidden</p><!-- no "
      "--></body></html>");
  EXPECT_THAT(texts(page), ElementsAre("Heading", "One bold text.", "Two", "first", "second"));
  EXPECT_EQ(page.title, "A Page");
  EXPECT_EQ(page.author, "Ada L.");
  EXPECT_EQ(page.language, "de");
}

TEST(Html, MakesChaptersOfHeadings) {
  const Document page = read(
      "<html><body><h1>Work</h1><p>Intro.</p><h2>One</h2><p>a</p><h3>One.a</h3><p>b</p><h2>Two</h2><p>c</p></body></"
      "html>");
  ASSERT_THAT(chapterTitles(page), ElementsAre("One", "One.a", "Two"));
  EXPECT_EQ(page.chapters[1].level, 1);
  EXPECT_EQ(page.paragraphs[1].chapter, -1);
  EXPECT_EQ(page.paragraphs.back().chapter, 2);
  EXPECT_EQ(page.title, "Work") << "no <title>: the first heading";
}

TEST(Html, SplitsAtDoubleBreaksAndKeepsShortLines) {
  const std::string prose(200, 'x');
  const Document page =
      read("<html><body>Roses are red<br>violets are blue<br><br>" + prose + "<br>" + prose + "</body></html>");
  EXPECT_THAT(texts(page), ElementsAre("Roses are red", "violets are blue", prose, prose))
      << "long lines are paragraphs";
  EXPECT_THAT(texts(read("<html><body><p>Roses are red<br>violets are blue<br><br>Sugar<br>honey</p></body></html>")),
              ElementsAre("Roses are red\nviolets are blue", "Sugar\nhoney"));
}

TEST(Html, KeepsPreformattedLines) {
  EXPECT_THAT(texts(read("<html><body><pre>line 1\n   line 2\n\nblock 2</pre></body></html>")),
              ElementsAre("line 1\nline 2", "block 2"));
}

TEST(Html, ReadsFragmentsAndOldPages) {
  EXPECT_THAT(texts(read("<center><h1>Old</h1></center><table><tr><td>Layout<td>cell</table>")),
              ElementsAre("Old", "Layout | cell"));
  EXPECT_THAT(texts(read("<!-- comment first -->\n<html><body><p>Text</body></html>")), ElementsAre("Text"));
}

TEST(Html, DecodesTheDeclaredEncoding) {
  EXPECT_THAT(
      texts(read("<html><head><meta charset=windows-1251></head><body><p>\xCF\xF0\xE8\xE2\xE5\xF2</p></body></html>")),
      ElementsAre("Привет"));
}

// As the pages of Project Gutenberg are built today (ids and classes are theirs).
TEST(Html, DropsTheWrappingOfProjectGutenberg) {
  const Document book = read(
      "<!DOCTYPE html><html lang=en><head><title>The Project Gutenberg eBook of Ships, by Ann "
      "Author</title></head><body>"
      "<section class='pg-boilerplate pgheader' id='pg-header'><h2 id='pg-header-heading'>The Project Gutenberg eBook "
      "of "
      "Ships</h2><p>This eBook is for the use of anyone anywhere.</p><p><strong>Title</strong>: Ships</p>"
      "<p><strong>Author</strong>: Ann Author</p><p><strong>Release date</strong>: October 2, 2004 [eBook #35]</p>"
      "<div id='pg-start-separator'><span>*** START OF THE PROJECT GUTENBERG EBOOK SHIPS ***</span></div></section>"
      "<p>Produced by Volunteers</p><h2>CHAPTER I</h2><p>A ship sailed.</p><h2>CHAPTER II</h2><p>It was not seen "
      "again.</p>"
      "<section class='pg-boilerplate pgfooter' id='pg-footer'><div>*** END OF THE PROJECT GUTENBERG EBOOK SHIPS "
      "***</div><p>Updated editions will "
      "replace the previous one.</p><h2>THE FULL PROJECT GUTENBERG LICENSE</h2><p>PLEASE READ THIS</p></section>"
      "</body></html>");
  EXPECT_THAT(texts(book), ElementsAre("CHAPTER I", "A ship sailed.", "CHAPTER II", "It was not seen again."));
  EXPECT_THAT(chapterTitles(book), ElementsAre("CHAPTER I", "CHAPTER II"));
  EXPECT_EQ(book.paragraphs[0].chapter, 0);
  EXPECT_EQ(book.paragraphs[3].chapter, 1);
  EXPECT_EQ(book.title, "Ships");
  EXPECT_EQ(book.author, "Ann Author");
  EXPECT_EQ(book.date, "October 2, 2004");
}

// As they were built until 2020.
TEST(Html, DropsTheWrappingOfOldPagesOfProjectGutenberg) {
  const Document book = read(
      "<html><head><title>The Project Gutenberg eBook of Ships, by Ann Author</title></head><body><pre>\n\nThe Project "
      "Gutenberg EBook of Ships, by Ann Author\n\nThis eBook is for the use of anyone\nanywhere.\n\n\nTitle: "
      "Ships\n\nAuthor: Ann Author\n\nRelease Date: July 26, 2008 [EBook #972]\n[Last updated: April 5, "
      "2014]\n\nLanguage: English\n\n*** START OF THIS PROJECT GUTENBERG EBOOK SHIPS ***\n\n\nProduced by David "
      "Widger\n\n</pre><h1>SHIPS</h1><p>A ship sailed.</p><pre>\nEnd of the Project Gutenberg EBook of Ships, by Ann "
      "Author\n\n*** END OF THIS PROJECT GUTENBERG EBOOK SHIPS ***\n\n***** This file should be named "
      "972.htm *****\n\nUpdated editions will replace the previous one.</pre></body></html>");
  EXPECT_THAT(texts(book), ElementsAre("SHIPS", "A ship sailed."));
  EXPECT_EQ(book.title, "Ships");
  EXPECT_EQ(book.author, "Ann Author");
  EXPECT_EQ(book.date, "July 26, 2008");
}

TEST(Html, KeepsAPageAboutTheMarkersOfProjectGutenberg) {
  EXPECT_THAT(texts(read("<html><body><p>First.</p><p>Cut at <i>*** START OF THE PROJECT GUTENBERG EBOOK</i> and you "
                         "are done.</p><p>Last.</p></body></html>")),
              testing::SizeIs(3));
}

TEST(Html, StopsAtHostileNesting) {
  std::string deep = "<html><body>";
  for (int i = 0; i < 20'000; ++i) deep += "<div>";
  EXPECT_EQ(extractionErrorOfBytes("deep.html", deep + "x").reason(), ExtractionError::Reason::TooLarge);
}

}  // namespace
}  // namespace palimpsest::documents::tests
