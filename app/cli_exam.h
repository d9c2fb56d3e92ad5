// Questions whose right answers are known, and how an answer to one is shown: for `questions` and `eval`.
#pragma once

#include <QFile>
#include <QJsonObject>
#include <QStringList>

#include "app/cli.h"

namespace palimpsest::app::cli {

struct Exam {
  QString question, kind;
  QStringList truths;  // any of them is right
};

Exit cannotOpen(const QFile& file);

// {"question", "answer" (one or a list), "kind"}. Throws Exit, naming the entry's `place`.
Exam examOf(const QJsonObject& entry, const QString& place);

// For a comparison in which case, punctuation and articles do not matter.
QString normalisedAnswer(const QString& answer);

QString markedLines(const Exam& exam, const QString& answer, bool right);  // "✓ question", answer, truth
void mark(QJsonObject& result, const Exam& exam, bool right);              // the same for programs

}  // namespace palimpsest::app::cli
