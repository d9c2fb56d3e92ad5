#include "documents/hyphenation.h"

#include "samples.h"

namespace palimpsest::documents::tests {
namespace {

std::string joined(const WordStock& words, std::string first, const std::string& second) {
  words.appendLine(first, second);
  return first;
}

TEST(Hyphenation, JoinsBrokenWords) {
  const WordStock words;
  EXPECT_EQ(joined(words, "a com-", "piler of"), "a compiler of");
  EXPECT_EQ(joined(words, "a soft\u00AD", "hyphen"), "a softhyphen");
  EXPECT_EQ(joined(words, "no hyphen", "here"), "no hyphen here");
}

TEST(Hyphenation, KeepsCompoundsThatTheTextKnows) {
  WordStock words;
  words.learn("The trace-based compiler. A TraceMonkey, it is well made.");
  words.learn("This long line breaks the tra-");
  EXPECT_EQ(joined(words, "a trace-", "based system"), "a trace-based system");
  EXPECT_EQ(joined(words, "the Trace-", "Monkey engine"), "the TraceMonkey engine");
}

TEST(Hyphenation, KeepsHyphensBeforeCapitalsAndDigits) {
  const WordStock words;
  EXPECT_EQ(joined(words, "the Anglo-", "Saxon kings"), "the Anglo-Saxon kings");
  EXPECT_EQ(joined(words, "pages 15-", "20 of it"), "pages 15-20 of it");
  EXPECT_EQ(joined(words, "pages 291–", "300"), "pages 291–300");
  EXPECT_EQ(joined(words, "this and/", "or that"), "this and/or that");
  EXPECT_EQ(joined(words, "a self-", "evident truth"), "a self-evident truth");
}

TEST(Hyphenation, KeepsTwoWordsThatStandAlone) {
  WordStock words;
  words.learn("the client asked the server");
  EXPECT_EQ(joined(words, "a client-", "server pair"), "a client-server pair");
  words.learn("some times are better, sometimes");
  EXPECT_EQ(joined(words, "and some-", "times not"), "and sometimes not");
}

TEST(Hyphenation, LearnsNothingFromTheBrokenWordItself) {
  WordStock words;
  words.learn("he saw the under-");
  words.learn("ground in every state");
  EXPECT_EQ(joined(words, "the under-", "ground railway"), "the underground railway");
  words.learn("and made an agree-");
  words.learn("ment of no state");
  EXPECT_EQ(joined(words, "a state-", "ment of"), "a statement of") << "the second half is no word either";
}

TEST(Hyphenation, KnowsEndingsThatAreWords) {
  WordStock words;
  words.learn("No doubt he was fully able to bear the comfort of the president.");
  EXPECT_EQ(joined(words, "a comfort-", "able chair"), "a comfortable chair");
  EXPECT_EQ(joined(words, "he said doubt-", "fully"), "he said doubtfully");
  EXPECT_EQ(joined(words, "an ex-", "president"), "an ex-president");
  EXPECT_EQ(joined(words, "the ex-", "penditure"), "the expenditure");
}

TEST(Hyphenation, FollowsTheHabitOfTheTextWithUnknownWords) {
  WordStock typed;
  typed.learn("It was a well-known tale, old-fashioned and long.");
  EXPECT_EQ(joined(typed, "a red-", "haired man"), "a redhaired man") << "nothing known: as typesetters do";
  typed.learnHabit("an old-", "fashioned tale");
  EXPECT_EQ(joined(typed, "a red-", "haired man"), "a red-haired man");
  EXPECT_EQ(joined(typed, "no hyphen", "here"), "no hyphen here");
  WordStock typeset;
  typeset.learn("The compiler and the old-fashioned linker, whatever they are.");
  typeset.learnHabit("the com-", "piler");
  typeset.learnHabit("what-", "ever");
  typeset.learnHabit("an old-", "fashioned linker");
  EXPECT_EQ(joined(typeset, "the opti-", "mizer"), "the optimizer");
}

TEST(Hyphenation, LeavesDashesAlone) {
  const WordStock words;
  EXPECT_EQ(joined(words, "he said --", "and left"), "he said -- and left");
  EXPECT_EQ(joined(words, "he said--", "and left"), "he said--and left");
  EXPECT_EQ(joined(words, "he said—", "and left"), "he said—and left");
  EXPECT_EQ(joined(words, "---", "and left"), "--- and left");
  EXPECT_EQ(joined(words, "a list: -", "item"), "a list: - item");
}

}  // namespace
}  // namespace palimpsest::documents::tests
