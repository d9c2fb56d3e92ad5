// The shipped model's answers to tests/data/cases.jsonl, on any device and with any weights.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/cases.h"
#include "engine/model.h"

namespace palimpsest::engine {

struct CasesOutcome {
  int asked = 0, exact = 0;  // of what the texts say
  std::vector<std::string> answers;
};

inline std::shared_ptr<const Model> shippedModel(const DeviceChoice& device, WeightType weights) {
  return Model::load(std::filesystem::path(PALIMPSEST_SOURCE_DIR) / "resources/models/palimpsest-mini",
                     {.device = device, .weights = weights, .progress = {}});
}

inline CasesOutcome outcomeOfCases(const DeviceChoice& device, WeightType weights) {
  const auto model = shippedModel(device, weights);
  CasesFile file(PALIMPSEST_TEST_DATA "/cases.jsonl");
  CasesOutcome outcome;
  const CasesReport report = runCases(model, file, {.answered = [&](const RowAnswers& asked) {
                                        for (const auto& answer : asked.answers)
                                          outcome.answers.push_back(answer->text);
                                      }});
  for (const CaseTally& tally : report.tallies) {
    outcome.asked += tally.answerable;
    outcome.exact += tally.answerableExact;
  }
  return outcome;
}

}  // namespace palimpsest::engine
