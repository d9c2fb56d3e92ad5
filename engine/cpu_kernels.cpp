#include "engine/cpu_kernels.h"

#include <hwy/cache_control.h>

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
void scale(float factor, const float* x, int n, float* out) { map(x, n, out, Times{hn::Set(D(), factor)}); }
void add(const float* x, int n, float* sum) { map2(sum, x, n, sum, Plus()); }
void mix(float a, const float* x, float b, const float* y, int n, float* out) {
  map2(x, y, n, out, Mix{hn::Set(D(), a), hn::Set(D(), b)});
}

using D16 = hn::Rebind<std::uint16_t, D>;
using D32 = hn::Rebind<std::uint32_t, D>;
using DI32 = hn::Rebind<std::int32_t, D>;

HWY_INLINE Vector widen(hn::Vec<D16> x) { return hn::BitCast(D(), hn::ShiftLeft<16>(hn::PromoteTo(D32(), x))); }

// The upper half of each lane is x rounded to nearest, ties to even; NaN does not occur in activations.
HWY_INLINE hn::Vec<D32> roundBits(Vector x) {
  const auto bits = hn::BitCast(D32(), x);
  const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(D32(), 1U));
  return hn::Add(bits, hn::Add(odd, hn::Set(D32(), 0x7FFFU)));
}

HWY_INLINE hn::Vec<D16> upperHalves(hn::Vec<D32> bits) {
  return hn::DemoteTo(D16(), hn::BitCast(DI32(), hn::ShiftRight<16>(bits)));
}

HWY_INLINE hn::Vec<D16> narrow(Vector x) { return upperHalves(roundBits(x)); }

HWY_INLINE Vector roundedTo16(Vector x) {  // as a float again
  return hn::BitCast(D(), hn::And(roundBits(x), hn::Set(D32(), 0xFFFF0000U)));
}

// 2^x for -126 <= x <= 126, with a relative error below 5e-5: for what becomes bf16.
HWY_INLINE Vector shortExp2(Vector x) {
  const auto whole = hn::NearestInt(x);
  const Vector f = hn::Sub(x, hn::ConvertTo(D(), whole));  // -0.5 .. 0.5
  Vector p = hn::Set(D(), 9.6181291e-3F);                  // 2^f by its Taylor series
  p = hn::MulAdd(p, f, hn::Set(D(), 5.5504109e-2F));
  p = hn::MulAdd(p, f, hn::Set(D(), 2.4022651e-1F));
  p = hn::MulAdd(p, f, hn::Set(D(), 6.9314718e-1F));
  p = hn::MulAdd(p, f, hn::Set(D(), 1.0F));
  return hn::BitCast(D(), hn::Add(hn::BitCast(DI32(), p), hn::ShiftLeft<23>(whole)));
}

constexpr float kLog2E = 1.44269504F;

HWY_INLINE Vector shortExp(Vector x) {
  const Vector t = hn::Mul(x, hn::Set(D(), kLog2E));
  return shortExp2(hn::Min(hn::Max(t, hn::Set(D(), -126.0F)), hn::Set(D(), 126.0F)));
}

struct ShortSilu {
  HWY_INLINE Vector operator()(Vector g, Vector u) const {
    const Vector one = hn::Set(D(), 1.0F);
    const Vector divisor = hn::Add(one, shortExp(hn::Neg(g)));
    const Vector near = hn::ApproximateReciprocal(divisor);
    const Vector reciprocal = hn::MulAdd(near, hn::NegMulAdd(divisor, near, one), near);  // Newton's step
    return hn::Mul(hn::Mul(g, u), reciprocal);
  }
};

struct ShortSigma {
  HWY_INLINE Vector operator()(Vector x) const {
    return hn::IfThenElse(hn::Gt(x, hn::Zero(D())), hn::Add(x, hn::Set(D(), 1.0F)), shortExp(x));
  }
};

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

void scaleToBFloat16(float factor, const float* x, int n, Bf16* out) {
  const Vector by = hn::Set(D(), factor);
  int i = 0;
  for (; i + kLanes <= n; i += kLanes) hn::StoreU(narrow(hn::Mul(by, hn::LoadU(D(), x + i))), D16(), out + i);
  if (i < n) storeFirst16(narrow(hn::Mul(by, loadFirst(x + i, n - i))), out + i, n - i);
}

void sigmaBFloat16(const Bf16* x, int n, Bf16* out) {
  const ShortSigma sigma;
  int i = 0;
  for (; i + kLanes <= n; i += kLanes) hn::StoreU(narrow(sigma(widen(hn::LoadU(D16(), x + i)))), D16(), out + i);
  if (i < n) storeFirst16(narrow(sigma(widen(loadFirst16(x + i, n - i)))), out + i, n - i);
}

void toFloat(const Bf16* x, int n, float* out) {
  int i = 0;
  for (; i + kLanes <= n; i += kLanes) hn::StoreU(widen(hn::LoadU(D16(), x + i)), D(), out + i);
  if (i < n) storeFirst(widen(loadFirst16(x + i, n - i)), out + i, n - i);
}

void siluMulBFloat16(const Bf16* gate, const Bf16* up, int n, Bf16* out) {
  const ShortSilu silu;
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

float dotBFloat16(const Bf16* x, const float* y, int n) {
  Vector sum = hn::Zero(D());
  int i = 0;
  for (; i + kLanes <= n; i += kLanes) sum = hn::MulAdd(widen(hn::LoadU(D16(), x + i)), hn::LoadU(D(), y + i), sum);
  if (i < n) sum = hn::MulAdd(widen(loadFirst16(x + i, n - i)), loadFirst(y + i, n - i), sum);
  return sumLanes(sum);
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

void ropeBFloat16(Bf16* x, const float* cosines, const float* sines, int half) {
  int i = 0;
  for (; i + kLanes <= half; i += kLanes) {
    Vector x1 = widen(hn::LoadU(D16(), x + i));
    Vector x2 = widen(hn::LoadU(D16(), x + half + i));
    rotate(x1, x2, hn::LoadU(D(), cosines + i), hn::LoadU(D(), sines + i));
    hn::StoreU(narrow(x1), D16(), x + i);
    hn::StoreU(narrow(x2), D16(), x + half + i);
  }
  if (i < half) {
    const int left = half - i;
    Vector x1 = widen(loadFirst16(x + i, left));
    Vector x2 = widen(loadFirst16(x + half + i, left));
    rotate(x1, x2, loadFirst(cosines + i, left), loadFirst(sines + i, left));
    storeFirst16(narrow(x1), x + i, left);
    storeFirst16(narrow(x2), x + half + i, left);
  }
}

HWY_INLINE float largestOf(const float* x, int n) {
  float largest = x[0];
  int i = 0;
  if (n >= kLanes) {
    Vector top = hn::LoadU(D(), x);
    for (i = kLanes; i + kLanes <= n; i += kLanes) top = hn::Max(top, hn::LoadU(D(), x + i));
    largest = hn::GetLane(hn::MaxOfLanes(D(), top));
  }
  for (; i < n; ++i) largest = std::max(largest, x[i]);
  return largest;
}

float softmax(float* x, int n, float factor) {
  const Vector max = hn::Set(D(), largestOf(x, n));
  const Vector by = hn::Set(D(), factor);
  Vector sum = hn::Zero(D());
  int i = 0;
  for (; i + kLanes <= n; i += kLanes) {
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

float softmaxBFloat16(const float* x, int n, int width, float factor, Bf16* out) {
  const Vector by = hn::Set(D(), factor * kLog2E);
  const Vector top = hn::Mul(hn::Set(D(), largestOf(x, n)), by);
  const auto weigh = [&](Vector score) {
    return roundBits(shortExp2(hn::Max(hn::MulSub(score, by, top), hn::Set(D(), -126.0F))));
  };
  const auto mask = hn::Set(D32(), 0xFFFF0000U);
  Vector sum = hn::Zero(D());
  int i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const auto bits = weigh(hn::LoadU(D(), x + i));
    hn::StoreU(upperHalves(bits), D16(), out + i);
    sum = hn::Add(sum, hn::BitCast(D(), hn::And(bits, mask)));
  }
  if (i < n) {
    const int left = n - i;
    const auto bits = weigh(loadFirst(x + i, left));
    storeFirst16(upperHalves(bits), out + i, left);
    const auto exists = hn::FirstN(D(), static_cast<std::size_t>(left));
    sum = hn::Add(sum, hn::IfThenElseZero(exists, hn::BitCast(D(), hn::And(bits, mask))));
  }
  std::memset(out + n, 0, static_cast<std::size_t>(width - n) * sizeof(Bf16));
  return sumLanes(sum);
}

// Two floats of a lane to one word of two bf16, the first one below.
HWY_INLINE hn::Vec<D32> pairOf(Vector first, Vector second) {
  return hn::Or(hn::ShiftRight<16>(roundBits(first)), hn::And(roundBits(second), hn::Set(D32(), 0xFFFF0000U)));
}

HWY_INLINE std::uint32_t* words(Bf16* x) { return reinterpret_cast<std::uint32_t*>(x); }

// Lanes [column, column + kLanes) of a row; zeros beyond the last column, and for a row that is not there.
HWY_INLINE Vector lanesOf(const float* x, std::ptrdiff_t xRow, int row, int rows, int column, int columns) {
  if (row >= rows || column >= columns) return hn::Zero(D());
  const float* from = x + row * xRow + column;
  return column + kLanes <= columns ? hn::LoadU(D(), from) : loadFirst(from, columns - column);
}

HWY_INLINE hn::Vec<D16> lanesOf(const Bf16* x, std::ptrdiff_t xRow, int row, int rows, int column, int columns) {
  if (row >= rows || column >= columns) return hn::Zero(D16());
  const Bf16* from = x + row * xRow + column;
  return column + kLanes <= columns ? hn::LoadU(D16(), from) : loadFirst16(from, columns - column);
}

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

const CpuKernels& kernels() {
  static const CpuKernels table = {rmsNorm,
                                   siluMul,
                                   siluMulBFloat16,
                                   toBFloat16,
                                   toFloat,
                                   mix,
                                   rope,
                                   sigma,
                                   add,
                                   scale,
                                   scaleToBFloat16,
                                   dot,
                                   softmax,
                                   product,
                                   packKeys,
                                   scoreRows,
                                   weighRows,
                                   ropeBFloat16,
                                   sigmaBFloat16,
                                   dotBFloat16,
                                   softmaxBFloat16,
                                   scoreRowsBFloat16,
                                   weighRowsBFloat16,
                                   pairRows,
                                   pairRowsInTwo,
                                   pairColumns,
                                   sigmaTransposed};
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
