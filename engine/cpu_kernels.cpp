#include "engine/cpu_kernels.h"

#include <algorithm>
#include <cmath>
#include <cstring>

// Vectors of unknown size (SVE) cannot stand in arrays; NEON serves those CPUs.
#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/cpu_kernels.cpp"
// clang-format off
#include <hwy/foreach_target.h>  // must come first
#include <hwy/highway.h>
#include <hwy/contrib/math/math-inl.h>
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace palimpsest::engine {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using D = hn::ScalableTag<float>;
using Vector = hn::Vec<D>;
constexpr int kLanes = static_cast<int>(hn::MaxLanes(D()));
// Registers of one tile of a product: 6 rows x 4 vectors where there are 32 registers, 6 x 2 where there are 16.
constexpr int kTileRows = 6;
constexpr int kTileVectors = (HWY_MAX_BYTES >= 64 || HWY_ARCH_ARM) ? 4 : 2;

HWY_INLINE Vector loadFirst(const float* x, int n) {
  alignas(64) float lanes[kLanes] = {};
  std::memcpy(lanes, x, static_cast<std::size_t>(n) * sizeof(float));
  return hn::Load(D(), lanes);
}

HWY_INLINE void storeFirst(Vector v, float* x, int n) {
  alignas(64) float lanes[kLanes];
  hn::Store(v, D(), lanes);
  std::memcpy(x, lanes, static_cast<std::size_t>(n) * sizeof(float));
}

HWY_INLINE float sumLanes(Vector v) { return hn::GetLane(hn::SumOfLanes(D(), v)); }

// out[i] = f(x[i]) for whole vectors, then for what is left.
template <class F>
HWY_INLINE void map(const float* x, int n, float* out, F f) {
  int i = 0;
  for (; i + kLanes <= n; i += kLanes) hn::StoreU(f(hn::LoadU(D(), x + i)), D(), out + i);
  if (i < n) storeFirst(f(loadFirst(x + i, n - i)), out + i, n - i);
}

template <class F>
HWY_INLINE void map2(const float* x, const float* y, int n, float* out, F f) {
  int i = 0;
  for (; i + kLanes <= n; i += kLanes) hn::StoreU(f(hn::LoadU(D(), x + i), hn::LoadU(D(), y + i)), D(), out + i);
  if (i < n) storeFirst(f(loadFirst(x + i, n - i), loadFirst(y + i, n - i)), out + i, n - i);
}

struct Silu {  // g / (1 + exp(-g)) * u
  HWY_INLINE Vector operator()(Vector g, Vector u) const {
    const Vector one = hn::Set(D(), 1.0F);
    return hn::Mul(hn::Div(g, hn::Add(one, hn::Exp(D(), hn::Neg(g)))), u);
  }
};

struct Sigma {  // ELU(x) + 1: x + 1 above 0, exp(x) below
  HWY_INLINE Vector operator()(Vector x) const {
    const Vector zero = hn::Zero(D());
    return hn::IfThenElse(hn::Gt(x, zero), hn::Add(x, hn::Set(D(), 1.0F)), hn::Exp(D(), hn::Min(x, zero)));
  }
};

struct Mix {
  Vector a, b;
  HWY_INLINE Vector operator()(Vector x, Vector y) const { return hn::MulAdd(a, x, hn::Mul(b, y)); }
};

struct Times {
  Vector factor;
  HWY_INLINE Vector operator()(Vector x) const { return hn::Mul(factor, x); }
};

struct Plus {
  HWY_INLINE Vector operator()(Vector x, Vector y) const { return hn::Add(x, y); }
};

void siluMul(const float* gate, const float* up, int n, float* out) { map2(gate, up, n, out, Silu()); }
void sigma(const float* x, int n, float* out) { map(x, n, out, Sigma()); }
void scale(float factor, int n, float* x) { map(x, n, x, Times{hn::Set(D(), factor)}); }
void add(const float* x, int n, float* sum) { map2(sum, x, n, sum, Plus()); }
void mix(float a, const float* x, float b, const float* y, int n, float* out) {
  map2(x, y, n, out, Mix{hn::Set(D(), a), hn::Set(D(), b)});
}

using D16 = hn::Rebind<std::uint16_t, D>;
using D32 = hn::Rebind<std::uint32_t, D>;
using DI32 = hn::Rebind<std::int32_t, D>;

HWY_INLINE Vector widen(hn::Vec<D16> x) { return hn::BitCast(D(), hn::ShiftLeft<16>(hn::PromoteTo(D32(), x))); }

HWY_INLINE hn::Vec<D16> narrow(Vector x) {  // round to nearest, ties to even; NaN does not occur in activations
  const auto bits = hn::BitCast(D32(), x);
  const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(D32(), 1U));
  const auto rounded = hn::ShiftRight<16>(hn::Add(bits, hn::Add(odd, hn::Set(D32(), 0x7FFFU))));
  return hn::DemoteTo(D16(), hn::BitCast(DI32(), rounded));
}

HWY_INLINE hn::Vec<D16> loadFirst16(const Bf16* x, int n) {
  alignas(64) Bf16 lanes[kLanes] = {};
  std::memcpy(lanes, x, static_cast<std::size_t>(n) * sizeof(Bf16));
  return hn::Load(D16(), lanes);
}

HWY_INLINE void storeFirst16(hn::Vec<D16> v, Bf16* x, int n) {
  alignas(64) Bf16 lanes[kLanes];
  hn::Store(v, D16(), lanes);
  std::memcpy(x, lanes, static_cast<std::size_t>(n) * sizeof(Bf16));
}

void toBFloat16(const float* x, int n, Bf16* out) {
  int i = 0;
  for (; i + kLanes <= n; i += kLanes) hn::StoreU(narrow(hn::LoadU(D(), x + i)), D16(), out + i);
  if (i < n) storeFirst16(narrow(loadFirst(x + i, n - i)), out + i, n - i);
}

void toFloat(const Bf16* x, int n, float* out) {
  int i = 0;
  for (; i + kLanes <= n; i += kLanes) hn::StoreU(widen(hn::LoadU(D16(), x + i)), D(), out + i);
  if (i < n) storeFirst(widen(loadFirst16(x + i, n - i)), out + i, n - i);
}

void siluMulBFloat16(const Bf16* gate, const Bf16* up, int n, Bf16* out) {
  const Silu silu;
  int i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    hn::StoreU(narrow(silu(widen(hn::LoadU(D16(), gate + i)), widen(hn::LoadU(D16(), up + i)))), D16(), out + i);
  }
  if (i < n)
    storeFirst16(narrow(silu(widen(loadFirst16(gate + i, n - i)), widen(loadFirst16(up + i, n - i)))), out + i, n - i);
}

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

void rmsNorm(const float* x, const float* weight, int n, float epsilon, float* out) {
  const float meanSquare = dot(x, x, n) / static_cast<float>(n);
  const Vector factor = hn::Set(D(), 1.0F / std::sqrt(meanSquare + epsilon));
  int i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    hn::StoreU(hn::Mul(hn::Mul(hn::LoadU(D(), x + i), factor), hn::LoadU(D(), weight + i)), D(), out + i);
  }
  if (i < n)
    storeFirst(hn::Mul(hn::Mul(loadFirst(x + i, n - i), factor), loadFirst(weight + i, n - i)), out + i, n - i);
}

HWY_INLINE void rotate(Vector& x1, Vector& x2, Vector c, Vector s) {
  const Vector rotated = hn::NegMulAdd(x2, s, hn::Mul(x1, c));
  x2 = hn::MulAdd(x1, s, hn::Mul(x2, c));
  x1 = rotated;
}

void rope(float* x, const float* cosines, const float* sines, int half) {
  int i = 0;
  for (; i + kLanes <= half; i += kLanes) {
    Vector x1 = hn::LoadU(D(), x + i);
    Vector x2 = hn::LoadU(D(), x + half + i);
    rotate(x1, x2, hn::LoadU(D(), cosines + i), hn::LoadU(D(), sines + i));
    hn::StoreU(x1, D(), x + i);
    hn::StoreU(x2, D(), x + half + i);
  }
  if (i < half) {
    const int left = half - i;
    Vector x1 = loadFirst(x + i, left);
    Vector x2 = loadFirst(x + half + i, left);
    rotate(x1, x2, loadFirst(cosines + i, left), loadFirst(sines + i, left));
    storeFirst(x1, x + i, left);
    storeFirst(x2, x + half + i, left);
  }
}

float softmax(float* x, int n, float factor) {
  float largest = x[0];
  int i = 0;
  if (n >= kLanes) {
    Vector top = hn::LoadU(D(), x);
    for (i = kLanes; i + kLanes <= n; i += kLanes) top = hn::Max(top, hn::LoadU(D(), x + i));
    largest = hn::GetLane(hn::MaxOfLanes(D(), top));
  }
  for (; i < n; ++i) largest = std::max(largest, x[i]);

  const Vector max = hn::Set(D(), largest);
  const Vector by = hn::Set(D(), factor);
  Vector sum = hn::Zero(D());
  for (i = 0; i + kLanes <= n; i += kLanes) {
    const Vector e = hn::Exp(D(), hn::Mul(by, hn::Sub(hn::LoadU(D(), x + i), max)));
    hn::StoreU(e, D(), x + i);
    sum = hn::Add(sum, e);
  }
  if (i < n) {
    const int left = n - i;
    const Vector e = hn::Exp(D(), hn::Mul(by, hn::Sub(loadFirst(x + i, left), max)));
    storeFirst(e, x + i, left);
    sum = hn::Add(sum, loadFirst(x + i, left));  // the lanes beyond n do not count
  }
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

const CpuKernels& kernels() {
  static const CpuKernels table = {rmsNorm,   siluMul,  siluMulBFloat16, toBFloat16, toFloat, mix,     rope,
                                   sigma,     add,      scale,           dot,        softmax, product, packKeys,
                                   scoreRows, weighRows};
  return table;
}

}  // namespace HWY_NAMESPACE
}  // namespace palimpsest::engine
HWY_AFTER_NAMESPACE();

#if HWY_ONCE  // Highway compiles this file once per instruction set; what follows only the first time
namespace palimpsest::engine {
HWY_EXPORT(kernels);
const CpuKernels& cpuKernels() {
  static const CpuKernels& chosen = HWY_DYNAMIC_DISPATCH(kernels)();
  return chosen;
}
}  // namespace palimpsest::engine
#endif
