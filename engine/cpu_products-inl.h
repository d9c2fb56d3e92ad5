// Products in f32: of matrices, of a row with many.
#if defined(PALIMPSEST_ENGINE_CPU_PRODUCTS_INL_H) == defined(HWY_TARGET_TOGGLE)  // once for each instruction set
#ifdef PALIMPSEST_ENGINE_CPU_PRODUCTS_INL_H
#undef PALIMPSEST_ENGINE_CPU_PRODUCTS_INL_H
#else
#define PALIMPSEST_ENGINE_CPU_PRODUCTS_INL_H
#endif

#include "engine/cpu_vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace palimpsest::engine {
namespace HWY_NAMESPACE {

// Registers of one tile of a product: 6 rows x 4 vectors where there are 32 registers, 6 x 2 where there are 16.
constexpr int kTileRows = 6;
constexpr int kTileVectors = (HWY_MAX_BYTES >= 64 || HWY_ARCH_ARM) ? 4 : 2;

float dot(const float* x, const float* y, int n) {
  Vector sum0 = hn::Zero(D());
  Vector sum1 = hn::Zero(D());
  int i = 0;
  for (; i + 2 * kLanes <= n; i += 2 * kLanes) {
    sum0 = hn::MulAdd(hn::LoadU(D(), x + i), hn::LoadU(D(), y + i), sum0);
    sum1 = hn::MulAdd(hn::LoadU(D(), x + i + kLanes), hn::LoadU(D(), y + i + kLanes), sum1);
  }
  for (; i < n; i += kLanes) {
    const int left = std::min(n - i, kLanes);
    sum0 = hn::MulAdd(loadFirst(x + i, left), loadFirst(y + i, left), sum0);
  }
  return sumLanes(hn::Add(sum0, sum1));
}

float dotBFloat16(const Bf16* x, const float* y, int n) {
  Vector sum = hn::Zero(D());
  int i = 0;
  for (; i + kLanes <= n; i += kLanes) sum = hn::MulAdd(widen(hn::LoadU(D16(), x + i)), hn::LoadU(D(), y + i), sum);
  if (i < n) sum = hn::MulAdd(widen(loadFirst16(x + i, n - i)), loadFirst(y + i, n - i), sum);
  return sumLanes(sum);
}

// One tile of a product: kRows x (kVectors vectors) of C stay in registers while p runs over k.
// lastLanes < kLanes: only that many lanes of the last vector exist in memory.
template <int kRows, int kVectors, bool kWhole>
HWY_INLINE void productTile(int k, const float* a, std::ptrdiff_t aRow, std::ptrdiff_t aColumn, const float* b,
                            std::ptrdiff_t bRow, float* c, std::ptrdiff_t cRow, bool accumulate, int lastLanes) {
  Vector sum[kRows][kVectors];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) sum[r][v] = hn::Zero(D());
  }
  for (int p = 0; p < k; ++p) {
    Vector bv[kVectors];
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      bv[v] = kWhole ? hn::LoadU(D(), b + v * kLanes) : loadFirst(b + v * kLanes, lastLanes);
    }
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const Vector av = hn::Set(D(), a[r * aRow]);
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) sum[r][v] = hn::MulAdd(av, bv[v], sum[r][v]);
    }
    a += aColumn;
    b += bRow;
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      float* out = c + r * cRow + v * kLanes;
      if constexpr (kWhole) {
        hn::StoreU(accumulate ? hn::Add(hn::LoadU(D(), out), sum[r][v]) : sum[r][v], D(), out);
      } else {
        storeFirst(accumulate ? hn::Add(loadFirst(out, lastLanes), sum[r][v]) : sum[r][v], out, lastLanes);
      }
    }
  }
}

template <int kVectors, bool kWhole>
HWY_INLINE void productColumns(int m, int k, const float* a, std::ptrdiff_t aRow, std::ptrdiff_t aColumn,
                               const float* b, std::ptrdiff_t bRow, float* c, std::ptrdiff_t cRow, bool accumulate,
                               int lastLanes) {
  int i = 0;
  for (; i + kTileRows <= m; i += kTileRows) {
    productTile<kTileRows, kVectors, kWhole>(k, a + i * aRow, aRow, aColumn, b, bRow, c + i * cRow, cRow, accumulate,
                                             lastLanes);
  }
  for (; i + 2 <= m; i += 2) {
    productTile<2, kVectors, kWhole>(k, a + i * aRow, aRow, aColumn, b, bRow, c + i * cRow, cRow, accumulate,
                                     lastLanes);
  }
  if (i < m)
    productTile<1, kVectors, kWhole>(k, a + i * aRow, aRow, aColumn, b, bRow, c + i * cRow, cRow, accumulate,
                                     lastLanes);
}

void product(int m, int n, int k, const float* a, std::ptrdiff_t aRow, std::ptrdiff_t aColumn, const float* b,
             std::ptrdiff_t bRow, float* c, std::ptrdiff_t cRow, bool accumulate) {
  int j = 0;
  for (; j + kTileVectors * kLanes <= n; j += kTileVectors * kLanes) {
    productColumns<kTileVectors, true>(m, k, a, aRow, aColumn, b + j, bRow, c + j, cRow, accumulate, kLanes);
  }
  for (; j + kLanes <= n; j += kLanes) {
    productColumns<1, true>(m, k, a, aRow, aColumn, b + j, bRow, c + j, cRow, accumulate, kLanes);
  }
  if (j < n) productColumns<1, false>(m, k, a, aRow, aColumn, b + j, bRow, c + j, cRow, accumulate, n - j);
}

void packKeys(const float* keys, std::ptrdiff_t keyRow, int rows, int dim, float* panels) {
  for (int first = 0; first < rows; first += kKeyPanel) {
    const int here = std::min(kKeyPanel, rows - first);
    for (int d = 0; d < dim; ++d) {
      float* out = panels + d * kKeyPanel;
      const float* in = keys + first * keyRow + d;
      for (int j = 0; j < here; ++j) out[j] = in[j * keyRow];
      for (int j = here; j < kKeyPanel; ++j) out[j] = 0.0F;
    }
    panels += dim * kKeyPanel;
  }
}

void scoreRows(const float* query, const float* keys, std::ptrdiff_t keyRow, int rows, int dim, float* scores) {
  for (int j = 0; j < rows; ++j) scores[j] = dot(query, keys + j * keyRow, dim);
}

void weighRows(const float* weights, const float* values, std::ptrdiff_t valueRow, int rows, int dim, float* out) {
  product(1, dim, rows, weights, 0, 1, values, valueRow, out, 0, false);
}

void scoreRowsBFloat16(const float* query, const Bf16* keys, std::ptrdiff_t keyRow, int rows, int dim, float* scores) {
  for (int j = 0; j < rows; ++j) scores[j] = dotBFloat16(keys + j * keyRow, query, dim);
}

void weighRowsBFloat16(const float* weights, const Bf16* values, std::ptrdiff_t valueRow, int rows, int dim,
                       float* out) {
  for (int c = 0; c < dim; c += 4 * kLanes) {
    Vector sums[4] = {hn::Zero(D()), hn::Zero(D()), hn::Zero(D()), hn::Zero(D())};
    for (int j = 0; j < rows; ++j) {
      const Vector weight = hn::Set(D(), weights[j]);
#pragma GCC unroll 4
      for (int v = 0; v < 4; ++v) {
        sums[v] = hn::MulAdd(weight, widen(lanesOf(values, valueRow, j, rows, c + v * kLanes, dim)), sums[v]);
      }
    }
    for (int v = 0; v < 4 && c + v * kLanes < dim; ++v) {
      storeFirst(sums[v], out + c + v * kLanes, std::min(kLanes, dim - c - v * kLanes));
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace palimpsest::engine
HWY_AFTER_NAMESPACE();

#endif
