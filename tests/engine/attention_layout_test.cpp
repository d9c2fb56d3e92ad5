#include "engine/attention_layout.h"

#include <gtest/gtest.h>

#include <limits>

namespace palimpsest::engine {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

TEST(AttentionLayout, InfiniteBetaIsExactlyOpenOrShut) {
  EXPECT_EQ(gateOf(kInfinity), 1.0F);
  EXPECT_EQ(gateOf(-kInfinity), 0.0F);
  EXPECT_EQ(gateOf(0.0F), 0.5F);
}

TEST(AttentionLayout, PlainLlamaHasNoMemory) {
  const AttentionLayout layout = makeAttentionLayout({8, 2, 16}, {}, {});
  EXPECT_FALSE(layout.hasMemory());
  EXPECT_EQ(layout.qkvWidth, (8 + 2 + 2) * 16);
  EXPECT_EQ(layout.attentionWidth, 8 * 16);
  ASSERT_EQ(layout.local.size(), 8U);
  EXPECT_EQ(layout.local[5].key, 8 * 16 + 16);  // heads 4..7 read KV head 1
  EXPECT_EQ(layout.local[5].value, 10 * 16 + 16);
  EXPECT_EQ(layout.gates.size(), 1U);  // one run of columns
  EXPECT_EQ(layout.memoryKeys.width, 0);
}

TEST(AttentionLayout, BaseHeadsFirstThenMemoryHeadsEachWithItsOwnGroups) {
  const AttentionLayout layout = makeAttentionLayout({4, 2, 8}, {4, 2, 12}, {});
  EXPECT_EQ(layout.qkvWidth, (4 + 2 + 2) * 8 + (4 + 2 + 2) * 12);
  ASSERT_EQ(layout.addedMemory.readers.size(), 4U);
  const int M = 12 * 12;
  EXPECT_EQ(layout.addedMemory.readers[1].matrix, 0);  // group 0
  EXPECT_EQ(layout.addedMemory.readers[2].matrix, M);  // group 1: heads 2 and 3, not 1 and 3
  EXPECT_EQ(layout.addedMemory.readers[2].normalizer, 2 * M + 12);
  EXPECT_EQ(layout.addedMemory.readers[2].query, 4 * 8 + 2 * 12);
  EXPECT_EQ(layout.addedMemory.writers[1].key, 4 * 8 + 4 * 12 + 2 * 8 + 12);
  EXPECT_TRUE(layout.baseMemory.readers.empty());
  EXPECT_EQ(layout.memoryShape.base.kvHeads, 0);
  EXPECT_EQ(layout.memoryKeys.begin, 4 * 8 + 4 * 12 + 2 * 8);  // base keys are not needed to write
}

TEST(AttentionLayout, KeysMayBeLongerThanValues) {
  const AttentionLayout layout = makeAttentionLayout({4, 4, 8}, {3, 3, 16, 6}, {});
  EXPECT_EQ(layout.addedMemory.dims.key, 16);
  EXPECT_EQ(layout.addedMemory.dims.value, 6);
  EXPECT_EQ(layout.qkvWidth, 3 * 32 + 3 * (16 + 16 + 6));
  EXPECT_EQ(layout.attentionWidth, 32 + 3 * 6);
  EXPECT_EQ(layout.addedMemory.readers[2].query, 32 + 2 * 16);
  EXPECT_EQ(layout.addedMemory.readers[2].out, 32 + 2 * 6);
  EXPECT_EQ(layout.addedMemory.readers[2].matrix, 2 * 16 * 6);
  EXPECT_EQ(layout.addedMemory.readers[2].normalizer, 3 * 16 * 6 + 2 * 16);
  EXPECT_EQ(layout.addedMemory.writers[1].key, 32 + 48 + 32 + 16);
  EXPECT_EQ(layout.addedMemory.writers[1].value, 2 * (32 + 48) + 32 + 6);
  EXPECT_EQ(layout.memoryKeys.width, 48);
  EXPECT_EQ(layout.memoryValues.width, 18);
  EXPECT_EQ(layout.gates.back().width, 18);
  EXPECT_EQ(layout.baseMemory.dims.value, 8);
}

TEST(AttentionLayout, ShutGroupsHaveNoMemoryAndOpenHeadsNoLocalAttention) {
  const std::vector<float> gates = {0.0F, 0.0F, 0.3F, 1.0F};
  const AttentionLayout layout = makeAttentionLayout({4, 2, 8}, {1, 1, 8}, gates);
  EXPECT_EQ(layout.memoryShape.base.kvHeads, 1);
  ASSERT_EQ(layout.baseMemory.readers.size(), 2U);
  EXPECT_EQ(layout.baseMemory.readers[0].query, 2 * 8);
  EXPECT_EQ(layout.baseMemory.readers[0].matrix, 0);
  ASSERT_EQ(layout.baseMemory.writers.size(), 1U);
  EXPECT_EQ(layout.baseMemory.writers[0].key, 5 * 8 + 8);  // KV head 1
  EXPECT_EQ(layout.addedMemory.readers[0].matrix, 64);
  EXPECT_EQ(layout.addedMemory.readers[0].normalizer, 2 * 64 + 8);
  ASSERT_EQ(layout.local.size(), 3U);  // all but the head with g = 1
  EXPECT_EQ(layout.local.back().query, 2 * 8);
  EXPECT_EQ(layout.gates.size(), 3U);  // 0 | 0.3 | 1: the last base head and the memory head together
  EXPECT_TRUE(layout.mixes());
  EXPECT_FALSE(makeAttentionLayout({4, 2, 8}, {1, 1, 8}, std::vector<float>{0.0F, 0.0F, 1.0F, 1.0F}).mixes());
  EXPECT_FALSE(makeAttentionLayout({4, 2, 8}, {1, 1, 8}, {}).mixes());
}

}  // namespace
}  // namespace palimpsest::engine
