// palimpsest-cli eval: a file of cases through the engine as the program runs it, without a library.
#include <QFileInfo>
#include <QJsonArray>

#include "app/cases.h"
#include "app/cli.h"
#include "app/words.h"
#include "engine/cases.h"
#include "engine/generator.h"

namespace palimpsest::app::cli {

namespace {

using engine::CaseCondition;

struct Cell {
  std::string row, size;
  std::vector<CellDocument> documents;
};

CaseAnswer answerOf(const engine::CaseQuestion& question, const std::optional<engine::Generation>& made) {
  if (!made) return {};
  CaseAnswer answer{toQt(made->text), question.isExact(made->text), made->unknown, -1, made->doubt()};
  if (made->section) answer.section = static_cast<int>(*made->section);
  return answer;
}

// Cells in the order in which the file has them first.
const CellDocument& add(std::vector<Cell>& cells, const engine::RowAnswers& asked) {
  auto cell = std::ranges::find_if(
      cells, [&](const Cell& known) { return known.row == asked.row && known.size == asked.size; });
  if (cell == cells.end()) cell = cells.insert(cells.end(), Cell{asked.row, asked.size, {}});
  auto document = std::ranges::find(cell->documents, asked.document, &CellDocument::place);
  if (document == cell->documents.end())
    document = cell->documents.insert(document, {asked.document, asked.questions, asked.tokens, {}});
  std::vector<CaseAnswer>& answers = document->answers[asked.condition];
  for (std::size_t q = 0; q < asked.questions.size(); ++q)
    answers.push_back(answerOf(asked.questions[q], asked.answers[q]));
  return *document;
}

void printAnswers(const CellDocument& document) {
  const std::vector<CaseAnswer>& answers = document.answers.at(CaseCondition::Memory);
  for (std::size_t q = 0; q < answers.size(); ++q)
    print(markedLines(examOf(document.questions[q]), answers[q].text, answers[q].exact));
}

std::vector<Cell> cellsOf(const std::shared_ptr<const engine::Model>& model, engine::CasesFile& file,
                          const Options& options, std::stop_token stop) {
  std::vector<Cell> cells;
  const auto answered = [&](const engine::RowAnswers& asked) {
    const CellDocument& document = add(cells, asked);
    if (asked.condition == CaseCondition::Memory && !options.json) printAnswers(document);
  };
  runCases(model, file, {.knockOut = options.knockOut, .answered = answered}, std::move(stop));
  return cells;
}

QString share(const QJsonValue& value) { return QString::number(value.toDouble(), 'f', 2); }

// "facts-8  8K  0.93 [0.90, 0.95] of 285 names and numbers (all: 0.94 of 400), zeroed 0.00, swapped 0.00, ..."
QString inWords(const Cell& cell, const QJsonObject& figures) {
  const QJsonObject memory = figures[u"memory"].toObject();
  const QJsonObject open = memory[u"names_and_numbers"].toObject(), all = memory[u"all"].toObject();
  QString line = QStringLiteral("%1 %2  exact %3 [%4, %5] of %6 names and numbers (all: %7 of %8)")
                     .arg(toQt(cell.row), -8)
                     .arg(toQt(cell.size), 5)
                     .arg(share(open[u"exact"]), share(open[u"interval"][0]), share(open[u"interval"][1]))
                     .arg(open[u"n"].toInt())
                     .arg(share(all[u"exact"]))
                     .arg(all[u"n"].toInt());
  for (const char* condition : {"zeroed", "swapped"})
    if (figures.contains(QLatin1String(condition)))
      line += QStringLiteral(", %1 %2").arg(QLatin1String(condition),
                                            share(figures[QLatin1String(condition)][u"names_and_numbers"][u"exact"]));
  return line + QStringLiteral(", answered anyway %1, false unknown %2\n")
                    .arg(share(figures[u"answered_anyway"]), share(figures[u"false_unknown"]));
}

QJsonArray answersOf(const Cell& cell) {
  QJsonArray out;
  for (const CellDocument& document : cell.documents) {
    const std::vector<CaseAnswer>& answers = document.answers.at(CaseCondition::Memory);
    for (std::size_t q = 0; q < answers.size(); ++q) {
      const Exam exam = examOf(document.questions[q]);
      QJsonObject one{{QStringLiteral("row"), toQt(cell.row)},
                      {QStringLiteral("size"), toQt(cell.size)},
                      {QStringLiteral("document"), static_cast<qint64>(document.place)},
                      {QStringLiteral("question"), exam.question},
                      {QStringLiteral("answer"), answers[q].text}};
      if (answers[q].section >= 0) {  // counted from 0
        one[QLatin1String("section")] = answers[q].section;
        one[QLatin1String("doubt")] = answers[q].doubt;
      }
      mark(one, exam, answers[q].exact);
      out.append(one);
    }
  }
  return out;
}

}  // namespace

int eval(const Options& options) {
  const std::filesystem::path cases = toPath(options.arguments[0]);
  engine::checkCases(cases);
  engine::CasesFile file(cases);
  const std::shared_ptr<const engine::Model> model = loadModel(options);
  std::vector<Cell> cells;
  runInterruptibly([&](std::stop_token stop) { cells = cellsOf(model, file, options, std::move(stop)); });
  QJsonObject table;
  QJsonArray answers;
  for (const Cell& cell : cells) {
    const QJsonObject figures = toJson(cell.documents);
    if (!options.json) print(inWords(cell, figures));
    QJsonObject row = table[toQt(cell.row)].toObject();
    row[toQt(cell.size)] = figures;
    table[toQt(cell.row)] = row;
    for (const QJsonValue& answer : answersOf(cell)) answers.append(answer);
  }
  if (options.json)
    printJson(QJsonObject{{QStringLiteral("model"), toQt(model->name())},
                          {QStringLiteral("device"), toQt(model->device())},
                          {QStringLiteral("cases"), QFileInfo(options.arguments[0]).fileName()},
                          {QStringLiteral("table"), table},
                          {QStringLiteral("answers"), answers}});
  return Done;
}

}  // namespace palimpsest::app::cli
