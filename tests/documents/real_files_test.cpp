// The collection of real files, if it is there: PALIMPSEST_SHARED names the folder that holds data/documents.
#include <algorithm>
#include <cstdlib>
#include <set>

#include "documents/language.h"
#include "samples.h"

namespace palimpsest::documents::tests {
namespace {

using Reason = ExtractionError::Reason;
using testing::AnyOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class RealFiles : public testing::Test {
 protected:
  void SetUp() override {
    const char* shared = std::getenv("PALIMPSEST_SHARED");
    folder_ = fs::path(shared ? shared : "") / "data/documents";
    if (!shared || !fs::is_directory(folder_)) GTEST_SKIP() << "PALIMPSEST_SHARED is not set";
  }
  fs::path file(const std::string& name) const { return folder_ / name; }
  Document read(const std::string& name, const std::string& password = {}) const {
    ExtractionOptions options;
    options.password = password;
    Document document = extractDocument(file(name), options);
    expectWellFormed(document);
    return document;
  }
  // The chapter of the first paragraph that contains the words.
  static std::string chapterOf(const Document& document, const std::string& words) {
    for (const auto& paragraph : document.paragraphs)
      if (paragraph.text.find(words) != std::string::npos)
        return paragraph.chapter < 0 ? "" : document.chapters[static_cast<std::size_t>(paragraph.chapter)].title;
    return "(not found)";
  }
  fs::path folder_;
};

TEST_F(RealFiles, EachIsReadOrRefusedWithItsReason) {
  int readable = 0, refused = 0;
  for (const auto& entry : fs::directory_iterator(folder_)) {
    try {
      expectWellFormed(extractDocument(entry.path()));
      ++readable;
    } catch (const ExtractionError& error) {
      ++refused;
      EXPECT_THAT(error.what(), HasSubstr(entry.path().filename().string()));
      EXPECT_THAT(error.reason(), AnyOf(Reason::Unsupported, Reason::Locked, Reason::NoText)) << error.what();
    }
  }
  EXPECT_EQ(readable, 21);
  EXPECT_EQ(refused, 12);
}

TEST_F(RealFiles, OnlyThoseInOtherLanguagesSeemNotToBeInEnglish) {
  std::set<std::string> others;
  for (const auto& entry : fs::directory_iterator(folder_)) {
    try {
      if (isPlainlyNotEnglish(extractDocument(entry.path()))) others.insert(entry.path().filename().string());
    } catch (const ExtractionError&) {
    }
  }
  // German, Japanese, Lorem ipsum, French.
  EXPECT_THAT(others, ElementsAre("GeoTopo-komprimiert.pdf", "kusamakura-japanese-vertical-writing.epub",
                                  "multicolumn.pdf", "sous-le-vent.epub"));
}

TEST_F(RealFiles, RefusalsNameTheFormat) {
  const std::pair<const char*, const char*> samples[] = {
      {"lorem-ipsum.azw3", "a Kindle book"},      {"lorem-ipsum.mobi", "a Kindle book"},
      {"lorem-ipsum.lit", "a Microsoft Reader"},  {"lorem-ipsum.pdb", "a Palm book"},
      {"lorem-ipsum.fb2", "a FictionBook"},       {"test.fb2", "a FictionBook"},
      {"testWORD.docx", "a Word document"},       {"testWORD_various.docx", "a Word document"},
      {"testStyles.odt", "an OpenDocument file"}, {"testRTFVarious.rtf", "a Rich Text document"}};
  for (const auto& [name, what] : samples) EXPECT_THAT(extractionError(file(name)).what(), HasSubstr(what)) << name;
}

TEST_F(RealFiles, HamletIsAPlayInActsScenesAndVerse) {
  const Document play = read("se_hamlet.epub");
  EXPECT_EQ(play.author, "William Shakespeare");
  EXPECT_EQ(std::count_if(play.chapters.begin(), play.chapters.end(),
                          [](const Chapter& c) { return c.title.rfind("Act ", 0) == 0 && c.level == 1; }),
            5);
  EXPECT_EQ(std::count_if(play.chapters.begin(), play.chapters.end(),
                          [](const Chapter& c) { return c.title.rfind("Scene ", 0) == 0 && c.level == 2; }),
            20);
  const auto paragraphs = texts(play);
  EXPECT_THAT(paragraphs, Contains("Bernardo: Who’s there?"));
  EXPECT_THAT(paragraphs,
              Contains("Francisco:\nFor this relief much thanks: ’tis bitter cold,\nAnd I am sick at heart."));
  EXPECT_THAT(
      paragraphs,
      Contains(HasSubstr("To be, or not to be: that is the question:\nWhether ’tis nobler in the mind to suffer")));
  EXPECT_THAT(allText(play), Not(HasSubstr("Standard Ebooks")));
}

TEST_F(RealFiles, ProblemsOfPhilosophyHasItsFifteenChapters) {
  const Document book = read("se_the-problems-of-philosophy.epub");
  EXPECT_THAT(chapterTitles(book), Contains("I: Appearance and Reality"));
  EXPECT_THAT(chapterTitles(book), Contains("XV: The Value of Philosophy"));
  EXPECT_EQ(chapterOf(book, "Is there any knowledge in the world which is so certain"), "I: Appearance and Reality");
  EXPECT_EQ(chapterOf(book, "Kant’s “thing in itself” is identical in “definition” with the physical object"),
            "Endnotes");
  EXPECT_THAT(allText(book), HasSubstr("the “thing in itself,” he regards as essentially unknowable"));
}

TEST_F(RealFiles, TheWasteLandKeepsItsLinesWithoutTheirNumbers) {
  const Document poem = read("wasteland-otf-obf.epub");
  const std::string text = allText(poem);
  EXPECT_THAT(
      text,
      HasSubstr(
          "April is the cruellest month, breeding\nLilacs out of the dead land, mixing\nMemory and desire, stirring"));
  EXPECT_THAT(text, HasSubstr("And went on in sunlight, into the Hofgarten,\nAnd drank coffee"));
  EXPECT_THAT(text, HasSubstr("Out of this stony rubbish? Son of man,\nYou cannot say"));
  EXPECT_THAT(text, HasSubstr("For Ezra Pound: il miglior fabbro"));
  EXPECT_EQ(poem.chapters.size(), 6u);
}

TEST_F(RealFiles, JapaneseHasNoSpacesAndNoReadings) {
  const Document book = read("kusamakura-japanese-vertical-writing.epub");
  EXPECT_THAT(texts(book),
              Contains("智に働けば角が立つ。情に棹させば流される。意地を通せば窮屈だ。とかくに人の世は住みにくい。"));
  EXPECT_EQ(book.title, "草枕");
  EXPECT_EQ(book.chapters.front().title, "一");
}

TEST_F(RealFiles, ChildrensLiteratureKnowsItsPrintedPages) {
  const Document book = read("childrens-literature.epub");
  const auto it = std::find_if(book.paragraphs.begin(), book.paragraphs.end(),
                               [](const Paragraph& p) { return p.text == "BIBLIOGRAPHY"; });
  ASSERT_NE(it, book.paragraphs.end());
  EXPECT_EQ(it->page, 170);
  EXPECT_EQ(book.pageCount, 92);  // 169 to 260: two chapters of a larger book
  EXPECT_THAT(chapterTitles(book), Contains("196 THE TINDER-BOX"));
}

TEST_F(RealFiles, LegalNoticesOfDocBookAreNoText) {
  const std::string text = allText(read("accessible_epub_3.epub"));
  EXPECT_THAT(text, HasSubstr("Accessibility is a difficult concept to define."));
  EXPECT_THAT(text, Not(HasSubstr("claimed as trademarks")));
}

TEST_F(RealFiles, FormulasOfLinearAlgebraAreLines) {
  const Document book = read("linear-algebra.epub");
  EXPECT_THAT(texts(book), Contains("x² + y² = 1; −x + √(3)y = 0"));
  EXPECT_THAT(allText(book), Not(HasSubstr("Parent topic")));
}

TEST_F(RealFiles, FixedLayoutPagesReadAsProse) {
  EXPECT_THAT(allText(read("sous-le-vent.epub")), HasSubstr("alors que l’histoire restait toujours l’histoire"));
}

TEST_F(RealFiles, TraceMonkeyIsReadColumnByColumn) {
  const Document paper = read("tracemonkey.pdf");
  const std::string text = allText(paper);
  EXPECT_EQ(paper.pageCount, 14);
  EXPECT_EQ(paper.title, "Trace-based Just-in-Time Type Specialization for Dynamic Languages");
  // Broken words, a column break with a footnote between, a page break, a list, and compounds that stay compounds.
  EXPECT_THAT(text, HasSubstr("are more difficult to compile than statically typed ones."));
  EXPECT_THAT(text, HasSubstr("the de facto standard for client-side web programming and is used for the application "
                              "logic of browser-based productivity applications"));
  EXPECT_THAT(text, HasSubstr("in subsequent loop iterations. Hence, recording and compiling a trace speculates"));
  EXPECT_THAT(text, HasSubstr("speed up compared to the interpreter, but are not as fast as SFX and/or V8"));
  EXPECT_THAT(text, HasSubstr("We call the resulting tracing VM TraceMonkey."));
  EXPECT_THAT(text, HasSubstr("1 for (var i = 2; i < 100; ++i) {\n2 if (!primes[i])\n3 continue;"));
  EXPECT_THAT(texts(paper),
              Contains("[18] T. Suganuma, T. Yasue, and T. Nakatani. A Region-Based Compilation Technique for Dynamic "
                       "Compilers. ACM "
                       "Transactions on Programming Languages and Systems (TOPLAS), 28(1):134–174, 2006."));
  EXPECT_THAT(chapterTitles(paper), Contains("4. Nested Trace Tree Formation"));
  EXPECT_EQ(chapterOf(paper, "The main question is whether programs run faster with tracing"), "7. Evaluation");
}

TEST_F(RealFiles, MulticolumnIsReadColumnByColumn) {
  const Document paper = read("multicolumn.pdf");
  const std::string text = allText(paper);
  EXPECT_THAT(text, HasSubstr("Donec nonummy pellentesque ante. Phasellus adipiscing"));  // first column -> second
  EXPECT_THAT(text, HasSubstr("Nam feugiat lacus vel est."));                             // first page -> second
  EXPECT_LT(text.find("This is a sample document"), text.find("Quisque ullamcorper"));
  EXPECT_THAT(text, HasSubstr("Austria 8.9 83,879 Vienna German\nBelgium 11.5 30,689 Brussels"));
  EXPECT_THAT(text, Not(HasSubstr("\n\n1\n\n")));
}

TEST_F(RealFiles, LectureNotesHaveChaptersAndNoRunningHeads) {
  const Document notes = read("GeoTopo-komprimiert.pdf");
  EXPECT_EQ(notes.title, "Geometrie und Topologie");
  EXPECT_EQ(notes.author, "Martin Thoma");
  EXPECT_EQ(notes.chapters.size(), 35u);
  const std::string text = allText(notes);
  EXPECT_THAT(text, Not(HasSubstr("1.1. TOPOLOGISCHE RÄUME")));
  EXPECT_THAT(
      text, HasSubstr("Die Kugeloberfläche S² lässt sich durch strecken, stauchen und umformen zur Würfeloberfläche"));
  EXPECT_EQ(chapterOf(notes, "heißt hausdorffsch"), "1.2 Metrische Räume");
}

TEST_F(RealFiles, OutlineAndPageNumbersOfSmallPapers) {
  const Document outline = read("pdflatex-outline.pdf");
  EXPECT_EQ(outline.chapters.size(), 9u);
  const auto bar = std::find_if(outline.paragraphs.begin(), outline.paragraphs.end(),
                                [](const Paragraph& p) { return p.text == "5 Bar"; });
  ASSERT_NE(bar, outline.paragraphs.end());
  EXPECT_EQ(bar->page, 3);
  EXPECT_EQ(bar->chapter, 4);
  EXPECT_EQ(read("pdflatex-4-pages.pdf").paragraphs.size(), 1u) << "one paragraph over four pages";
  EXPECT_THAT(allText(read("minimal-document.pdf")), StartsWith("Lorem ipsum dolor sit amet"));
  EXPECT_THAT(allText(read("160721.pdf")),
              HasSubstr("self-reported cognitive functioning and self-efficacy, and work readiness"));
}

TEST_F(RealFiles, ArabicComesInReadingOrder) {
  EXPECT_THAT(texts(read("habibi.pdf")), ElementsAre("حَبيبي حَبيبي habibi"));
}

TEST_F(RealFiles, ScanAndPassword) {
  EXPECT_EQ(extractionError(file("c02-22.pdf")).reason(), Reason::NoText);
  EXPECT_THAT(extractionError(file("c02-22.pdf")).what(), HasSubstr("is a scan"));
  EXPECT_EQ(extractionError(file("libreoffice-writer-password.pdf")).reason(), Reason::Locked);
  EXPECT_THAT(allText(read("libreoffice-writer-password.pdf", "openpassword")), StartsWith("Lorem ipsum"));
}

}  // namespace
}  // namespace palimpsest::documents::tests
