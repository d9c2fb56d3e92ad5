// Damaged files of every kind: whatever the bytes, extraction gives a document or an ExtractionError.
#include <cstdlib>
#include <random>

#include "samples.h"

namespace palimpsest::documents::tests {
namespace {

struct Sample {
  std::string name, bytes;
  int rounds;
};

std::string mutated(std::string bytes, std::mt19937& random) {
  const auto below = [&](std::size_t limit) {
    return static_cast<std::size_t>(random() % std::max<std::size_t>(limit, 1));
  };
  switch (below(5)) {
    case 0:  // cut off
      bytes.resize(below(bytes.size()));
      break;
    case 1:  // a piece lost
      bytes.erase(below(bytes.size()), 1 + below(200));
      break;
    case 2: {  // a piece repeated elsewhere
      const std::string piece = bytes.substr(below(bytes.size()), 1 + below(300));
      bytes.insert(below(bytes.size()), piece);
      break;
    }
    default:  // bytes flipped, more or fewer
      for (std::size_t i = 0, count = std::size_t{1} << below(8); i < count && !bytes.empty(); ++i)
        bytes[below(bytes.size())] = static_cast<char>(random());
  }
  return bytes;
}

PdfWriter samplePdf() {
  PdfWriter pdf;
  for (int page = 0; page < 3; ++page) {
    pdf.page();
    pdf.text(72, 40, 9, "A RUNNING HEAD");
    pdf.text(72, 80, 16, "Chapter " + std::to_string(page + 1), PdfWriter::Bold);
    std::string words;
    for (int i = 0; i < 60; ++i) words += "word" + std::to_string(i * page) + (i % 9 ? " " : "- ");
    pdf.column(72, 110, 9, 40, words);
    pdf.column(320, 110, 9, 40, words);
  }
  pdf.picture();
  pdf.bookmark("Chapter 1", 1, 70);
  pdf.bookmark("Chapter 2", 2, 70);
  return pdf;
}

// Two chapters stored without compression would hide nothing from the mutations; deflated ones test the archive.
std::vector<Sample> samples() {
  EpubParts parts;
  parts.chapters = {{"a.xhtml",
                     "<h1 id='h'>One</h1><p>Text &eacute; "
                     "<ruby>漢<rt>kan</rt></ruby><br/>line</p><table><tr><td>a</td><td>b</td></tr></table>"},
                    {"b.xhtml",
                     "<p>Broken <b>markup<p>here<math><mfrac><mi>a</mi><mi>b</mi></mfrac></math><svg><text x='1,2,3' "
                     "y='4'>abc</text></svg>"}};
  parts.nav =
      "<nav epub:type='toc'><ol><li><a href='a.xhtml#h'>One</a></li><li><a href='b.xhtml'>Two</a></li></ol></nav>";
  const std::string html =
      "<!DOCTYPE "
      "html><html><head><title>T</title></head><body><h1>H</h1><p>One<p>Two<table><tr><td>x<td>y</table><pre>a\nb</pre>"
      "<math><mtable><mtr><mtd><msqrt><mi>x</mi></msqrt></mtd></mtr></mtable></math><a "
      "href='#n'><sup>1</sup></a><svg><text>t</text></svg></body></html>";
  const std::string markdown =
      "---\ntitle: T\n---\n# H\n\ntext *a* `b` [c](d)\n\n- x\n  - y\n\n> q\n\n```\ncode\n```\n<b>h</b>\n";
  const std::string text =
      "The Project Gutenberg eBook\n\nTitle: T\n\n*** START OF THE PROJECT GUTENBERG EBOOK T ***\n\nPART I\n\nCHAPTER "
      "I\n\nTitle\n\n  Some wrapped\nlines - of caf\xC3\xA9 text.\n\nII\n\nverse\n  more\n";
  return {{"sample.pdf", samplePdf().bytes(), 150},
          {"sample.epub", makeEpub(parts), 300},
          {"sample.html", html, 300},
          {"sample.md", markdown, 300},
          {"sample.txt", text, 300}};
}

void survive(const Sample& sample, unsigned seed) {
  std::mt19937 random(seed);
  const TempFolder folder;
  for (int round = 0; round < sample.rounds; ++round) {
    const fs::path file = folder.write(sample.name, mutated(sample.bytes, random));
    try {
      const Document document = extractDocument(file);
      ASSERT_FALSE(document.paragraphs.empty());
      ASSERT_FALSE(document.title.empty());
    } catch (const ExtractionError& error) {
      ASSERT_NE(std::string(error.what()).find(sample.name), std::string::npos) << error.what();
    }
  }
}

TEST(Robustness, DamagedSamplesGiveADocumentOrAnError) {
  for (const auto& sample : samples()) {
    SCOPED_TRACE(sample.name);
    ASSERT_NO_THROW(extractBytes(sample.name, sample.bytes)) << "the sample itself must be readable";
    survive(sample, 20240404);
  }
}

TEST(Robustness, DamagedBookOfTheProgram) {
  survive({"book.epub", readFile(fs::path(PALIMPSEST_SOURCE_DIR) / "resources/books/se_the-time-machine.epub"), 60}, 7);
}

TEST(Robustness, DamagedRealFiles) {
  const char* shared = std::getenv("PALIMPSEST_SHARED");
  if (!shared) GTEST_SKIP() << "PALIMPSEST_SHARED is not set";
  for (const auto* name :
       {"160721.pdf", "habibi.pdf", "multicolumn.pdf", "pdflatex-outline.pdf", "libreoffice-writer-password.pdf",
        "pdf20-utf8-test.pdf", "with-attachment.pdf", "ocf-filename-duplicate-zip-entry-error.epub", "testHTML.html",
        "testWORD.docx", "test.fb2"}) {
    SCOPED_TRACE(name);
    survive({name, readFile(fs::path(shared) / "data/documents" / name), 25}, 11);
  }
}

}  // namespace
}  // namespace palimpsest::documents::tests
