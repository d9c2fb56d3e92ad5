// Every way a file can fail to be a book: the reason is right, and the sentence names the file and says what to do.
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "samples.h"

namespace palimpsest::documents::tests {
namespace {

using Reason = ExtractionError::Reason;
using namespace std::string_literals;
using testing::HasSubstr;

#define EXPECT_REFUSED(error, expectedReason, name, words) \
  do {                                                     \
    const ExtractionError refused = (error);               \
    EXPECT_EQ(refused.reason(), expectedReason);           \
    EXPECT_THAT(refused.what(), HasSubstr(name));          \
    EXPECT_THAT(refused.what(), HasSubstr(words));         \
  } while (false)

TEST(Errors, MissingFile) {
  const TempFolder folder;
  EXPECT_REFUSED(extractionError(folder.path() / "gone.epub"), Reason::NotFound, "“gone.epub”", "was not found");
}

TEST(Errors, DanglingLink) {
  const TempFolder folder;
  fs::create_symlink(folder.path() / "nowhere", folder.path() / "link.txt");
  EXPECT_REFUSED(extractionError(folder.path() / "link.txt"), Reason::NotFound, "“link.txt”", "was not found");
}

TEST(Errors, Directory) {
  const TempFolder folder;
  fs::create_directory(folder.path() / "books");
  EXPECT_REFUSED(extractionError(folder.path() / "books"), Reason::NotAFile, "“books”", "is a folder");
}

TEST(Errors, PipeIsNotWaitedFor) {
  const TempFolder folder;
  ASSERT_EQ(mkfifo((folder.path() / "pipe.txt").c_str(), 0600), 0);
  EXPECT_REFUSED(extractionError(folder.path() / "pipe.txt"), Reason::NotAFile, "“pipe.txt”", "not an ordinary file");
}

TEST(Errors, LinkThatLeadsToItself) {
  const TempFolder folder;
  fs::create_symlink(folder.path() / "loop.txt", folder.path() / "loop.txt");
  EXPECT_REFUSED(extractionError(folder.path() / "loop.txt"), Reason::Unreadable, "“loop.txt”", "cannot be read");
}

// The superuser may read everything: then the test goes on as nobody.
class AsNobody {
 public:
  AsNobody() : root_(geteuid() == 0 && seteuid(65534) == 0) {}
  ~AsNobody() {
    if (root_ && seteuid(0) != 0) std::abort();
  }
  AsNobody(const AsNobody&) = delete;
  AsNobody& operator=(const AsNobody&) = delete;

 private:
  bool root_;
};

TEST(Errors, FileWithoutReadingRights) {
  const TempFolder folder;
  const fs::path file = folder.write("secret.txt", "text");
  fs::permissions(file, fs::perms::none);
  fs::permissions(folder.path(), fs::perms::all);
  const AsNobody nobody;
  EXPECT_REFUSED(extractionError(file), Reason::Unreadable, "“secret.txt”", "cannot be opened");
}

TEST(Errors, FolderWithoutRights) {
  const TempFolder folder;
  const fs::path file = folder.write("inside.txt", "text");
  fs::permissions(folder.path(), fs::perms::none);
  {
    const AsNobody nobody;
    EXPECT_REFUSED(extractionError(file), Reason::Unreadable, "“inside.txt”", "cannot be read");
  }
  fs::permissions(folder.path(), fs::perms::owner_all);
}

TEST(Errors, EmptyFile) {
  EXPECT_REFUSED(extractionErrorOfBytes("empty.pdf", ""), Reason::Empty, "“empty.pdf”", "is empty");
}

TEST(Errors, BlankLinesOnly) {
  EXPECT_REFUSED(extractionErrorOfBytes("blank.txt", "\n \n\t\n"), Reason::NoText, "“blank.txt”", "blank lines");
}

TEST(Errors, HtmlPageThatIsDrawnByAScript) {
  EXPECT_REFUSED(extractionErrorOfBytes(
                     "app.html",
                     "<!DOCTYPE html><html><head><title>App</title></head><body><script>draw()</script></body></html>"),
                 Reason::NoText, "“app.html”", "no text");
}

TEST(Errors, KnownFormatsAreCalledByTheirName) {
  const std::string sixty(60, '\0');
  const std::pair<std::string, const char*> samples[] = {
      {sixty + "BOOKMOBI" + sixty, "a Kindle book (MOBI or AZW3)"},
      {sixty + "TEXtREAd" + sixty, "a Palm book"},
      {"ITOLITLS"s + sixty, "a Microsoft Reader book"},
      {"AT&TFORM"s + sixty, "a DjVu document"},
      {"ITSF"s + sixty, "a compiled help file"},
      {"{\\rtf1 hello}", "a Rich Text document"},
      {"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1"s + sixty, "an old Microsoft Office document"},
      {"<?xml version=\"1.0\"?><FictionBook><body/></FictionBook>", "a FictionBook"},
      {makeZip({{"word/document.xml", "<w/>"}}), "a Word document (DOCX)"},
      {makeZip({{"mimetype", "application/vnd.oasis.opendocument.text"}, {"content.xml", "<a/>"}}),
       "an OpenDocument file"},
      {makeZip({{"book.fb2", "<FictionBook/>"}}), "a zipped FictionBook"},
  };
  for (const auto& [bytes, what] : samples) {
    const ExtractionError error = extractionErrorOfBytes("book.bin", bytes);
    EXPECT_EQ(error.reason(), Reason::Unsupported) << what;
    EXPECT_THAT(error.what(), HasSubstr(what));
    EXPECT_THAT(error.what(), HasSubstr("a format that Palimpsest cannot read yet"));
  }
}

TEST(Errors, OtherFilesSayWhatTheyAre) {
  const std::pair<std::string, const char*> samples[] = {
      {"\x89PNG\r\n\x1A\n"s + std::string(40, '\0'), "is a picture"},
      {"\xFF\xD8\xFF\xE0"s + std::string(40, '\0'), "is a picture"},
      {"Rar!\x1A\x07"s, "a RAR archive"},
      {"\x1F\x8B\x08"s, "a gzip archive"},
      {"\x7F"
       "ELF\2\1\1"s,
       "a program"},
      {"ID3\3\0\0"s, "a sound file"},
      {makeZip({{"notes.txt", "x"}}), "a ZIP archive without a book"},
      {"PK\5\6"s + std::string(18, '\0'), "a ZIP archive without a book"},  // as zip makes one of nothing
      {std::string("\x00\x01\x02\x03\x80\x90", 6), "a format that Palimpsest does not know"},
  };
  for (const auto& [bytes, what] : samples) {
    const ExtractionError error = extractionErrorOfBytes("file.epub", bytes);
    EXPECT_EQ(error.reason(), Reason::Unsupported) << what;
    EXPECT_THAT(error.what(), HasSubstr(what));
  }
}

TEST(Errors, OpenDialogsOfferEveryFormatThatCanBeRead) {
  EXPECT_THAT(supportedFilePatterns(),
              testing::UnorderedElementsAre("*.pdf", "*.epub", "*.txt", "*.text", "*.md", "*.markdown", "*.mkd",
                                            "*.mdown", "*.html", "*.htm", "*.xhtml"));
  int markdown = 0;
  for (const auto& pattern : supportedFilePatterns()) {
    ASSERT_EQ(pattern.substr(0, 2), "*.");
    markdown += extractBytes("notes" + pattern.substr(1), "# Heading\n\nText.\n").format == "Markdown";
  }
  EXPECT_EQ(markdown, 4) << "the names that make a text Markdown, all of them offered";
}

TEST(Errors, TheNameDoesNotDecide) {
  PdfWriter pdf;
  pdf.page();
  pdf.text(72, 72, 12, "A page of text.");
  EXPECT_EQ(extractBytes("really-a-pdf.txt", pdf.bytes()).format, "PDF");
  EXPECT_EQ(extractBytes("page.txt", "<!DOCTYPE html><html><body><p>Hello</p></body></html>").format, "HTML");
  EXPECT_EQ(extractBytes("text.pdf", "Only words, whatever the name says.").format, "TXT");
}

TEST(Errors, LockedPdf) {
  PdfWriter pdf;
  pdf.page();
  pdf.text(72, 72, 12, "secret");
  pdf.lock();
  const TempFolder folder;
  const fs::path file = folder.write("locked.pdf", pdf.bytes());
  EXPECT_REFUSED(extractionError(file), Reason::Locked, "“locked.pdf”", "Enter the password");
  ExtractionOptions options;
  options.password = "wrong";
  EXPECT_REFUSED(extractionError(file, options), Reason::Locked, "“locked.pdf”", "does not fit");
}

TEST(Errors, PdfOfPicturesOnlyIsCalledAScan) {
  PdfWriter pdf;
  for (int i = 0; i < 3; ++i) {
    pdf.page();
    pdf.picture();
  }
  EXPECT_REFUSED(extractionErrorOfBytes("scan.pdf", pdf.bytes()), Reason::NoText, "“scan.pdf”",
                 "is a scan: its 3 pages are pictures");
}

TEST(Errors, DamagedPdf) {
  EXPECT_REFUSED(extractionErrorOfBytes("broken.pdf", "%PDF-1.4\nthis is not the rest of a PDF"), Reason::Broken,
                 "“broken.pdf”", "is damaged");
}

TEST(Errors, TruncatedEpub) {
  const std::string whole = readFile(fs::path(PALIMPSEST_SOURCE_DIR) / "resources/books/se_the-time-machine.epub");
  ASSERT_GT(whole.size(), 100'000u);
  for (const std::size_t size : {std::size_t{200}, whole.size() / 2, whole.size() - 10})
    EXPECT_REFUSED(extractionErrorOfBytes("half.epub", whole.substr(0, size)), Reason::Broken, "“half.epub”",
                   "cut off or damaged");
}

TEST(Errors, ShowsTheReasonOfAForeignException) {
  ExtractionOptions options;
  options.progress = [](double) { throw std::runtime_error("the progress bar broke"); };
  const TempFolder folder;
  EXPECT_REFUSED(extractionError(folder.write("a.txt", "text"), options), Reason::Broken, "“a.txt”",
                 "the progress bar broke");
}

}  // namespace
}  // namespace palimpsest::documents::tests
