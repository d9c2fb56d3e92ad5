#include "engine/section_choice.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "engine/sampler.h"

namespace palimpsest::engine {

SectionChoice chooseSection(const Transformer& transformer, Transformer::Workspace& workspace,
                            std::span<const CompressiveMemory* const> sections, std::span<const TokenId> prompt,
                            TokenId unknown, std::stop_token stop) {
  std::vector<SegmentState> segments;
  for (const CompressiveMemory* section : sections) segments.push_back(transformer.beginSegment(workspace, section));
  const std::span<const float> logits = transformer.extendAll(workspace, segments, prompt, std::move(stop));
  SectionChoice choice;
  const std::size_t V = logits.size() / sections.size();
  for (std::size_t i = 0; i < sections.size(); ++i)
    choice.doubts.push_back(std::exp(logProbability(logits.subspan(i * V, V), unknown)));
  choice.chosen = static_cast<std::size_t>(std::ranges::min_element(choice.doubts) - choice.doubts.begin());
  const std::span<const float> own = logits.subspan(choice.chosen * V, V);
  choice.logits.assign(own.begin(), own.end());
  choice.segment = std::move(segments[choice.chosen]);
  return choice;
}

}  // namespace palimpsest::engine
