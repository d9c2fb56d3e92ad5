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
  EXPECT_EQ(joined(words, "the under-", "ground railway"), "the underground railway");
}

TEST(Hyphenation, LeavesDashesAlone) {
  const WordStock words;
  EXPECT_EQ(joined(words, "he said --", "and left"), "he said -- and left");
  EXPECT_EQ(joined(words, "a list: -", "item"), "a list: - item");
}

}  // namespace
}  // namespace palimpsest::documents::tests
