#include "app/library_items.h"

#include <QFileInfo>
#include <algorithm>
#include <set>

#include "app/chapters.h"
#include "app/words.h"
#include "ui/quote_place.h"

namespace palimpsest::app {

namespace {

using storage::DocumentState;
using ui::BookState;

BookState toUi(DocumentState state) {
  switch (state) {
    case DocumentState::Waiting:
      return BookState::Waiting;
    case DocumentState::Extracting:
      return BookState::Extracting;
    case DocumentState::Reading:
      return BookState::Reading;
    case DocumentState::Paused:
      return BookState::Paused;
    case DocumentState::Ready:
      return BookState::Ready;
    case DocumentState::Failed:
      break;
  }
  return BookState::Failed;
}

// A long list of pages says nothing more than its beginning does.
QString pagesWithoutTextNote(const storage::DocumentRecord& document) {
  const auto& pages = document.pagesWithoutText;
  if (pages.empty()) return {};
  QStringList named;
  for (std::size_t i = 0; i < std::min<std::size_t>(pages.size(), 6); ++i) named << QString::number(pages[i]);
  if (pages.size() > 6) named << QStringLiteral("…");
  const int count = static_cast<int>(pages.size());
  const QString note = count == 1 ? Words::tr("1 of %1 pages have no text (page %2)")
                                  : Words::tr("%n of %1 pages have no text (pages %2)", nullptr, count);
  return note.arg(QString::number(document.pageCount), named.join(QStringLiteral(", ")));
}

// A file that lacks much says so in many sentences: the first ones, and how many more.
QString warningsNote(const storage::DocumentRecord& document) {
  constexpr std::size_t kShown = 3;
  const auto& warnings = document.warnings;
  QStringList sentences;
  for (std::size_t i = 0; i < std::min(warnings.size(), kShown); ++i) sentences << toQt(warnings[i]);
  if (warnings.size() > kShown)
    sentences << Words::tr("%n more like these", nullptr, static_cast<int>(warnings.size() - kShown));
  return joinNotes(sentences);
}

bool lacksMemory(const storage::DocumentRecord& document, const std::vector<storage::MemoryRecord>& memories,
                 const ModelIdentity& model) {
  if (!model.loaded || document.state != DocumentState::Ready) return false;
  const auto memory = memoryOf(memories, model);
  return !memory || !memory->complete;
}

// Names the way out by the words on the window's button.
QString memoryNote(const std::vector<storage::MemoryRecord>& memories, const ModelIdentity& model) {
  if (!model.hasMemory) return Words::tr("%1 has no memory: answers come from passages only").arg(model.name);
  if (memoryOf(memories, model))
    return Words::tr("%1 has not read it to its end. “Read again” goes on from there").arg(model.name);
  if (memories.empty())
    return Words::tr("There is no memory of it yet. “Read again” makes one with %1 from its stored text")
        .arg(model.name);
  return Words::tr("Its memory was made by %1. “Read again” reads its stored text with %2; the other memory is kept")
      .arg(otherModelWords(memories.front().modelName, model.name), model.name);
}

// An EPUB has no pages of its own, only what it tells of those of a printed edition.
bool hasPrintedPages(const storage::DocumentRecord& document) { return document.format == "EPUB"; }

Coverage coverageOf(const storage::Library& library, const storage::DocumentRecord& document, double share,
                    const storage::BookPart& part = {}) {
  Coverage coverage{share, document.pageCount, document.pageCount, 1, hasPrintedPages(document), {}};
  if (share < 1.0 && document.pageCount > 0) {
    const auto passage =
        library.passageAt(document.id, static_cast<std::int64_t>(share * static_cast<double>(document.textBytes)));
    coverage.lastPage = passage ? passage->page : 0;
  }
  coverage.part = ui::partWords(shownPart(part), toQt(part.title));
  return coverage;
}

// What a turn says by itself, whoever was asked.
ui::ConversationItem itemOf(const storage::TurnRecord& turn, const Coverage& coverage) {
  ui::ConversationItem item;
  item.id = turn.id;
  item.question = toQt(turn.question);
  item.answer = toQt(turn.answer);
  item.part = shownPart(turn.part);
  item.chapterTitle = toQt(turn.part.title);
  item.way = wayOfName(turn.way);
  item.provenance = provenanceWords(item.way, turn.pagesReread, coverage);
  for (const storage::QuoteRecord& quote : turn.quotes)
    item.quotes.append({toQt(quote.text), quote.page, toQt(quote.chapterTitle), quote.begin,
                        turn.shelf.empty() ? 0 : turn.documentId});
  item.quotesSupport = turn.quotesSupport;
  item.stopped = !turn.finished;
  item.at = QDateTime::fromSecsSinceEpoch(turn.askedAt);
  return item;
}

}  // namespace

ui::BookPart shownPart(const storage::BookPart& part) {
  using Stored = storage::BookPart::Kind;
  using Shown = ui::BookPart::Kind;
  return {part.kind == Stored::Whole         ? Shown::Whole
          : part.kind == Stored::UpToChapter ? Shown::UpToChapter
                                             : Shown::Chapter,
          part.chapter};
}

storage::BookPart storedPart(const ui::BookPart& part) {
  using Stored = storage::BookPart::Kind;
  using Shown = ui::BookPart::Kind;
  return {part.kind == Shown::Whole         ? Stored::Whole
          : part.kind == Shown::UpToChapter ? Stored::UpToChapter
                                            : Stored::Chapter,
          part.chapter,
          {}};
}

QList<ui::Chapter> makeChapters(storage::Database& database, storage::Id document,
                                const storage::MemoryRecord* memory) {
  std::set<std::int64_t> noted;
  if (memory)
    for (const auto& chapter : storage::MemoryStore(database).chapters(document, memory->fingerprint))
      noted.insert(chapter.position);
  QList<ui::Chapter> chapters;
  for (const ChapterPlace& place : chapterPlaces(storage::Library(database), document)) {
    ui::Chapter chapter{place.chapter.ordinal, toQt(place.chapter.title), place.chapter.level, place.hasText()};
    chapter.upTo = place.hasText() && memory && (noted.contains(place.end) || (place.lastOfBook && memory->complete));
    chapter.alone = chapter.upTo && (place.before == 0 || noted.contains(place.before));
    chapters.append(chapter);
  }
  return chapters;
}

QString titleOf(const storage::DocumentRecord& document) {
  return document.title.empty() ? QFileInfo(toQt(document.path)).fileName() : toQt(document.title);
}

bool havePages(const std::vector<storage::DocumentRecord>& books) {
  return std::ranges::all_of(books, [](const auto& book) { return book.pageCount > 0; });
}

std::optional<storage::MemoryRecord> memoryOf(const std::vector<storage::MemoryRecord>& memories,
                                              const ModelIdentity& model) {
  if (!model.loaded) return std::nullopt;
  const auto found =
      std::find_if(memories.begin(), memories.end(), [&](const auto& m) { return m.fingerprint == model.fingerprint; });
  return found == memories.end() ? std::nullopt : std::optional(*found);
}

ui::LibraryItem makeItem(const storage::Library& library, const storage::DocumentRecord& document,
                         const std::vector<storage::MemoryRecord>& memories, const ModelIdentity& model) {
  ui::LibraryItem item;
  item.id = document.id;
  item.title = titleOf(document);
  item.author = toQt(document.author);
  item.format = toQt(document.format);
  item.state = toUi(document.state);
  item.failure = toQt(document.failure);
  item.needsPassword = document.failureKind == "locked";
  item.retryHelps = document.failureKind != "content";
  item.hasText = document.textBytes > 0;
  item.pageCount = document.pageCount;
  item.printedPages = hasPrintedPages(document);
  item.inSections = model.inSections;
  const bool lacking = lacksMemory(document, memories, model);
  item.canReadAgain = lacking && model.hasMemory;
  item.note = joinNotes(
      {pagesWithoutTextNote(document), warningsNote(document), lacking ? memoryNote(memories, model) : QString()});
  // Until a model is loaded, the latest memory stands for it.
  const auto memory = model.loaded || memories.empty() ? memoryOf(memories, model) : std::optional(memories.front());
  if (memory) {
    item.memoryBytes = memory->snapshotBytes;
    item.secondsSpent = memory->secondsSpent;
    item.hasMemory = memory->position > 0;
    const double share =
        document.textBytes > 0 ? static_cast<double>(memory->position) / static_cast<double>(document.textBytes) : 0;
    item.progress = memory->complete ? 1.0 : std::min(share, 1.0);
    item.pagesCovered = coverageOf(library, document, item.progress).lastPage;
  }
  return item;
}

ui::ConversationItem makeConversationItem(const storage::Library& library, const storage::DocumentRecord& document,
                                          const storage::TurnRecord& turn) {
  return itemOf(turn, coverageOf(library, document, turn.coverage, turn.part));
}

ui::ConversationItem makeConversationItem(const std::vector<storage::DocumentRecord>& shelf,
                                          const storage::TurnRecord& turn) {
  Coverage coverage;
  coverage.pageCount = havePages(shelf) ? 1 : 0;
  coverage.books = static_cast<int>(shelf.size());
  ui::ConversationItem item = itemOf(turn, coverage);
  const auto title = [&](storage::Id id) {
    const auto book = std::ranges::find(shelf, id, &storage::DocumentRecord::id);
    return book == shelf.end() ? QString() : titleOf(*book);
  };
  item.bookId = turn.documentId;
  item.bookTitle = title(turn.documentId);
  for (const storage::BookScore& score : turn.scores)
    item.scores.append({score.documentId, title(score.documentId), score.logProbability});
  return item;
}

ui::ConversationItem makeConversationItem(const storage::Library& library, const storage::DocumentRecord& document,
                                          const storage::SummaryRecord& summary) {
  ui::ConversationItem item;
  item.id = summary.id;
  item.isSummary = true;
  item.answer = toQt(summary.text);
  item.provenance = summaryProvenance(coverageOf(library, document, summary.coverage, summary.part));
  item.part = shownPart(summary.part);
  item.chapterTitle = toQt(summary.part.title);
  item.stopped = !summary.finished;
  item.at = QDateTime::fromSecsSinceEpoch(summary.madeAt);
  return item;
}

}  // namespace palimpsest::app
