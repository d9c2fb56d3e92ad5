// What the database holds, as plain values. Times are seconds since 1970-01-01 UTC; text is UTF-8.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

namespace palimpsest::storage {

using Id = std::int64_t;

enum class DocumentState { Waiting, Extracting, Reading, Paused, Ready, Failed };

struct DocumentRecord {
  Id id = 0;
  std::string contentHash;  // hex SHA-256 of the file's bytes: the document's identity
  std::string path;         // where it was last seen; a missing file never deletes anything
  std::string format, title, author, language, date;
  int pageCount = 0;
  std::vector<int> pagesWithoutText;
  std::vector<std::string> warnings;  // sentences about what the file lacks; one line each
  std::int64_t textBytes = 0;         // length of the stored text
  DocumentState state = DocumentState::Waiting;
  std::string failure;      // the sentence shown when state == Failed
  std::string failureKind;  // what kind of failure, for programs: "locked", "content"; empty = no special kind
  std::int64_t addedAt = 0;
};

struct ChapterRecord {
  int ordinal = 0;
  std::string title;
  int level = 0;
};

// From a chapter's first passage to its last, in bytes of the stored text; -1 = before the first chapter.
struct ChapterSpan {
  int chapter = -1;
  std::int64_t begin = 0, end = 0;
};

// What part of a book was asked or summed up.
struct BookPart {
  enum class Kind { Whole, UpToChapter, Chapter };
  Kind kind = Kind::Whole;
  int chapter = -1;   // its ordinal; -1 = the whole book
  std::string title;  // of the chapter
  bool operator==(const BookPart&) const = default;
};

// A stretch of the stored text, [begin, end) in bytes.
struct TextRange {
  std::int64_t begin = 0;
  std::int64_t end = std::numeric_limits<std::int64_t>::max();
};

// A stored piece of text (one paragraph). The stored text of a document is its passages in order joined by "\n\n".
struct PassageRecord {
  Id id = 0;
  Id documentId = 0;
  int ordinal = 0;
  std::string text;
  int page = 0;              // 0 = the format has no pages
  int chapter = -1;          // ordinal of the chapter, -1 = none
  std::string chapterTitle;  // filled by searches: "Scene II", or "Act III · Scene II" within a part
  std::int64_t begin = 0;    // byte offset in the stored text
  double score = 0;          // searches: larger is better
};

// A section of a memory, or what it was at an earlier place. Its snapshot never changes, so it is shared and stored
// once.
struct MemoryPartRecord {
  std::int64_t position = 0;  // bytes of the stored text before its end; the key among those of one memory
  std::int64_t tokens = 0;
  std::shared_ptr<const std::vector<std::byte>> snapshot;  // never null
};

struct MemoryRecord {
  Id documentId = 0;
  std::string fingerprint;  // of the model that wrote it
  std::string modelName;
  std::vector<std::byte> snapshot;         // opaque here; engine/memory_snapshot.h knows it
  std::vector<MemoryPartRecord> sections;  // in the order of the text
  std::vector<MemoryPartRecord> chapters;  // save(): where chapters end, those that are new; load() leaves it empty
  std::vector<std::byte> lastNote;         // opaque here; empty = none is needed to go on reading
  std::int64_t snapshotBytes = 0;          // of the snapshot and the sections' together, filled by load() and list()
  std::int64_t position = 0;               // bytes of the stored text read
  std::int64_t tokens = 0;
  bool complete = false;
  double secondsSpent = 0;  // reading time so far
  std::int64_t savedAt = 0;
};

struct QuoteRecord {
  std::string text;  // verbatim from the stored text; "…" behind it: cut within its sentence
  int page = 0;
  std::string chapterTitle;
  Id passageId = 0;
  std::int64_t begin = 0;  // byte offset of `text` in the stored text
};

// How well one book of a shelf alone supports an answer.
struct BookScore {
  Id documentId = 0;
  double logProbability = 0;  // mean over the answer's tokens, nats
  bool operator==(const BookScore&) const = default;
};

// One exchange of a conversation. `way`: "memory", "memory+passages", "passages".
struct TurnRecord {
  Id id = 0;
  // Of a shelf: the book that the quotes are from, the one that supports the answer best. Where sections were asked,
  // that is the one whose section answered, though another may have the higher score.
  Id documentId = 0;
  std::vector<Id> shelf;          // all the books that were asked together, ascending; empty = documentId alone
  std::vector<BookScore> scores;  // of a shelf, best first; empty = no book was found to support the answer
  BookPart part;                  // of the one book that was asked
  std::string question, answer;
  std::string way;
  int pagesReread = 0;    // 0 from memory alone; passages counted where the format has no pages
  double coverage = 1.0;  // share of the book that the memory covered
  bool finished = true;   // false: stopped by the reader
  std::string modelName;
  std::vector<QuoteRecord> quotes;
  bool quotesSupport = true;  // false: nothing supports the answer, these stand nearest to the question
  std::int64_t askedAt = 0;
};

struct SummaryRecord {
  Id id = 0;
  Id documentId = 0;
  std::string text;
  double coverage = 1.0;
  bool finished = true;
  std::string modelName;
  std::int64_t madeAt = 0;
  BookPart part = {};
};

}  // namespace palimpsest::storage
