#include "engine/compressive_memory.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace palimpsest::engine {
namespace {

std::vector<CompressiveMemory::LayerShape> shapes() { return {{{1, 3, 3}, {2, 4, 4}}, {{}, {}}, {{}, {2, 6, 4}}}; }

TEST(CompressiveMemory, IsEmptyAtTheStartAndItsSizeFollowsFromTheModel) {
  const CompressiveMemory memory(shapes());
  EXPECT_TRUE(memory.empty());
  EXPECT_EQ(memory.layers(), 3);
  EXPECT_EQ(memory.bytes(), sizeof(float) * ((9 + 3) + 2 * (16 + 4) + 2 * (24 + 6)));
  EXPECT_TRUE(std::all_of(memory.values().begin(), memory.values().end(), [](float x) { return x == 0.0F; }));
  EXPECT_TRUE(memory.layer(1).empty());
}

TEST(CompressiveMemory, HeadsDoNotOverlapAndFillTheWhole) {
  CompressiveMemory memory(shapes());
  float mark = 0;
  for (int layer = 0; layer < memory.layers(); ++layer) {
    for (int head = 0; head < memory.shapes()[static_cast<std::size_t>(layer)].heads(); ++head) {
      std::ranges::fill(memory.matrix(layer, head), ++mark);
      std::ranges::fill(memory.normalizer(layer, head), ++mark);
    }
  }
  EXPECT_EQ(std::ranges::count(memory.values(), 0.0F), 0);
  const CompressiveMemory& read = memory;
  mark = 0;
  for (int layer = 0; layer < read.layers(); ++layer) {
    for (int head = 0; head < read.shapes()[static_cast<std::size_t>(layer)].heads(); ++head) {
      ++mark;
      EXPECT_TRUE(std::ranges::all_of(read.matrix(layer, head), [&](float x) { return x == mark; }));
      ++mark;
      EXPECT_TRUE(std::ranges::all_of(read.normalizer(layer, head), [&](float x) { return x == mark; }));
    }
  }
}

TEST(CompressiveMemory, ACloneGoesItsOwnWay) {
  CompressiveMemory memory(shapes());
  memory.values()[5] = 7.0F;
  memory.setTokens(12);
  CompressiveMemory copy = memory.clone();
  EXPECT_EQ(copy.values()[5], 7.0F);
  EXPECT_EQ(copy.tokens(), 12);
  EXPECT_EQ(copy.shapes(), memory.shapes());
  copy.clear();
  EXPECT_TRUE(copy.empty());
  EXPECT_EQ(copy.values()[5], 0.0F);
  EXPECT_EQ(memory.values()[5], 7.0F);
}

}  // namespace
}  // namespace palimpsest::engine
