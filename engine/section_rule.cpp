#include "engine/section_rule.h"

namespace palimpsest::engine {

std::size_t leastNeededEnd(std::span<const std::int64_t> ends) {
  const auto held = [&](std::size_t i) { return ends[i + 1] - (i == 0 ? 0 : ends[i - 1]); };
  std::size_t least = 0;
  for (std::size_t i = 1; i + 1 < ends.size(); ++i)
    if (held(i) < held(least)) least = i;
  return least;
}

}  // namespace palimpsest::engine
