// Memories that were written by the linear rule add up (arXiv 2404.07143, section 2.2.2: M and z are sums over tokens):
// what a section of a book wrote is the difference of two snapshots of one reading, and a shelf of books that are kept
// in one section each is the sum of their memories.
#pragma once

#include <span>

#include "engine/compressive_memory.h"
#include "engine/memory_snapshot.h"
#include "engine/model.h"

namespace palimpsest::engine {

// M and z of every layer and part, in fp32, one book after the other in the order given: ((first + second) + third) +
// ... Rounding depends on that order, so who wants the same bits each time keeps to one. Not the bits of reading the
// books in one row: there the deeper layers of the later books would have read the earlier ones. Tokens are added as
// well. Any thread. Throws ModelError: no memory given, a model without memory heads or with another rule than linear,
// a memory of another model (fingerprint) or of another shape. The memories are not changed.
CompressiveMemory addMemories(const Model& model, std::span<const MemorySnapshot* const> memories);

// What was written between two snapshots of one reading: later - earlier, element by element in fp32. Throws
// ModelError like addMemories, and where `earlier` has read further than `later`.
CompressiveMemory subtractMemories(const Model& model, const MemorySnapshot& later, const MemorySnapshot& earlier);

}  // namespace palimpsest::engine
