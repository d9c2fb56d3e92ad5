#include "engine/sampler.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "engine/errors.h"

namespace palimpsest::engine {

namespace {

// exp(x) for x <= 0 from additions and multiplications only, so that every platform gets the same bits (the C library's
// exp differs between systems). Relative error about 1e-15; 0 below -700.
double exponential(double x) {
  if (!(x > -700.0)) return 0.0;
  constexpr double kInverseLn2 = 1.4426950408889634;
  constexpr double kLn2High = 6.93147180369123816490e-01;  // low 32 bits zero: k * kLn2High is exact
  constexpr double kLn2Low = 1.90821492927058770002e-10;
  const double k = std::floor(x * kInverseLn2 + 0.5);
  const double r = (x - k * kLn2High) - k * kLn2Low;  // |r| <= ln 2 / 2
  double sum = 1.0;
  for (int n = 14; n >= 1; --n) sum = 1.0 + r * sum / n;
  const auto exponent = static_cast<std::uint64_t>(static_cast<std::int64_t>(k) + 1023);
  return sum * std::bit_cast<double>(exponent << 52);
}

// Higher weight first, ties to the lower id; as a heap order (its top is the largest).
bool below(const double weightA, const TokenId idA, const double weightB, const TokenId idB) {
  return weightA < weightB || (weightA == weightB && idA > idB);
}

}  // namespace

TokenId likeliest(std::span<const float> logits) {
  // The largest of each lane first, which compilers make vectors of; then where it is.
  constexpr std::size_t kLanes = 16;
  std::array<float, kLanes> largest;
  largest.fill(-std::numeric_limits<float>::infinity());
  std::size_t i = 0;
  for (; i + kLanes <= logits.size(); i += kLanes)
    for (std::size_t lane = 0; lane < kLanes; ++lane)
      largest[lane] = logits[i + lane] > largest[lane] ? logits[i + lane] : largest[lane];
  for (; i < logits.size(); ++i) largest[0] = std::max(largest[0], logits[i]);
  const float most = *std::ranges::max_element(largest);
  if (most == -std::numeric_limits<float>::infinity()) return -1;
  return static_cast<TokenId>(std::ranges::find(logits, most) - logits.begin());
}

double logProbability(std::span<const float> logits, TokenId token) {
  const double most = *std::ranges::max_element(logits);
  double sum = 0;
  for (const float logit : logits) sum += std::exp(logit - most);
  return logits[static_cast<std::size_t>(token)] - most - std::log(sum);
}

Sampler::Sampler(const SamplingOptions& options) : options_(options), state_(options.seed) {
  if (!(options.temperature >= 0.0F) || !std::isfinite(options.temperature)) {
    throw std::invalid_argument("the temperature must be 0 or more, not " + std::to_string(options.temperature));
  }
  if (!(options.topP > 0.0F && options.topP <= 1.0F)) {
    throw std::invalid_argument("top-p must be above 0 and at most 1, not " + std::to_string(options.topP));
  }
}

// SplitMix64 (Steele, Lea, Flood 2014).
double Sampler::uniform() {
  state_ += 0x9E3779B97F4A7C15ULL;
  std::uint64_t x = state_;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ULL;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBULL;
  x ^= x >> 31;
  return static_cast<double>(x >> 11) * 0x1p-53;
}

TokenId Sampler::next(std::span<const float> logits) {
  const TokenId best = likeliest(logits);
  if (best < 0)
    throw ModelError(
        "The model computed no usable number for the next token: its weights are damaged. Fetch the model again, or "
        "choose another one.");
  const float highest = logits[static_cast<std::size_t>(best)];
  if (options_.temperature == 0.0F || std::isinf(highest)) return best;

  candidates_.clear();
  double total = 0;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const double distance = (static_cast<double>(logits[i]) - highest) / options_.temperature;
    const double weight = std::isnan(distance) ? 0.0 : exponential(distance);
    if (weight == 0.0) continue;
    candidates_.push_back({weight, static_cast<TokenId>(i)});
    total += weight;
  }
  const auto order = [](const Candidate& a, const Candidate& b) { return below(a.weight, a.id, b.weight, b.id); };
  if (options_.topP < 1.0F) {
    // The smallest set of likeliest tokens whose share reaches topP, moved to the end of candidates_.
    const double wanted = total * static_cast<double>(options_.topP);
    std::make_heap(candidates_.begin(), candidates_.end(), order);
    auto heapEnd = candidates_.end();
    double kept = 0;
    while (kept < wanted && heapEnd != candidates_.begin()) {
      std::pop_heap(candidates_.begin(), heapEnd, order);
      --heapEnd;
      kept += heapEnd->weight;
    }
    candidates_.erase(candidates_.begin(), heapEnd);
    total = kept;
  }
  double left = uniform() * total;
  for (const Candidate& candidate : candidates_) {
    left -= candidate.weight;
    if (left < 0) return candidate.id;
  }
  return candidates_.back().id;  // rounding ate the last bit
}

}  // namespace palimpsest::engine
