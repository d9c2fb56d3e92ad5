// palimpsest-cli eval: the shipped model through the product's engine, held against what PyTorch got on the same cases.
#include <QJsonArray>
#include <QJsonDocument>
#include <QJsonObject>
#include <QProcess>

#include "app/cases.h"
#include "fixture.h"

namespace palimpsest::app {
namespace {

#define S QStringLiteral

const QString kCases = S(PALIMPSEST_TEST_DATA "/cases.jsonl");

class EvalTest : public AppTest {
 protected:
  struct Result {
    int code = -1;
    QString out, err;
  };
  static Result run(const QStringList& arguments) {
    QProcess process;
    process.start(S(PALIMPSEST_CLI), arguments);
    process.closeWriteChannel();
    EXPECT_TRUE(process.waitForFinished(280000));
    return {process.exitCode(), QString::fromUtf8(process.readAllStandardOutput()),
            QString::fromUtf8(process.readAllStandardError())};
  }
  Result evaluated(const QByteArray& cases, const QStringList& options = {}) const {
    return run(QStringList{S("eval"), write(S("cases.jsonl"), cases), S("--model"), tinyModel(), S("--db"), database(),
                           S("--threads"), S("1")} +
               options);
  }
};

// training/make_cases.py writes what PyTorch gets with the shipped weights. The bars would let many a model pass, and
// no engine that reads, remembers or asks otherwise than the one that the model was trained with.
TEST_F(EvalTest, TheShippedModelScoresAsPyTorchDoes) {
  QFile file(kCases);
  ASSERT_TRUE(file.open(QIODevice::ReadOnly));
  const QJsonObject reference = QJsonDocument::fromJson(file.readLine())[u"reference"].toObject();
  const double tolerance = reference[u"tolerance"].toDouble();
  ASSERT_GT(tolerance, 0.0);
  ASSERT_LT(tolerance, 0.15);
  const Result result =
      run({S("eval"), kCases, S("--model"), S(PALIMPSEST_SOURCE_DIR "/resources/models/palimpsest-mini"), S("--json"),
           S("--knock-out")});
  ASSERT_EQ(result.code, cli::Done) << result.err.toStdString();
  const QJsonObject table = QJsonDocument::fromJson(result.out.toUtf8())[u"table"].toObject();
  const QJsonObject rows = reference[u"cells"].toObject();
  ASSERT_GE(rows.size(), 4);
  for (auto row = rows.begin(); row != rows.end(); ++row) {
    const QJsonObject sizes = row.value().toObject();
    for (auto size = sizes.begin(); size != sizes.end(); ++size) {
      const QString place = row.key() + u' ' + size.key();
      const QJsonObject cell = table[row.key()][size.key()].toObject();
      const QJsonValue open = cell[u"memory"][u"names_and_numbers"];
      const int asked = size.value()[u"n"].toInt();
      EXPECT_EQ(open[u"n"].toInt(), asked) << place.toStdString();
      // Of few questions one is more than the tolerance.
      EXPECT_NEAR(open[u"exact"].toDouble(), size.value()[u"exact"].toDouble(), std::max(tolerance, 1.01 / asked))
          << place.toStdString();
      if (row.key() == u"natural") continue;  // rests on how well a model reads, not on the engine
      EXPECT_GE(open[u"exact"].toDouble(), 0.6) << place.toStdString();
      EXPECT_LE(cell[u"zeroed"][u"names_and_numbers"][u"exact"].toDouble(1), 0.1) << place.toStdString();
      if (cell[u"documents"].toInt() > 1) {
        EXPECT_LE(cell[u"swapped"][u"names_and_numbers"][u"exact"].toDouble(1), 0.1) << place.toStdString();
      }
    }
  }
}

constexpr const char* kTwoDocuments =
    R"({"palimpsest_cases": 1, "books": []}
{"size": "1K", "paragraphs": ["The lamp stood.", "Nobody came."], "rows": {"facts-8": [{"kind": "ruler", "question": "Who ruled?", "answer": "Hugh Marl"}, {"kind": "unknown", "question": "Who sang?", "answer": "The book does not say.", "unanswerable": true}], "turns": [{"kind": "ruler", "question": "Who ruled?", "answer": "Hugh Marl", "turns": [["Who sang?", "Anna"]]}]}}
{"size": "1K", "paragraphs": ["It rained."], "rows": {"facts-8": [{"kind": "closed:colour", "question": "Which colour?", "answer": "red"}]}}
)";

TEST_F(EvalTest, RowsAreAskedOfEachDocumentAndNoLibraryIsTouched) {
  const Result result = evaluated(kTwoDocuments, {S("--json"), S("--knock-out")});
  ASSERT_EQ(result.code, cli::Done) << result.err.toStdString();
  EXPECT_FALSE(QFile::exists(database()));
  const QJsonDocument out = QJsonDocument::fromJson(result.out.toUtf8());
  const QJsonValue facts = out[u"table"][u"facts-8"][u"1K"], turns = out[u"table"][u"turns"][u"1K"];
  EXPECT_EQ(facts[u"documents"].toInt(), 2);
  EXPECT_EQ(facts[u"memory"][u"all"][u"n"].toInt(), 2);                // the unanswerable one is counted apart
  EXPECT_EQ(facts[u"memory"][u"names_and_numbers"][u"n"].toInt(), 1);  // and few answers are possible to "closed" ones
  EXPECT_TRUE(facts[u"swapped"].isObject());
  EXPECT_EQ(turns[u"documents"].toInt(), 1);
  EXPECT_TRUE(turns[u"zeroed"].isObject());
  EXPECT_TRUE(turns[u"swapped"].isUndefined());  // there is no other document
  const QJsonArray answers = out[u"answers"].toArray();
  ASSERT_EQ(answers.size(), 4);
  EXPECT_EQ(answers[0][u"truth"].toString(), S("Hugh Marl"));
  // What was said before stands before the question.
  const auto ruler = [&](const QString& row) {
    for (const QJsonValue& answer : answers)
      if (answer[u"row"].toString() == row && answer[u"question"].toString() == u"Who ruled?")
        return answer[u"answer"].toString();
    return QString();
  };
  EXPECT_NE(ruler(S("facts-8")), ruler(S("turns")));
  const Result said = evaluated(kTwoDocuments);
  EXPECT_THAT(said.out, HasText("Who ruled?"));
  EXPECT_THAT(said.out, HasText("of 1 names and numbers (all: "));
}

TEST_F(EvalTest, OfAMemoryInSectionsEachAnswerSaysWhichOneGaveIt) {
  QJsonArray paragraphs;
  for (const QByteArray& paragraph : prose(100).trimmed().split('\n'))
    if (!paragraph.isEmpty()) paragraphs.append(QString::fromUtf8(paragraph));
  const QJsonArray questions{
      QJsonObject{{S("kind"), S("ruler")}, {S("question"), S("Who ruled?")}, {S("answer"), S("Hugh Marl")}}};
  const auto document = [&](const QJsonArray& text) {
    return QJsonDocument(QJsonObject{{S("size"), S("4K")},
                                     {S("paragraphs"), text},
                                     {S("rows"), QJsonObject{{S("facts-8"), questions}}}})
               .toJson(QJsonDocument::Compact) +
           '\n';
  };
  const QString cases = write(
      S("cases.jsonl"), "{\"palimpsest_cases\": 1}\n" + document(paragraphs) + document(QJsonArray{S("It rained.")}));
  const Result result = run({S("eval"), cases, S("--model"), modelInSections(S("sectioned-model")), S("--threads"),
                             S("1"), S("--json"), S("--knock-out")});
  ASSERT_EQ(result.code, cli::Done) << result.err.toStdString();
  const QJsonDocument out = QJsonDocument::fromJson(result.out.toUtf8());
  const QJsonArray answers = out[u"answers"].toArray();
  ASSERT_EQ(answers.size(), 2);
  EXPECT_GE(answers[0][u"section"].toInt(-1), 0);
  EXPECT_LT(answers[0][u"section"].toInt(), 4);
  EXPECT_GT(answers[0][u"doubt"].toDouble(), 0.0);
  EXPECT_LT(answers[0][u"doubt"].toDouble(), 1.0);
  EXPECT_TRUE(answers[1][u"section"].isUndefined()) << "a text of one segment is one section";
  EXPECT_TRUE(out[u"table"][u"facts-8"][u"4K"][u"zeroed"].isObject());
  EXPECT_TRUE(out[u"table"][u"facts-8"][u"4K"][u"swapped"].isObject());
}

TEST_F(EvalTest, WhatIsNoFileOfCasesIsRefusedWithItsLine) {
  EXPECT_EQ(run({S("eval"), path(S("none.jsonl"))}).code, cli::Failed);
  EXPECT_EQ(run({S("eval")}).code, cli::WrongUsage);
  EXPECT_THAT(evaluated("[]").err, HasText("Line 1"));
  EXPECT_THAT(evaluated("{\"palimpsest_cases\": 2}\n").err, HasText("no file of cases of version 1"));
  EXPECT_THAT(evaluated("{\"palimpsest_cases\": 1}\n").err, HasText("holds no documents"));
  EXPECT_THAT(evaluated("{\"palimpsest_cases\": 1}\n{\"size\": \"1K\"}\n").err, HasText("Line 2"));
  EXPECT_THAT(evaluated("{\"palimpsest_cases\": 1}\n{\"paragraphs\": [\"x\"], \"rows\": {\"a\": [{}]}}\n").err,
              HasText("no \"question\""));
}

TEST(CasesScore, TheIntervalIsOverDocuments) {
  // All right in half of the documents and none in the others: what varies is which documents are drawn.
  std::vector<std::vector<bool>> hits(10, std::vector<bool>(20, true));
  hits.resize(20, std::vector<bool>(20, false));
  const cli::Score score = cli::scoreOf(hits);
  EXPECT_EQ(score.asked, 400);
  EXPECT_DOUBLE_EQ(score.share(), 0.5);
  EXPECT_NEAR(score.low, 0.3, 0.051);  // 20 draws: 0.5 -+ 1.96 sqrt(0.25 / 20)
  EXPECT_NEAR(score.high, 0.7, 0.051);
  const cli::Score sure = cli::scoreOf({{true, true}, {true}});
  EXPECT_EQ(sure.low, 1.0);
  EXPECT_EQ(sure.high, 1.0);
  EXPECT_EQ(cli::scoreOf({}).share(), 0.0);
}

}  // namespace
}  // namespace palimpsest::app
