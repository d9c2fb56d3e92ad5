// The file being read, as the readers of the single formats see it. Internal to documents/.
#pragma once

#include <string>
#include <string_view>

#include "documents/document.h"

namespace palimpsest::documents {

// The whole file in memory: readers never open anything themselves, so nothing named inside a book can reach the disk.
struct Source {
  std::string name;   // file name for sentences
  std::string stem;   // without the extension: the title of last resort
  std::string bytes;  // all of it
  bool namedMarkdown = false;

  // Throws ExtractionError with the sentence: name in quotes, then the rest.
  [[noreturn]] void fail(ExtractionError::Reason reason, std::string_view rest) const;
};

// Progress and cancellation of one extraction.
class Job {
 public:
  Job(const Source& source, const ExtractionOptions& options) : source_(source), options_(options) {}
  const std::string& password() const { return options_.password; }
  bool stopRequested() const { return options_.stop.stop_requested(); }
  void throwIfStopped() const;      // Cancelled
  void report(double share) const;  // 0..1; throws Cancelled if stopping was asked for
  // Part `done` of `parts` begins; opening the file came before, finishing follows.
  void reportPart(std::size_t done, std::size_t parts) const;

 private:
  const Source& source_;
  const ExtractionOptions& options_;
};

// The readers. Each throws ExtractionError and leaves the last cleaning (see extract.cpp) to the caller.
Document readPdf(const Source& source, const Job& job);
Document readEpub(const Source& source, const Job& job);
Document readPlainText(const Source& source, const Job& job);
Document readMarkdown(const Source& source, const Job& job);
Document readHtml(const Source& source, const Job& job);

}  // namespace palimpsest::documents
