#include "storage/library.h"

#include <SQLiteCpp/SQLiteCpp.h>

#include "fixture.h"
#include "storage/conversation_store.h"
#include "storage/memory_store.h"

namespace palimpsest::storage {
namespace {

class LibraryTest : public StorageTest {
 protected:
  Database database_ = Database::open(file());
  Library library_{database_};

  int count(const std::string& table) {
    return database_.connection().execAndGet("SELECT count(*) FROM " + table).getInt();
  }
};

TEST_F(LibraryTest, ADocumentIsItsBytesSoAMovedFileIsTheSameDocument) {
  bool existed = true;
  const Id id = library_.add(book("h1"), &existed);
  EXPECT_FALSE(existed);
  library_.setState(id, DocumentState::Ready);
  DocumentRecord moved = book("h1");
  moved.path = "/elsewhere/renamed.epub";
  EXPECT_EQ(library_.add(moved, &existed), id);
  EXPECT_TRUE(existed);
  EXPECT_EQ(library_.list().size(), 1U);
  EXPECT_EQ(library_.find(id)->path, "/elsewhere/renamed.epub");
  EXPECT_EQ(library_.find(id)->state, DocumentState::Ready);
}

TEST_F(LibraryTest, AChapterIsNamedWithThePartItStandsIn) {
  const Id id = library_.add(book("h1"));
  const std::vector<ChapterRecord> chapters = {{0, "Preface", 0}, {1, "Act I", 0},   {2, "Scene I", 1},
                                               {3, "Act II", 0},  {4, "Scene I", 1}, {5, "A Song", 2}};
  std::vector<PassageRecord> texts = passages({"a", "b", "c", "d", "e", "f", "g"});
  for (int i = 0; i < 7; ++i) texts[static_cast<std::size_t>(i)].chapter = i - 1;  // the first stands before them all
  library_.storeText(id, book("h1"), chapters, texts, {});
  std::vector<std::string> places;
  for (const PassageRecord& passage : library_.passages(id)) places.push_back(passage.chapterTitle);
  EXPECT_EQ(places, (std::vector<std::string>{"", "Preface", "Act I", "Act I · Scene I", "Act II", "Act II · Scene I",
                                              "Scene I · A Song"}));
}

TEST_F(LibraryTest, StoredTextIsItsPassagesJoinedAndEachKnowsItsPlace) {
  const Id id = library_.add(book("h1"));
  const std::vector<std::string> texts = {"First.", "Zweiter Absatz, größer.", std::string("with\0nul", 8), "Last"};
  const std::vector<ChapterRecord> chapters = {{0, "I", 0}};
  library_.storeText(id, book("h1"), chapters, passages(texts), {});
  const std::string text = library_.text(id);
  EXPECT_EQ(text, texts[0] + "\n\n" + texts[1] + "\n\n" + texts[2] + "\n\n" + texts[3]);
  EXPECT_EQ(library_.find(id)->textBytes, static_cast<std::int64_t>(text.size()));
  const auto stored = library_.passages(id);
  ASSERT_EQ(stored.size(), 4U);
  for (std::size_t i = 0; i < stored.size(); ++i) {
    EXPECT_EQ(stored[i].ordinal, static_cast<int>(i));
    EXPECT_EQ(text.substr(static_cast<std::size_t>(stored[i].begin), stored[i].text.size()), texts[i]);
    EXPECT_EQ(library_.passageAt(id, stored[i].begin + 1)->id, stored[i].id);
    EXPECT_EQ(stored[i].chapterTitle, "I");
  }
  EXPECT_EQ(library_.passageAt(id, 1 << 20)->text, "Last");
  EXPECT_FALSE(library_.passageAt(id + 1, 0));
}

TEST_F(LibraryTest, MetadataChaptersAndCoverComeBackAsStored) {
  const Id id = library_.add(book("h1"));
  DocumentRecord metadata = book("h1", "The Time Machine");
  metadata.author = "H. G. Wells";
  metadata.format = "EPUB";
  metadata.language = "en";
  metadata.date = "1895";
  metadata.pageCount = 96;
  metadata.pagesWithoutText = {1, 2, 96};
  metadata.warnings = {"“a.xhtml” is missing.", "3 of 4 pages are damaged."};
  const std::vector<ChapterRecord> chapters = {{0, "I", 0}, {1, "Introduction", 1}};
  library_.storeText(id, metadata, chapters, passages({"x"}), bytes("PNG bytes"));
  const DocumentRecord found = *library_.findByHash("h1");
  EXPECT_EQ(found.title, "The Time Machine");
  EXPECT_EQ(found.author, "H. G. Wells");
  EXPECT_EQ(found.format, "EPUB");
  EXPECT_EQ(found.language, "en");
  EXPECT_EQ(found.date, "1895");
  EXPECT_EQ(found.pageCount, 96);
  EXPECT_THAT(found.pagesWithoutText, testing::ElementsAre(1, 2, 96));
  EXPECT_THAT(found.warnings, testing::ElementsAre("“a.xhtml” is missing.", "3 of 4 pages are damaged."));
  EXPECT_GT(found.addedAt, 1600000000);
  ASSERT_EQ(library_.chapters(id).size(), 2U);
  EXPECT_EQ(library_.chapters(id)[1].title, "Introduction");
  EXPECT_EQ(library_.chapters(id)[1].level, 1);
  EXPECT_EQ(library_.cover(id), bytes("PNG bytes"));
}

TEST_F(LibraryTest, EveryStateSurvivesAndCarriesItsReason) {
  const Id id = library_.add(book("h1"));
  EXPECT_EQ(library_.find(id)->state, DocumentState::Waiting);
  for (const auto state : {DocumentState::Extracting, DocumentState::Reading, DocumentState::Paused,
                           DocumentState::Ready, DocumentState::Waiting}) {
    library_.setState(id, state);
    EXPECT_EQ(library_.find(id)->state, state);
  }
  library_.setState(id, DocumentState::Failed, "The PDF is locked.", "locked");
  EXPECT_EQ(library_.find(id)->state, DocumentState::Failed);
  EXPECT_EQ(library_.find(id)->failure, "The PDF is locked.");
  EXPECT_EQ(library_.find(id)->failureKind, "locked");
  library_.setState(id, DocumentState::Waiting);
  EXPECT_EQ(library_.find(id)->failure, "");
  EXPECT_EQ(library_.find(id)->failureKind, "");
}

TEST_F(LibraryTest, StoringTextAgainReplacesItInTheIndexToo) {
  const Id id = library_.add(book("h1"));
  library_.storeText(id, book("h1"), {}, passages({"The walrus sings."}), bytes("a"));
  library_.storeText(id, book("h1"), {}, passages({"The carpenter weeps."}), {});
  EXPECT_TRUE(library_.search(id, "walrus", 5).empty());
  EXPECT_EQ(library_.search(id, "carpenter", 5).size(), 1U);
  EXPECT_TRUE(library_.cover(id).empty());
  EXPECT_NO_THROW(
      database_.connection().exec("INSERT INTO passages_fts(passages_fts, rank) VALUES ('integrity-check', 1)"));
}

TEST_F(LibraryTest, AMemorySurvivesTheSameTextAndNotAnother) {
  const Id id = library_.add(book("h1"));
  library_.storeText(id, book("h1"), {}, passages({"one", "two"}), {});
  MemoryStore memories(database_);
  MemoryRecord memory;
  memory.documentId = id;
  memory.fingerprint = "f";
  memory.sections = {{1, 1, std::make_shared<const std::vector<std::byte>>(bytes("m"))}};
  memories.save(memory);
  library_.storeText(id, book("h1"), {}, passages({"one", "two"}), {});
  EXPECT_TRUE(memories.load(id, "f"));
  EXPECT_EQ(count("memory_sections"), 1);
  library_.storeText(id, book("h1"), {}, passages({"one", "three"}), {});
  EXPECT_FALSE(memories.load(id, "f"));
  EXPECT_EQ(count("memory_sections"), 0);
}

TEST_F(LibraryTest, RemovingADocumentTakesAllThatIsItsAndNothingElse) {
  const Id kept = library_.add(book("h1")), gone = library_.add(book("h2"));
  MemoryStore memories(database_);
  ConversationStore conversations(database_);
  for (const Id id : {kept, gone}) {
    const std::vector<ChapterRecord> chapters = {{0, "I", 0}};
    library_.storeText(id, book("h"), chapters, passages({"the same walrus"}), bytes("c"));
    MemoryRecord memory;
    memory.documentId = id;
    memory.sections = {{1, 1, std::make_shared<const std::vector<std::byte>>(bytes("m"))}};
    memories.save(memory);
    TurnRecord turn;
    turn.documentId = id;
    turn.quotes.push_back({"walrus", 1, "I", 1, 9});
    conversations.addTurn(turn);
    SummaryRecord summary;
    summary.documentId = id;
    conversations.addSummary(summary);
  }
  library_.remove(gone);
  EXPECT_FALSE(library_.find(gone));
  for (const char* table :
       {"documents", "chapters", "passages", "covers", "memories", "memory_sections", "turns", "quotes", "summaries"})
    EXPECT_EQ(count(table), 1) << table;
  EXPECT_EQ(library_.search(kept, "walrus", 5).size(), 1U);
  EXPECT_EQ(count("passages_fts WHERE passages_fts MATCH 'walrus'"), 1);
}

TEST_F(LibraryTest, StoringTextOfARemovedDocumentFails) {
  const Id id = library_.add(book("h1"));
  library_.remove(id);
  std::string sentence;
  reasonOf([&] { library_.storeText(id, book("h1"), {}, passages({"x"}), {}); }, &sentence);
  EXPECT_THAT(sentence, testing::HasSubstr("no longer in the library"));
  EXPECT_EQ(count("passages"), 0);
}

TEST_F(LibraryTest, TheListIsNewestFirst) {
  DocumentRecord old = book("h1");
  old.addedAt = 100;
  DocumentRecord recent = book("h2");
  recent.addedAt = 200;
  library_.add(recent);
  library_.add(old);
  EXPECT_EQ(library_.list().front().contentHash, "h2");
}

TEST_F(LibraryTest, ADocumentIsFoundByWhatAPersonWouldCallIt) {
  const Id emile = library_.add(book("aabbccdd", "Émile"));
  const Id time = library_.add(book("11223344", "The Time Machine"));
  const Id island = library_.add(book("55667788", "The Island"));
  const auto one = [&](const char* words) {
    const auto found = library_.match(words);
    return found.size() == 1 ? found.front().id : Id{0};
  };
  EXPECT_EQ(one(std::to_string(time).c_str()), time);
  EXPECT_EQ(one("the time machine"), time);
  EXPECT_EQ(one("the ti"), time);
  EXPECT_EQ(one("ÉMILE"), emile);
  EXPECT_EQ(one("55667788.epub"), island);
  EXPECT_EQ(one("aabbcc"), emile);
  EXPECT_EQ(library_.match("the").size(), 2U);
  EXPECT_TRUE(library_.match("no such book").empty());
  EXPECT_TRUE(library_.match("").empty());
  EXPECT_TRUE(library_.match("%").empty());
}

}  // namespace
}  // namespace palimpsest::storage
