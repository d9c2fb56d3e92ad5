// Files of cases (engine/cases.h) as the command line shows them, and the score of what was answered: as evaluate.py
// counts.
#pragma once

#include <QJsonObject>
#include <QString>
#include <map>
#include <vector>

#include "app/cli_exam.h"
#include "engine/cases.h"

namespace palimpsest::app::cli {

Exam examOf(const engine::CaseQuestion& question);

struct CaseAnswer {
  QString text;
  bool exact = false;
  bool unknown = false;  // the model said that the book does not say
  int section = -1;      // the one of the memory that answered, counted from 0; -1 = none was chosen
  double doubt = 0;      // its
};

// One document's part of a cell of the table.
struct CellDocument {
  std::size_t place = 0;  // in the file
  std::vector<engine::CaseQuestion> questions;
  std::int64_t tokens = 0;
  std::map<engine::CaseCondition, std::vector<CaseAnswer>> answers;  // beside the questions
};

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
