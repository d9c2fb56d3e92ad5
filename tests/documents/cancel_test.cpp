// Progress, cancellation, and files that change under the reader.
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

TEST(Vanishing, AFileDeletedWhileItIsReadIsStillReadToItsEnd) {
  const TempFolder folder;
  const fs::path file = folder.write("vanishing.pdf", longPdf(10).bytes());
  ExtractionOptions options;
  options.progress = [&](double) { fs::remove(file); };
  EXPECT_EQ(extractDocument(file, options).pageCount, 10);
  EXPECT_FALSE(fs::exists(file));
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
