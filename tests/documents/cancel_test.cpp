// Progress, cancellation, and files that change under the reader.
#include <random>
#include <stop_token>
#include <thread>

#include "samples.h"

namespace palimpsest::documents::tests {
namespace {

using Reason = ExtractionError::Reason;

PdfWriter longPdf(int pages) {
  PdfWriter pdf;
  for (int i = 0; i < pages; ++i) {
    pdf.page();
    pdf.text(72, 72, 12, "Words of page " + std::to_string(i) + ".");
  }
  return pdf;
}

TEST(Cancelling, BeforeTheStartReadsNothing) {
  std::stop_source source;
  source.request_stop();
  ExtractionOptions options;
  options.stop = source.get_token();
  const TempFolder folder;
  EXPECT_EQ(extractionError(folder.write("a.txt", "text"), options).reason(), Reason::Cancelled);
}

TEST(Cancelling, StopsBetweenPagesAndChapters) {
  const TempFolder folder;
  const fs::path files[] = {folder.write("long.pdf", longPdf(50).bytes()),
                            fs::path(PALIMPSEST_SOURCE_DIR) / "resources/books/se_the-time-machine.epub",
                            folder.write("long.txt", std::string(40'000, 'x') + "\n\nmore\n\n")};
  for (const auto& file : files) {
    std::stop_source source;
    ExtractionOptions options;
    options.stop = source.get_token();
    double last = 0;
    options.progress = [&](double share) {
      last = share;
      if (share > 0.25) source.request_stop();
    };
    const ExtractionError error = extractionError(file, options);
    EXPECT_EQ(error.reason(), Reason::Cancelled) << file;
    EXPECT_THAT(error.what(), testing::HasSubstr("cancelled"));
    EXPECT_LT(last, 0.6) << "went on for long after it was stopped";
  }
}

TEST(Progress, RisesToOne) {
  const TempFolder folder;
  for (const auto& file : {folder.write("long.pdf", longPdf(20).bytes()), folder.write("a.txt", "One line.\n"),
                           fs::path(PALIMPSEST_SOURCE_DIR) / "resources/books/se_the-time-machine.epub"}) {
    std::vector<double> shares;
    ExtractionOptions options;
    options.progress = [&](double share) { shares.push_back(share); };
    extractDocument(file, options);
    ASSERT_FALSE(shares.empty());
    EXPECT_TRUE(std::is_sorted(shares.begin(), shares.end())) << file;
    EXPECT_GE(shares.front(), 0.0);
    EXPECT_EQ(shares.back(), 1.0);
  }
}

TEST(Threads, ReadDifferentFilesAtOnce) {
  const TempFolder folder;
  const fs::path pdf = folder.write("a.pdf", longPdf(30).bytes()), other = folder.write("b.pdf", longPdf(20).bytes());
  int pages = 0, otherPages = 0;
  std::thread first([&] { pages = extractDocument(pdf).pageCount; });
  std::thread second([&] { otherPages = extractDocument(other).pageCount; });
  first.join();
  second.join();
  EXPECT_EQ(pages, 30);
  EXPECT_EQ(otherPages, 20);
}

// Files of several pieces, as they are read: what progress() does comes after the first of them.
constexpr std::size_t kLong = 9 << 20;

std::string noise() {
  std::string bytes(kLong, '\0');
  std::mt19937 random(1);
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

TEST(Vanishing, AFileDeletedWhileItIsReadIsStillReadToItsEnd) {
  PdfWriter pdf = longPdf(10);
  pdf.info("Keywords", std::string(kLong, 'k'));
  EpubParts parts;
  parts.chapters = {{"c.xhtml", "<p>Words of the last chapter.</p>"}};
  parts.manifest = "<item id='p' href='p.png' media-type='image/png'/>";
  parts.extra = {{"EPUB/p.png", noise()}};  // the table of the archive stands behind it
  const std::pair<const char*, std::string> samples[] = {
      {"vanishing.pdf", pdf.bytes()},
      {"vanishing.epub", makeEpub(parts)},
      {"vanishing.txt", std::string(kLong, 'a') + "\n\nWords of the last chapter.\n"}};
  for (const auto& [name, bytes] : samples) {
    const TempFolder folder;
    const fs::path file = folder.write(name, bytes);
    ExtractionOptions options;
    std::vector<double> shares;
    options.progress = [&](double share) {
      fs::remove(file);
      shares.push_back(share);
    };
    const Document book = extractDocument(file, options);
    EXPECT_THAT(book.paragraphs.back().text, testing::StartsWith("Words of ")) << name;
    EXPECT_LT(shares.front(), 0.03) << name << " was read in one piece: nothing vanished while it was";
    EXPECT_FALSE(fs::exists(file));
  }
}

TEST(Vanishing, AFileReplacedWhileItIsReadIsReadAsItWas) {
  const TempFolder folder;
  const fs::path file = folder.write("book.txt", std::string(kLong, 'a') + "\n\nThe old end.\n");
  const fs::path other = folder.write("other.txt", std::string(kLong, 'b') + "\n\nThe new end.\n");
  ExtractionOptions options;
  options.progress = [&](double) {
    if (fs::exists(other)) fs::rename(other, file);
  };
  const std::string text = allText(extractDocument(file, options));
  EXPECT_EQ(text.find('b'), std::string::npos);
  EXPECT_THAT(text, testing::EndsWith("The old end."));
  EXPECT_THAT(allText(extractDocument(file)), testing::EndsWith("The new end."));
}

TEST(Vanishing, AFileCutShortWhileItIsReadIsAnError) {
  const TempFolder folder;
  const fs::path file = folder.write("growing.txt", std::string(20 << 20, 'a'));
  ExtractionOptions options;
  options.progress = [&](double) { fs::resize_file(file, 100); };
  const ExtractionError error = extractionError(file, options);
  EXPECT_EQ(error.reason(), Reason::Unreadable);
  EXPECT_THAT(error.what(), testing::HasSubstr("changed or vanished while it was being read"));
}

}  // namespace
}  // namespace palimpsest::documents::tests
