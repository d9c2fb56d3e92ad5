// What a file becomes: its text in reading order, with chapters and pages. Plain values, standard types only.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <vector>

namespace palimpsest::documents {

struct Chapter {
  std::string title;  // UTF-8, never empty: "Chapter 3" stands in where the file names none
  int level = 0;      // depth in the table of contents, 0 = top
};

// The unit of stored text: what the file shows as one block. UTF-8, NFC, no line breaks except in verse
// (single '\n'), never empty, no leading or trailing white space, no running head, no page number. A block of more
// than 32 KiB is cut after a sentence, so that each paragraph can be shown.
struct Paragraph {
  std::string text;
  int page = 0;      // page on which it begins: counted from 1, in an EPUB the printed number; 0 = none is known
  int chapter = -1;  // index into Document::chapters; -1 = before the first one
};

struct Document {
  std::string format;  // "PDF", "EPUB", "TXT", "Markdown", "HTML"
  std::string title;   // from the metadata, else the first heading, else the file's stem: never empty
  std::string author;  // several joined by ", "; may be empty
  std::string language;
  std::string date;
  std::vector<Chapter> chapters;
  std::vector<Paragraph> paragraphs;  // never empty: a file without text is an ExtractionError
  int pageCount = 0;                  // how many pages there are, whatever their numbers; 0 = the format has none
  std::vector<int> pagesWithoutText;  // pages that carry only pictures (1-based)
  std::vector<std::byte> cover;       // PNG or JPEG bytes as found in the file, or empty
  std::vector<std::string> warnings;  // sentences about what the file names but lacks (a missing chapter); mostly empty
};

// Why a file could not be read. what() is a sentence for the reader that names the file and the reason.
class ExtractionError : public std::runtime_error {
 public:
  enum class Reason { NotFound, NotAFile, Unreadable, Empty, Unsupported, Locked, NoText, Broken, TooLarge, Cancelled };
  ExtractionError(Reason reason, const std::string& sentence) : std::runtime_error(sentence), reason_(reason) {}
  Reason reason() const noexcept { return reason_; }

 private:
  Reason reason_;
};

struct ExtractionOptions {
  std::string password;                        // for locked PDFs
  std::function<void(double share)> progress;  // 0..1, on the calling thread
  std::stop_token stop;                        // checked between pages and chapters; stopping throws Cancelled
};

// Reads the file's text. Blocking; call it from a worker thread. The format is told by content, not by name.
// Throws ExtractionError, nothing else. Several threads may extract different files.
Document extractDocument(const std::filesystem::path& file, const ExtractionOptions& options = {});

// File name patterns for open dialogs, e.g. {"*.pdf", "*.epub", ...}.
std::vector<std::string> supportedFilePatterns();

}  // namespace palimpsest::documents
