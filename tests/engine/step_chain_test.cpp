// A token's layers as operations that wait for nothing: a card may begin each before the one before it has ended, and
// what was recorded is played again. The bits are those of operations that are waited for one by one.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <vector>

#include "engine/quantized.h"
#include "tests/engine/transformer_fixture.h"

namespace palimpsest::engine {
namespace {

// The shipped model's heads, and fewer of them.
constexpr int kHeads = 4, kDim = 64, kMemoryHeads = 2, kWidth = 256, kInner = 256, kCapacity = 700, kLayers = 3;
constexpr MemoryDims kDims = {256, 128};
constexpr int kBase = kHeads * kDim, kAdded = kMemoryHeads * kDims.key;
constexpr int kValues = kBase + kMemoryHeads * kDims.value;  // of qkv, and the width of what attention gives
constexpr int kKeysAt = kBase + kAdded, kValuesAt = 2 * kKeysAt, kQkv = kValuesAt + kValues;
constexpr int kState = kMemoryHeads * kDims.key * (kDims.value + 1);

enum class Queued { OneByOne, AtOnce, Recorded };

class StepChain : public testing::TestWithParam<WeightType> {
 protected:
  struct Layer {
    std::unique_ptr<PackedWeight> qkv, o, gateUp, down;
    std::unique_ptr<Buffer> keys, values, memoryKeys, states;
  };

  void SetUp() override {
    if (lacks(Precision::BFloat16)) GTEST_SKIP() << "this device cannot";
    backend_ = testBackend(Precision::BFloat16);
    stream_ = backend_->makeStream();
    cosines_ = backend_->constants(kCapacity, kDim / 2, random(kCapacity * kDim / 2));
    sines_ = backend_->constants(kCapacity, kDim / 2, random(kCapacity * kDim / 2));
    norm_ = backend_->constants(1, kWidth, random(kWidth));
    for (int h = 0; h < kHeads; ++h) heads_.push_back({h * kDim, h * kDim, h * kDim, h * kDim});
    for (int h = 0; h < kMemoryHeads; ++h)
      readers_.push_back({kBase + h * kDims.key, kBase + h * kDims.value, h * kDims.key * kDims.value,
                          kMemoryHeads * kDims.key * kDims.value + h * kDims.key, -0.3F, 1.7F});
  }

  std::vector<float> random(int count, float size = 1) {
    return normalValues(static_cast<std::size_t>(count), generator_, size);
  }
  std::unique_ptr<PackedWeight> weight(int outputs, int inputs) {
    const std::vector<float> values = random(outputs * inputs, 0.05F);
    return backend_->pack(
        outputs, inputs,
        [&](std::int64_t begin, std::int64_t, std::span<float> out) {
          std::copy_n(values.begin() + begin * inputs, out.size(), out.begin());
        },
        GetParam());
  }
  std::unique_ptr<Buffer> bufferOf(std::vector<float> values, int rows, int columns, Element element) {
    auto buffer = stream_->allocate(rows, columns, element);
    stream_->upload(values, *buffer);
    stream_->wait();
    return buffer;
  }
  std::vector<Layer> makeLayers() {
    generator_.seed(11);
    std::vector<Layer> layers(kLayers);
    for (Layer& layer : layers) {
      layer.qkv = weight(kQkv, kWidth);
      layer.o = weight(kWidth, kValues);
      layer.gateUp = weight(2 * kInner, kWidth);
      layer.down = weight(kWidth, kInner);
      layer.keys = bufferOf(random(kCapacity * kBase), kCapacity, kBase, Element::Heads);
      layer.values = bufferOf(random(kCapacity * kValues), kCapacity, kValues, Element::Heads);
      layer.memoryKeys = bufferOf(random(kCapacity * kAdded), kCapacity, kAdded, Element::Heads);
      std::vector<float> state = random(kState);
      for (float& x : state) x = std::abs(x);
      layer.states = bufferOf(std::move(state), 1, kState, Element::Float32);
    }
    return layers;
  }

  // What stands in x after each token; the positions are those around the ends of what a block takes.
  std::vector<float> run(Queued queued) {
    const std::vector<Layer> layers = makeLayers();
    const auto x = bufferOf(random(kWidth), 1, kWidth, Element::Float32);
    const auto room = stream_->allocate(1, kWidth, Element::Compute), qkv = stream_->allocate(1, kQkv, Element::Heads),
               out = stream_->allocate(1, kValues, Element::Compute),
               gateUp = stream_->allocate(1, 2 * kInner, Element::Compute),
               activated = stream_->allocate(1, kInner, Element::Compute);
    const auto done = [&] {
      if (queued == Queued::OneByOne) stream_->wait();
    };
    const auto operations = [&] {
      for (const Layer& layer : layers) {
        const std::vector<KeptColumns> kept = {{kKeysAt, kBase, layer.keys.get()},
                                               {kValuesAt, kValues, layer.values.get()},
                                               {kKeysAt + kBase, kAdded, layer.memoryKeys.get()}};
        stream_->normedLinear(*x, {*norm_, 1e-5F, *room}, *layer.qkv, *qkv), done();
        stream_->attend({.qkv = *qkv,
                         .readers = readers_,
                         .dims = kDims,
                         .epsilon = 1e-6F,
                         .states = *layer.states,
                         .rotated = rotated_,
                         .dim = kDim,
                         .cosines = *cosines_,
                         .sines = *sines_,
                         .kept = kept,
                         .keys = *layer.keys,
                         .values = *layer.values,
                         .heads = heads_,
                         .out = *out}),
            done();
        stream_->linearAdd(*out, *layer.o, *x), done();
        stream_->gatedLinear(*x, {*norm_, 1e-5F, *room}, *layer.gateUp, *gateUp, *activated), done();
        stream_->linearAdd(*activated, *layer.down, *x), done();
      }
    };
    const std::array<std::uint64_t, 1> key = {++runs_};
    std::vector<float> all, own(kWidth);
    for (const int position : {254, 255, 256, 257, 258, 300, 530, 531}) {
      const PassSegment pass{.rows = 1, .firstPosition = position, .keyCapacity = kCapacity};
      stream_->beginPass(std::span(&pass, 1));
      if (queued == Queued::Recorded) {
        stream_->replay(key, operations);
      } else {
        operations();
      }
      stream_->download(*x, 0, own);
      all.insert(all.end(), own.begin(), own.end());
    }
    return all;
  }

  std::mt19937 generator_{11};
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Stream> stream_;
  std::unique_ptr<Buffer> cosines_, sines_, norm_;
  std::vector<LocalHead> heads_;
  std::vector<MemoryReader> readers_;
  std::vector<RotatedColumns> rotated_ = {{0, kHeads}, {kKeysAt, kHeads}};
  std::uint64_t runs_ = 0;
};

TEST_P(StepChain, HasTheBitsOfOneOperationAfterTheOther) {
  const std::vector<float> right = run(Queued::OneByOne);
  EXPECT_TRUE(std::ranges::all_of(right, [](float x) { return std::isfinite(x); }));
  for (int again = 0; again < 3; ++again) {
    EXPECT_EQ(run(Queued::AtOnce), right);
    EXPECT_EQ(run(Queued::Recorded), right);
  }
}

INSTANTIATE_TEST_SUITE_P(, StepChain, testing::Values(WeightType::Full, WeightType::Int8, WeightType::Int4),
                         [](const auto& own) {
                           return own.param == WeightType::Full   ? "full"
                                  : own.param == WeightType::Int8 ? "int8"
                                                                  : "int4";
                         });

}  // namespace
}  // namespace palimpsest::engine
