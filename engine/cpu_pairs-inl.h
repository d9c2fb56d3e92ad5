// Sides of bf16 products as CPUs with matrix tiles read them; see kTilePanel.
#if defined(PALIMPSEST_ENGINE_CPU_PAIRS_INL_H) == defined(HWY_TARGET_TOGGLE)  // once for each instruction set
#ifdef PALIMPSEST_ENGINE_CPU_PAIRS_INL_H
#undef PALIMPSEST_ENGINE_CPU_PAIRS_INL_H
#else
#define PALIMPSEST_ENGINE_CPU_PAIRS_INL_H
#endif

#include <hwy/cache_control.h>

#include "engine/cpu_vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace palimpsest::engine {
namespace HWY_NAMESPACE {

struct ShortSigma {
  HWY_INLINE Vector operator()(Vector x) const {
    return hn::IfThenElse(hn::Gt(x, hn::Zero(D())), hn::Add(x, hn::Set(D(), 1.0F)), shortExp(x));
  }
};

// Two floats of a lane to one word of two bf16, the first one below.
HWY_INLINE hn::Vec<D32> pairOf(Vector first, Vector second) {
  return hn::Or(hn::ShiftRight<16>(roundBits(first)), hn::And(roundBits(second), hn::Set(D32(), 0xFFFF0000U)));
}

HWY_INLINE std::uint32_t* words(Bf16* x) { return reinterpret_cast<std::uint32_t*>(x); }

HWY_INLINE hn::Vec<D32> pairOf(hn::Vec<D16> first, hn::Vec<D16> second) {
  return hn::Or(hn::PromoteTo(D32(), first), hn::ShiftLeft<16>(hn::PromoteTo(D32(), second)));
}

// Rows of one head lie kilobytes apart, where no hardware fetches ahead.
constexpr int kPrefetched = 8;

HWY_INLINE void prefetchRow(const Bf16* x, std::ptrdiff_t xRow, int row, int rows, int columns) {
  if (row >= rows) return;
  for (int c = 0; c < columns; c += 64 / static_cast<int>(sizeof(Bf16))) hwy::Prefetch(x + row * xRow + c);
}

void pairRows(const Bf16* x, std::ptrdiff_t xRow, int rows, int columns, int depth, Bf16* out) {
  std::uint32_t* to = words(out);
  for (int panel = 0; panel < columns; panel += kTilePanel) {
    for (int r = 0; r < depth; r += 2) {
      prefetchRow(x + panel, xRow, r + kPrefetched, rows, std::min(kTilePanel, columns - panel));
      prefetchRow(x + panel, xRow, r + kPrefetched + 1, rows, std::min(kTilePanel, columns - panel));
      for (int c = panel; c < panel + kTilePanel; c += kLanes, to += kLanes) {
        hn::StoreU(pairOf(lanesOf(x, xRow, r, rows, c, columns), lanesOf(x, xRow, r + 1, rows, c, columns)), D32(), to);
      }
    }
  }
}

void pairRowsInTwo(const float* x, std::ptrdiff_t xRow, int rows, int columns, int depth, Bf16* out) {
  const std::ptrdiff_t below = static_cast<std::ptrdiff_t>(depth) / 2 * kTilePanel;  // words of one half
  std::uint32_t* to = words(out);
  for (int panel = 0; panel < columns; panel += kTilePanel, to += below) {
    for (int r = 0; r < depth; r += 2) {
      for (int c = panel; c < panel + kTilePanel; c += kLanes, to += kLanes) {
        const Vector first = lanesOf(x, xRow, r, rows, c, columns);
        const Vector second = lanesOf(x, xRow, r + 1, rows, c, columns);
        hn::StoreU(pairOf(first, second), D32(), to);
        hn::StoreU(pairOf(hn::Sub(first, roundedTo16(first)), hn::Sub(second, roundedTo16(second))), D32(), to + below);
      }
    }
  }
}

// out[j][i] = in[i][j] for a square of four words.
HWY_INLINE void transposeSquare(const std::uint32_t* in, std::ptrdiff_t inRow, std::uint32_t* out,
                                std::ptrdiff_t outRow) {
#if HWY_TARGET == HWY_SCALAR
  for (int i = 0; i < 4; ++i) {
    for (int j = 0; j < 4; ++j) std::memcpy(out + j * outRow + i, in + i * inRow + j, sizeof(*in));
  }
#else
  const hn::FixedTag<std::uint32_t, 4> d;
  const hn::FixedTag<std::uint64_t, 2> pairs;
  const auto a = hn::LoadU(d, in), b = hn::LoadU(d, in + inRow);
  const auto c = hn::LoadU(d, in + 2 * inRow), e = hn::LoadU(d, in + 3 * inRow);
  const auto abLow = hn::BitCast(pairs, hn::InterleaveLower(d, a, b));
  const auto ceLow = hn::BitCast(pairs, hn::InterleaveLower(d, c, e));
  const auto abHigh = hn::BitCast(pairs, hn::InterleaveUpper(d, a, b));
  const auto ceHigh = hn::BitCast(pairs, hn::InterleaveUpper(d, c, e));
  hn::StoreU(hn::BitCast(d, hn::InterleaveLower(pairs, abLow, ceLow)), d, out);
  hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(pairs, abLow, ceLow)), d, out + outRow);
  hn::StoreU(hn::BitCast(d, hn::InterleaveLower(pairs, abHigh, ceHigh)), d, out + 2 * outRow);
  hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(pairs, abHigh, ceHigh)), d, out + 3 * outRow);
#endif
}

void pairColumns(const Bf16* x, std::ptrdiff_t xRow, int rows, int columns, int depth, int width, Bf16* out) {
  alignas(64) Bf16 four[4][kTileDepth];  // kTileDepth columns of four rows
  for (int panel = 0; panel < width; panel += kTilePanel) {
    std::uint32_t* to = words(out) + static_cast<std::ptrdiff_t>(panel) * (depth / 2);
    for (int r = panel; r < panel + kTilePanel; r += 4) {
      for (int i = 0; i < 4; ++i) prefetchRow(x, xRow, r + kPrefetched + i, rows, columns);
      for (int c = 0; c < depth; c += kTileDepth) {
        for (int i = 0; i < 4; ++i) {
          for (int j = 0; j < kTileDepth; j += kLanes)
            hn::StoreU(lanesOf(x, xRow, r + i, rows, c + j, columns), D16(), four[i] + j);
        }
        for (int j = 0; j < kTileDepth / 2; j += 4) {
          transposeSquare(words(four[0]) + j, kTileDepth / 2, to + (c / 2 + j) * kTilePanel + r - panel, kTilePanel);
        }
      }
    }
  }
}

void sigmaTransposed(const Bf16* x, std::ptrdiff_t xRow, int rows, int columns, int depth, Bf16* out, float* sum) {
  // Runs of columns of kTileDepth rows, so that whole cache lines are read and written.
  constexpr int kRun = 128, kPairs = kTileDepth / 2;
  const ShortSigma sigma;
  alignas(64) std::uint32_t pairs[kPairs][kRun];
  std::uint32_t spare[16];  // for columns that fill up the last square
  std::fill_n(sum, columns, 0.0F);
  for (int run = 0; run < columns; run += kRun) {
    const int width = std::min(kRun, columns - run);
    for (int r = 0; r < depth; r += kTileDepth) {
      for (int i = 0; i < kPairs; ++i) {
        const int row = r + 2 * i;
        prefetchRow(x + run, xRow, row + kPrefetched, rows, width);
        prefetchRow(x + run, xRow, row + kPrefetched + 1, rows, width);
        for (int c = 0; c < width; c += kLanes) {
          Vector first = hn::Zero(D()), second = hn::Zero(D());
          if (row < rows) first = roundedTo16(sigma(widen(lanesOf(x, xRow, row, rows, run + c, columns))));
          if (row + 1 < rows) second = roundedTo16(sigma(widen(lanesOf(x, xRow, row + 1, rows, run + c, columns))));
          hn::StoreU(pairOf(first, second), D32(), pairs[i] + c);
          float* total = sum + run + c;
          const Vector both = hn::Add(first, second);
          if (c + kLanes <= width) {
            hn::StoreU(hn::Add(hn::LoadU(D(), total), both), D(), total);
          } else {
            storeFirst(hn::Add(loadFirst(total, width - c), both), total, width - c);
          }
        }
      }
      for (int c = 0; c < width; c += 4) {
        std::uint32_t* to = words(out) + static_cast<std::ptrdiff_t>(run + c) * (depth / 2) + r / 2;
        for (int i = 0; i < kPairs; i += 4) {
          if (c + 4 <= width) {
            transposeSquare(pairs[i] + c, kRun, to + i, depth / 2);
          } else {
            transposeSquare(pairs[i] + c, kRun, spare, 4);
            for (int k = 0; c + k < width; ++k) std::memcpy(to + k * (depth / 2) + i, spare + 4 * k, 16);
          }
        }
      }
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace palimpsest::engine
HWY_AFTER_NAMESPACE();

#endif
