#include "samples.h"

namespace palimpsest::documents::tests {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

Document read(const EpubParts& parts) {
  Document document = extractBytes("book.epub", makeEpub(parts));
  expectWellFormed(document);
  return document;
}

Document readBody(const std::string& body) {
  EpubParts parts;
  parts.chapters = {{"c1.xhtml", body}};
  return read(parts);
}

TEST(Epub, ReadsTheSpineInItsOrderAndChaptersFromTheNavDocument) {
  EpubParts parts;
  parts.chapters = {{"z.xhtml", "<h1>One</h1><p>First.</p>"},
                    {"a.xhtml", "<h1>Two</h1><p>Second.</p><h2 id='s'>Inner</h2><p>Third.</p>"}};
  parts.nav =
      "<nav epub:type='toc'><ol><li><a href='z.xhtml'>One</a></li><li><a href='a.xhtml'>Two</a><ol><li>"
      "<a href='a.xhtml#s'>Inner</a></li></ol></li></ol></nav>";
  const Document book = read(parts);
  EXPECT_THAT(texts(book), ElementsAre("One", "First.", "Two", "Second.", "Inner", "Third."));
  ASSERT_THAT(chapterTitles(book), ElementsAre("One", "Two", "Inner"));
  EXPECT_EQ(book.chapters[2].level, 1);
  EXPECT_EQ(book.paragraphs[1].chapter, 0);
  EXPECT_EQ(book.paragraphs[3].chapter, 1);
  EXPECT_EQ(book.paragraphs[5].chapter, 2);
  EXPECT_EQ(book.pageCount, 0);
}

TEST(Epub, ReadsAnNcxIfThereIsNoNavDocument) {
  EpubParts parts;
  parts.chapters = {{"c1.xhtml", "<p>Text of one.</p>"}, {"c2.xhtml", "<p>Text of two.</p>"}};
  parts.manifest = R"(<item id="ncx" href="toc.ncx" media-type="application/x-dtbncx+xml"/>)";
  parts.extra = {
      {"EPUB/toc.ncx",
       R"(<ncx xmlns="http://www.daisy.org/z3986/2005/ncx/"><navMap><navPoint><navLabel><text>Part</text></navLabel>)"
       R"(<content src="c1.xhtml"/><navPoint><navLabel><text>Chapter &amp; more</text></navLabel><content src="c2.xhtml"/>)"
       R"(</navPoint></navPoint></navMap></ncx>)"}};
  const Document book = read(parts);
  ASSERT_THAT(chapterTitles(book), ElementsAre("Part", "Chapter & more"));
  EXPECT_EQ(book.chapters[1].level, 1);
  EXPECT_EQ(book.paragraphs[1].chapter, 1);
}

TEST(Epub, WithoutAnyTableTheHeadingsAreTheChapters) {
  const Document book = readBody("<h1>Book</h1><h2>One</h2><p>a</p><h2>Two</h2><p>b</p>");
  EXPECT_THAT(chapterTitles(book), ElementsAre("One", "Two"));
  EpubParts silent;
  silent.chapters = {{"c1.xhtml", "<p>a</p>"}, {"c2.xhtml", "<p>b</p>"}};
  EXPECT_THAT(chapterTitles(read(silent)), ElementsAre("Chapter 1", "Chapter 2"));
}

TEST(Epub, LeavesOutFrontMatterThatIsAboutTheBook) {
  EpubParts parts;
  parts.chapters = {
      {"t.xhtml", "<section epub:type='titlepage'><h1>The Book</h1><p epub:type='epigraph'>A motto.</p></section>"},
      {"i.xhtml", "<section epub:type='imprint'><p>Publisher.</p></section>"},
      {"toc.xhtml",
       "<p><a href='a.xhtml'>Chapter 1</a></p><p><a href='a.xhtml#2'>Chapter 2</a></p><p><a href='a.xhtml#3'>Chapter "
       "3</a></p>"
       "<p><a href='a.xhtml#4'>Chapter 4</a></p><p><a href='a.xhtml#5'>Chapter 5</a></p>"},
      {"a.xhtml", "<h1>Chapter 1</h1><p>The story.</p>"},
      {"c.xhtml", "<section epub:type='colophon'><p>Set in Courier.</p></section>"}};
  parts.nav =
      "<nav epub:type='toc'><ol><li><a href='t.xhtml'>Title page</a></li><li><a href='i.xhtml'>Imprint</a></li><li>"
      "<a href='a.xhtml'>Chapter 1</a></li><li><a href='c.xhtml'>Colophon</a></li></ol></nav>";
  const Document book = read(parts);
  EXPECT_THAT(texts(book), ElementsAre("A motto.", "Chapter 1", "The story."));
  EXPECT_THAT(chapterTitles(book), testing::Contains("Chapter 1"));
  EXPECT_THAT(chapterTitles(book), Not(testing::Contains("Colophon")));
  EXPECT_THAT(chapterTitles(book), Not(testing::Contains("Imprint")));
}

TEST(Epub, ReadsMetadataOfBothVersions) {
  EpubParts parts;
  parts.chapters = {{"c.xhtml", "<p>x</p>"}};
  parts.metadata =
      "<dc:title id='sub'>A Subtitle</dc:title><meta refines='#sub' property='title-type'>subtitle</meta>"
      "<dc:title id='main'>Main &amp; Title</dc:title><meta refines='#main' property='title-type'>main</meta>"
      "<dc:creator id='a'>Ann Author</dc:creator><meta refines='#a' property='role'>aut</meta>"
      "<dc:creator id='t'>Tom Translator</dc:creator><meta refines='#t' property='role'>trl</meta>"
      "<dc:creator xmlns:opf='http://www.idpf.org/2007/opf' opf:role='aut'>Ben Author</dc:creator>"
      "<dc:language>fr</dc:language><dc:date>1913-11-14T00:00:00Z</dc:date>";
  const Document book = read(parts);
  EXPECT_EQ(book.title, "Main & Title");
  EXPECT_EQ(book.author, "Ann Author, Ben Author");
  EXPECT_EQ(book.language, "fr");
  EXPECT_EQ(book.date, "1913-11-14");
}

TEST(Epub, TakesNoteMarkersAndBackLinksOut) {
  const Document book = readBody(
      "<p>A claim<a href='n.xhtml#n1' epub:type='noteref'>1</a> and another<sup><a href='#n2'>2</a></sup>, a third.<a "
      "href='#n3'><sup>[3]</sup></a></p>"
      "<p>Area of 5 m<sup>2</sup>, the 1<sup>st</sup> of H<sub>2</sub>O; see <a href='#x'>chapter 4</a>.</p>"
      "<aside epub:type='footnote' id='n2'><p>The note. <a href='#r2' epub:type='backlink'>↩</a></p></aside>");
  EXPECT_THAT(texts(book), ElementsAre("A claim and another, a third.", "Area of 5 m², the 1st of H₂O; see chapter 4.",
                                       "The note."));
}

TEST(Epub, KeepsTheBaseOfRubyAndJoinsJapaneseLines) {
  const Document book =
      readBody("<p><ruby>山路<rp>（</rp><rt>やまみち</rt><rp>）</rp></ruby>を登りながら、\n      こう考えた。</p>");
  EXPECT_THAT(texts(book), ElementsAre("山路を登りながら、こう考えた。"));
}

TEST(Epub, KeepsVerseInLines) {
  const Document book = readBody(
      "<p><span>April is the cruellest month, breeding</span>\n<br/>\n<span>Lilacs out of the dead land,</span></p>"
      "<div class='stanza'><div>One line<span class='lnum'>10</span></div><div>and another</div></div>");
  EXPECT_THAT(texts(book), ElementsAre("April is the cruellest month, breeding\nLilacs out of the dead land,",
                                       "One line\nand another"));
}

TEST(Epub, WritesPlaysAsSpeakerAndSpeech) {
  const Document book = readBody(
      "<table><tr><td epub:type='z3998:persona'>Bernardo</td><td>Who’s there?</td></tr>"
      "<tr><td epub:type='z3998:persona'>Francisco</td><td><p><span>Nay, answer "
      "me:</span><br/><span>stand.</span></p></td></tr>"
      "<tr><td/><td><i>Exit.</i></td></tr></table>");
  EXPECT_THAT(texts(book), ElementsAre("Bernardo: Who’s there?", "Francisco:\nNay, answer me:\nstand.", "Exit."));
}

TEST(Epub, WritesTableRowsAndFormulasInOneLine) {
  const Document book = readBody(
      "<table><tr><th>Town</th><th>People</th></tr><tr><td>Ulm</td><td>126,000</td></tr></table>"
      "<p>So <math "
      "xmlns='http://www.w3.org/1998/Math/MathML'><mrow><msup><mi>x</mi><mn>2</mn></msup><mo>+</mo><mfrac><mn>1</"
      "mn><mrow><mi>y</mi>"
      "<mo>+</mo><mn>1</mn></mrow></mfrac><mo>=</mo><msub><mi>a</mi><mi>i</mi></msub></mrow></math>.</p>");
  EXPECT_THAT(texts(book), ElementsAre("Town | People", "Ulm | 126,000", "So x² + 1/(y + 1) = a_i."));
}

TEST(Epub, KnowsPrintedPagesFromBreaksInTheText) {
  const Document book = readBody(
      "<p>Before.</p><span epub:type='pagebreak' id='p7' title='7'>7</span><p>On seven, going <span "
      "role='doc-pagebreak' aria-label='8'/>on.</p><p>On eight.</p>");
  EXPECT_THAT(texts(book), ElementsAre("Before.", "On seven, going on.", "On eight."));
  EXPECT_EQ(book.paragraphs[0].page, 0);
  EXPECT_EQ(book.paragraphs[1].page, 7);
  EXPECT_EQ(book.paragraphs[2].page, 8);
  EXPECT_EQ(book.pageCount, 2);
}

TEST(Epub, PrintedNumbersAreNoCount) {
  EpubParts parts;
  parts.chapters = {{"c.xhtml", "<p id='a'>One.</p><p id='b'>Two.</p><p id='c'>Three.</p><p id='d'>Four.</p>"}};
  parts.nav =
      "<nav epub:type='toc'><ol><li><a href='c.xhtml'>C</a></li></ol></nav><nav epub:type='page-list'><ol>"
      "<li><a href='c.xhtml#a'>228</a></li><li><a href='c.xhtml#b'>229</a></li><li><a href='c.xhtml#b'>229</a></li>"
      "<li><a href='c.xhtml#c'>260</a></li><li><a href='c.xhtml#d'>1</a></li></ol></nav>";
  const Document book = read(parts);
  EXPECT_EQ(book.paragraphs[2].page, 260);
  EXPECT_EQ(book.paragraphs[3].page, 1);
  EXPECT_EQ(book.pageCount, 4);
}

TEST(Epub, KnowsPrintedPagesFromThePageList) {
  EpubParts parts;
  parts.chapters = {{"c.xhtml", "<p id='a'>One.</p><p id='b'>Two.</p>"}};
  parts.nav =
      "<nav epub:type='toc'><ol><li><a href='c.xhtml'>C</a></li></ol></nav><nav epub:type='page-list'><ol>"
      "<li><a href='c.xhtml#a'>iv</a></li><li><a href='c.xhtml#b'>12</a></li></ol></nav>";
  const Document book = read(parts);
  EXPECT_EQ(book.paragraphs[0].page, 0);
  EXPECT_EQ(book.paragraphs[1].page, 12);
}

TEST(Epub, ReadsNamedCharactersWithoutADtd) {
  EXPECT_THAT(texts(readBody("<p>Caf&eacute;&nbsp;&mdash; &amp;c. &#8220;x&#x201D; &unknown;</p>")),
              ElementsAre("Café — &c. “x” &unknown;"));
}

TEST(Epub, FallsBackToTheLenientParser) {
  const Document book = readBody("<p>Never closed<p>Second <b>bold</p><p>Third & last</p>");
  EXPECT_THAT(texts(book), ElementsAre("Never closed", "Second bold", "Third & last"));
}

TEST(Epub, ReadsFixedLayoutPagesFromTheirDrawings) {
  const Document book = readBody(
      "<svg xmlns='http://www.w3.org/2000/svg'><title>page</title><text transform='matrix(1 0 0 1 50 100)'>"
      "<tspan x='0' y='0'>The first line of a page that ends with a bro-</tspan><tspan x='0' y='15'>ken word and goes "
      "on in the second line.</tspan></text></svg>");
  EXPECT_THAT(texts(book),
              ElementsAre("The first line of a page that ends with a broken word and goes on in the second line."));
}

TEST(Epub, NamesMissingChaptersInAWarning) {
  EpubParts parts;
  parts.chapters = {{"c1.xhtml", "<p>Here.</p>"}};
  parts.manifest = R"(<item id="x" href="lost.xhtml" media-type="application/xhtml+xml"/>)";
  parts.spineExtra = R"(<itemref idref="x"/>)";
  const Document book = read(parts);
  ASSERT_EQ(book.warnings.size(), 1u);
  EXPECT_THAT(book.warnings[0], HasSubstr("lost.xhtml"));
  EXPECT_THAT(texts(book), ElementsAre("Here."));
}

TEST(Epub, DropsTheWrappingOfProjectGutenberg) {
  EpubParts parts;
  parts.chapters = {{"a.xhtml",
                     "<section id='pg-header'><h2>The Project Gutenberg eBook of Ships</h2><p>*** START OF THE PROJECT "
                     "GUTENBERG EBOOK "
                     "SHIPS ***</p></section><h1>SHIPS</h1><h2 id='one'>Chapter I</h2><p>A ship sailed.</p>"},
                    {"f.xhtml",
                     "<p>It was not seen again.</p><section id='pg-footer'><div>*** END OF THE PROJECT GUTENBERG EBOOK "
                     "SHIPS ***</div>"
                     "<h2 id='licence'>THE FULL PROJECT GUTENBERG LICENSE</h2><p>PLEASE READ THIS</p></section>"}};
  parts.nav =
      "<nav epub:type='toc'><ol><li><a href='a.xhtml'>The Project Gutenberg eBook of Ships</a></li><li><a "
      "href='a.xhtml#one'>Chapter I</a></li><li><a href='f.xhtml#licence'>THE FULL PROJECT GUTENBERG "
      "LICENSE</a></li></ol></nav>";
  const Document book = read(parts);
  EXPECT_THAT(texts(book), ElementsAre("SHIPS", "Chapter I", "A ship sailed.", "It was not seen again."));
  EXPECT_THAT(chapterTitles(book), ElementsAre("Chapter I"));
  EXPECT_EQ(book.paragraphs[0].chapter, -1);
  EXPECT_EQ(book.paragraphs[3].chapter, 0);
  // Newer books mark the wrapping, which leaves only its chapter.
  for (auto& [name, body] : parts.chapters) body.replace(body.find("<section "), 9, "<section class='pg-boilerplate' ");
  EXPECT_EQ(texts(read(parts)), texts(book));
  EXPECT_THAT(chapterTitles(read(parts)), ElementsAre("Chapter I"));
}

TEST(Epub, FindsTheCoverOfBothVersions) {
  const std::string png = "\x89PNG\r\n\x1A\n...";
  EpubParts three;
  three.chapters = {{"c.xhtml", "<p>x</p>"}};
  three.manifest = R"(<item id="i" href="a%20b.png" media-type="image/png" properties="cover-image"/>)";
  three.extra = {{"EPUB/a b.png", png}};
  EXPECT_EQ(read(three).cover.size(), png.size());
  EpubParts two = three;
  two.manifest =
      R"(<item id="i" href="a%20b.png" media-type="image/png"/><item id="p" href="cover.xhtml" media-type="application/xhtml+xml"/>)";
  two.guide = R"(<guide><reference type="cover" href="cover.xhtml"/></guide>)";
  two.extra.emplace_back("EPUB/cover.xhtml", xhtml("<img src='a%20b.png'/>"));
  EXPECT_EQ(read(two).cover.size(), png.size());
}

}  // namespace
}  // namespace palimpsest::documents::tests
