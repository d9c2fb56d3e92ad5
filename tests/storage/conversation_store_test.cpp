#include "storage/conversation_store.h"

#include "fixture.h"

namespace palimpsest::storage {
namespace {

class ConversationStoreTest : public StorageTest {
 protected:
  Database database_ = Database::open(file());
  ConversationStore conversations_{database_};
  Id id_ = Library(database_).add(book("h1"));
  Id other_ = Library(database_).add(book("h2"));

  TurnRecord turn(Id document, const std::string& question) const {
    TurnRecord record;
    record.documentId = document;
    record.question = question;
    record.answer = "answer to " + question;
    record.way = "memory+passages";
    record.pagesReread = 3;
    record.coverage = 0.43;
    record.finished = false;
    record.modelName = "mini";
    record.quotesSupport = false;
    record.quotes = {{"first \"quote\"", 12, "Chapter V", 7, 345}, {"second", 0, "", 8, 400}};
    return record;
  }
};

TEST_F(ConversationStoreTest, TurnsComeBackInOrderWithTheirQuotes) {
  const Id first = conversations_.addTurn(turn(id_, "one"));
  conversations_.addTurn(turn(other_, "elsewhere"));
  conversations_.addTurn(turn(id_, "two"));
  const auto turns = conversations_.turns(id_);
  ASSERT_EQ(turns.size(), 2U);
  EXPECT_EQ(turns[0].id, first);
  EXPECT_EQ(turns[0].question, "one");
  EXPECT_EQ(turns[1].answer, "answer to two");
  EXPECT_EQ(turns[0].way, "memory+passages");
  EXPECT_EQ(turns[0].pagesReread, 3);
  EXPECT_DOUBLE_EQ(turns[0].coverage, 0.43);
  EXPECT_FALSE(turns[0].finished);
  EXPECT_EQ(turns[0].modelName, "mini");
  EXPECT_GT(turns[0].askedAt, 1600000000);
  ASSERT_EQ(turns[0].quotes.size(), 2U);
  EXPECT_FALSE(turns[0].quotesSupport);
  EXPECT_EQ(turns[0].quotes[0].text, "first \"quote\"");
  EXPECT_EQ(turns[0].quotes[0].page, 12);
  EXPECT_EQ(turns[0].quotes[0].chapterTitle, "Chapter V");
  EXPECT_EQ(turns[0].quotes[0].passageId, 7);
  EXPECT_EQ(turns[0].quotes[0].begin, 345);
  EXPECT_EQ(turns[0].quotes[1].text, "second");
}

TEST_F(ConversationStoreTest, ClearingForgetsOneConversationAndKeepsTheSummary) {
  conversations_.addTurn(turn(id_, "one"));
  conversations_.addTurn(turn(other_, "kept"));
  SummaryRecord summary;
  summary.documentId = id_;
  summary.text = "card";
  conversations_.addSummary(summary);
  conversations_.clear(id_);
  EXPECT_TRUE(conversations_.turns(id_).empty());
  EXPECT_EQ(conversations_.turns(other_).size(), 1U);
  EXPECT_EQ(conversations_.summaries(id_).size(), 1U);
}

TEST_F(ConversationStoreTest, WhatIsOfAChapterStaysSo) {
  const BookPart upTo{BookPart::Kind::UpToChapter, 4, "V"}, only{BookPart::Kind::Chapter, 2, "III"};
  TurnRecord turn;
  turn.documentId = id_;
  turn.part = upTo;
  conversations_.addTurn(turn);
  turn.part = {};
  conversations_.addTurn(turn);
  SummaryRecord summary;
  summary.documentId = id_;
  summary.part = only;
  conversations_.addSummary(summary);
  EXPECT_EQ(conversations_.turns(id_)[0].part, upTo);
  EXPECT_EQ(conversations_.turns(id_)[1].part, BookPart());
  EXPECT_EQ(conversations_.summaries(id_)[0].part, only);
}

TEST_F(ConversationStoreTest, SummariesAreKeptAndTheLatestIsFirst) {
  EXPECT_TRUE(conversations_.summaries(id_).empty());
  SummaryRecord summary;
  summary.documentId = id_;
  summary.text = "early";
  summary.coverage = 0.5;
  summary.finished = false;
  summary.modelName = "mini";
  conversations_.addSummary(summary);
  summary.text = "late";
  summary.coverage = 1.0;
  summary.finished = true;
  conversations_.addSummary(summary);
  const auto all = conversations_.summaries(id_);
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0].text, "late");
  EXPECT_EQ(all[1].text, "early");
  EXPECT_DOUBLE_EQ(all[1].coverage, 0.5);
  EXPECT_FALSE(all[1].finished);
  EXPECT_EQ(all[1].modelName, "mini");
}

class ShelfConversationTest : public ConversationStoreTest {
 protected:
  TurnRecord shelfTurn(const std::vector<Id>& shelf, const std::string& question) const {
    TurnRecord record = turn(other_, question);
    record.shelf = shelf;
    record.scores = {{other_, -0.25}, {id_, -1.5}};
    return record;
  }
  Library library_{database_};
  Id third_ = library_.add(book("h3"));
};

TEST_F(ShelfConversationTest, TheSameBooksInAnyOrderAreTheSameShelf) {
  conversations_.addTurn(shelfTurn({id_, other_}, "one"));
  conversations_.addTurn(shelfTurn({other_, id_}, "two"));
  conversations_.addTurn(shelfTurn({id_, other_, third_}, "three"));
  const auto turns = conversations_.shelfTurns({other_, id_});
  ASSERT_EQ(turns.size(), 2U);
  EXPECT_EQ(turns[0].question, "one");
  EXPECT_EQ(turns[1].question, "two");
  EXPECT_EQ(turns[1].shelf, (std::vector<Id>{id_, other_}));
  EXPECT_EQ(turns[0].documentId, other_);
  EXPECT_EQ(turns[0].scores, (std::vector<BookScore>{{other_, -0.25}, {id_, -1.5}}));
  EXPECT_EQ(turns[0].quotes.size(), 2U);
  EXPECT_EQ(conversations_.shelfTurns({id_, other_, third_}).size(), 1U);
  EXPECT_TRUE(conversations_.shelfTurns({id_, third_}).empty());
}

TEST_F(ShelfConversationTest, IsNoneOfItsBooksOwn) {
  conversations_.addTurn(shelfTurn({id_, other_}, "of both"));
  conversations_.addTurn(turn(other_, "of one"));
  ASSERT_EQ(conversations_.turns(other_).size(), 1U);
  EXPECT_EQ(conversations_.turns(other_)[0].question, "of one");
  conversations_.clear(other_);
  EXPECT_EQ(conversations_.shelfTurns({id_, other_}).size(), 1U);
  conversations_.addTurn(turn(other_, "again"));
  conversations_.clearShelf({other_, id_});
  EXPECT_TRUE(conversations_.shelfTurns({id_, other_}).empty());
  EXPECT_EQ(conversations_.turns(other_).size(), 1U);
}

TEST_F(ShelfConversationTest, GoesWithAnyOfItsBooksAndTheOthersStay) {
  conversations_.addTurn(shelfTurn({id_, other_}, "gone"));
  conversations_.addTurn(shelfTurn({other_, third_}, "kept"));
  conversations_.addTurn(turn(other_, "alone"));
  library_.remove(id_);  // not the book that the turn points to
  EXPECT_TRUE(conversations_.shelfTurns({id_, other_}).empty());
  EXPECT_EQ(conversations_.shelfTurns({other_, third_}).size(), 1U);
  EXPECT_EQ(conversations_.turns(other_).size(), 1U);
}

TEST_F(ShelfConversationTest, AShelfWithoutOneOfItsBooksIsRefusedWhole) {
  EXPECT_EQ(reasonOf([&] { conversations_.addTurn(shelfTurn({other_, 999}, "stray")); }), DatabaseError::Reason::Other);
  EXPECT_TRUE(conversations_.shelfTurns({other_, 999}).empty());
}

TEST_F(ConversationStoreTest, ATurnOfNoDocumentIsRefusedWhole) {
  EXPECT_THROW(conversations_.addTurn(turn(999, "stray")), DatabaseError);
  EXPECT_TRUE(conversations_.turns(999).empty());
}

}  // namespace
}  // namespace palimpsest::storage
