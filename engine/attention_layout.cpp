#include "engine/attention_layout.h"

#include <algorithm>
#include <cmath>

namespace palimpsest::engine {

namespace {

struct PartColumns {
  int query, key, value, out;
};

// KV head `kv` of the layer's memory is its number `slot`, base heads counted first.
void addWriter(MemoryPart& part, const CompressiveMemory::LayerShape& shape, const PartColumns& at, int kv, int slot) {
  part.writers.push_back({at.key + kv * part.dims.key, at.value + kv * part.dims.value,
                          static_cast<int>(shape.matrixOffset(slot)), static_cast<int>(shape.normalizerOffset(slot))});
}

void addReader(MemoryPart& part, const CompressiveMemory::LayerShape& shape, const PartColumns& at, int head,
               int slot) {
  part.readers.push_back({at.query + head * part.dims.key, at.out + head * part.dims.value,
                          static_cast<int>(shape.matrixOffset(slot)), static_cast<int>(shape.normalizerOffset(slot))});
}

// Neighbours with the same gate are one run of columns.
void addGate(std::vector<GatedColumns>& gates, const GatedColumns& next) {
  if (!gates.empty() && gates.back().gate == next.gate && gates.back().column + gates.back().width == next.column) {
    gates.back().width += next.width;
  } else {
    gates.push_back(next);
  }
}

}  // namespace

float gateOf(float beta) {
  if (std::isinf(beta)) return beta > 0 ? 1.0F : 0.0F;
  return 1.0F / (1.0F + std::exp(-beta));
}

AttentionLayout makeAttentionLayout(const HeadCounts& base, const HeadCounts& added, std::span<const float> gates) {
  AttentionLayout layout;
  layout.base = base;
  layout.added = added;
  const MemoryDims addedDims = added.dims();
  const int baseQ = base.heads * base.dim, addedQ = added.heads * addedDims.key,
            addedOut = added.heads * addedDims.value;
  const int baseKv = base.kvHeads * base.dim, addedK = added.kvHeads * addedDims.key,
            addedV = added.kvHeads * addedDims.value;
  const int keys = baseQ + addedQ, values = keys + baseKv + addedK;
  const PartColumns basePart{0, keys, values, 0};
  const PartColumns addedPart{baseQ, keys + baseKv, values + baseKv, baseQ};
  layout.qkvWidth = values + baseKv + addedV;
  layout.attentionWidth = baseQ + addedOut;
  layout.rotated = {{0, base.heads}, {keys, base.kvHeads}};

  // Which base KV heads have a memory: those that any query head of their group reads.
  const int group = base.heads / base.kvHeads;
  std::vector<int> slots(static_cast<std::size_t>(base.kvHeads), -1);
  int memories = 0;
  for (int kv = 0; kv < base.kvHeads; ++kv) {
    const auto first = gates.begin() + (gates.empty() ? 0 : kv * group);
    if (!gates.empty() && std::any_of(first, first + group, [](float g) { return g > 0.0F; }))
      slots[static_cast<std::size_t>(kv)] = memories++;
  }
  if (memories > 0) layout.memoryShape.base = {memories, base.dim, base.dim};
  if (added.heads > 0) layout.memoryShape.added = {added.kvHeads, addedDims.key, addedDims.value};

  layout.baseMemory.dims = base.dims();
  layout.addedMemory.dims = addedDims;
  for (int kv = 0; kv < base.kvHeads; ++kv) {
    const int slot = slots[static_cast<std::size_t>(kv)];
    if (slot >= 0) addWriter(layout.baseMemory, layout.memoryShape, basePart, kv, slot);
  }
  for (int h = 0; h < base.heads; ++h) {
    const float gate = gates.empty() ? 0.0F : gates[static_cast<std::size_t>(h)];
    const int kv = h / group;
    const int out = basePart.out + h * base.dim;
    addGate(layout.gates, {out, base.dim, gate});
    if (gate < 1.0F)
      layout.local.push_back(
          {basePart.query + h * base.dim, basePart.key + kv * base.dim, basePart.value + kv * base.dim, out});
    if (gate > 0.0F) addReader(layout.baseMemory, layout.memoryShape, basePart, h, slots[static_cast<std::size_t>(kv)]);
  }
  for (int kv = 0; kv < added.kvHeads && added.heads > 0; ++kv)
    addWriter(layout.addedMemory, layout.memoryShape, addedPart, kv, memories + kv);
  for (int h = 0; h < added.heads; ++h) {
    addReader(layout.addedMemory, layout.memoryShape, addedPart, h, memories + h / (added.heads / added.kvHeads));
  }
  if (added.heads > 0) addGate(layout.gates, {addedPart.out, addedOut, 1.0F});

  layout.baseKeys = {keys, baseKv};
  layout.values = {values, baseKv + addedV};
  const int skipped = memories > 0 ? 0 : baseKv;
  layout.memoryKeys = {keys + skipped, baseKv + addedK - skipped};
  layout.memoryValues = {values + skipped, baseKv + addedV - skipped};
  return layout;
}

bool AttentionLayout::mixes() const {
  return std::any_of(gates.begin(), gates.end(), [](const GatedColumns& g) { return g.gate > 0.0F && g.gate < 1.0F; });
}

std::vector<LocalHead> moved(std::vector<LocalHead> heads, int key, int value) {
  for (LocalHead& head : heads) head.key += key, head.value += value;
  return heads;
}

std::vector<MemoryWriter> moved(std::vector<MemoryWriter> heads, int key, int value) {
  for (MemoryWriter& head : heads) head.key += key, head.value += value;
  return heads;
}

}  // namespace palimpsest::engine
