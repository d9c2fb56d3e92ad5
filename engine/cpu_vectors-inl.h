// Vectors of the instruction set that is being compiled: loads that end inside a vector, bf16, short exponentials.
#if defined(PALIMPSEST_ENGINE_CPU_VECTORS_INL_H) == defined(HWY_TARGET_TOGGLE)  // once for each instruction set
#ifdef PALIMPSEST_ENGINE_CPU_VECTORS_INL_H
#undef PALIMPSEST_ENGINE_CPU_VECTORS_INL_H
#else
#define PALIMPSEST_ENGINE_CPU_VECTORS_INL_H
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "engine/cpu_kernels.h"

HWY_BEFORE_NAMESPACE();
namespace palimpsest::engine {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using D = hn::ScalableTag<float>;
using Vector = hn::Vec<D>;
constexpr int kLanes = static_cast<int>(hn::MaxLanes(D()));
using D16 = hn::Rebind<std::uint16_t, D>;
using D32 = hn::Rebind<std::uint32_t, D>;
using DI32 = hn::Rebind<std::int32_t, D>;

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

}  // namespace HWY_NAMESPACE
}  // namespace palimpsest::engine
HWY_AFTER_NAMESPACE();

#endif
