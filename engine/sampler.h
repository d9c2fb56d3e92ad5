// From logits to the next token: greedy, temperature, top-p.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/tokenizer.h"

namespace palimpsest::engine {

struct SamplingOptions {
  float temperature = 0.0F;  // 0 = greedy
  float topP = 1.0F;
  std::uint64_t seed = 0;
  int maxTokens = 256;
};

// Of the softmax of the logits, in nats.
// The most likely one, the first of equals; -1 where none is above -infinity. NaN counts as -infinity.
TokenId likeliest(std::span<const float> logits);

double logProbability(std::span<const float> logits, TokenId token);

// The same options and logits give the same tokens on every platform: its random numbers and its exponential are its
// own. Not thread-safe; one per generation. The buffers are kept between calls.
class Sampler {
 public:
  // Throws std::invalid_argument: temperature negative or not finite, topP outside (0, 1].
  explicit Sampler(const SamplingOptions& options);

  // Ties go to the lower id. NaN counts as minus infinity; throws ModelError when no logit is finite or +inf.
  TokenId next(std::span<const float> logits);

 private:
  struct Candidate {
    double weight;
    TokenId id;
  };
  double uniform();  // [0, 1), 53 bits

  SamplingOptions options_;
  std::uint64_t state_;
  std::vector<Candidate> candidates_;
};

}  // namespace palimpsest::engine
