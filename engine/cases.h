// Files of cases (training/palimpsest_training/cases.py): texts, what is asked about each, and what is right.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "engine/book_memory.h"
#include "engine/generator.h"
#include "engine/model.h"
#include "engine/prompt.h"

namespace palimpsest::engine {

// A file that is not there or holds no cases, a line that is none: a whole sentence.
class CasesError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

struct CaseQuestion {
  std::string kind, question;
  std::vector<std::string> truths;  // any of them is right
  bool unanswerable = false;
  std::vector<Turn> turns;  // what was said before it

  // Names and numbers: not to be guessed from the few answers that there are to some kinds.
  bool isOpen() const { return !unanswerable && !kind.starts_with("closed:"); }
  // The truth to the letter: nothing is forgiven, so that the figures are those of evaluate.py.
  bool isExact(std::string_view answer) const;
};

struct CaseDocument {
  std::string size;  // the column of the table, "8K"
  std::string text;  // as a library stores it
  std::map<std::string, std::vector<CaseQuestion>> rows;
};

// One document at a time, however many there are.
class CasesFile {
 public:
  explicit CasesFile(const std::filesystem::path& file);  // throws CasesError, as next() does
  std::optional<CaseDocument> next();                     // none: the file has ended

 private:
  std::string lineName() const;

  std::string name_;
  std::ifstream lines_;
  std::int64_t line_ = 0;
};

// As the program reads a book. Throws ModelError, Stopped.
BookMemory readDocument(Generator& generator, std::shared_ptr<const Model> model, std::string_view text,
                        std::stop_token stop = {});
// As evaluate.py asks. Throws ModelError, Stopped.
Generation askCase(Generator& generator, const BookMemory& book, const CaseQuestion& question,
                   std::stop_token stop = {});

// What came of the questions of one row and size.
struct CaseTally {
  std::string row, size;
  int open = 0, openExact = 0;              // names and numbers
  int answerable = 0, answerableExact = 0;  // these and those that could be guessed
  int falseUnknown = 0;                     // of the answerable: taken for unanswerable
  int unanswerable = 0, answeredAnyway = 0;

  void add(const CaseQuestion& question, bool exact, bool unknown);
};

struct CasesReport {
  std::vector<CaseTally> tallies;  // in the order in which the file has them first
  std::int64_t tokens = 0;         // that were read
};

// Reads each document that is left in the file into a memory of its own, one at a time, and asks its questions.
// `answered`: after each. Throws CasesError, ModelError, Stopped.
CasesReport runCases(const std::shared_ptr<const Model>& model, CasesFile& file,
                     const std::function<void(const CaseQuestion&, const Generation&)>& answered = {},
                     std::stop_token stop = {});

}  // namespace palimpsest::engine
