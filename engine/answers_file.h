// What was answered to a file of cases, a JSON line for each row of a document and condition; python -m
// palimpsest_training.answers makes the cells of evaluation.json of it.
#pragma once

#include <filesystem>
#include <fstream>
#include <string>

#include "engine/cases.h"

namespace palimpsest::engine {

// A line: {"size", "row", "document", "tokens", "condition": "memory"|"zeroed"|"swapped", "answers"}; an answer:
// {"text", "unknown", "doubt", "section"}, the last two null where no section was chosen; null where it was not asked.
// "sections" where one of so many was, "lead": Generation::unknownLead, "forced": what CasesOptions::forced asked for.
// "recalled": Generation::recalled, "steps": [[question, said], ...], where there are such.
// Where CasesOptions::bySection was: "doubts" of all sections, and "said", {"3": text}, by the sections that were
// asked.
class AnswersFile {
 public:
  explicit AnswersFile(const std::filesystem::path& file);  // written anew; throws CasesError, as write() does
  void write(const RowAnswers& asked);

 private:
  [[noreturn]] void fail() const;

  std::string name_;
  std::ofstream lines_;
};

}  // namespace palimpsest::engine
