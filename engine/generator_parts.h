// What the parts of Generator share: generator.cpp reads and answers, generator_summary.cpp sums up.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/answer_writer.h"
#include "engine/generator.h"
#include "engine/segment_cutter.h"
#include "engine/text_passes.h"
#include "engine/transformer.h"

namespace palimpsest::engine {

struct Generator::Workspace {
  Workspace(const Model& model, int threads)
      : transformer(model.transformer().makeWorkspace(threads)), cutter(cutterOf(model)) {}

  Transformer::WorkspacePointer transformer;
  SegmentCutter cutter;
};

// An answer of which the prompt has been put in.
struct Generator::Begun {
  AnswerWriter writer;
  std::vector<float> logits;  // [V] after the prompt
};

inline constexpr std::string_view kWhiteSpace = " \t\r\n";

inline std::string trimmed(const std::string& text) {
  const auto begin = text.find_first_not_of(kWhiteSpace);
  if (begin == std::string::npos) return {};
  return text.substr(begin, text.find_last_not_of(kWhiteSpace) + 1 - begin);
}

}  // namespace palimpsest::engine
