#include "engine/memory_sum.h"

#include <algorithm>
#include <functional>
#include <string>

#include "engine/errors.h"
#include "engine/transformer.h"

namespace palimpsest::engine {

namespace {

void checkRule(const Model& model, const char* verb, const char* instead) {
  if (!model.hasMemory()) {
    throw ModelError("The model '" + model.name() + "' has no memory heads, so there are no memories to " + verb +
                     ". Ask from passages only.");
  }
  const auto& infini = model.config().infiniAttention;
  if (infini && infini->memoryUpdate != MemoryUpdate::Linear) {
    throw ModelError(std::string("Only memories that were written by the linear rule can be ") + verb +
                     "ed, and the model '" + model.name() + "' writes by the delta rule. " + instead);
  }
}

void checkMemory(const Model& model, const MemorySnapshot& snapshot) {
  if (snapshot.fingerprint != model.fingerprint()) {
    throw ModelError("A memory that another model made cannot be added to those of '" + model.name() +
                     "'. Read that book again with it.");
  }
  if (snapshot.memory.shapes() != model.transformer().memoryShapes()) {
    throw ModelError("A memory of another shape cannot be added to those of '" + model.name() +
                     "'. Read that book again.");
  }
}

// into[i] = operation(into[i], other[i]): every M and every z of every layer.
template <typename Operation>
void combine(CompressiveMemory& into, const CompressiveMemory& other, Operation operation) {
  std::ranges::transform(into.values(), other.values(), into.values().begin(), operation);
}

}  // namespace

CompressiveMemory addMemories(const Model& model, std::span<const MemorySnapshot* const> memories) {
  checkRule(model, "add", "Ask its books one by one.");
  if (memories.empty()) throw ModelError("There is no memory to add. Choose a book that has been read.");
  for (const MemorySnapshot* snapshot : memories) checkMemory(model, *snapshot);
  CompressiveMemory sum = memories.front()->memory.clone();
  for (const MemorySnapshot* snapshot : memories.subspan(1)) {
    combine(sum, snapshot->memory, std::plus<>());
    sum.setTokens(sum.tokens() + snapshot->memory.tokens());
  }
  return sum;
}

CompressiveMemory subtractMemories(const Model& model, const MemorySnapshot& later, const MemorySnapshot& earlier) {
  checkRule(model, "subtract", "Ask the whole book, or up to a place in it.");
  checkMemory(model, later);
  checkMemory(model, earlier);
  if (earlier.reading.position > later.reading.position || earlier.memory.tokens() > later.memory.tokens()) {
    throw ModelError("A memory that was saved at byte " + std::to_string(earlier.reading.position) +
                     " of the text cannot be taken from one saved at byte " + std::to_string(later.reading.position) +
                     ": it has read further. Exchange the two.");
  }
  CompressiveMemory difference = later.memory.clone();
  combine(difference, earlier.memory, std::minus<>());
  difference.setTokens(later.memory.tokens() - earlier.memory.tokens());
  return difference;
}

}  // namespace palimpsest::engine
