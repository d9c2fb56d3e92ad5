#include "app/cli_exam.h"

#include <QJsonArray>
#include <QRegularExpression>

namespace palimpsest::app::cli {

Exit cannotOpen(const QFile& file) {
  return {Failed, QStringLiteral("“%1” cannot be opened: %2.").arg(file.fileName(), file.errorString())};
}

Exam examOf(const QJsonObject& entry, const QString& place) {
  Exam exam{entry[QLatin1String("question")].toString(), entry[QLatin1String("kind")].toString(), {}};
  const QJsonValue answer = entry[QLatin1String("answer")];
  for (const QJsonValue& truth : answer.isArray() ? answer.toArray() : QJsonArray{answer})
    exam.truths << truth.toString();
  if (exam.question.trimmed().isEmpty() || exam.truths.join(QString()).isEmpty())
    throw Exit{Failed, place + QStringLiteral(" has no \"question\" or no \"answer\".")};
  return exam;
}

QString normalisedAnswer(const QString& answer) {
  static const QRegularExpression apostrophes(QStringLiteral("['’]"));
  static const QRegularExpression punctuation(QStringLiteral("[^\\p{L}\\p{N}\\s]"));
  static const QRegularExpression articles(QStringLiteral("\\b(a|an|the)\\b"));
  QString text = answer.toCaseFolded();
  text.remove(apostrophes).replace(punctuation, QStringLiteral(" ")).replace(articles, QStringLiteral(" "));
  return text.simplified();
}

QString markedLines(const Exam& exam, const QString& answer, bool right) {
  return (right ? QStringLiteral("✓ ") : QStringLiteral("✗ ")) + exam.question + QStringLiteral("\n  answer: ") +
         answer + QStringLiteral("\n  truth:  ") + exam.truths.join(QStringLiteral(" | ")) + QLatin1Char('\n');
}

void mark(QJsonObject& result, const Exam& exam, bool right) {
  result[QLatin1String("truth")] = exam.truths.join(QStringLiteral(" | "));
  result[QLatin1String("kind")] = exam.kind;
  result[QLatin1String("right")] = right;
}

}  // namespace palimpsest::app::cli
