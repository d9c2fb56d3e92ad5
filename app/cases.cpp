#include "app/cases.h"

#include <QJsonArray>
#include <algorithm>
#include <cmath>
#include <functional>
#include <random>

#include "app/words.h"

namespace palimpsest::app::cli {

namespace {

using engine::CaseCondition;
using engine::CaseQuestion;

constexpr int kRounds = 1000;  // of the bootstrap

double rounded(double value, double steps) { return std::round(value * steps) / steps; }

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

Score scoreUnder(const std::vector<CellDocument>& cell, CaseCondition condition, const Selection& selected) {
  std::vector<std::vector<bool>> hits;
  for (const CellDocument& document : cell) {
    hits.emplace_back();
    const std::vector<CaseAnswer>& answers = document.answers.at(condition);
    for (std::size_t q = 0; q < answers.size(); ++q)
      if (selected(document.questions[q])) hits.back().push_back(answers[q].exact);
  }
  return scoreOf(hits);
}

double share(int part, int whole) { return whole == 0 ? 0.0 : static_cast<double>(part) / whole; }

}  // namespace

Exam examOf(const CaseQuestion& question) {
  Exam exam{toQt(question.question), toQt(question.kind), {}};
  for (const std::string& truth : question.truths) exam.truths << toQt(truth);
  return exam;
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
  engine::CaseTally tally;
  for (const CellDocument& document : cell) {
    tokens += document.tokens;
    const std::vector<CaseAnswer>& answers = document.answers.at(CaseCondition::Memory);
    for (std::size_t q = 0; q < answers.size(); ++q)
      tally.add(document.questions[q], answers[q].exact, answers[q].unknown);
  }
  QJsonObject out{{QStringLiteral("documents"), static_cast<qint64>(cell.size())},
                  {QStringLiteral("tokens"), static_cast<qint64>(tokens / std::ssize(cell))},
                  {QStringLiteral("answered_anyway"), rounded(share(tally.answeredAnyway, tally.unanswerable), 1e4)},
                  {QStringLiteral("false_unknown"), rounded(share(tally.falseUnknown, tally.answerable), 1e4)}};
  for (const auto& asked : cell.front().answers) {
    const CaseCondition condition = asked.first;
    out[toQt(std::string(engine::nameOf(condition)))] =
        QJsonObject{{QStringLiteral("all"), toJson(scoreUnder(cell, condition, answerable))},
                    {QStringLiteral("names_and_numbers"), toJson(scoreUnder(cell, condition, open))}};
  }
  return out;
}

}  // namespace palimpsest::app::cli
