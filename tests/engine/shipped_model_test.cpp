// The shipped model in the engine against its PyTorch definition (training/make_shipped_golden.py).
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "tests/engine/transformer_fixture.h"

namespace palimpsest::engine {
namespace {

class ShippedModel : public testing::TestWithParam<Precision> {
 protected:
  void SetUp() override {
    if (lacks(GetParam())) GTEST_SKIP() << "this device cannot";
    const std::filesystem::path source = PALIMPSEST_SOURCE_DIR;
    golden_ = std::make_unique<SafetensorsFile>(
        SafetensorsFile::open(source / "tests" / "data" / "shipped_golden.safetensors"));
    transformer_ = std::make_unique<Transformer>(ModelFolder::open(source / "resources" / "models" / "palimpsest-mini"),
                                                 testBackend(GetParam()), kBos);
    workspace_ = transformer_->makeWorkspace();
    memory_ = CompressiveMemory(transformer_->memoryShapes());
    const std::vector<TokenId> tokens = ints("tokens");
    std::vector<std::vector<TokenId>> segments;
    auto at = tokens.begin();
    for (const int length : ints("lengths")) {
      segments.emplace_back(at, at + length);
      at += length;
    }
    transformer_->read(*workspace_, segments, memory_, {});
  }

  std::vector<float> floats(const std::string& name) {
    std::vector<float> out(static_cast<std::size_t>(golden_->at(name).elements()));
    convertToFloat(golden_->at(name), 0, out);
    return out;
  }
  std::vector<TokenId> ints(const std::string& name) {
    const std::vector<float> values = floats(name);
    return {values.begin(), values.end()};
  }
  std::vector<TokenId> prompt() {
    std::vector<TokenId> tokens = ints("prompt");
    tokens.insert(tokens.begin(), kBos);
    return tokens;
  }
  // What follows these logits of a segment, the likeliest token each time.
  std::vector<TokenId> reply(SegmentState& segment, std::span<const float> logits) {
    std::vector<TokenId> tokens;
    const auto best = [&] {
      return static_cast<TokenId>(std::max_element(logits.begin(), logits.end()) - logits.begin());
    };
    while (tokens.size() < 16 && best() != kEos) {
      tokens.push_back(best());
      logits = transformer_->extend(*workspace_, segment, std::span(&tokens.back(), 1), {});
    }
    return tokens;
  }

  static constexpr TokenId kBos = 0, kEos = 1;
  // f32: the issue of rounding alone. bf16 keeps 8 bits of each weight and activation through 8 layers.
  static double tolerance() { return GetParam() == Precision::BFloat16 ? 5e-2 : 2e-3; }
  std::unique_ptr<SafetensorsFile> golden_;
  std::unique_ptr<Transformer> transformer_;
  Transformer::WorkspacePointer workspace_;
  CompressiveMemory memory_;
};

TEST_P(ShippedModel, MemoryIsThatOfTheDefinition) {
  int remembering = 0;
  for (int l = 0; l < memory_.layers(); ++l) {
    if (memory_.shapes()[static_cast<std::size_t>(l)].heads() == 0) continue;
    ++remembering;
    const std::vector<float> parts = floats("layers." + std::to_string(l) + ".M");  // above and below 0
    const std::vector<float> z = floats("layers." + std::to_string(l) + ".z");
    const int heads = memory_.shapes()[static_cast<std::size_t>(l)].heads();
    const std::size_t dim = z.size() / static_cast<std::size_t>(heads);
    std::vector<float> sums, ourSums, ourParts;
    for (std::size_t row = 0; row < z.size(); ++row) sums.push_back(parts[2 * row] + parts[2 * row + 1]);
    std::vector<float> ourZ;
    for (int h = 0; h < heads; ++h) {
      const auto M = memory_.matrix(l, h);
      for (std::size_t row = 0; row < dim; ++row) {
        float above = 0, below = 0;
        for (const float value : M.subspan(row * (M.size() / dim), M.size() / dim))
          (value > 0 ? above : below) += value;
        ourParts.insert(ourParts.end(), {above, below});
        ourSums.push_back(above + below);
      }
      const auto n = memory_.normalizer(l, h);
      ourZ.insert(ourZ.end(), n.begin(), n.end());
    }
    EXPECT_LT(relativeError(ourSums, sums), tolerance()) << "M of layer " << l;
    EXPECT_LT(relativeError(ourParts, parts), tolerance()) << "M of layer " << l << ", above and below 0";
    EXPECT_LT(relativeError(ourZ, z), tolerance()) << "z of layer " << l;
  }
  EXPECT_EQ(2 * static_cast<std::size_t>(remembering) + 5,
            golden_->tensors().size());  // and tokens, lengths, prompt, logits, reply
}

TEST_P(ShippedModel, LogitsAndAnswerFromMemory) {
  SegmentState segment = transformer_->beginSegment(*workspace_, &memory_);
  const auto logits = transformer_->extend(*workspace_, segment, prompt(), {});
  EXPECT_LT(relativeError(logits, floats("prompt_logits")), tolerance());
  EXPECT_EQ(reply(segment, logits), ints("reply"));
}

// Its lower layers have no memory: what they compute is shared by all that are asked.
TEST_P(ShippedModel, OneOfSeveralSectionsAskedTogetherAnswersFromItsMemory) {
  CompressiveMemory nothing(transformer_->memoryShapes());
  std::vector<SegmentState> sections;
  for (const CompressiveMemory* memory : {&nothing, &memory_, &nothing})
    sections.push_back(transformer_->beginSegment(*workspace_, memory));
  const std::vector<float> logits = copyOf(transformer_->extendAll(*workspace_, sections, prompt(), {}));
  const auto own = std::span(logits).subspan(logits.size() / 3, logits.size() / 3);
  EXPECT_LT(relativeError(own, floats("prompt_logits")), tolerance());
  SegmentState chosen = std::move(sections[1]);
  sections.clear();  // as those that are not chosen
  EXPECT_EQ(reply(chosen, own), ints("reply"));
}

INSTANTIATE_TEST_SUITE_P(Precisions, ShippedModel, testing::Values(Precision::Float32, Precision::BFloat16),
                         [](const auto& tested) { return tested.param == Precision::Float32 ? "f32" : "bf16"; });

}  // namespace
}  // namespace palimpsest::engine
