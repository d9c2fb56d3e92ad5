#include "storage/memory_store.h"

#include <SQLiteCpp/SQLiteCpp.h>

#include <thread>

#include "fixture.h"

namespace palimpsest::storage {
namespace {

class MemoryStoreTest : public StorageTest {
 protected:
  Database database_ = Database::open(file());
  MemoryStore memories_{database_};
  Id id_ = Library(database_).add(book("h1"));

  MemoryRecord memory(const std::string& fingerprint, const std::string& snapshot, std::int64_t position) const {
    MemoryRecord record;
    record.documentId = id_;
    record.fingerprint = fingerprint;
    record.modelName = "model " + fingerprint;
    record.snapshot = bytes(snapshot);
    record.position = position;
    record.tokens = position / 4;
    record.secondsSpent = 1.5;
    return record;
  }
  MemoryPartRecord section(std::int64_t position, const std::string& snapshot) const {
    return {position, position / 4, std::make_shared<const std::vector<std::byte>>(bytes(snapshot))};
  }
  std::vector<std::int64_t> storedPositions(const std::string& fingerprint) const {
    const auto loaded = memories_.load(id_, fingerprint);
    std::vector<std::int64_t> positions;
    for (const MemoryPartRecord& one : loaded->sections) positions.push_back(one.position);
    return positions;
  }
  int rows() { return database_.connection().execAndGet("SELECT count(*) FROM memory_sections").getInt(); }
};

TEST_F(MemoryStoreTest, ACheckpointReplacesTheEarlierOneOfTheSameModel) {
  memories_.save(memory("f", "first", 100));
  MemoryRecord second = memory("f", std::string("se\0cond", 7), 200);
  second.complete = true;
  memories_.save(second);
  const auto loaded = memories_.load(id_, "f");
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->snapshot, second.snapshot);
  EXPECT_EQ(loaded->position, 200);
  EXPECT_EQ(loaded->tokens, 50);
  EXPECT_TRUE(loaded->complete);
  EXPECT_DOUBLE_EQ(loaded->secondsSpent, 1.5);
  EXPECT_GT(loaded->savedAt, 1600000000);
  EXPECT_EQ(memories_.list(id_).size(), 1U);
}

TEST_F(MemoryStoreTest, EachModelHasItsOwnAndChangingTheModelLosesNone) {
  memories_.save(memory("f", "of f", 100));
  memories_.save(memory("g", "of g", 300));
  EXPECT_EQ(memories_.load(id_, "f")->snapshot, bytes("of f"));
  EXPECT_EQ(memories_.load(id_, "g")->snapshot, bytes("of g"));
  EXPECT_FALSE(memories_.load(id_, "h"));
  memories_.remove(id_, "f");
  EXPECT_FALSE(memories_.load(id_, "f"));
  EXPECT_TRUE(memories_.load(id_, "g"));
}

TEST_F(MemoryStoreTest, TheListCarriesHeadersOnly) {
  memories_.save(memory("f", "a large snapshot", 100));
  const auto list = memories_.list(id_);
  ASSERT_EQ(list.size(), 1U);
  EXPECT_TRUE(list[0].snapshot.empty());
  EXPECT_EQ(list[0].snapshotBytes, 16);
  EXPECT_EQ(list[0].modelName, "model f");
  EXPECT_EQ(list[0].position, 100);
}

TEST_F(MemoryStoreTest, AMemoryOfNoDocumentIsRefused) {
  MemoryRecord stray = memory("f", "x", 1);
  stray.documentId = id_ + 1;
  EXPECT_THROW(memories_.save(stray), DatabaseError);
}

TEST_F(MemoryStoreTest, AnEmptySnapshotStaysEmpty) {
  memories_.save(memory("f", "", 0));
  EXPECT_TRUE(memories_.load(id_, "f")->snapshot.empty());
}

TEST_F(MemoryStoreTest, SectionsComeBackInTheOrderOfTheText) {
  MemoryRecord record = memory("f", "whole", 900);
  record.sections = {section(300, std::string("a\0b", 3)), section(600, "second")};
  memories_.save(record);
  const auto loaded = memories_.load(id_, "f");
  ASSERT_EQ(loaded->sections.size(), 2U);
  EXPECT_EQ(loaded->sections[0].position, 300);
  EXPECT_EQ(loaded->sections[0].tokens, 75);
  EXPECT_EQ(*loaded->sections[0].snapshot, bytes(std::string("a\0b", 3)));
  EXPECT_EQ(*loaded->sections[1].snapshot, bytes("second"));
  EXPECT_EQ(loaded->snapshotBytes, 5 + 3 + 6) << "all that is kept";
  const auto list = memories_.list(id_);
  EXPECT_EQ(list[0].snapshotBytes, 5 + 3 + 6);
  EXPECT_TRUE(list[0].sections.empty());
}

TEST_F(MemoryStoreTest, ACheckpointWritesTheNewSectionsAndDeletesThoseThatAreGone) {
  MemoryRecord record = memory("f", "first", 600);
  record.sections = {section(200, "a"), section(400, "b")};
  memories_.save(record);
  record = memory("f", "second", 1000);
  record.sections = {section(200, "A"), section(600, "c"), section(800, "d")};
  memories_.save(record);
  EXPECT_EQ(storedPositions("f"), (std::vector<std::int64_t>{200, 600, 800}));
  EXPECT_EQ(*memories_.load(id_, "f")->sections[0].snapshot, bytes("a")) << "the same is never written again";
  memories_.save(memory("f", "third", 1200));
  EXPECT_EQ(rows(), 0);
}

// What joins two sections ends where the second one did.
TEST_F(MemoryStoreTest, AJoinedSectionReplacesTheOneThatEndsWhereItDoes) {
  MemoryRecord record = memory("f", "first", 600);
  record.sections = {section(200, "a"), section(400, "b"), section(600, "c")};
  memories_.save(record);
  record = memory("f", "second", 800);
  record.sections = {section(400, "j"), section(600, "c"), section(800, "d")};
  record.sections[0].tokens += 50;
  memories_.save(record);
  EXPECT_EQ(storedPositions("f"), (std::vector<std::int64_t>{400, 600, 800}));
  EXPECT_EQ(*memories_.load(id_, "f")->sections[0].snapshot, bytes("j"));
  record.sections[0].snapshot = std::make_shared<const std::vector<std::byte>>(bytes("another size"));
  memories_.save(record);
  EXPECT_EQ(*memories_.load(id_, "f")->sections[0].snapshot, bytes("another size"));
}

TEST_F(MemoryStoreTest, EachModelsSectionsAreItsOwn) {
  for (const char* fingerprint : {"f", "g"}) {
    MemoryRecord record = memory(fingerprint, "whole", 900);
    record.sections = {section(300, fingerprint)};
    memories_.save(record);
  }
  EXPECT_EQ(*memories_.load(id_, "g")->sections[0].snapshot, bytes("g"));
  memories_.remove(id_, "f");
  EXPECT_EQ(rows(), 1);
  EXPECT_EQ(storedPositions("g"), std::vector<std::int64_t>{300});
  memories_.save(memory("f", "read again", 100));
  EXPECT_TRUE(memories_.load(id_, "f")->sections.empty());
}

TEST_F(MemoryStoreTest, ChaptersAreAddedAndStayUntilTheirMemoryGoes) {
  MemoryRecord record = memory("f", "whole", 900);
  record.chapters = {section(300, "three"), section(100, "one")};
  memories_.save(record);
  record.chapters = {section(300, "never written again"), section(700, "seven!")};
  memories_.save(record);
  memories_.save(memory("f", "later", 950));
  memories_.save(memory("g", "another model's", 950));
  const auto chapters = memories_.chapters(id_, "f");
  ASSERT_EQ(chapters.size(), 3U);
  EXPECT_EQ(chapters[0].position, 100);
  EXPECT_EQ(chapters[2].position, 700);
  EXPECT_EQ(chapters[2].bytes, 6);
  EXPECT_EQ(*memories_.chapter(id_, "f", 300)->snapshot, bytes("three"));
  EXPECT_EQ(memories_.chapter(id_, "f", 300)->tokens, 75);
  EXPECT_FALSE(memories_.chapter(id_, "f", 301));
  EXPECT_TRUE(memories_.chapters(id_, "g").empty());
  EXPECT_TRUE(memories_.load(id_, "f")->chapters.empty()) << "an ordinary question needs none";
  EXPECT_TRUE(memories_.load(id_, "f")->lastNote.empty());
  record.lastNote = bytes("where the last one ended");
  memories_.save(record);
  EXPECT_EQ(memories_.load(id_, "f")->lastNote, record.lastNote);
  record.lastNote.clear();
  memories_.save(record);
  EXPECT_TRUE(memories_.load(id_, "f")->lastNote.empty());
  EXPECT_EQ(memories_.load(id_, "f")->snapshotBytes, 5);
  memories_.remove(id_, "f");
  EXPECT_TRUE(memories_.chapters(id_, "f").empty());
}

TEST_F(MemoryStoreTest, ACheckpointThatFailsChangesNeitherTheMemoryNorItsSections) {
  MemoryRecord record = memory("f", "first", 600);
  record.sections = {section(200, "a")};
  memories_.save(record);
  database_.connection().exec(
      "CREATE TRIGGER full BEFORE INSERT ON memory_sections BEGIN SELECT RAISE(ABORT, 'full'); END");
  record = memory("f", "second", 1000);
  record.sections = {section(600, "c")};
  EXPECT_THROW(memories_.save(record), DatabaseError);
  EXPECT_EQ(memories_.load(id_, "f")->snapshot, bytes("first"));
  EXPECT_EQ(storedPositions("f"), std::vector<std::int64_t>{200});
}

TEST_F(MemoryStoreTest, AMemoryIsLoadedAsItWasAtOneMoment) {
  MemoryRecord record = memory("f", "whole 600", 600);
  record.sections = {section(200, "a")};
  memories_.save(record);
  Database reader = Database::open(file(), Access::ReadOnly);
  std::jthread writer([&](std::stop_token stop) {
    for (std::int64_t position = 604; !stop.stop_requested(); position += 4) {
      MemoryRecord next = memory("f", "whole " + std::to_string(position), position);
      next.sections = {section(position - 4, "of " + std::to_string(position))};
      memories_.save(next);
    }
  });
  for (int i = 0; i < 300; ++i) {
    const auto loaded = MemoryStore(reader).load(id_, "f");
    ASSERT_EQ(loaded->sections.size(), 1U);
    ASSERT_EQ(loaded->sections[0].position, loaded->position == 600 ? 200 : loaded->position - 4);
    ASSERT_EQ(loaded->snapshot, bytes("whole " + std::to_string(loaded->position)));
  }
}

}  // namespace
}  // namespace palimpsest::storage
