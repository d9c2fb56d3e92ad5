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
                   std::stop_token stop = {}, bool mustAnswer = false);

// Reads a file of cases to its end, so that a line that is no case is refused before anything is computed. A pipe can
// be read but once: it is left alone. Throws CasesError.
void checkCases(const std::filesystem::path& file);

// Which memory a question is put to: the document's own, an empty one, that of the next document of its row and size.
enum class CaseCondition { Memory, Zeroed, Swapped };
std::string_view nameOf(CaseCondition condition);  // in evaluation.json, "zeroed"

// One row of a document, asked under one condition.
struct RowAnswers {
  std::string row, size;
  std::size_t document = 0;  // its place in the file, counted from 0
  std::int64_t tokens = 0;   // that it has
  std::vector<CaseQuestion> questions;
  CaseCondition condition = CaseCondition::Memory;
  std::vector<std::optional<Generation>> answers;  // beside the questions; none where it was not asked
  std::vector<std::optional<Generation>> forced;   // the same with Question::mustAnswer; see CasesOptions::forced
  std::vector<std::map<std::size_t, Generation>> bySection;  // of each question; see CasesOptions::bySection
};

// What came of the questions of one row and size, asked of the documents' own memories.
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

// Above every sure_doubt that is worth a trial (SURE in training/palimpsest_training/scores.py).
inline constexpr double kMayAnswer = 0.25;

struct CasesOptions {
  // What the texts say is also asked of an empty memory and, where a row and size has several documents, of the next
  // one's memory (the last document's of the first's). What they do not say is not: without a memory that is right.
  bool knockOut = false;
  // What a document's own memory was said not to say is asked once more, and has to be answered then: with this and
  // Generation::unknownLead it is known what any other unknown_bias would have given.
  bool forced = false;
  // What a document's own sections were asked is put to each of those alone that might answer, its doubt below
  // kMayAnswer: with their doubts it is known what any other sure_doubt up to that, or another rule, would have given.
  bool bySection = false;
  std::function<void(const RowAnswers&)> answered = {};  // after each row and condition, Memory first
};

// Reads each document that is left in the file into a memory of its own, one at a time, and asks its questions. Of all
// memories only the first of each row and size is kept, and that for the knock-out alone. Throws CasesError,
// ModelError, Stopped, and what `answered` throws.
CasesReport runCases(const std::shared_ptr<const Model>& model, CasesFile& file, const CasesOptions& options = {},
                     std::stop_token stop = {});

}  // namespace palimpsest::engine
