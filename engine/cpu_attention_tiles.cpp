// Local attention and the memory's two operations for CPUs that multiply bf16 in tiles of registers (AMX): products in
// bf16, sums, softmax, M and z in f32. Right sides are packed once; then each tile of rows is one task.
#include <algorithm>
#include <cmath>

#include "engine/cpu_stream.h"

namespace palimpsest::engine {

namespace {

constexpr int kTileRows = 64;    // rows of queries that are multiplied together
constexpr int kExactPanels = 8;  // up to here each number of key panels has its own kernel; above, every eighth has

int keysOf(const PassSegment& segment) { return segment.firstPosition + segment.rows; }

constexpr int kPrefetched = 8;  // rows of one head lie kilobytes apart, where no hardware fetches ahead

void prefetch(const CpuBuffer& x, int row, int column, int columns) {
  if (row >= x.rows()) return;
  const int line = 64 / static_cast<int>(x.isBFloat16() ? sizeof(Bf16) : sizeof(float));
  for (int c = 0; c < columns; c += line) {
    __builtin_prefetch(x.isBFloat16() ? static_cast<const void*>(x.halves(row, column + c))
                                      : x.floats(row, column + c));
  }
}

// Columns that scores of so many keys take.
int keyColumns(int keys) {
  const int columns = roundedUp(keys, kTilePanel);
  return columns <= kExactPanels * kTilePanel ? columns : roundedUp(columns, kExactPanels * kTilePanel);
}

std::size_t area(int rows, int columns) { return static_cast<std::size_t>(rows) * static_cast<std::size_t>(columns); }

Bf16* halves(float* x) { return reinterpret_cast<Bf16*>(x); }

}  // namespace

// In bf16: K^T as a right side [dim x keys], V as one [keys x dim].
CpuStream::PackedSize CpuStream::tilePackedSize(int keys, int dim) {
  return {area(keyColumns(keys), roundedUp(dim, kTileDepth)), area(keyColumns(keys), roundedUp(dim, kTilePanel))};
}

void CpuStream::packHeadsForTiles(const CpuBuffer& keys, const CpuBuffer& values, int dim) {
#pragma omp parallel for schedule(static)
  for (int i = 0; i < static_cast<int>(packedHeads_.size()); ++i) {
    const PackedHead& p = packedHeads_[i];
    const PassSegment& segment = segments_[p.segment];
    const int count = keysOf(segment);
    Bf16* packed = halves(packed_->floats());
    kernels_.pairColumns(keys.halves(segment.keysBegin, p.key), keys.columns(), count, dim, roundedUp(dim, kTileDepth),
                         keyColumns(count), packed + p.panels);
    kernels_.pairRows(values.halves(segment.keysBegin, p.value), values.columns(), count, dim, keyColumns(count),
                      packed + p.rows);
  }
}

void CpuStream::localAttentionInTiles(const CpuBuffer& queries, const CpuBuffer& keys, const CpuBuffer& values,
                                      std::span<const LocalHead> heads, int dim, CpuBuffer& out) {
  const int depth = roundedUp(dim, kTileDepth);
  const float factor = 1.0F / std::sqrt(static_cast<float>(dim));
  cutTiles(static_cast<int>(heads.size()), kTileRows);
  packHeads(keys, values, heads, dim);
  const int perSegment = static_cast<int>(packedHeads_.size() / segments_.size());
  int longest = 0;
  tileKernels_.clear();
  for (const Tile& tile : tiles_) {  // keys after the tile's last query are left out
    const int width = keyColumns(segments_[tile.segment].firstPosition + tile.row + tile.rows);
    longest = std::max(longest, width);
    tileKernels_.push_back(
        {&tileProducts_.prepare({kTileRows, depth, width}), &tileProducts_.prepare({kTileRows, width, kTilePanel})});
  }
  const std::size_t scoresEnd = area(kTileRows, longest), mixedEnd = scoresEnd + area(kTileRows, kTilePanel);
  const std::size_t weightsEnd = mixedEnd + area(kTileRows, longest) / 2;
  needScratch(weightsEnd + area(kTileRows, depth) / 2);

#pragma omp parallel for schedule(static)
  for (int i = 0; i < static_cast<int>(tiles_.size()); ++i) {
    const Tile& tile = tiles_[i];
    const LocalHead& head = heads[tile.head];
    const PackedHead& packed = packedHeads_[tile.segment * perSegment + headKv_[tile.head]];
    const PassSegment& segment = segments_[tile.segment];
    const int row = segment.begin + tile.row;
    const int before = segment.firstPosition + tile.row;  // keys that every query of the tile sees, besides its own
    const int width = keyColumns(before + tile.rows);
    const int thread = omp_get_thread_num();
    float* scores = scratch();                     // [kTileRows x width]
    float* mixed = scratch() + scoresEnd;          // [kTileRows x kTilePanel]
    Bf16* weights = halves(scratch() + mixedEnd);  // [kTileRows x width]
    Bf16* query = halves(scratch() + weightsEnd);  // [kTileRows x depth]
    for (int r = 0; r < tile.rows; ++r) {
      prefetch(queries, row + r + kPrefetched, head.query, dim);
      prefetch(out, row + r, head.out, dim);
      Bf16* to = query + area(r, depth);
      std::copy_n(queries.halves(row + r, head.query), dim, to);
      std::fill(to + dim, to + depth, Bf16(0));
    }
    // Rows beyond the tile's are computed from what stands there; nothing reads them.
    const Bf16* rightSides = halves(packed_->floats());
    tileProducts_.run(*tileKernels_[i].first, thread, query, rightSides + packed.panels, scores);
    float sums[kTileRows];
    for (int r = 0; r < tile.rows; ++r) {
      sums[r] =
          kernels_.softmaxBFloat16(scores + area(r, width), before + r + 1, width, factor, weights + area(r, width));
    }
    for (int column = 0; column < dim; column += kTilePanel) {
      tileProducts_.run(*tileKernels_[i].second, thread, weights,
                        rightSides + packed.rows + area(column, keyColumns(keysOf(segment))), mixed);
      for (int r = 0; r < tile.rows; ++r) {
        put(1.0F / sums[r], mixed + area(r, kTilePanel), std::min(kTilePanel, dim - column), out, row + r,
            head.out + column);
      }
    }
  }
}

// The linear rule. sigma(K) counts in M and in z as rounded, so that what is read stays a mean of values.
void CpuStream::memoryWriteInTiles(const CpuBuffer& keys, const CpuBuffer& values, std::span<const MemoryWriter> heads,
                                   MemoryDims dims, CpuBuffer& states) {
  if (heads.empty()) return;
  const int headCount = static_cast<int>(heads.size());
  const int dk = dims.key, dv = dims.value;
  const int columns = roundedUp(dv, kTilePanel);
  int longest = 0;
  tileKernels_.clear();
  for (const PassSegment& segment : segments_) {
    const int depth = roundedUp(segment.rows - segment.unwritten, kTileDepth);
    longest = std::max(longest, depth);
    tileKernels_.push_back({&tileProducts_.prepare({dk, depth, columns}), nullptr});
  }
  const std::size_t keysEnd = area(longest, dk) / 2, valuesEnd = keysEnd + area(longest, columns) / 2;
  needScratch(valuesEnd + area(dk, columns));

#pragma omp parallel for schedule(static)
  for (int i = 0; i < static_cast<int>(segments_.size()) * headCount; ++i) {
    const int s = i / headCount;
    const MemoryWriter& head = heads[i % headCount];
    const PassSegment& segment = segments_[s];
    const int rows = segment.rows - segment.unwritten;
    const int depth = roundedUp(rows, kTileDepth);
    const int first = segment.keysBegin + segment.firstPosition + segment.unwritten;
    Bf16* sigmaK = halves(scratch());       // transposed, [dk x depth]
    Bf16* v = halves(scratch() + keysEnd);  // [depth x columns]
    float* matrix = states.floats(s + 1, head.matrix);
    float* product = columns == dv ? matrix : scratch() + valuesEnd;  // [dk x columns]
    kernels_.sigmaTransposed(keys.halves(first, head.key), keys.columns(), rows, dk, depth, sigmaK,
                             states.floats(s + 1, head.normalizer));
    kernels_.pairRows(values.halves(first, head.value), values.columns(), rows, dv, depth, v);
    tileProducts_.run(*tileKernels_[s].first, omp_get_thread_num(), sigmaK, v, product);
    for (int d = 0; product != matrix && d < dk; ++d) std::copy_n(product + area(d, columns), dv, matrix + area(d, dv));
  }
  sumStates(heads, dims, states);
}

// M goes into the product as the sum of two bf16, which keep 16 bits of it: what single sentences left in the memory of
// a long book is small beside the whole. So the left side is sigma(Q) twice.
void CpuStream::memoryReadInTiles(const CpuBuffer& queries, std::span<const MemoryReader> heads, MemoryDims dims,
                                  float epsilon, const CpuBuffer& states, CpuBuffer& out) {
  const int dk = dims.key, dv = dims.value;
  const int depth = roundedUp(dk, kTileDepth), columns = roundedUp(dv, kTilePanel);
  packedMatrices_.clear();
  headMatrix_.clear();
  for (const MemoryReader& head : heads) {
    const auto found = std::find(packedMatrices_.begin(), packedMatrices_.end(), head.matrix);
    headMatrix_.push_back(static_cast<int>(found - packedMatrices_.begin()));
    if (found == packedMatrices_.end()) packedMatrices_.push_back(head.matrix);
  }
  const int matrices = static_cast<int>(packedMatrices_.size());
  const std::size_t size = area(2 * depth, columns);  // in bf16
  needPacked(static_cast<std::size_t>(matrices) * segments_.size() * size / 2);
  Bf16* packed = halves(packed_->floats());
#pragma omp parallel for schedule(static)
  for (int i = 0; i < matrices * static_cast<int>(segments_.size()); ++i) {
    kernels_.pairRowsInTwo(states.floats(i / matrices, packedMatrices_[i % matrices]), dv, dk, dv, depth,
                           packed + static_cast<std::size_t>(i) * size);
  }

  cutTiles(static_cast<int>(heads.size()), kTileRows);
  CpuTileProducts::Product& product = tileProducts_.prepare({kTileRows, 2 * depth, columns});
  const std::size_t readEnd = area(kTileRows, columns);
  needScratch(readEnd + area(kTileRows, depth));
#pragma omp parallel for schedule(static)
  for (int i = 0; i < static_cast<int>(tiles_.size()); ++i) {
    const Tile& tile = tiles_[i];
    const MemoryReader& head = heads[tile.head];
    const float* z = states.floats(tile.segment, head.normalizer);
    const int row = segments_[tile.segment].begin + tile.row;
    float* read = scratch();                     // [kTileRows x columns]
    Bf16* sigmaQ = halves(scratch() + readEnd);  // [kTileRows x 2 depth]
    for (int r = 0; r < tile.rows; ++r) {
      prefetch(queries, row + r + kPrefetched, head.query, dk);
      prefetch(out, row + r, head.out, dv);
      Bf16* to = sigmaQ + area(r, 2 * depth);
      kernels_.sigmaBFloat16(queries.halves(row + r, head.query), dk, to);
      std::fill(to + dk, to + depth, Bf16(0));
      std::copy_n(to, depth, to + depth);
    }
    tileProducts_.run(product, omp_get_thread_num(), sigmaQ,
                      packed + static_cast<std::size_t>(tile.segment * matrices + headMatrix_[tile.head]) * size, read);
    for (int r = 0; r < tile.rows; ++r) {
      const float weight = kernels_.dotBFloat16(sigmaQ + area(r, 2 * depth), z, dk) + epsilon;
      const float* own = read + area(r, columns);
      put(readFactor(own, dv, weight, epsilon, head), own, dv, out, row + r, head.out);
    }
  }
}

}  // namespace palimpsest::engine
