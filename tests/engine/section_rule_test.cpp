// Where a book is cut into sections: the rule alone, over counts of segments.
#include "engine/section_rule.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <vector>

namespace palimpsest::engine {
namespace {

using testing::ElementsAre;

using Counts = std::vector<std::int64_t>;

// The ends of the sections of a book of so many segments, read in portions of `portion` segments.
Counts endsOf(std::int64_t segments, std::size_t sections = 8, std::int64_t portion = 8) {
  Counts ends;
  for (std::int64_t read = 0; read < segments;) {
    read = std::min(segments, read + portion);
    ends.push_back(read);
    while (ends.size() > sections) ends.erase(ends.begin() + static_cast<std::ptrdiff_t>(leastNeededEnd(ends)));
  }
  return ends;
}

Counts sizesOf(const Counts& ends) {
  Counts sizes(ends.size());
  std::adjacent_difference(ends.begin(), ends.end(), sizes.begin());
  return sizes;
}

TEST(SectionRule, AShortBookHasASectionForEachPortion) {
  EXPECT_THAT(endsOf(5), ElementsAre(5));
  EXPECT_THAT(endsOf(20), ElementsAre(8, 16, 20));
  EXPECT_THAT(endsOf(64), ElementsAre(8, 16, 24, 32, 40, 48, 56, 64));
}

TEST(SectionRule, TheSmallestNeighboursAreMergedAndTheEarliestOfEqualOnes) {
  EXPECT_EQ(leastNeededEnd(Counts{8, 16, 24}), 0U);       // 16 and 16
  EXPECT_EQ(leastNeededEnd(Counts{16, 24, 32}), 1U);      // 24 and 16
  EXPECT_EQ(leastNeededEnd(Counts{16, 32, 40, 44}), 2U);  // 32, 24 and 12: the last end is never the one
  EXPECT_EQ(leastNeededEnd(Counts{3, 4}), 0U);
  // By hand: nine portions of 8 merge the first two, ten the next two, and so on.
  EXPECT_THAT(endsOf(72), ElementsAre(16, 24, 32, 40, 48, 56, 64, 72));
  EXPECT_THAT(endsOf(80), ElementsAre(16, 32, 40, 48, 56, 64, 72, 80));
  EXPECT_THAT(endsOf(100), ElementsAre(16, 32, 48, 64, 72, 80, 88, 100));
  EXPECT_THAT(endsOf(40, 3), ElementsAre(16, 32, 40));
}

TEST(SectionRule, OneSectionIsTheWholeBook) {
  EXPECT_THAT(endsOf(100, 1), ElementsAre(100));
  EXPECT_THAT(endsOf(3, 1), ElementsAre(3));
}

TEST(SectionRule, ALongBookHasAllItsSectionsAndNoneIsMuchLongerThanAnother) {
  for (std::int64_t segments = 8; segments <= 4650; segments += segments < 700 ? 1 : 79) {
    const Counts ends = endsOf(segments), sizes = sizesOf(ends);
    ASSERT_EQ(ends.size(), static_cast<std::size_t>(std::min<std::int64_t>(8, (segments + 7) / 8))) << segments;
    ASSERT_EQ(std::accumulate(sizes.begin(), sizes.end(), std::int64_t{0}), segments);
    const double mean = static_cast<double>(segments) / static_cast<double>(sizes.size());
    ASSERT_LE(static_cast<double>(*std::ranges::max_element(sizes)), 2.3 * mean) << segments;
    ASSERT_GE(*std::ranges::min_element(sizes), 1);
  }
  const Counts sizes = sizesOf(endsOf(4650));  // about a million tokens in segments of 256, less what is cut off
  EXPECT_EQ(sizes.size(), 8U);
  EXPECT_LE(*std::ranges::max_element(sizes), 2 * *std::ranges::min_element(sizes));
}

TEST(SectionRule, GoingOnFromKeptEndsIsReadingInOneGo) {
  Counts ends = endsOf(2000);
  for (std::int64_t read = 2000; read < 4000;) {
    ends.push_back(read += 8);
    while (ends.size() > 8) ends.erase(ends.begin() + static_cast<std::ptrdiff_t>(leastNeededEnd(ends)));
  }
  EXPECT_EQ(ends, endsOf(4000));
}

}  // namespace
}  // namespace palimpsest::engine
