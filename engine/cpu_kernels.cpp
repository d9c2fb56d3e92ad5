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
#include "engine/cpu_pairs-inl.h"
#include "engine/cpu_products-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace palimpsest::engine {
namespace HWY_NAMESPACE {

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

struct ShortSilu {
  HWY_INLINE Vector operator()(Vector g, Vector u) const {
    const Vector one = hn::Set(D(), 1.0F);
    const Vector divisor = hn::Add(one, shortExp(hn::Neg(g)));
    const Vector near = hn::ApproximateReciprocal(divisor);
    const Vector reciprocal = hn::MulAdd(near, hn::NegMulAdd(divisor, near, one), near);  // Newton's step
    return hn::Mul(hn::Mul(g, u), reciprocal);
  }
};

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
