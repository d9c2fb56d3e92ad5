// Where a book is cut into sections. While it is read, every portion of a pass (some 256 tokens) ends one; when there
// are too many, two neighbours are merged, so that a long book has always the same number and none of them is much
// longer than another.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace palimpsest::engine {

// `ends` e_1 < ... < e_k: how many segments had been read where each section ends; the last end is where reading is
// now. Returns the place in `ends` (counted from 0) of the one that goes when there is one too many: the end between
// the two neighbours that hold the fewest segments together (e_{i+1} - e_{i-1} is smallest, with e_0 = 0), the earliest
// of several, never the last. Depends on the counts alone. `ends` holds at least two. Any thread.
std::size_t leastNeededEnd(std::span<const std::int64_t> ends);

}  // namespace palimpsest::engine
