// PDF: text by layout, chapters from the outline, page numbers counted from the first page of the file.
#include <poppler-document.h>
#include <poppler-page.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <memory>
#include <mutex>
#include <set>

#include "documents/headings.h"
#include "documents/page_furniture.h"
#include "documents/page_layout.h"
#include "documents/paragraphs.h"
#include "documents/pdf_info.h"
#include "documents/pdf_outline.h"
#include "documents/pdf_words.h"
#include "documents/source.h"
#include "documents/text.h"

namespace palimpsest::documents {
namespace {

using Reason = ExtractionError::Reason;

constexpr int kMostPages = 50'000;
constexpr int kMostBlankChecks = 24;  // drawing a page takes time; after so many, pages without text count as pictures

// Poppler's complaints about sloppy files belong on nobody's terminal; their number tells a damaged page from a blank
// one.
thread_local int complaints = 0;

std::unique_ptr<poppler::document> open(const Source& source, const Job& job) {
  static std::once_flag quiet;
  std::call_once(quiet,
                 [] { poppler::set_debug_error_function([](const std::string&, void*) { ++complaints; }, nullptr); });
  const std::string& password = job.password();
  std::unique_ptr<poppler::document> pdf(poppler::document::load_from_raw_data(
      source.bytes.data(), static_cast<int>(source.bytes.size()), password, password));
  if (!pdf)
    source.fail(Reason::Broken,
                "is damaged: it begins like a PDF but its pages cannot be found. Fetch the file again.");
  if (pdf->is_locked())
    source.fail(Reason::Locked, password.empty() ? "is locked with a password. Enter the password to read it."
                                                 : "is locked and the password does not fit. Enter another password.");
  if (pdf->pages() < 1) source.fail(Reason::Broken, "has no pages. The file may be damaged: fetch it again.");
  if (pdf->pages() > kMostPages)
    source.fail(Reason::TooLarge, "claims to have more than 50,000 pages. Split it and add the parts.");
  return pdf;
}

std::vector<PageLayout> readPages(const poppler::document& pdf, const Job& job, int& unreadable) {
  std::vector<PageLayout> pages;
  for (int i = 0; i < pdf.pages(); ++i) {
    job.reportPart(static_cast<std::size_t>(i), static_cast<std::size_t>(pdf.pages()));
    const std::unique_ptr<poppler::page> page(pdf.create_page(i));
    if (!page) {
      ++unreadable;
      pages.push_back({i + 1, 0, 0, {}});
      continue;
    }
    complaints = 0;
    PageWords words = readWords(*page);
    if (words.words.empty() && complaints > 0 && !hasInk(*page)) ++unreadable;
    pages.push_back(layOutPage(std::move(words.words), i + 1, words.width, words.height));
  }
  return pages;
}

// Blank pages are not worth a word; pages with pictures only are.
std::vector<int> pagesWithPicturesOnly(const poppler::document& pdf, const std::vector<PageLayout>& pages) {
  std::vector<int> result;
  int checked = 0;
  for (const auto& page : pages) {
    if (!page.lines.empty()) continue;
    const std::unique_ptr<poppler::page> pdfPage(pdf.create_page(page.page - 1));
    if (pdfPage && (++checked > kMostBlankChecks || hasInk(*pdfPage))) result.push_back(page.page);
  }
  return result;
}

// The paragraph at which an outline entry begins: the one with its title, else the first below the place it points to.
std::size_t paragraphAt(const std::vector<PageParagraph>& paragraphs, const OutlineEntry& entry) {
  const std::string title = foldedForComparison(entry.title);
  std::size_t firstOnPage = paragraphs.size(), below = paragraphs.size();
  for (std::size_t i = 0; i < paragraphs.size(); ++i) {
    const auto& paragraph = paragraphs[i];
    if (paragraph.page < entry.page) continue;
    if (firstOnPage == paragraphs.size()) firstOnPage = i;
    if (paragraph.page > entry.page) break;
    const std::string text = foldedForComparison(paragraph.text.substr(0, 2 * entry.title.size() + 40));
    const auto at = title.empty() ? std::string::npos : text.find(title);
    if (at != std::string::npos && at <= 12) return i;  // "1.2 Title" and "Chapter 3: Title" have it a little later
    if (below == paragraphs.size() && entry.top >= 0 && paragraph.top >= entry.top - paragraph.size) below = i;
  }
  return below < paragraphs.size() ? below : firstOnPage;
}

struct Start {
  Chapter chapter;
  std::size_t paragraph;
};

bool mayBeHeading(const PageParagraph& paragraph) {
  constexpr std::size_t kLongest = 120;
  const std::string_view text = paragraph.text;
  if (text.size() > kLongest || text.find('\n') != std::string_view::npos) return false;
  std::size_t letters = 0;
  for (std::size_t i = 0; i < text.size();) letters += isLetter(nextCodePoint(text, i));
  return letters * 2 >= countCodePoints(text) && letters >= 3 && lastCodePoint(text) != ',' &&
         lastCodePoint(text) != ';';
}

std::vector<Start> chaptersFromOutline(const std::vector<PageParagraph>& paragraphs,
                                       const std::vector<OutlineEntry>& outline) {
  std::vector<Start> starts;
  for (const auto& entry : outline)
    if (entry.page > 0) {
      const std::size_t paragraph = paragraphAt(paragraphs, entry);
      std::string title = cleanText(entry.title, LineBreaks::Join);
      if (title.empty() && paragraph < paragraphs.size() && mayBeHeading(paragraphs[paragraph]))
        title = paragraphs[paragraph].text;
      starts.push_back({{std::move(title), entry.level}, paragraph});
    }
  return starts;
}

// Without an outline: lines set larger than the text, in at most three sizes; the largest one on the first page that
// never comes back is the title of the work.
std::vector<Start> chaptersFromSizes(const std::vector<PageParagraph>& paragraphs, double bodySize) {
  constexpr double kLarger = 1.12;
  std::vector<Start> starts;
  std::vector<int> sizes;  // in half points, of each start
  for (std::size_t i = 0; i < paragraphs.size(); ++i) {
    const auto& paragraph = paragraphs[i];
    const bool worded = guessHeading(paragraph.text).heading && !guessHeading(paragraph.text).weak && !paragraph.prose;
    if (!mayBeHeading(paragraph) || (paragraph.size < kLarger * bodySize && !worded)) continue;
    starts.push_back({{paragraph.text, 0}, i});
    sizes.push_back(static_cast<int>(std::lround(2 * std::max(paragraph.size, kLarger * bodySize))));
  }
  std::set<int, std::greater<>> levels(sizes.begin(), sizes.end());
  while (!levels.empty() && std::count(sizes.begin(), sizes.end(), *levels.begin()) == 1 && levels.size() > 1 &&
         paragraphs[starts[static_cast<std::size_t>(std::find(sizes.begin(), sizes.end(), *levels.begin()) -
                                                    sizes.begin())]
                        .paragraph]
                 .page == 1)
    levels.erase(levels.begin());
  std::vector<Start> kept;
  for (std::size_t i = 0; i < starts.size(); ++i) {
    const auto level = levels.find(sizes[i]);
    if (level == levels.end()) continue;
    const auto depth = std::distance(levels.begin(), level);
    if (depth >= 3) continue;
    starts[i].chapter.level = static_cast<int>(depth);
    kept.push_back(starts[i]);
  }
  // Slides and posters are all headings; then none of them is one.
  std::size_t letters = 0, inHeadings = 0;
  for (const auto& paragraph : paragraphs) letters += paragraph.text.size();
  for (const auto& start : kept) inHeadings += start.chapter.title.size();
  if (kept.size() < 2 || inHeadings * 6 > letters) kept.clear();
  return kept;
}

void setChapters(Document& document, std::vector<Start> starts) {
  std::stable_sort(starts.begin(), starts.end(),
                   [](const Start& a, const Start& b) { return a.paragraph < b.paragraph; });
  for (const auto& start : starts) {
    document.chapters.push_back(start.chapter);
    for (std::size_t i = start.paragraph; i < document.paragraphs.size(); ++i)
      document.paragraphs[i].chapter = static_cast<int>(document.chapters.size()) - 1;
  }
}

// The largest words of the first page, if nothing else in the file is as large.
std::string titleFromFirstPage(const std::vector<PageParagraph>& paragraphs, double bodySize) {
  constexpr double kLarger = 1.12;
  const PageParagraph* largest = nullptr;
  for (const auto& paragraph : paragraphs)
    if (mayBeHeading(paragraph) && (!largest || paragraph.size > largest->size + 0.1)) largest = &paragraph;
  if (!largest || largest->page != 1 || largest->size <= kLarger * bodySize) return {};
  const auto asLarge = std::count_if(paragraphs.begin(), paragraphs.end(), [&](const PageParagraph& paragraph) {
    return paragraph.size > largest->size - 0.1;
  });
  return asLarge == 1 ? largest->text : std::string();
}

[[noreturn]] void failWithoutText(const Source& source, int pages, int unreadable) {
  if (unreadable == pages)
    source.fail(Reason::Broken, "is damaged: none of its pages can be read. Fetch the file again.");
  source.fail(Reason::NoText, "is a scan: its " + std::to_string(pages) +
                                  (pages == 1 ? " page is a picture" : " pages are pictures") +
                                  " without text. Run it through a text recognition program (OCR) and add the result.");
}

}  // namespace

Document readPdf(const Source& source, const Job& job) {
  const auto pdf = open(source, job);
  int unreadable = 0;
  std::vector<PageLayout> pages = readPages(*pdf, job, unreadable);
  removeFurniture(pages);
  const double body = bodySize(pages);
  const std::vector<PageParagraph> paragraphs = buildParagraphs(pages, body);
  if (paragraphs.empty()) failWithoutText(source, pdf->pages(), unreadable);

  Document document;
  document.format = "PDF";
  document.pageCount = pdf->pages();
  for (const auto& paragraph : paragraphs) document.paragraphs.push_back({paragraph.text, paragraph.page, -1});
  std::vector<Start> starts = chaptersFromOutline(paragraphs, readOutline(source.bytes, job.password()));
  if (starts.empty()) starts = chaptersFromSizes(paragraphs, body);
  setChapters(document, std::move(starts));
  const PdfInfo info = readInfo(*pdf);
  document.title = info.title.empty() ? titleFromFirstPage(paragraphs, body) : info.title;
  document.author = info.author;
  document.date = info.date;
  document.language = info.language;
  job.throwIfStopped();
  document.pagesWithoutText = pagesWithPicturesOnly(*pdf, pages);
  if (const std::unique_ptr<poppler::page> first(pdf->create_page(0)); first) document.cover = renderCover(*first);
  if (unreadable > 0)
    document.warnings.push_back(std::to_string(unreadable) + " of " + std::to_string(pdf->pages()) +
                                " pages are damaged and could not be read.");
  return document;
}

}  // namespace palimpsest::documents
