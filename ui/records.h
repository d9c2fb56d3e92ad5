// What the window shows, as plain values. ui/ knows Qt and these, nothing else; app/ fills them.
//
// A conversation has the id of its book, or where several books are asked at once the id of their shelf. Those are
// negative, given by the Assistant and good for one run of the program.
#pragma once

#include <QByteArray>
#include <QDateTime>
#include <QList>
#include <QMetaType>
#include <QString>

namespace palimpsest::ui {

enum class BookState { Waiting, Extracting, Reading, Paused, Ready, Failed };

struct LibraryItem {
  qint64 id = 0;
  QString title, author, format;
  QByteArray cover;  // PNG or JPEG, may be empty
  BookState state = BookState::Waiting;
  QString failure;             // the sentence, when Failed
  bool needsPassword = false;  // Failed because the file is locked: Retry asks for the password
  bool retryHelps = true;      // false: Failed because of what the file holds, so that it would fail again
  bool hasText = true;         // false: nothing has been taken from the file
  QString note;                // e.g. "3 of 12 pages have no text", "read by another model"
  double progress = 0;         // 0..1 while Reading or Paused
  double tokensPerSecond = 0;
  int secondsLeft = -1;  // -1 = not known yet
  int pageCount = 0;
  int pagesCovered = 0;       // the page reached, 0 where the format has no pages
  bool printedPages = false;  // that page is known by the number printed on it, which counts nothing
  qint64 memoryBytes = 0;
  bool hasMemory = false;     // something of it can be asked from memory
  bool inSections = false;    // the model asks its books section by section: memories of several are not added then
  bool canReadAgain = false;  // Ready, but the model has no whole memory of it: reading the stored text makes one
  double secondsSpent = 0;    // on reading so far; 0 = not known

  bool canBeRetried() const { return state == BookState::Failed && retryHelps; }
  bool couldNotBeRead() const { return state == BookState::Failed && !hasText; }  // `failure` says why
  bool operator==(const LibraryItem&) const = default;
};

// What part of a book is asked or summed up.
struct BookPart {
  enum class Kind { Whole, UpToChapter, Chapter };
  Kind kind = Kind::Whole;
  int chapter = -1;  // Chapter::ordinal; -1 = the whole book
  bool operator==(const BookPart&) const = default;
};

// A chapter as the table of contents has it, and what the loaded model remembers of it.
struct Chapter {
  int ordinal = 0;  // counted from 0, in the order of the book
  QString title;
  int level = 0;  // 0 = top
  bool hasText = false;
  bool upTo = false;   // the memory as it was at its end is there
  bool alone = false;  // and what it wrote can be asked by itself
  bool operator==(const Chapter&) const = default;
};

// Whether memories at ends of chapters were kept when the book was read. The memory at the end of the last text, of
// whatever level, tells nothing: that is the whole book's.
inline bool haveMemoriesOfTheirOwn(const QList<Chapter>& chapters) {
  for (qsizetype i = 0; i < chapters.size(); ++i) {
    if (!chapters[i].upTo) continue;
    bool inside = true;  // of this one, as a chapter is of its part
    for (const Chapter& later : chapters.sliced(i + 1)) {
      inside = inside && later.level > chapters[i].level;
      if (!inside && later.hasText) return true;
    }
  }
  return false;
}

enum class AnswerWay { Memory, MemoryAndPassages, Passages };

struct Quote {
  QString text;  // verbatim; "…" behind it: cut within its sentence
  int page = 0;  // 0 = none
  QString chapter;
  qint64 begin = 0;   // byte offset in the stored text (UTF-8), for a reader view
  qint64 bookId = 0;  // the book that it stands in, where several were asked; 0 = the one that was asked
};

// How well one book of a shelf alone supports an answer.
struct BookScore {
  qint64 id = 0;
  QString title;
  double logProbability = 0;  // mean over the answer's tokens, nats; at most 0
};

struct ConversationItem {
  qint64 id = 0;  // 0 while streaming
  QString question, answer;
  BookPart part;
  QString chapterTitle;  // of the part
  AnswerWay way = AnswerWay::Memory;
  QString provenance;  // "From memory · 0 pages re-read · whole book"
  QList<Quote> quotes;
  bool quotesSupport = true;  // false: nothing supports the answer, the quotes only stand nearest to the question
  bool streaming = false, stopped = false;
  bool isSummary = false;
  QString error;  // a sentence, instead of an answer
  QDateTime at;
  // Where several books were asked at once:
  qint64 bookId = 0;        // the book that the quotes are from; 0 = one book was asked
  QString bookTitle;        // its title
  QList<BookScore> scores;  // best first; empty = none supports the answer
  // Of an answer just given, where the memory is kept in sections: the one of the book that answered, of how many, and
  // its doubt that the book says it (0..1); -1 = none was chosen. Not kept with the conversation.
  int section = -1, sections = 0;
  double doubt = 0;
  // Likewise: what the model recalled of its memory to answer by, and which questions it asked itself on the way.
  QString recalled;
  QStringList furtherQuestions;
};

struct ModelStatus {
  bool loaded = false, loading = false;
  bool hasMemory = false;
  QString name;     // "palimpsest-mini"
  QString device;   // "CPU, 2 threads, bf16"
  QString problem;  // when not loaded: what is wrong, in whole sentences; what to do is each front end's own to say
  bool deviceProblem = false;   // the device is why it is not loaded: another folder would not help
  bool shippedOffered = false;  // this is another folder than the shipped model's, which could be used instead
};

}  // namespace palimpsest::ui

Q_DECLARE_METATYPE(palimpsest::ui::LibraryItem)
Q_DECLARE_METATYPE(palimpsest::ui::ConversationItem)
Q_DECLARE_METATYPE(palimpsest::ui::BookPart)
Q_DECLARE_METATYPE(palimpsest::ui::ModelStatus)
