#include "app/library_items.h"

#include "app/cli_words.h"
#include "fixture.h"

namespace palimpsest::app {
namespace {

using storage::DocumentState;

class LibraryItemsTest : public AppTest {
 protected:
  storage::Database database_ = storage::Database::open(toPath(database()));
  storage::Library library_{database_};
  ModelIdentity model_{true, true, QStringLiteral("mini-2"), "f2"};

  storage::DocumentRecord document(DocumentState state) {
    storage::DocumentRecord record;
    record.contentHash = "h";
    record.path = "/books/old name.pdf";
    const auto id = library_.add(record);
    std::vector<storage::PassageRecord> passages(4);
    for (int i = 0; i < 4; ++i) {
      passages[i].text = std::string(98, 'x');
      passages[i].page = i + 1;
    }
    record.pageCount = 4;
    record.pagesWithoutText = {2, 3};
    library_.storeText(id, record, {}, passages, {});
    library_.setState(id, state);
    return *library_.find(id);
  }
  static storage::MemoryRecord memory(const std::string& fingerprint, std::int64_t position, bool complete) {
    storage::MemoryRecord record;
    record.fingerprint = fingerprint;
    record.modelName = "mini-" + fingerprint.substr(1);
    record.position = position;
    record.complete = complete;
    record.snapshotBytes = 1234;
    return record;
  }
};

TEST_F(LibraryItemsTest, ABookWithoutATitleGoesByItsFileName) {
  EXPECT_EQ(makeItem(library_, document(DocumentState::Waiting), {}, model_).title, QStringLiteral("old name.pdf"));
}

TEST_F(LibraryItemsTest, PagesWithoutTextAreCountedAndNamed) {
  EXPECT_THAT(makeItem(library_, document(DocumentState::Waiting), {}, model_).note,
              HasText("2 of 4 pages have no text (pages 2, 3)"));
}

TEST_F(LibraryItemsTest, WhatTheFileLacksIsSaidTheFirstThreeTimes) {
  auto record = document(DocumentState::Waiting);
  record.pagesWithoutText.clear();
  record.warnings = {"“c.xhtml” is missing."};
  EXPECT_EQ(makeItem(library_, record, {}, model_).note, QStringLiteral("“c.xhtml” is missing"));
  record.warnings = {"One.", "Two.", "Three.", "Four.", "Five."};
  EXPECT_EQ(makeItem(library_, record, {}, model_).note, QStringLiteral("One. Two. Three. 2 more like these"));
}

TEST_F(LibraryItemsTest, TheMemoryOfThisModelGivesProgressAndPages) {
  const auto item =
      makeItem(library_, document(DocumentState::Paused), {memory("f1", 398, true), memory("f2", 210, false)}, model_);
  EXPECT_NEAR(item.progress, 210.0 / 398, 1e-9);
  EXPECT_EQ(item.pagesCovered, 3);
  EXPECT_EQ(item.memoryBytes, 1234);
  EXPECT_TRUE(item.hasMemory);
}

TEST_F(LibraryItemsTest, ThePrintedNumbersOfAnEpubAreNoCount) {
  auto record = document(DocumentState::Paused);
  EXPECT_FALSE(makeItem(library_, record, {}, model_).printedPages);
  record.format = "EPUB";
  record.pageCount = 2;
  const auto item = makeItem(library_, record, {memory("f2", 210, false)}, model_);
  EXPECT_TRUE(item.printedPages);
  EXPECT_EQ(item.pagesCovered, 3);
  EXPECT_EQ(cli::toJson(item)[u"pages"].toInt(), 2);
  EXPECT_TRUE(cli::toJson(item)[u"pages_covered"].isNull()) << "not known";
  storage::TurnRecord turn;
  turn.coverage = 0.53;
  EXPECT_THAT(makeConversationItem(library_, record, turn).provenance, HasText("first 53 % (up to page 3)"));
}

TEST_F(LibraryItemsTest, AMemoryOfAnotherModelIsNotUsedAndSaidWithTheWayOut) {
  const auto item = makeItem(library_, document(DocumentState::Ready), {memory("f1", 398, true)}, model_);
  EXPECT_FALSE(item.hasMemory);
  EXPECT_EQ(item.memoryBytes, 0);
  EXPECT_THAT(item.note, HasText("another model (mini-1)"));
  EXPECT_THAT(item.note, HasText("“Read again”"));
  EXPECT_TRUE(item.canReadAgain);
}

TEST_F(LibraryItemsTest, AMemoryOfAnotherVersionOfTheModelIsSaidToBeOne) {
  auto earlier = memory("f1", 398, true);
  earlier.modelName = model_.name.toStdString();
  const auto item = makeItem(library_, document(DocumentState::Ready), {earlier}, model_);
  EXPECT_THAT(item.note, HasText("another version of " + model_.name.toStdString() + "."));
}

TEST_F(LibraryItemsTest, ABookThatThisModelHasNotReadWholeCanBeReadAgain) {
  const auto record = document(DocumentState::Ready);
  const auto without = makeItem(library_, record, {}, model_);
  EXPECT_TRUE(without.canReadAgain);
  EXPECT_THAT(without.note, HasText("There is no memory of it yet. “Read again”"));
  const auto half = makeItem(library_, record, {memory("f2", 200, false)}, model_);
  EXPECT_TRUE(half.canReadAgain);
  EXPECT_THAT(half.note, HasText("has not read it to its end"));
  EXPECT_FALSE(makeItem(library_, record, {memory("f2", 398, true)}, model_).canReadAgain);
  EXPECT_FALSE(makeItem(library_, record, {memory("f1", 398, true)}, ModelIdentity()).canReadAgain);
  EXPECT_FALSE(makeItem(library_, document(DocumentState::Paused), {}, model_).canReadAgain);
}

TEST_F(LibraryItemsTest, AModelWithoutMemorySaysSo) {
  model_.hasMemory = false;
  const auto item = makeItem(library_, document(DocumentState::Ready), {}, model_);
  EXPECT_THAT(item.note, HasText("mini-2 has no memory: answers come from passages only"));
  EXPECT_FALSE(item.canReadAgain);
}

TEST_F(LibraryItemsTest, ALockedFileAsksForItsPassword) {
  const auto id = document(DocumentState::Waiting).id;
  library_.setState(id, DocumentState::Failed, "It is locked.", "locked");
  const auto item = makeItem(library_, *library_.find(id), {}, model_);
  EXPECT_TRUE(item.needsPassword);
  EXPECT_EQ(item.failure, QStringLiteral("It is locked."));
}

}  // namespace
}  // namespace palimpsest::app
