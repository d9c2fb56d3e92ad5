// What must hold for any weights, shown with the tiny model (random weights, gates on one layer, memory heads on all).
#include "engine/transformer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "engine/errors.h"
#include "tests/engine/transformer_fixture.h"

namespace palimpsest::engine {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

std::unique_ptr<Transformer> load(const std::filesystem::path& folder, Precision precision = Precision::Float32) {
  return std::make_unique<Transformer>(ModelFolder::open(folder), testBackend(precision), kTinyBos);
}

class TransformerTest : public testing::TestWithParam<Precision> {
 protected:
  void SetUp() override {
    if (lacks(GetParam())) GTEST_SKIP() << "this device cannot";
    model_ = load(tinyFolder(), GetParam());
    workspace_ = model_->makeWorkspace();
    segments_ =
        randomSegments(2 * static_cast<std::size_t>(model_->passSize().segments) + 5, 32, model_->config().vocabSize, 1);
  }
  CompressiveMemory empty() const { return CompressiveMemory(model_->memoryShapes()); }
  std::span<const std::vector<TokenId>> pass(std::size_t number) const {
    const auto size = static_cast<std::size_t>(model_->passSize().segments);
    return std::span(segments_).subspan(number * size, std::min(size, segments_.size() - number * size));
  }
  std::vector<float> logits(const std::vector<TokenId>& tokens, const CompressiveMemory* memory) {
    SegmentState segment = model_->beginSegment(*workspace_, memory);
    return copyOf(model_->extend(*workspace_, segment, tokens, {}, static_cast<int>(tokens.size())));
  }
  std::vector<TokenId> prompt(std::size_t length) const {
    std::vector<TokenId> tokens = {kTinyBos};
    for (const auto& segment : segments_) tokens.insert(tokens.end(), segment.begin(), segment.end());
    tokens.resize(length);
    return tokens;
  }
  // Rounding of f32 or of bf16, over a few layers.
  double rounding() const { return GetParam() == Precision::BFloat16 ? 2e-2 : 2e-6; }

  std::unique_ptr<Transformer> model_;
  Transformer::WorkspacePointer workspace_;
  std::vector<std::vector<TokenId>> segments_;
};

TEST_P(TransformerTest, ReadingGivesTheSameBitsWhateverHappensBetweenThePasses) {
  CompressiveMemory once = empty();
  for (std::size_t i = 0; i < 3; ++i) model_->read(*workspace_, pass(i), once, {});

  CompressiveMemory interrupted = empty();
  for (std::size_t i = 0; i < 3; ++i) {
    model_ = load(tinyFolder(), GetParam());  // as after a restart
    workspace_ = model_->makeWorkspace();
    if (i == 1) logits(prompt(70), &interrupted);  // a question in between
    CompressiveMemory restored = interrupted.clone();
    model_->read(*workspace_, pass(i), restored, {});
    interrupted = std::move(restored);
  }
  EXPECT_EQ(copyOf(once.values()), copyOf(interrupted.values()));
  EXPECT_EQ(once.tokens(), interrupted.tokens());
}

TEST_P(TransformerTest, SegmentsReadTogetherGiveWhatSegmentsReadOneByOneGive) {
  CompressiveMemory together = empty(), single = empty();
  model_->read(*workspace_, std::span(segments_).first(7), together, {});
  for (std::size_t i = 0; i < 7; ++i) model_->read(*workspace_, std::span(&segments_[i], 1), single, {});
  EXPECT_LT(relativeError(together.values(), single.values()), rounding());
  EXPECT_EQ(together.tokens(), single.tokens());
}

TEST_P(TransformerTest, AskingLeavesTheMemoryUnchanged) {
  CompressiveMemory memory = empty();
  model_->read(*workspace_, pass(0), memory, {});
  const std::vector<float> before = copyOf(memory.values());
  SegmentState segment = model_->beginSegment(*workspace_, &memory);
  model_->extend(*workspace_, segment, prompt(40), {});
  const TokenId token = 5;
  for (int i = 0; i < 10; ++i) model_->extend(*workspace_, segment, std::span(&token, 1), {});
  EXPECT_EQ(copyOf(memory.values()), before);
}

TEST_P(TransformerTest, TheCacheGivesWhatComputingAfreshGives) {
  CompressiveMemory memory = empty();
  model_->read(*workspace_, pass(0), memory, {});
  const std::vector<TokenId> tokens = prompt(90);
  const std::vector<float> afresh = logits(tokens, &memory);
  const auto vocab = static_cast<std::size_t>(model_->config().vocabSize);

  SegmentState segment = model_->beginSegment(*workspace_, &memory);
  std::size_t done = 0;
  for (const std::size_t step : {37, 1, 1, 1, 1, 20, 2, 1, 3, 1, 22}) {  // a prompt, single tokens, and a few at once
    const auto last = copyOf(model_->extend(*workspace_, segment, std::span(tokens).subspan(done, step), {}));
    done += step;
    EXPECT_LT(relativeError(last, std::span(afresh).subspan((done - 1) * vocab, vocab)), rounding())
        << "after " << done;
  }
  EXPECT_EQ(segment.positions(), 90);
}

TEST_P(TransformerTest, WithAnEmptyMemoryTheModelIsItsBase) {
  const TemporaryFolder base;  // the same folder without memory_heads.safetensors
  for (const char* file : {"config.json", "model.safetensors"})
    std::filesystem::copy(tinyFolder() / file, base.path() / file);
  const auto plain = load(base.path(), GetParam());
  EXPECT_FALSE(plain->hasMemory());
  const CompressiveMemory memory = empty();
  const auto ours = logits(prompt(60), &memory);
  const auto without = logits(prompt(60), nullptr);
  const auto plainWorkspace = plain->makeWorkspace();
  SegmentState segment = plain->beginSegment(*plainWorkspace, nullptr);
  const auto theirs = plain->extend(*plainWorkspace, segment, prompt(60), {}, 60);
  EXPECT_LT(relativeError(ours, theirs), rounding());
  EXPECT_EQ(ours, without);
}

TEST_P(TransformerTest, AMemoryChangesTheAnswer) {
  CompressiveMemory memory = empty();
  const auto before = logits(prompt(20), &memory);
  model_->read(*workspace_, pass(0), memory, {});
  EXPECT_GT(relativeError(logits(prompt(20), &memory), before), 1e-2);
}

TEST_P(TransformerTest, StoppingLeavesTheMemoryUnchanged) {
  CompressiveMemory memory = empty();
  model_->read(*workspace_, pass(0), memory, {});
  const std::vector<float> before = copyOf(memory.values());
  int stopped = 0;
  for (int i = 0; i < 25; ++i) {  // at ever other moments of the pass
    std::stop_source source;
    CompressiveMemory target = memory.clone();
    std::thread stopper([&] {
      std::this_thread::sleep_for(std::chrono::microseconds(300 * i));
      source.request_stop();
    });
    try {
      model_->read(*workspace_, pass(1), target, source.get_token());
    } catch (const Stopped&) {
      ++stopped;
      EXPECT_EQ(copyOf(target.values()), before);
      EXPECT_EQ(target.tokens(), memory.tokens());
    }
    stopper.join();
  }
  EXPECT_GT(stopped, 0);
  std::stop_source at;
  at.request_stop();
  SegmentState segment = model_->beginSegment(*workspace_, &memory);
  EXPECT_THROW(model_->extend(*workspace_, segment, prompt(3), at.get_token()), Stopped);
}

INSTANTIATE_TEST_SUITE_P(, TransformerTest, testing::Values(Precision::Float32, Precision::BFloat16),
                         [](const auto& tested) { return tested.param == Precision::BFloat16 ? "bf16" : "f32"; });

// sigma(K) of the first layer, whose keys depend on their token alone: computed here in double, from the folder.
class FirstLayer {
 public:
  explicit FirstLayer(const ModelFolder& folder, const char* projection)
      : dim_(static_cast<std::size_t>(folder.config().hiddenSize)),
        epsilon_(static_cast<double>(folder.config().rmsNormEps)),
        embedding_(folder.embedTokens().toFloats()),
        norm_(folder.layer(0, "input_layernorm.weight").toFloats()),
        keys_(folder.layer(0, projection).toFloats()) {}

  std::vector<double> sigmaOfKeys(TokenId token) const {
    const float* x = embedding_.data() + static_cast<std::size_t>(token) * dim_;
    double squares = 0;
    for (std::size_t i = 0; i < dim_; ++i) squares += static_cast<double>(x[i]) * x[i];
    const double factor = 1.0 / std::sqrt(squares / static_cast<double>(dim_) + epsilon_);
    std::vector<double> out(keys_.size() / dim_);
    for (std::size_t row = 0; row < out.size(); ++row) {
      double k = 0;
      for (std::size_t i = 0; i < dim_; ++i) k += keys_[row * dim_ + i] * x[i] * factor * norm_[i];
      out[row] = k > 0 ? k + 1 : std::exp(k);
    }
    return out;
  }

 private:
  std::size_t dim_;
  double epsilon_;
  std::vector<float> embedding_, norm_, keys_;
};

// z of the first layer's memory heads when just these tokens have been written, each once.
std::vector<float> expectedNormalizer(const std::vector<TokenId>& tokens) {
  const FirstLayer layer(ModelFolder::open(tinyFolder()), "self_attn.memory_k_proj.weight");
  std::vector<double> sum;
  for (const TokenId token : tokens) {
    const auto sigma = layer.sigmaOfKeys(token);
    sum.resize(sigma.size());
    for (std::size_t i = 0; i < sigma.size(); ++i) sum[i] += sigma[i];
  }
  return {sum.begin(), sum.end()};
}

std::vector<float> addedNormalizers(const CompressiveMemory& memory, int layer) {
  std::vector<float> all;
  for (int head = memory.shapes()[static_cast<std::size_t>(layer)].base.kvHeads;
       head < memory.shapes()[static_cast<std::size_t>(layer)].heads(); ++head) {
    const auto z = memory.normalizer(layer, head);
    all.insert(all.end(), z.begin(), z.end());
  }
  return all;
}

TEST(TransformerReading, EachTokenIsWrittenExactlyOnceAndTheBosNever) {
  if (lacks(Precision::Float32)) GTEST_SKIP() << "this device cannot";
  const auto model = load(tinyFolder());
  const auto workspace = model->makeWorkspace();
  const auto segments = randomSegments(9, 32, model->config().vocabSize, 3);
  CompressiveMemory memory(model->memoryShapes());
  std::vector<TokenId> all;
  for (const auto& segment : segments) all.insert(all.end(), segment.begin(), segment.end());
  model->read(*workspace, std::span(segments).first(5), memory, {});
  model->read(*workspace, std::span(segments).subspan(5), memory, {});
  EXPECT_LT(relativeError(addedNormalizers(memory, 0), expectedNormalizer(all)), 1e-6);
  EXPECT_EQ(memory.tokens(), static_cast<std::int64_t>(all.size()));
}

TEST(TransformerReading, AnUnfinishedSegmentWritesOnlyThePositionsAskedFor) {
  if (lacks(Precision::Float32)) GTEST_SKIP() << "this device cannot";
  const auto model = load(tinyFolder());
  const auto workspace = model->makeWorkspace();
  std::vector<TokenId> tokens = {kTinyBos};
  for (const auto& segment : randomSegments(3, 32, model->config().vocabSize, 4))
    tokens.insert(tokens.end(), segment.begin(), segment.end());
  CompressiveMemory memory(model->memoryShapes());
  SegmentState segment = model->beginSegment(*workspace, nullptr);
  model->extend(*workspace, segment, std::span(tokens).first(30), {});
  for (std::size_t i = 30; i < tokens.size(); ++i) model->extend(*workspace, segment, std::span(&tokens[i], 1), {});
  model->write(*workspace, segment, 40, memory);
  EXPECT_LT(relativeError(addedNormalizers(memory, 0), expectedNormalizer({tokens.begin() + 1, tokens.begin() + 40})),
            1e-6);
  EXPECT_EQ(memory.tokens(), 39);

  // The same positions, read as a segment of their own, leave the same memory in every layer: local attention is
  // causal.
  CompressiveMemory read(model->memoryShapes());
  const std::vector<TokenId> first(tokens.begin() + 1, tokens.begin() + 40);
  model->read(*workspace, std::span(&first, 1), read, {});
  EXPECT_LT(relativeError(memory.values(), read.values()), 2e-6);
}

// Not a bit more can be asked: oneDNN's f32 products on AVX2 depend on the number of threads.
TEST(TransformerReading, ThreadCountsDifferByRoundingOnly) {
  const auto segments = randomSegments(6, 32, 512, 5);
  std::vector<std::vector<float>> memories;
  for (const int threads : {1, 2, 3}) {
    const Transformer model(ModelFolder::open(tinyFolder()), makeCpuBackend(threads, Precision::Float32), kTinyBos);
    EXPECT_EQ(model.backend().threads(), threads);
    const auto workspace = model.makeWorkspace();
    CompressiveMemory memory(model.memoryShapes());
    model.read(*workspace, segments, memory, {});
    memories.push_back(copyOf(memory.values()));
  }
  EXPECT_LT(relativeError(memories[1], memories[0]), 2e-6);
  EXPECT_LT(relativeError(memories[2], memories[0]), 2e-6);
}

TEST(TransformerReading, KvGroupsWithoutAnOpenGateHaveNoMemory) {
  if (lacks(Precision::Float32)) GTEST_SKIP() << "this device cannot";
  const auto model = load(tinyFolder());
  int withGates = 0;
  for (const auto& shape : model->memoryShapes()) {
    EXPECT_EQ(shape.added.kvHeads, 1);
    withGates += shape.base.kvHeads > 0;
    EXPECT_LE(shape.base.kvHeads, 1);  // of two KV groups, one has every gate at 0
  }
  EXPECT_EQ(withGates, 1);
}

TEST(TransformerErrors, AreSentences) {
  if (lacks(Precision::Float32)) GTEST_SKIP() << "this device cannot";
  const auto model = load(tinyFolder());
  const auto workspace = model->makeWorkspace();
  CompressiveMemory memory(model->memoryShapes());
  const std::vector<std::vector<TokenId>> wrongToken = {{3, 512}};
  const std::vector<std::vector<TokenId>> tooMany(static_cast<std::size_t>(model->passSize().segments) + 1, {3});
  const std::vector<std::vector<TokenId>> fine = {{3}};
  EXPECT_THAT([&] { model->read(*workspace, wrongToken, memory, {}); },
              ThrowsMessage<ModelError>(HasSubstr("Token 512 is outside")));
  EXPECT_THAT([&] { model->read(*workspace, tooMany, memory, {}); },
              ThrowsMessage<ModelError>(HasSubstr("A pass takes 1 to")));
  EXPECT_THAT([&] { model->read(*workspace, {}, memory, {}); },
              ThrowsMessage<ModelError>(HasSubstr("A pass takes 1 to")));
  CompressiveMemory foreign;
  EXPECT_THAT([&] { model->read(*workspace, fine, foreign, {}); },
              ThrowsMessage<ModelError>(HasSubstr("shape of another model")));
  EXPECT_THAT([&] { model->beginSegment(*workspace, &foreign); },
              ThrowsMessage<ModelError>(HasSubstr("shape of another model")));
  SegmentState segment = model->beginSegment(*workspace, nullptr);
  const std::vector<TokenId> tooLong(300, 3);
  EXPECT_THAT([&] { model->extend(*workspace, segment, tooLong, {}); },
              ThrowsMessage<ModelError>(HasSubstr("up to 256 tokens")));
  EXPECT_THAT([&] { model->write(*workspace, segment, 5, memory); },
              ThrowsMessage<ModelError>(HasSubstr("cannot write 5")));
  EXPECT_EQ(memory.tokens(), 0);
  EXPECT_THAT([] { Transformer(ModelFolder::open(tinyFolder()), makeCpuBackend(1, Precision::Float32), 512); },
              ThrowsMessage<ModelError>(HasSubstr("do not belong together")));
}

TEST(CpuBackend, SaysWhatItIs) {
  EXPECT_EQ(makeCpuBackend(1, Precision::Float32)->description(), "CPU, 1 thread, f32");
  EXPECT_GE(makeCpuBackend(0, Precision::Automatic)->threads(), 1);
  if (cpuMultipliesBFloat16()) {
    EXPECT_EQ(makeCpuBackend(3, Precision::Automatic)->description(), "CPU, 3 threads, bf16");
  } else {
    EXPECT_THROW(makeCpuBackend(1, Precision::BFloat16), ModelError);
    EXPECT_FALSE(makeCpuBackend(1, Precision::Automatic)->computesBFloat16());
  }
}

}  // namespace
}  // namespace palimpsest::engine
