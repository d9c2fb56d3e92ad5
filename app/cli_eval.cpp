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

using engine::CaseDocument;
using engine::CaseQuestion;

struct Cell {
  std::string row, size;
  std::vector<std::size_t> documents;  // places in the file
  std::vector<CellDocument> results;   // beside them
};

// Cells in the order in which the file has them first.
std::vector<Cell> cellsOf(const std::vector<CaseDocument>& documents) {
  std::vector<Cell> cells;
  for (std::size_t d = 0; d < documents.size(); ++d)
    for (const auto& [row, questions] : documents[d].rows) {
      auto cell = std::find_if(cells.begin(), cells.end(), [&, &name = row](const Cell& known) {
        return known.row == name && known.size == documents[d].size;
      });
      if (cell == cells.end()) cell = cells.insert(cells.end(), Cell{row, documents[d].size, {}, {}});
      cell->documents.push_back(d);
      cell->results.push_back({&questions, 0, {}});
    }
  return cells;
}

class Evaluation {
 public:
  Evaluation(std::shared_ptr<const engine::Model> model, const std::vector<CaseDocument>& documents,
             const Options& options, std::stop_token stop)
      : model_(std::move(model)),
        generator_(model_),
        documents_(documents),
        options_(options),
        stop_(std::move(stop)) {}

  void run(std::vector<Cell>& cells) {
    for (std::size_t d = 0; d < documents_.size(); ++d) {
      const std::int64_t tokens = read(d);
      for (Cell& cell : cells)
        for (std::size_t i = 0; i < cell.documents.size(); ++i)
          if (cell.documents[i] == d) {
            cell.results[i].tokens = tokens;
            ask(cell, i, Condition::Memory, books_.back());
          }
      if (!options_.knockOut) books_.clear();  // however many documents there are: one memory
    }
    if (!options_.knockOut) return;
    const engine::BookMemory zeroed(model_);  // sections of nothing would all doubt alike, and any of them answer
    for (Cell& cell : cells)
      for (std::size_t i = 0; i < cell.documents.size(); ++i) {
        ask(cell, i, Condition::Zeroed, zeroed);
        if (cell.documents.size() > 1)  // else there is no other
          ask(cell, i, Condition::Swapped, books_[cell.documents[(i + 1) % cell.documents.size()]]);
      }
  }

 private:
  std::int64_t read(std::size_t d) {
    books_.push_back(readDocument(generator_, model_, documents_[d].text, stop_));
    return books_.back().reading().tokens;
  }

  void ask(Cell& cell, std::size_t i, Condition condition, const engine::BookMemory& book) {
    for (const CaseQuestion& question : *cell.results[i].questions) {
      if (condition != Condition::Memory && question.unanswerable) {  // right without any memory
        cell.results[i].answers[condition].push_back({});
        continue;
      }
      const engine::Generation made = askCase(generator_, book, question, stop_);
      CaseAnswer answer{toQt(made.text), question.isExact(made.text), made.unknown, -1, made.doubt()};
      if (made.section) answer.section = static_cast<int>(*made.section);
      cell.results[i].answers[condition].push_back(answer);
      if (condition == Condition::Memory && !options_.json)
        print(markedLines(examOf(question), answer.text, answer.exact));
    }
  }

  std::shared_ptr<const engine::Model> model_;
  engine::Generator generator_;
  const std::vector<CaseDocument>& documents_;
  const Options& options_;
  std::stop_token stop_;
  std::vector<engine::BookMemory> books_;  // beside the documents
};

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
  for (std::size_t i = 0; i < cell.documents.size(); ++i) {
    const std::vector<CaseAnswer>& answers = cell.results[i].answers.at(Condition::Memory);
    for (std::size_t q = 0; q < answers.size(); ++q) {
      const Exam exam = examOf((*cell.results[i].questions)[q]);
      QJsonObject one{{QStringLiteral("row"), toQt(cell.row)},
                      {QStringLiteral("size"), toQt(cell.size)},
                      {QStringLiteral("document"), static_cast<qint64>(cell.documents[i])},
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
  const std::vector<CaseDocument> documents = readCases(options.arguments[0]);
  const std::shared_ptr<const engine::Model> model = loadModel(options);
  std::vector<Cell> cells = cellsOf(documents);
  runInterruptibly([&](std::stop_token stop) { Evaluation(model, documents, options, stop).run(cells); });
  QJsonObject table;
  QJsonArray answers;
  for (const Cell& cell : cells) {
    const QJsonObject figures = toJson(cell.results);
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
