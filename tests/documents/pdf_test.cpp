#include <algorithm>

#include "samples.h"

namespace palimpsest::documents::tests {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

Document read(const PdfWriter& pdf) {
  Document document = extractBytes("paper.pdf", pdf.bytes());
  expectWellFormed(document);
  EXPECT_EQ(document.format, "PDF");
  return document;
}

std::string sentence(int number) {
  return "Sentence number " + std::to_string(number) +
         " tells of a ship that sailed from the harbour into the fog and was not seen again. ";
}

std::string sentences(int from, int count) {
  std::string text;
  for (int i = from; i < from + count; ++i) text += sentence(i);
  return text.substr(0, text.size() - 1);
}

TEST(Pdf, RebuildsParagraphsFromLines) {
  PdfWriter pdf;
  pdf.page();
  double y = pdf.column(72, 80, 10, 70, sentences(1, 4), 1.2, 18);
  pdf.column(72, y, 10, 70, sentences(5, 3), 1.2, 18);
  EXPECT_THAT(texts(read(pdf)), ElementsAre(sentences(1, 4), sentences(5, 3)));
}

TEST(Pdf, SeparatesParagraphsByWhiteSpace) {
  for (const double space : {10.0, 3.0}) {
    PdfWriter pdf;
    pdf.page();
    double y = pdf.column(72, 80, 10, 70, sentences(1, 4));
    pdf.column(72, y + space, 10, 70, sentences(5, 3));
    EXPECT_THAT(texts(read(pdf)), ElementsAre(sentences(1, 4), sentences(5, 3))) << space;
  }
}

TEST(Pdf, KeepsListItemsApart) {
  PdfWriter pdf;
  pdf.page();
  double y = pdf.column(72, 80, 10, 70, sentences(1, 3)) + 4;
  for (const std::string mark : {"\x95 ", "\x95 ", "\x95 "}) {
    pdf.text(80, y, 10, mark + "An item of the list that is longer than one line and is therefore");
    pdf.text(92, y + 12, 10, "continued on the next, with a hanging indent.");
    y += 27;
  }
  pdf.column(72, y + 4, 10, 70, sentences(4, 3));
  const std::string item =
      "• An item of the list that is longer than one line and is therefore continued on the next, with a hanging "
      "indent.";
  EXPECT_THAT(texts(read(pdf)), ElementsAre(sentences(1, 3), item, item, item, sentences(4, 3)));
}

TEST(Pdf, KeepsABibliographyInEntries) {
  PdfWriter pdf;
  pdf.page();
  double y = 80;
  std::vector<std::string> entries;
  for (int i = 1; i <= 5; ++i) {
    const std::string number = "[" + std::to_string(i) + "] ";
    pdf.text(72, y, 10, number + "A. Writer and B. Writer. A long title of an article that goes on");
    pdf.text(96, y + 12, 10, "to the next line. In Proceedings of Something, 1999.");
    entries.push_back(number +
                      "A. Writer and B. Writer. A long title of an article that goes on to the next line. In "
                      "Proceedings of Something, 1999.");
    y += 24;
  }
  EXPECT_EQ(texts(read(pdf)), entries);
}

TEST(Pdf, ReadsTwoColumnsOneAfterTheOther) {
  PdfWriter pdf;
  pdf.page();
  pdf.text(120, 60, 18, "A Paper in Two Columns", PdfWriter::Bold);
  pdf.column(50, 110, 9, 44, sentences(1, 8));
  // The second column begins lower and its lines lie between those of the first.
  pdf.column(305, 115, 9, 44, sentences(9, 8));
  const Document paper = read(pdf);
  const std::string text = allText(paper);
  EXPECT_THAT(text, HasSubstr(sentences(1, 8)));
  EXPECT_THAT(text, HasSubstr(sentences(9, 8)));
  EXPECT_LT(text.find("number 8 "), text.find("number 9 "));
  EXPECT_EQ(paper.title, "A Paper in Two Columns");
}

TEST(Pdf, ReadsTablesByRow) {
  PdfWriter pdf;
  pdf.page();
  const std::pair<const char*, const char*> rows[] = {
      {"Austria", "Vienna"}, {"Belgium", "Brussels"}, {"Denmark", "Copenhagen"}, {"Finland", "Helsinki"},
      {"Greece", "Athens"},  {"Norway", "Oslo"},      {"Portugal", "Lisbon"},    {"Spain", "Madrid"}};
  double y = 100;
  for (const auto& [country, capital] : rows) {
    pdf.text(72, y, 10, country);
    pdf.text(300, y, 10, capital);
    y += 12;
  }
  EXPECT_THAT(texts(read(pdf)), ElementsAre("Austria Vienna\nBelgium Brussels\nDenmark Copenhagen\nFinland "
                                            "Helsinki\nGreece Athens\nNorway Oslo\nPortugal Lisbon\nSpain Madrid"));
}

TEST(Pdf, KeepsVerse) {
  PdfWriter pdf;
  pdf.page();
  double y = pdf.column(72, 80, 10, 70, sentences(1, 3)) + 12;
  for (const auto* line : {"April is the cruellest month, breeding", "Lilacs out of the dead land, mixing",
                           "Memory and desire, stirring", "Dull roots with spring rain"}) {
    pdf.text(110, y, 10, line);
    y += 12;
  }
  EXPECT_THAT(texts(read(pdf)), ElementsAre(sentences(1, 3),
                                            "April is the cruellest month, breeding\nLilacs out of the dead land, "
                                            "mixing\nMemory and desire, stirring\nDull roots with spring rain"));
}

TEST(Pdf, DropsRunningHeadsAndPageNumbers) {
  PdfWriter pdf;
  for (int page = 1; page <= 6; ++page) {
    pdf.page();
    pdf.text(72, 40, 9, page % 2 ? "CHAPTER ONE: THE SHIP" : "A BOOK OF SHIPS");
    pdf.text(500, 40, 9, std::to_string(10 + page));
    pdf.column(72, 80, 10, 70, "Page " + std::to_string(page) + " begins. " + sentences(page * 10, 5));
    pdf.text(290, 800, 9, "- " + std::to_string(10 + page) + " -");
  }
  const std::string text = allText(read(pdf));
  EXPECT_THAT(text, Not(HasSubstr("A BOOK OF SHIPS")));
  EXPECT_THAT(text, Not(HasSubstr("CHAPTER ONE")));
  EXPECT_THAT(text, Not(HasSubstr("- 1")));
  EXPECT_THAT(text, HasSubstr("Page 3 begins."));
  EXPECT_THAT(text, HasSubstr("number 64 "));
}

TEST(Pdf, KeepsHeadingsThatOnlyLookLikeRunningHeads) {
  PdfWriter pdf;
  for (int page = 1; page <= 5; ++page) {
    pdf.page();
    pdf.text(72, 80, 18, "Lecture " + std::to_string(page * page + 1), PdfWriter::Bold);
    pdf.column(72, 130, 10, 70, sentences(page * 10, 5));
  }
  const Document book = read(pdf);
  EXPECT_THAT(texts(book), testing::Contains("Lecture 10"));
  EXPECT_THAT(chapterTitles(book), ElementsAre("Lecture 2", "Lecture 5", "Lecture 10", "Lecture 17", "Lecture 26"));
}

TEST(Pdf, JoinsAParagraphThatGoesOnOnTheNextPage) {
  PdfWriter pdf;
  pdf.page();
  pdf.column(72, 80, 10, 70, sentences(1, 3) + " This last sentence of the page is broken off in the very middle of a");
  pdf.text(72, 780, 7, "1 A footnote in small letters stands below the text.");
  pdf.page();
  pdf.column(72, 80, 10, 70, "thought that ends here. " + sentences(4, 3));
  const Document book = read(pdf);
  ASSERT_EQ(book.paragraphs.size(), 2u);
  EXPECT_THAT(book.paragraphs[0].text, HasSubstr("in the very middle of a thought that ends here. Sentence number 4"));
  EXPECT_EQ(book.paragraphs[0].page, 1);
  EXPECT_THAT(book.paragraphs[1].text, HasSubstr("A footnote"));
}

TEST(Pdf, JoinsWordsBrokenAtLineAndPageEnds) {
  PdfWriter pdf;
  pdf.page();
  pdf.text(72, 80, 10, "The captain knew the dangerous water, and the long-term fore-");
  pdf.text(72, 92, 10, "cast as well. He had made up his mind about it and about the long-");
  pdf.text(72, 104, 10, "term plan, which was to wait until the weather had become a lit-");
  pdf.page();
  pdf.text(72, 80, 10, "tle better than it had been on the first days of that long voy-");
  pdf.text(72, 92, 10, "age.");
  EXPECT_THAT(texts(read(pdf)), ElementsAre("The captain knew the dangerous water, and the long-term forecast as well. "
                                            "He had made up his mind about it and about the "
                                            "long-term plan, which was to wait until the weather had become a little "
                                            "better than it had been on the first days of that long voyage."));
}

TEST(Pdf, TakesChaptersFromTheOutline) {
  PdfWriter pdf;
  for (int page = 1; page <= 3; ++page) {
    pdf.page();
    pdf.text(72, 80, 10,
             std::vector{"Red Heading", "Green Heading", "Blue Heading"}[static_cast<std::size_t>(page - 1)]);
    pdf.column(72, 110, 10, 70, sentences(page * 10, 3));
    if (page == 2) {
      pdf.text(72, 300, 10, "Not Called That");
      pdf.column(72, 330, 10, 70, sentences(50, 3));
    }
  }
  pdf.bookmark("Red Heading", 1, 70);
  pdf.bookmark("Green Heading", 2, 70);
  pdf.bookmark("A Place Lower Down", 2, 290);
  pdf.bookmark("Blue Heading", 3, 0);
  const Document book = read(pdf);
  EXPECT_THAT(chapterTitles(book), ElementsAre("Red Heading", "Green Heading", "A Place Lower Down", "Blue Heading"));
  for (const auto& paragraph : book.paragraphs) {
    const auto has = [&](const std::string& words) { return paragraph.text.find(words) != std::string::npos; };
    const int expected = has("Red Heading") || has("number 11 ")       ? 0
                         : has("Green Heading") || has("number 21 ")   ? 1
                         : has("Not Called That") || has("number 51 ") ? 2
                                                                       : 3;
    EXPECT_EQ(paragraph.chapter, expected) << paragraph.text;
  }
  EXPECT_EQ(book.paragraphs.size(), 8u);
}

TEST(Pdf, CountsPagesThatHoldOnlyPictures) {
  PdfWriter pdf;
  pdf.page();
  pdf.text(72, 80, 10, "Text on the first page.");
  pdf.page();
  pdf.picture();
  pdf.page();  // blank
  pdf.page();
  pdf.text(72, 80, 10, "And on the last.");
  pdf.picture();
  const Document book = read(pdf);
  EXPECT_EQ(book.pageCount, 4);
  EXPECT_THAT(book.pagesWithoutText, ElementsAre(2));
  EXPECT_EQ(book.paragraphs.back().page, 4);
}

// One page of four loses its content, its own object or its place in the tree of pages.
TEST(Pdf, NamesDamagedPagesAndReadsTheRest) {
  PdfWriter pdf;
  for (int page = 1; page <= 4; ++page) {
    pdf.page();
    pdf.text(72, 80, 10, "Words of page " + std::to_string(page) + ".");
  }
  const std::string whole = pdf.bytes();
  const auto damaged = [&](const std::string& from, const std::string& to, std::size_t at = 0) {
    std::string bytes = whole;
    EXPECT_EQ(from.size(), to.size()) << "the table of objects must stay right";
    at = bytes.find(from, at);
    return at == std::string::npos ? std::string() : bytes.replace(at, to.size(), to);
  };
  const auto lastPage = whole.rfind("<< /Type /Page /Parent");
  const std::pair<int, std::string> samples[] = {{2, damaged("(Words of page 2.) Tj ET", std::string(24, '('))},
                                                 {4, damaged("<< /Type", "[[ /Type", lastPage)},
                                                 {4, damaged("13 0 R ]", "99 0 R ]")}};
  for (const auto& [lost, bytes] : samples) {
    const Document book = extractBytes("damaged.pdf", bytes);
    expectWellFormed(book);
    EXPECT_THAT(book.warnings, ElementsAre("1 of 4 pages are damaged and could not be read.")) << lost;
    EXPECT_THAT(book.pagesWithoutText, testing::IsEmpty()) << "it is no picture";
    std::vector<std::string> expected;
    for (int page = 1; page <= 4; ++page)
      if (page != lost) expected.push_back("Words of page " + std::to_string(page) + ".");
    EXPECT_EQ(texts(book), expected);
    EXPECT_EQ(book.paragraphs.back().page, lost == 4 ? 3 : 4);
  }
  EXPECT_THAT(extractBytes("whole.pdf", whole).warnings, testing::IsEmpty());
}

TEST(Pdf, ReadsTitleAuthorAndDate) {
  PdfWriter pdf;
  pdf.page();
  pdf.text(72, 80, 10, "Text.");
  pdf.info("Title", "On Ships");
  pdf.info("Author", "Ann Author");
  pdf.info("CreationDate", "D:20110617120000Z");
  Document book = read(pdf);
  EXPECT_EQ(book.title, "On Ships");
  EXPECT_EQ(book.author, "Ann Author");
  EXPECT_EQ(book.date, "2011-06-17");
  PdfWriter junk;
  junk.page();
  junk.text(72, 80, 10, "Text.");
  junk.info("Title", "Microsoft Word - draft3.doc");
  EXPECT_EQ(read(junk).title, "paper") << "a title that is only a file name is none";
}

TEST(Pdf, DrawsTheFirstPageAsCover) {
  PdfWriter pdf;
  pdf.page();
  pdf.text(72, 80, 10, "Text.");
  const Document book = read(pdf);
  ASSERT_GT(book.cover.size(), 100u);
  EXPECT_EQ(std::to_integer<int>(book.cover[0]), 0x89);
  // Height, big-endian, in the header of the PNG.
  const int height = std::to_integer<int>(book.cover[22]) * 256 + std::to_integer<int>(book.cover[23]);
  EXPECT_NEAR(height, 300, 2);
}

TEST(Pdf, OpensALockedFileWithItsPassword) {
  const fs::path file = fs::path(PALIMPSEST_TEST_DATA) / "documents/locked.pdf";
  EXPECT_EQ(extractionError(file).reason(), ExtractionError::Reason::Locked);
  ExtractionOptions options;
  options.password = "wrong";
  EXPECT_EQ(extractionError(file, options).reason(), ExtractionError::Reason::Locked);
  options.password = "openpassword";
  const Document book = extractDocument(file, options);
  expectWellFormed(book);
  EXPECT_THAT(allText(book), HasSubstr("Only who knows the password reads this line."));
  EXPECT_THAT(chapterTitles(book), ElementsAre("A locked chapter")) << "the outline needs the password too";
}

TEST(Pdf, ReadsTextSetSidewaysAndDropsStampsInTheMargin) {
  PdfWriter stamped;
  stamped.page();
  stamped.column(72, 80, 10, 70, sentences(1, 5));
  stamped.sideways(30, 500, 16, "arXiv:2404.07143v1 [cs.CL] 10 Apr 2024");
  EXPECT_THAT(texts(read(stamped)), ElementsAre(sentences(1, 5)));
  PdfWriter turned;
  turned.page();
  turned.sideways(100, 700, 10, "A table that was too wide for the page stands on its");
  turned.sideways(112, 700, 10, "side, and is read as if it did not.");
  EXPECT_THAT(texts(read(turned)),
              ElementsAre("A table that was too wide for the page stands on its side, and is read as if it did not."));
}

}  // namespace
}  // namespace palimpsest::documents::tests
