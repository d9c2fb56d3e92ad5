// Compiled without contraction: a fused multiplication rounds once where other CPUs round twice.
#include "engine/quantize_kernels.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

// Vectors of unknown size (SVE) cannot stand in arrays; NEON serves those CPUs.
#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/quantize_kernels.cpp"
// clang-format off
#include <hwy/foreach_target.h>  // must come first
#include <hwy/highway.h>
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace palimpsest::engine::quantizing {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

constexpr int kRun = 16;  // weights of whose errors one sum is kept: as many on every CPU, so that sums are the same
using D = hn::CappedTag<float, kRun>;
using DI32 = hn::Rebind<std::int32_t, D>;
using DU32 = hn::Rebind<std::uint32_t, D>;
using DI8 = hn::Rebind<std::int8_t, D>;
using Vector = hn::Vec<D>;
constexpr int kLanes = static_cast<int>(hn::MaxLanes(D()));
constexpr int kVectors = kRun / kLanes;

constexpr int kLargestInt8 = 127;
constexpr float kLargestE4m3 = 448;
// The scales that are tried, as multiples of the one that gives -8 to a group's largest weight. With the first, weights
// of the other sign reach as far, and a group that was int4 before comes out as it was; with those below 1 some are cut
// off, and the rest get finer steps. On normal weights the relative error is 0.117 with the first alone, 0.103 with the
// second, 0.098 with these, 0.097 with eight.
constexpr std::array kInt4Scales = {8.0F / 7.0F, 1.0F, 0.9F, 0.81F, 0.73F};
constexpr int kScales = static_cast<int>(kInt4Scales.size());

HWY_INLINE Vector loadFirst(const float* x, int n) {
  alignas(64) float lanes[kLanes] = {};
  std::copy_n(x, n, lanes);
  return hn::Load(D(), lanes);
}

HWY_INLINE float toBFloat16(float x) {  // of a finite number
  const auto bits = std::bit_cast<std::uint32_t>(x);
  return std::bit_cast<float>((bits + 0x7FFFU + (bits >> 16 & 1U)) & 0xFFFF0000U);
}

HWY_INLINE Vector clampedInt4(Vector steps) {
  return hn::Round(hn::Max(hn::Min(steps, hn::Set(D(), kLargestInt4)), hn::Set(D(), kLeastInt4)));
}

HWY_INLINE void storeInt8(Vector x, std::int8_t* out) {  // whole numbers of -128..127
  hn::StoreU(hn::DemoteTo(DI8(), hn::ConvertTo(DI32(), x)), DI8(), out);
}

// The bits of E4M3, rounded to nearest, ties to even; what is too large becomes the largest.
HWY_INLINE hn::Vec<DI32> e4m3(Vector x) {
  constexpr float kLeastNormal = 0x1p-6F, kStepsToOne = 0x1p9F;
  constexpr int kDropped = 20, kExponents = 127 - 7;  // bits of the fraction; the biases' difference
  const Vector size = hn::Min(hn::Abs(x), hn::Set(D(), kLargestE4m3));
  const auto bits = hn::BitCast(DU32(), size);
  const auto odd = hn::And(hn::ShiftRight<kDropped>(bits), hn::Set(DU32(), 1U));
  const auto rounded = hn::Add(bits, hn::Add(odd, hn::Set(DU32(), (1U << (kDropped - 1)) - 1)));
  const auto normal = hn::Sub(hn::ShiftRight<kDropped>(rounded), hn::Set(DU32(), kExponents << 3));
  const auto small = hn::BitCast(DU32(), hn::NearestInt(hn::Mul(size, hn::Set(D(), kStepsToOne))));
  const auto isSmall = hn::RebindMask(DU32(), hn::Lt(size, hn::Set(D(), kLeastNormal)));
  const auto sign = hn::And(hn::ShiftRight<24>(hn::BitCast(DU32(), x)), hn::Set(DU32(), 0x80U));
  const auto made = hn::Or(sign, hn::IfThenElse(isSmall, small, normal));
  // As a signed byte, for the instructions that make bytes of words.
  return hn::ShiftRight<24>(hn::ShiftLeft<24>(hn::BitCast(DI32(), made)));
}

float extremeOf(const float* weights, int count) {
  Vector least = hn::Zero(D()), largest = hn::Zero(D()), wrong = hn::Zero(D());
  const auto take = [&](Vector x) HWY_ATTR {
    least = hn::Min(least, x);
    largest = hn::Max(largest, x);
    wrong = hn::Add(wrong, hn::Sub(x, x));  // 0, or NaN
  };
  int i = 0;
  for (; i + kLanes <= count; i += kLanes) take(hn::LoadU(D(), weights + i));
  if (i < count) take(loadFirst(weights + i, count - i));
  if (!hn::AllTrue(D(), hn::Eq(wrong, hn::Zero(D())))) return std::numeric_limits<float>::quiet_NaN();
  const float below = hn::GetLane(hn::MinOfLanes(D(), least)), above = hn::GetLane(hn::MaxOfLanes(D(), largest));
  return -below > above ? below : above;
}

// The squared errors of a group with each scale, in its own steps.
HWY_INLINE void errorsInt4(const float* weights, int count, const float (&inverses)[kScales],
                           float (&errors)[kScales]) {
  Vector sums[kScales][kVectors];
  for (auto& own : sums)
    for (Vector& sum : own) sum = hn::Zero(D());
  for (int i = 0; i < count; i += kRun) {
    for (int v = 0; v < kVectors; ++v) {
      const Vector x = hn::LoadU(D(), weights + i + v * kLanes);
#pragma GCC unroll 5
      for (int s = 0; s < kScales; ++s) {
        const Vector steps = hn::Mul(x, hn::Set(D(), inverses[s]));
        const Vector error = hn::Sub(steps, clampedInt4(steps));
        sums[s][v] = hn::Add(sums[s][v], hn::Mul(error, error));
      }
    }
  }
  for (int s = 0; s < kScales; ++s) {
    alignas(64) float lanes[kRun];
    for (int v = 0; v < kVectors; ++v) hn::Store(sums[s][v], D(), lanes + v * kLanes);
    for (int width = kRun / 2; width > 0; width /= 2)
      for (int i = 0; i < width; ++i) lanes[i] += lanes[i + width];
    errors[s] = lanes[0];
  }
}

void int4(const float* weights, int count, float extreme, std::int8_t* numbers, float& scale) {
  float scales[kScales], inverses[kScales], errors[kScales];
  for (int s = 0; s < kScales; ++s) {
    scales[s] = toBFloat16(extreme / kLeastInt4 * kInt4Scales[static_cast<std::size_t>(s)]);
    inverses[s] = 1.0F / scales[s];
  }
  errorsInt4(weights, count, inverses, errors);
  float least = std::numeric_limits<float>::infinity();
  int best = 0;
  for (int s = 0; s < kScales; ++s) {
    const float share = scales[s] / extreme;  // errors of any size are numbers
    const float error = errors[s] * share * share;
    if (error >= least) continue;
    least = error;
    best = s;
  }
  scale = scales[best];
  const Vector inverse = hn::Set(D(), inverses[best]);
  for (int i = 0; i < count; i += kLanes)
    storeInt8(clampedInt4(hn::Mul(hn::LoadU(D(), weights + i), inverse)), numbers + i);
}

// numbers[i] = f(weights[i]) as a signed byte, for whole vectors, then for what is left.
template <class F>
HWY_INLINE void toBytes(const float* weights, int count, std::int8_t* numbers, F f) {
  int i = 0;
  for (; i + kLanes <= count; i += kLanes)
    hn::StoreU(hn::DemoteTo(DI8(), f(hn::LoadU(D(), weights + i))), DI8(), numbers + i);
  if (i == count) return;
  std::int8_t last[kLanes];
  hn::StoreU(hn::DemoteTo(DI8(), f(loadFirst(weights + i, count - i))), DI8(), last);
  std::copy_n(last, count - i, numbers + i);
}

struct Steps {
  Vector inverse;
  HWY_INLINE hn::Vec<DI32> operator()(Vector x) const { return hn::NearestInt(hn::Mul(x, inverse)); }
};

struct Bits {
  Vector inverse;
  HWY_INLINE hn::Vec<DI32> operator()(Vector x) const { return e4m3(hn::Mul(x, inverse)); }
};

void int8(const float* weights, int count, float extreme, std::int8_t* numbers, float& scale) {
  scale = std::abs(extreme) / kLargestInt8;
  toBytes(weights, count, numbers, Steps{hn::Set(D(), 1.0F / scale)});
}

// As quantizeRows() of cuda_float8.cu does it, bit by bit.
void fp8(const float* weights, int count, float extreme, std::int8_t* numbers, float& scale) {
  scale = std::abs(extreme) / kLargestE4m3;
  toBytes(weights, count, numbers, Bits{hn::Set(D(), kLargestE4m3 / std::abs(extreme))});
}

const QuantizeKernels& kernels() {
  static const QuantizeKernels table = {extremeOf, int4, int8, fp8};
  return table;
}

}  // namespace HWY_NAMESPACE
}  // namespace palimpsest::engine::quantizing
HWY_AFTER_NAMESPACE();

#if HWY_ONCE  // Highway compiles this file once per instruction set; what follows only the first time
namespace palimpsest::engine {
namespace quantizing {
HWY_EXPORT(kernels);
const QuantizeKernels& chosen() { return HWY_DYNAMIC_DISPATCH(kernels)(); }
}  // namespace quantizing

const QuantizeKernels& quantizeKernels() { return quantizing::chosen(); }
}  // namespace palimpsest::engine
#endif
