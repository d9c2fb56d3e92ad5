#include "engine/section_choice.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "engine/sampler.h"

namespace palimpsest::engine {

namespace {

// More take no less time, and each takes a memory of its own in the device's room.
constexpr std::size_t kTogether = 32;

}  // namespace

bool takesOver(double doubt, double chosenDoubt, double sure) { return doubt < chosenDoubt || doubt < sure; }

SectionChoice chooseSection(const Transformer& transformer, Transformer::Workspace& workspace,
                            std::span<const CompressiveMemory* const> sections, std::span<const TokenId> prompt,
                            TokenId unknown, std::stop_token stop) {
  SectionChoice choice;
  const auto V = static_cast<std::size_t>(transformer.config().vocabSize);
  const auto& infini = transformer.config().infiniAttention;
  const double sure = infini ? infini->sureDoubt : 0.0;
  for (std::size_t begin = 0; begin < sections.size(); begin += kTogether) {
    std::vector<SegmentState> segments;
    for (const CompressiveMemory* section : sections.subspan(begin, std::min(kTogether, sections.size() - begin)))
      segments.push_back(transformer.beginCandidate(*section));
    const std::span<const float> logits = transformer.extendAll(workspace, segments, prompt, stop);
    for (std::size_t i = 0; i < segments.size(); ++i) {
      const std::span<const float> own = logits.subspan(i * V, V);
      choice.doubts.push_back(std::exp(logProbability(own, unknown)));
      choice.first.push_back(likeliest(own));
      if (begin + i > 0 && !takesOver(choice.doubts.back(), choice.doubts[choice.chosen], sure)) continue;
      choice.chosen = begin + i;
      choice.segment = std::move(segments[i]);
      choice.logits.assign(own.begin(), own.end());
    }
  }
  transformer.takeMemory(workspace, choice.segment);
  return choice;
}

}  // namespace palimpsest::engine
