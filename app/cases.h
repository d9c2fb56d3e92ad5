// Files of cases (training/palimpsest_training/cases.py), and the score of what was answered: as evaluate.py counts.
#pragma once

#include <QJsonObject>
#include <QString>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "app/cli_exam.h"
#include "engine/prompt.h"

namespace palimpsest::app::cli {

struct CaseQuestion {
  Exam exam;
  bool unanswerable = false;
  std::vector<engine::Turn> turns;  // what was said before it

  // Names and numbers: not to be guessed from the few answers that there are to some kinds.
  bool isOpen() const { return !unanswerable && !exam.kind.startsWith(QStringLiteral("closed:")); }
};

struct CaseDocument {
  QString size;
  std::string text;  // as a library stores it
  std::map<QString, std::vector<CaseQuestion>> rows;
};

// Throws Exit: cannot be opened, no such file of cases, a line that is none.
std::vector<CaseDocument> readCases(const QString& file);

// Which memory a question is put to: the document's own, an empty one, that of the next document of its cell.
enum class Condition { Memory, Zeroed, Swapped };

struct CaseAnswer {
  QString text;
  bool unknown = false;  // the model said that the book does not say
  int section = -1;      // the one of the memory that answered, counted from 0; -1 = none was chosen
  double doubt = 0;      // its
};

// One document's part of a cell of the table.
struct CellDocument {
  const std::vector<CaseQuestion>* questions = nullptr;
  std::int64_t tokens = 0;
  std::map<Condition, std::vector<CaseAnswer>> answers;  // beside the questions
};

// Answers that are the truth to the letter: nothing is forgiven, so that the figures are those of evaluate.py.
bool exact(const CaseQuestion& question, const CaseAnswer& answer);

struct Score {
  int right = 0, asked = 0;
  double low = 0, high = 0;  // 95 % interval of the share, bootstrap over documents
  double share() const { return asked == 0 ? 0 : static_cast<double>(right) / asked; }
};
// `hits[document][question]`.
Score scoreOf(const std::vector<std::vector<bool>>& hits);

// A cell in the form of evaluation.json.
QJsonObject toJson(const std::vector<CellDocument>& cell);

}  // namespace palimpsest::app::cli
