#include "app/cases.h"

#include <QFile>
#include <QJsonArray>
#include <QJsonDocument>
#include <algorithm>
#include <cmath>
#include <functional>
#include <random>

namespace palimpsest::app::cli {

namespace {

constexpr int kFormat = 1;
constexpr int kRounds = 1000;  // of the bootstrap

double rounded(double value, double steps) { return std::round(value * steps) / steps; }

CaseQuestion questionOf(const QJsonObject& entry, const QString& place) {
  CaseQuestion question{examOf(entry, place), entry[QLatin1String("unanswerable")].toBool(), {}};
  for (const QJsonValue& turn : entry[QLatin1String("turns")].toArray())
    question.turns.push_back({turn[0].toString().toStdString(), turn[1].toString().toStdString()});
  return question;
}

CaseDocument documentOf(const QJsonObject& line, const QString& place) {
  CaseDocument document{line[QLatin1String("size")].toString(), {}, {}};
  for (const QJsonValue& paragraph : line[QLatin1String("paragraphs")].toArray()) {
    if (!document.text.empty()) document.text += "\n\n";
    document.text += paragraph.toString().toStdString();
  }
  const QJsonObject rows = line[QLatin1String("rows")].toObject();
  for (auto row = rows.begin(); row != rows.end(); ++row)
    for (const QJsonValue& entry : row.value().toArray())
      document.rows[row.key()].push_back(questionOf(entry.toObject(), place));
  if (document.text.empty() || document.rows.empty())
    throw Exit{Failed, place + QStringLiteral(" has no \"paragraphs\" or no \"rows\".")};
  return document;
}

// Linear between the two nearest, as numpy does.
double quantile(const std::vector<double>& sorted, double share) {
  const double at = share * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(at);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (at - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

QJsonObject toJson(const Score& score) {
  return {{QStringLiteral("exact"), rounded(score.share(), 1e4)},
          {QStringLiteral("n"), score.asked},
          {QStringLiteral("interval"), QJsonArray{rounded(score.low, 1e3), rounded(score.high, 1e3)}}};
}

using Selection = std::function<bool(const CaseQuestion&)>;

Score scoreUnder(const std::vector<CellDocument>& cell, Condition condition, const Selection& selected) {
  std::vector<std::vector<bool>> hits;
  for (const CellDocument& document : cell) {
    hits.emplace_back();
    const std::vector<CaseAnswer>& answers = document.answers.at(condition);
    for (std::size_t q = 0; q < answers.size(); ++q)
      if (selected((*document.questions)[q])) hits.back().push_back(exact((*document.questions)[q], answers[q]));
  }
  return scoreOf(hits);
}

// The share of those questions that the model took for unanswerable.
double unknownShare(const std::vector<CellDocument>& cell, bool unanswerable) {
  int unknown = 0, asked = 0;
  for (const CellDocument& document : cell)
    for (std::size_t q = 0; q < document.questions->size(); ++q)
      if ((*document.questions)[q].unanswerable == unanswerable) {
        asked += 1;
        unknown += document.answers.at(Condition::Memory)[q].unknown ? 1 : 0;
      }
  return asked == 0 ? (unanswerable ? 1.0 : 0.0) : static_cast<double>(unknown) / asked;
}

}  // namespace

std::vector<CaseDocument> readCases(const QString& file) {
  QFile in(file);
  if (!in.open(QIODevice::ReadOnly)) throw cannotOpen(in);
  std::vector<CaseDocument> documents;
  for (int number = 1; !in.atEnd(); ++number) {
    const QString place = QStringLiteral("Line %1 of “%2”").arg(QString::number(number), file);
    QJsonParseError error;
    const QJsonDocument line = QJsonDocument::fromJson(in.readLine(), &error);
    if (!line.isObject()) throw Exit{Failed, place + QStringLiteral(" is not JSON: %1.").arg(error.errorString())};
    if (number > 1)
      documents.push_back(documentOf(line.object(), place));
    else if (line[u"palimpsest_cases"].toInt() != kFormat)
      throw Exit{Failed, QStringLiteral("“%1” is no file of cases of version %2. Such files are written by "
                                        "python -m palimpsest_training.cases.")
                             .arg(file, QString::number(kFormat))};
  }
  if (documents.empty()) throw Exit{Failed, QStringLiteral("“%1” holds no documents.").arg(file)};
  return documents;
}

bool exact(const CaseQuestion& question, const CaseAnswer& answer) {
  return question.exam.truths.contains(answer.text);
}

Score scoreOf(const std::vector<std::vector<bool>>& hits) {
  Score score;
  std::vector<std::pair<int, int>> documents;  // right, asked
  for (const std::vector<bool>& document : hits) {
    const auto right = static_cast<int>(std::count(document.begin(), document.end(), true));
    documents.emplace_back(right, static_cast<int>(document.size()));
    score.right += right;
    score.asked += static_cast<int>(document.size());
  }
  if (documents.empty()) return score;
  std::mt19937_64 random(0);
  std::vector<double> shares;
  for (int round = 0; round < kRounds; ++round) {
    int right = 0, asked = 0;
    for (std::size_t i = 0; i < documents.size(); ++i) {
      const auto& drawn = documents[random() % documents.size()];
      right += drawn.first;
      asked += drawn.second;
    }
    shares.push_back(static_cast<double>(right) / std::max(1, asked));
  }
  std::sort(shares.begin(), shares.end());
  score.low = quantile(shares, 0.025);
  score.high = quantile(shares, 0.975);
  return score;
}

QJsonObject toJson(const std::vector<CellDocument>& cell) {
  const Selection answerable = [](const CaseQuestion& question) { return !question.unanswerable; };
  const Selection open = [](const CaseQuestion& question) { return question.isOpen(); };
  std::int64_t tokens = 0;
  for (const CellDocument& document : cell) tokens += document.tokens;
  QJsonObject out{{QStringLiteral("documents"), static_cast<qint64>(cell.size())},
                  {QStringLiteral("tokens"), static_cast<qint64>(tokens / std::ssize(cell))},
                  {QStringLiteral("answered_anyway"), rounded(1 - unknownShare(cell, true), 1e4)},
                  {QStringLiteral("false_unknown"), rounded(unknownShare(cell, false), 1e4)}};
  static const std::map<Condition, QString> names = {{Condition::Memory, QStringLiteral("memory")},
                                                     {Condition::Zeroed, QStringLiteral("zeroed")},
                                                     {Condition::Swapped, QStringLiteral("swapped")}};
  for (const auto& [condition, name] : names)
    if (cell.front().answers.contains(condition))
      out[name] = QJsonObject{{QStringLiteral("all"), toJson(scoreUnder(cell, condition, answerable))},
                              {QStringLiteral("names_and_numbers"), toJson(scoreUnder(cell, condition, open))}};
  return out;
}

}  // namespace palimpsest::app::cli
