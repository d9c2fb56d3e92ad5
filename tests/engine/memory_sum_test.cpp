// The sum of several books' memories, and the difference of two snapshots of one.
#include "engine/memory_sum.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/errors.h"
#include "tests/engine/generator_fixture.h"
#include "tests/engine/sentence.h"

namespace palimpsest::engine {
namespace {

using testing::HasSubstr;

class MemorySumTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { model_ = load(tinyFolder()); }
  static void TearDownTestSuite() { model_.reset(); }

  // A book as a library gives it: read, saved and loaded again.
  static MemorySnapshot book(unsigned seed, std::size_t words = 400) {
    Generator generator(model_);
    CompressiveMemory memory = model_->emptyMemory();
    ReadingPosition reading;
    const std::string text = bookText(words, seed);
    while (!reading.complete) reading = generator.read(memory, text, reading);
    return loadSnapshot(*model_, saveSnapshot(*model_, memory, reading));
  }
  static MemorySnapshot copyOfSnapshot(const MemorySnapshot& from) {
    return {from.memory.clone(), from.reading, from.fingerprint, from.arithmetic};
  }
  template <typename Work>
  static std::string refusal(Work&& work) {
    try {
      work();
    } catch (const ModelError& error) {
      return expectSentence(error.what());
    }
    return "was accepted";
  }

  static inline std::shared_ptr<const Model> model_;
};

TEST_F(MemorySumTest, IsElementByElementFromTheFirstToTheLast) {
  const MemorySnapshot a = book(1), b = book(2), c = book(3);
  const CompressiveMemory sum = addMemories(*model_, std::array{&a, &b, &c});
  EXPECT_EQ(sum.shapes(), a.memory.shapes());
  EXPECT_EQ(sum.tokens(), a.memory.tokens() + b.memory.tokens() + c.memory.tokens());
  for (int layer = 0; layer < sum.layers(); ++layer)
    for (int head = 0; head < sum.shapes()[static_cast<std::size_t>(layer)].heads(); ++head) {
      const auto M = sum.matrix(layer, head);
      for (std::size_t i = 0; i < M.size(); ++i)
        ASSERT_EQ(M[i], (a.memory.matrix(layer, head)[i] + b.memory.matrix(layer, head)[i]) +
                            c.memory.matrix(layer, head)[i]);
      const auto z = sum.normalizer(layer, head);
      for (std::size_t i = 0; i < z.size(); ++i)
        ASSERT_EQ(z[i], (a.memory.normalizer(layer, head)[i] + b.memory.normalizer(layer, head)[i]) +
                            c.memory.normalizer(layer, head)[i]);
    }
  EXPECT_EQ(copyOf(addMemories(*model_, std::array{&a, &b, &c}).values()), copyOf(sum.values()));
  EXPECT_EQ(copyOf(addMemories(*model_, std::array{&a}).values()), copyOf(a.memory.values()));
  EXPECT_NE(copyOf(a.memory.values()), copyOf(b.memory.values())) << "the books differ, or nothing is shown";
}

TEST_F(MemorySumTest, AnotherOrderDiffersByRoundingAlone) {
  const MemorySnapshot a = book(1), b = book(2), c = book(3);
  const CompressiveMemory one = addMemories(*model_, std::array{&a, &b, &c});
  const CompressiveMemory other = addMemories(*model_, std::array{&c, &a, &b});
  EXPECT_LT(relativeError(one.values(), other.values()), 1e-6);
}

TEST_F(MemorySumTest, CanBeAskedAndLeavesTheBooksAsTheyWere) {
  const MemorySnapshot a = book(1), b = book(2);
  const std::vector<float> before = copyOf(a.memory.values());
  const CompressiveMemory sum = addMemories(*model_, std::array{&a, &b});
  Generator generator(model_);
  EXPECT_FALSE(generator.answer(&sum, {"Who is Weena?", {}, {}, {.maxTokens = 8}}).text.empty());
  EXPECT_EQ(copyOf(a.memory.values()), before);
}

TEST_F(MemorySumTest, TheDifferenceOfTwoSnapshotsIsWhatWasWrittenBetweenThem) {
  Generator generator(model_);
  const std::string text = bookText(3000);
  MemorySnapshot later{model_->emptyMemory(), {}, model_->fingerprint(), {}};
  later.reading = generator.read(later.memory, text, {});
  const MemorySnapshot earlier = copyOfSnapshot(later);
  later.reading = generator.read(later.memory, text, later.reading);
  const CompressiveMemory chapter = subtractMemories(*model_, later, earlier);
  EXPECT_EQ(chapter.tokens(), later.reading.tokens - earlier.reading.tokens);
  EXPECT_GT(chapter.tokens(), 0);
  for (std::size_t i = 0; i < chapter.values().size(); ++i)
    ASSERT_EQ(chapter.values()[i], later.memory.values()[i] - earlier.memory.values()[i]);
  MemorySnapshot written{chapter.clone(), {}, model_->fingerprint(), {}};
  EXPECT_LT(
      relativeError(addMemories(*model_, std::array{&earlier, static_cast<const MemorySnapshot*>(&written)}).values(),
                    later.memory.values()),
      1e-6);
  EXPECT_THAT(refusal([&] { subtractMemories(*model_, earlier, later); }), HasSubstr("it has read further"));
}

TEST_F(MemorySumTest, AnotherModelsMemoryAndAnotherShapeAreRefused) {
  const MemorySnapshot a = book(1);
  MemorySnapshot foreign = copyOfSnapshot(a), misshapen = copyOfSnapshot(a);
  foreign.fingerprint[0] = foreign.fingerprint[0] == '0' ? '1' : '0';
  misshapen.memory = CompressiveMemory(std::vector<CompressiveMemory::LayerShape>{{{1, 3, 3}, {}}});
  const auto added = [&](const MemorySnapshot& other) {
    return refusal([&] { addMemories(*model_, std::array{&a, &other}); });
  };
  EXPECT_THAT(added(foreign), HasSubstr("another model made"));
  EXPECT_THAT(added(misshapen), HasSubstr("another shape"));
  EXPECT_THAT(refusal([&] { subtractMemories(*model_, a, foreign); }), HasSubstr("another model made"));
  EXPECT_THAT(refusal([&] { subtractMemories(*model_, misshapen, a); }), HasSubstr("another shape"));
  EXPECT_THAT(refusal([&] { addMemories(*model_, {}); }), HasSubstr("no memory to add"));
}

TEST_F(MemorySumTest, OnlyTheLinearRuleAdds) {
  const ChangedModel changed("config.json",
                             [](Json& config) { config["infini_attention"]["memory_update"] = "delta"; });
  const auto delta = load(changed.path());
  const MemorySnapshot empty{delta->emptyMemory(), {}, delta->fingerprint(), {}};
  EXPECT_THAT(refusal([&] { addMemories(*delta, std::array{&empty, &empty}); }), HasSubstr("by the delta rule"));
  EXPECT_THAT(refusal([&] { subtractMemories(*delta, empty, empty); }), HasSubstr("by the delta rule"));
}

TEST_F(MemorySumTest, WithoutMemoryHeadsThereIsNothingToAdd) {
  const TemporaryFolder folder;
  const auto plain = loadWithoutMemory(folder);
  const MemorySnapshot none{plain->emptyMemory(), {}, plain->fingerprint(), {}};
  EXPECT_THAT(refusal([&] { addMemories(*plain, std::array{&none}); }), HasSubstr("has no memory heads"));
}

}  // namespace
}  // namespace palimpsest::engine
