// EPUB 2 and 3: the files of the spine in reading order, chapters from the table of contents, printed page numbers.
#include <algorithm>
#include <numeric>
#include <unordered_map>

#include "documents/encoding.h"
#include "documents/epub_navigation.h"
#include "documents/epub_package.h"
#include "documents/flow.h"
#include "documents/source.h"
#include "documents/text.h"

namespace palimpsest::documents {
namespace {

using Reason = ExtractionError::Reason;

// The text of all files in a row, with the places that the table of contents may name.
struct Book {
  std::vector<Block> blocks;
  std::vector<PageMark> pageMarks;
  std::unordered_map<std::string, std::size_t> places;  // "file" or "file#id" -> index into blocks
  std::vector<std::size_t> fileStarts;
  std::string firstTitle;
  std::vector<std::string> warnings;
};

bool isContent(const ManifestItem& item) {
  return item.mediaType.find("html") != std::string::npos || item.mediaType.find("oeb1") != std::string::npos ||
         item.mediaType == "application/xml" || item.mediaType == "text/xml" || item.mediaType.empty();
}

std::size_t sizeOf(const Flow& flow) {
  return std::accumulate(flow.blocks.begin(), flow.blocks.end(), std::size_t{0},
                         [](std::size_t sum, const Block& block) { return sum + block.text.size(); });
}

// Cover, title and contents pages of books that do not mark their parts.
bool isFrontPage(const EpubPackage& package, const std::string& name, const Flow& flow) {
  constexpr std::size_t kLongestFrontPage = 4000;  // bytes; a whole book may be named as its own title page
  if (flow.onlyNavigation) return true;
  if (sizeOf(flow) > kLongestFrontPage) return false;
  if (name == package.nav) return true;
  for (const std::string type : {"cover", "title-page", "toc", "copyright-page", "colophon"})
    if (const auto it = package.guide.find(type); it != package.guide.end() && it->second == name) return true;
  return false;
}

Flow readFlow(const Source& source, const Job& job, const std::string& bytes) {
  const std::string utf8 = decodeToUtf8(bytes, declaredMarkupEncoding(bytes));
  FlowBuilder builder(FlowBuilder::Style::Book);
  if (walkXhtml(source, utf8, builder)) return builder.finish();
  FlowBuilder lenient(FlowBuilder::Style::Book);
  walkHtml(source, job, utf8, lenient);
  return lenient.finish();
}

void addFlow(Book& book, const std::string& name, Flow flow, bool skipped) {
  const std::size_t start = book.blocks.size();
  book.fileStarts.push_back(start);
  book.places.emplace(name, start);
  for (const auto& [id, block] : flow.anchors) book.places.emplace(name + "#" + id, start + (skipped ? 0 : block));
  for (const auto& mark : flow.pageMarks) book.pageMarks.push_back({start + (skipped ? 0 : mark.block), mark.page});
  if (skipped) return;
  if (book.firstTitle.empty()) book.firstTitle = flow.title;
  std::move(flow.blocks.begin(), flow.blocks.end(), std::back_inserter(book.blocks));
}

Book readSpine(const Source& source, const Job& job, const EpubPackage& package, const ZipArchive& archive) {
  Book book;
  std::size_t read = 0;
  for (std::size_t i = 0; i < package.spine.size(); ++i) {
    job.reportPart(i, package.spine.size());
    const auto item = package.manifest.find(package.spine[i]);
    const bool known = item != package.manifest.end() && !item->second.name.empty();
    if (known && !isContent(item->second)) continue;
    const std::string name = known ? item->second.name : package.spine[i];
    const auto index = known ? archive.find(name) : std::nullopt;
    if (!index) {
      book.warnings.push_back("“" + name + "” is named in the reading order but missing from the file.");
      continue;
    }
    ++read;
    Flow flow = readFlow(source, job, archive.read(*index));
    const bool skipped = package.spine.size() > 1 && isFrontPage(package, name, flow);
    addFlow(book, name, std::move(flow), skipped);
  }
  if (read == 0) source.fail(Reason::Broken, "names chapters that are all missing from it. Fetch the file again.");
  return book;
}

// nullopt if the book has no such place.
std::optional<std::size_t> placeOf(const Book& book, const NavigationEntry& entry) {
  if (!entry.fragment.empty())
    if (const auto it = book.places.find(entry.file + "#" + entry.fragment); it != book.places.end()) return it->second;
  if (const auto it = book.places.find(entry.file); it != book.places.end()) return it->second;
  return std::nullopt;
}

struct Candidate {
  Chapter chapter;
  std::size_t place = 0;
  bool kept = false;
};

// chapterOf[i]: the candidate to which block i belongs, -1 before the first. Of several that begin at one place the
// last (deepest) one owns the text.
std::vector<int> assign(const std::vector<Candidate>& candidates, std::size_t blocks) {
  std::vector<int> order(candidates.size()), chapterOf(blocks, -1);
  std::iota(order.begin(), order.end(), 0);
  const auto placeAt = [&](int i) { return candidates[static_cast<std::size_t>(i)].place; };
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return placeAt(a) < placeAt(b); });
  std::size_t next = 0;
  for (std::size_t block = 0; block < blocks; ++block) {
    while (next < order.size() && placeAt(order[next]) <= block) ++next;
    if (next > 0) chapterOf[block] = order[next - 1];
  }
  return chapterOf;
}

// Entries without text of their own stay only above others that have some ("Book One"), not when what they name was
// left out ("Title page", "Colophon").
void chaptersFromContents(const Book& book, const EpubNavigation& navigation, Document& document,
                          std::vector<int>& chapterOf) {
  std::vector<Candidate> candidates;
  for (const auto& entry : navigation.contents)
    if (const auto place = placeOf(book, entry)) candidates.push_back({{entry.title, entry.level}, *place, false});
  chapterOf = assign(candidates, book.blocks.size());
  for (const int chapter : chapterOf)
    if (chapter >= 0) candidates[static_cast<std::size_t>(chapter)].kept = true;
  int wanted = -1;  // entries above a kept one, seen from the end
  for (auto it = candidates.rbegin(); it != candidates.rend(); ++it) {
    if (!it->kept && wanted >= 0 && it->chapter.level < wanted) it->kept = true;
    if (it->kept) wanted = it->chapter.level;
  }
  std::vector<int> newIndex;
  for (const auto& candidate : candidates) {
    newIndex.push_back(candidate.kept ? static_cast<int>(document.chapters.size()) : -1);
    if (candidate.kept) document.chapters.push_back(candidate.chapter);
  }
  for (int& chapter : chapterOf)
    if (chapter >= 0) chapter = newIndex[static_cast<std::size_t>(chapter)];
}

void chaptersFromFiles(const Book& book, Document& document, std::vector<int>& chapterOf) {
  document.chapters = chaptersFromHeadings(book.blocks, chapterOf);
  if (!document.chapters.empty()) return;
  for (std::size_t file = 0; file < book.fileStarts.size(); ++file) {
    const std::size_t end = file + 1 < book.fileStarts.size() ? book.fileStarts[file + 1] : book.blocks.size();
    if (book.fileStarts[file] == end) continue;
    document.chapters.push_back({"Chapter " + std::to_string(document.chapters.size() + 1), 0});
    std::fill(chapterOf.begin() + static_cast<std::ptrdiff_t>(book.fileStarts[file]),
              chapterOf.begin() + static_cast<std::ptrdiff_t>(end), static_cast<int>(document.chapters.size()) - 1);
  }
}

// Numbers are as printed: they may begin anywhere, leave some out, and begin anew in a second volume.
struct PrintedPages {
  std::vector<int> ofBlocks;  // 0 = before the first
  int count = 0;              // how many there are
};

PrintedPages printedPages(const Book& book, const EpubNavigation& navigation) {
  std::vector<PageMark> marks = book.pageMarks;
  if (marks.empty())
    for (const auto& entry : navigation.pages) {
      const bool arabic = !entry.title.empty() && entry.title.size() <= 5 &&
                          entry.title.find_first_not_of("0123456789") == std::string::npos;
      if (const auto place = placeOf(book, entry); place && arabic) marks.push_back({*place, std::stoi(entry.title)});
    }
  std::stable_sort(marks.begin(), marks.end(), [](const PageMark& a, const PageMark& b) { return a.block < b.block; });
  PrintedPages pages;
  int page = 0;
  std::size_t next = 0;
  for (std::size_t block = 0; block < book.blocks.size(); ++block) {
    for (; next < marks.size() && marks[next].block <= block; ++next) {
      pages.count += marks[next].page != page;
      page = marks[next].page;
    }
    pages.ofBlocks.push_back(page);
  }
  return pages;
}

}  // namespace

Document readEpub(const Source& source, const Job& job) {
  const ZipArchive archive(source);
  const EpubPackage package = readEpubPackage(source, archive);
  Book book = readSpine(source, job, package, archive);
  if (book.blocks.empty())
    source.fail(Reason::NoText, "has no text: its pages are pictures. Palimpsest needs an edition with text.");
  const EpubNavigation navigation = readEpubNavigation(package, archive);

  Document document;
  document.format = "EPUB";
  document.author = package.author;
  document.language = package.language;
  document.date = package.date;
  document.warnings = std::move(book.warnings);
  std::vector<int> chapterOf;
  chaptersFromContents(book, navigation, document, chapterOf);
  if (document.chapters.empty()) chaptersFromFiles(book, document, chapterOf);
  const PrintedPages pages = printedPages(book, navigation);
  document.pageCount = pages.count;
  for (std::size_t i = 0; i < book.blocks.size(); ++i)
    document.paragraphs.push_back({std::move(book.blocks[i].text), pages.ofBlocks[i], chapterOf[i]});
  document.title = !package.title.empty() ? package.title : book.firstTitle;
  document.cover = readEpubCover(package, archive);
  return document;
}

}  // namespace palimpsest::documents
