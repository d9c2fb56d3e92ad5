// The engine against PyTorch: tensors written by training/make_golden.py (palimpsest_training/reference.py, and
// transformers for a plain Llama). Errors are relative: |ours - theirs| / |theirs| over a whole tensor.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>

#include "tests/engine/transformer_fixture.h"

namespace palimpsest::engine {
namespace {

struct Case {
  std::string name;
  Precision precision;
};

// bf16 keeps 8 bits: products of some dozens of terms, two layers deep, stay within a per cent or so.
double toleranceOf(Precision precision) { return precision == Precision::BFloat16 ? 2e-2 : 5e-6; }

std::vector<float> floatsOf(const TensorView& tensor) {
  std::vector<float> out(static_cast<std::size_t>(tensor.elements()));
  convertToFloat(tensor, 0, out);
  return out;
}

class Golden : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    if (lacks(GetParam().precision)) GTEST_SKIP() << "this device cannot";
    const std::filesystem::path folder = std::filesystem::path(PALIMPSEST_TEST_DATA) / "golden" / GetParam().name;
    file_ = std::make_unique<SafetensorsFile>(SafetensorsFile::open(folder / "golden.safetensors"));
    if (const int bos = ints("bos").front(); bos >= 0) bos_ = bos;
    transformer_ = std::make_unique<Transformer>(ModelFolder::open(folder), testBackend(GetParam().precision), bos_);
    workspace_ = transformer_->makeWorkspace();
    memory_ = CompressiveMemory(transformer_->memoryShapes());
    std::size_t at = 0;
    const std::vector<TokenId> tokens = ints("tokens");
    for (const int length : ints("lengths")) {
      segments_.emplace_back(tokens.begin() + static_cast<std::ptrdiff_t>(at),
                             tokens.begin() + static_cast<std::ptrdiff_t>(at) + length);
      at += static_cast<std::size_t>(length);
    }
  }

  std::vector<TokenId> ints(const std::string& name) {
    const std::vector<float> values = floatsOf(file_->at(name));
    return {values.begin(), values.end()};
  }
  std::vector<TokenId> withBos(std::vector<TokenId> tokens) const {
    if (bos_) tokens.insert(tokens.begin(), *bos_);
    return tokens;
  }
  // All logits of a fresh segment that reads memory_.
  std::vector<float> logits(const std::vector<TokenId>& tokens) {
    SegmentState segment = transformer_->beginSegment(*workspace_, &memory_);
    const auto all = transformer_->extend(*workspace_, segment, tokens, {}, static_cast<int>(tokens.size()));
    return {all.begin(), all.end()};
  }
  void readAll() {
    const auto most = static_cast<std::size_t>(transformer_->passSize().segments);
    for (std::size_t at = 0; at < segments_.size(); at += most) {
      transformer_->read(*workspace_, std::span(segments_).subspan(at, std::min(most, segments_.size() - at)), memory_,
                         {});
    }
  }
  void expectMemory(double tolerance) {
    for (int l = 0; l < memory_.layers(); ++l) {
      const auto& shape = memory_.shapes()[static_cast<std::size_t>(l)];
      for (int head = 0; head < shape.heads(); ++head) {
        const bool base = head < shape.base.kvHeads;
        const std::string name = "layers." + std::to_string(l) + (base ? ".base." : ".added.");
        const auto own = static_cast<std::size_t>(base ? head : head - shape.base.kvHeads);
        const std::vector<float> M = floatsOf(file_->at(name + "M")), z = floatsOf(file_->at(name + "z"));
        const auto m = memory_.matrix(l, head), n = memory_.normalizer(l, head);
        EXPECT_LT(relativeError(m, std::span(M).subspan(own * m.size(), m.size())), tolerance)
            << name << "M, head " << own;
        EXPECT_LT(relativeError(n, std::span(z).subspan(own * n.size(), n.size())), tolerance)
            << name << "z, head " << own;
      }
    }
  }
  std::size_t goldenMemoryTensors() const {
    return static_cast<std::size_t>(std::count_if(file_->tensors().begin(), file_->tensors().end(),
                                                  [](const TensorView& t) { return t.name.starts_with("layers."); }));
  }

  std::unique_ptr<SafetensorsFile> file_;
  std::optional<TokenId> bos_;
  std::unique_ptr<Transformer> transformer_;
  Transformer::WorkspacePointer workspace_;
  CompressiveMemory memory_;
  std::vector<std::vector<TokenId>> segments_;
};

TEST_P(Golden, LogitsOfEachSegmentReadingTheMemoryBeforeIt) {
  for (std::size_t s = 0; s < segments_.size(); ++s) {
    const std::vector<float> theirs = floatsOf(file_->at("logits." + std::to_string(s)));
    EXPECT_LT(relativeError(logits(withBos(segments_[s])), theirs), toleranceOf(GetParam().precision))
        << "segment " << s;
    transformer_->read(*workspace_, std::span(&segments_[s], 1), memory_, {});
  }
  expectMemory(toleranceOf(GetParam().precision));
}

TEST_P(Golden, MemoryOfAWholePass) {
  std::size_t parts = 0;
  for (const auto& shape : transformer_->memoryShapes()) parts += (shape.base.kvHeads > 0) + (shape.added.kvHeads > 0);
  EXPECT_EQ(2 * parts, goldenMemoryTensors());
  if (segments_.empty()) return;
  readAll();
  expectMemory(toleranceOf(GetParam().precision));
}

TEST_P(Golden, AnswersReadTheMemory) {
  readAll();
  const std::vector<float> theirs = floatsOf(file_->at("prompt_logits"));
  EXPECT_LT(relativeError(logits(withBos(ints("prompt"))), theirs), toleranceOf(GetParam().precision));
}

// Where the first layers have no memory, or none has one, all of the segments share what these compute.
TEST_P(Golden, SegmentsAskedTogetherGiveWhatEachGivesAlone) {
  std::vector<CompressiveMemory> memories;  // an empty one, that of everything, and that of a part
  memories.push_back(memory_.clone());
  readAll();
  memories.push_back(std::exchange(memory_, CompressiveMemory(transformer_->memoryShapes())));
  if (!segments_.empty()) transformer_->read(*workspace_, std::span(segments_).first(1), memory_, {});
  memories.push_back(memory_.clone());

  const auto prompt = withBos(ints("prompt"));
  const auto V = static_cast<std::size_t>(transformer_->config().vocabSize);
  std::vector<SegmentState> together;
  for (const CompressiveMemory& memory : memories) together.push_back(transformer_->beginSegment(*workspace_, &memory));
  const std::vector<float> first = copyOf(transformer_->extendAll(*workspace_, together, prompt, {}));
  ASSERT_EQ(first.size(), memories.size() * V);
  std::vector<std::vector<float>> logits;
  for (std::size_t i = 0; i < memories.size(); ++i) logits.push_back(copyOf(std::span(first).subspan(i * V, V)));
  const auto goOn = [&](SegmentState& segment, TokenId token, std::vector<float>& all) {
    const auto next = transformer_->extend(*workspace_, segment, std::span(&token, 1), {});
    all.insert(all.end(), next.begin(), next.end());
  };
  for (const TokenId token : {5, 7, 6})  // by turns: none may write into what another keeps
    for (std::size_t i = 0; i < memories.size(); ++i) goOn(together[i], token + static_cast<TokenId>(i), logits[i]);

  for (std::size_t i = 0; i < memories.size(); ++i) {
    SegmentState segment = transformer_->beginSegment(*workspace_, &memories[i]);
    std::vector<float> alone = copyOf(transformer_->extend(*workspace_, segment, prompt, {}));
    for (const TokenId token : {5, 7, 6}) goOn(segment, token + static_cast<TokenId>(i), alone);
    EXPECT_LT(relativeError(logits[i], alone), toleranceOf(GetParam().precision)) << "segment " << i;
  }
}

class GoldenInF32 : public Golden {};  // bf16 may turn round the order of close logits

TEST_P(GoldenInF32, GreedyContinuationTokenByToken) {
  readAll();
  SegmentState segment = transformer_->beginSegment(*workspace_, &memory_);
  auto last = transformer_->extend(*workspace_, segment, withBos(ints("prompt")), {});
  std::vector<TokenId> reply;
  while (reply.size() < ints("reply").size()) {
    reply.push_back(static_cast<TokenId>(std::max_element(last.begin(), last.end()) - last.begin()));
    last = transformer_->extend(*workspace_, segment, std::span(&reply.back(), 1), {});
  }
  EXPECT_EQ(reply, ints("reply"));
}

std::vector<Case> cases(Precision precision) {
  std::vector<Case> all;
  for (const char* name : {"memory-heads", "memory-heads-without-bos", "gates-gqa", "gates-and-heads", "delta-heads",
                           "delta-gates-and-heads", "rope-llama3", "plain-llama", "scaled-heads",
                           "heads-in-some-layers", "long-keys", "long-keys-delta"}) {
    all.push_back({name, precision});
  }
  return all;
}

std::string nameOf(const testing::TestParamInfo<Case>& tested) {
  std::string name = tested.param.name;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(F32, Golden, testing::ValuesIn(cases(Precision::Float32)), nameOf);
INSTANTIATE_TEST_SUITE_P(BF16, Golden, testing::ValuesIn(cases(Precision::BFloat16)), nameOf);
INSTANTIATE_TEST_SUITE_P(F32, GoldenInF32, testing::ValuesIn(cases(Precision::Float32)), nameOf);

}  // namespace
}  // namespace palimpsest::engine
