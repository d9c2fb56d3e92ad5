#include "app/words.h"

#include <gtest/gtest.h>

#include "app/cli_exam.h"
#include "app/cli_words.h"

namespace palimpsest::app {
namespace {

TEST(Words, ProvenanceSaysHowMuchWasReadAgainAndHowMuchIsRemembered) {
  using ui::AnswerWay;
  EXPECT_EQ(provenanceWords(AnswerWay::Memory, 0, {1.0, 96, 96}),
            QStringLiteral("From memory · 0 pages re-read · whole book"));
  EXPECT_EQ(provenanceWords(AnswerWay::Memory, 0, {0.4391, 212, 480}),
            QStringLiteral("From memory · 0 pages re-read · first 43 % (pages 1–212 of 480)"));
  EXPECT_EQ(provenanceWords(AnswerWay::Memory, 0, {0.4391, 228, 200, 1, true}),
            QStringLiteral("From memory · 0 pages re-read · first 43 % (up to page 228)"));
  EXPECT_EQ(provenanceWords(AnswerWay::MemoryAndPassages, 1, {0.5, 0, 0}),
            QStringLiteral("From memory of the first 50 % and passages of the whole book · 1 passage re-read"));
  EXPECT_EQ(provenanceWords(AnswerWay::Passages, 3, {1.0, 0, 10}),
            QStringLiteral("From passages only · 3 pages re-read"));
}

TEST(Words, ABookThatIsNotWholeIsNeverAHundredPercent) {
  EXPECT_EQ(coverageWords({0.9999, 0, 0}), QStringLiteral("first 99 %"));
}

TEST(Words, MessagesBecomeSentencesWhateverTheirEnd) {
  EXPECT_EQ(asSentence(QStringLiteral("the folder is missing")), QStringLiteral("the folder is missing."));
  EXPECT_EQ(asSentence(QStringLiteral("The folder is missing.")), QStringLiteral("The folder is missing."));
  EXPECT_EQ(asSentence(QStringLiteral("It says “no.”\n")), QStringLiteral("It says “no.”"));
  EXPECT_EQ(asSentence(QStringLiteral("no “a”")), QStringLiteral("no “a”."));
  EXPECT_EQ(asSentence(QString()), QString());
}

TEST(Words, NotesAreOneLine) {
  EXPECT_EQ(joinNotes({QStringLiteral("The disk is full."), QString(), QStringLiteral("Waits for a model")}),
            QStringLiteral("The disk is full. Waits for a model"));
}

TEST(Words, EveryWayHasAName) {
  for (const auto way : {ui::AnswerWay::Memory, ui::AnswerWay::MemoryAndPassages, ui::AnswerWay::Passages})
    EXPECT_EQ(wayOfName(nameOfWay(way)), way);
}

TEST(CliWords, AnswersCompareWithoutCasePunctuationAndArticles) {
  using cli::normalisedAnswer;
  EXPECT_EQ(normalisedAnswer(QStringLiteral("The Time-Traveller.")),
            normalisedAnswer(QStringLiteral("time traveller")));
  EXPECT_EQ(normalisedAnswer(QStringLiteral("an “Émile”!")), QStringLiteral("émile"));
  EXPECT_EQ(normalisedAnswer(QStringLiteral("Filby’s house")), QStringLiteral("filbys house"));
  EXPECT_NE(normalisedAnswer(QStringLiteral("Mr. Filby")), normalisedAnswer(QStringLiteral("Filby")));  // titles count
  EXPECT_EQ(normalisedAnswer(QStringLiteral("Theatre")), QStringLiteral("theatre"));
}

TEST(CliWords, ProgressShowsShareRateAndTimeLeft) {
  ui::LibraryItem item;
  item.title = QStringLiteral("Moby-Dick");
  item.progress = 0.43;
  item.tokensPerSecond = 8912;
  item.secondsLeft = 81;
  EXPECT_EQ(cli::progressLine(item), QStringLiteral(" 43 %  8.9K tokens/s  1:21 left  Moby-Dick"));
  EXPECT_EQ(cli::progressBar(item),
            QStringLiteral("[############..................]  43 %  8.9K tokens/s  1:21 left  Moby-Dick"));
  item.secondsLeft = -1;
  item.tokensPerSecond = 12;
  EXPECT_EQ(cli::progressLine(item), QStringLiteral(" 43 %  12 tokens/s  -:-- left  Moby-Dick"));
  item.secondsLeft = 3723;
  EXPECT_TRUE(cli::progressLine(item).contains(QStringLiteral("1:02:03 left")));
}

TEST(CliWords, ProgressOfSeveralBooksIsOneLine) {
  ui::LibraryItem one, other;
  one.title = QStringLiteral("Moby-Dick");
  one.progress = 0.43;
  one.tokensPerSecond = 8912;
  other = one;
  other.title = QStringLiteral("Middlemarch");
  other.progress = 0.07;
  EXPECT_EQ(cli::progressBar({one}, 20), cli::cutTo(cli::progressBar(one), 20));
  const QString whole = QStringLiteral("17.8K tokens/s  43 % Moby-Dick | 7 % Middlemarch");
  EXPECT_EQ(cli::progressBar({one, other}, 0), whole);
  EXPECT_EQ(cli::progressBar({one, other}, 79), whole);
  EXPECT_EQ(cli::progressBar({one, other}, 43), QStringLiteral("17.8K tokens/s  43 % Moby-D… | 7 % Middlem…"));
  EXPECT_EQ(cli::progressBar({one, other}, 10).size(), 10);
}

TEST(Words, DevicesOfOneKindAreCounted) {
  const QString one = QStringLiteral("NVIDIA H200, bf16"), other = QStringLiteral("NVIDIA L4, bf16");
  EXPECT_EQ(devicesInWords({}), QString());
  EXPECT_EQ(devicesInWords({one}), one);
  EXPECT_EQ(devicesInWords({one, one}), QStringLiteral("2 × NVIDIA H200, bf16"));
  EXPECT_EQ(devicesInWords({one, other, one}), QStringLiteral("2 × NVIDIA H200, bf16 + NVIDIA L4, bf16"));
}

}  // namespace
}  // namespace palimpsest::app
