#include "storage/memory_store.h"

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

}  // namespace
}  // namespace palimpsest::storage
