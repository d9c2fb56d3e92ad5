// What reading leaves out: the logits, and of the last layer with a memory all but keys and values. What asking several
// sections leaves out: all but one copy of the layers below the first memory. Counted by a back end that hands every
// operation on to the CPU's.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "engine/forwarding_stream.h"
#include "tests/engine/forwarding_backend.h"
#include "tests/engine/transformer_fixture.h"

namespace palimpsest::engine {
namespace {

using Shape = std::pair<int, int>;  // outputs, inputs

struct Work {
  std::map<Shape, int> products, rows;  // rows of all products of a shape together
  std::map<std::string, int> operations;
};

class CountingStream : public ForwardingStream {
 public:
  CountingStream(std::unique_ptr<Stream> inner, Work& work) : ForwardingStream(std::move(inner)), work_(work) {}

  void beginPass(std::span<const PassSegment> segments, std::span<const std::int32_t> tokens) override {
    rows_ = segments.back().begin + segments.back().rows;
    ForwardingStream::beginPass(segments, tokens);
  }
  void rmsNorm(const Buffer& x, const Buffer& weight, float epsilon, Buffer& out) override {
    ++work_.operations["rmsNorm"];
    ForwardingStream::rmsNorm(x, weight, epsilon, out);
  }
  void linear(const Buffer& in, const PackedWeight& weight, Buffer& out) override {
    count(weight);
    ForwardingStream::linear(in, weight, out);
  }
  void linearAdd(const Buffer& in, const PackedWeight& weight, Buffer& x) override {
    count(weight);
    ForwardingStream::linearAdd(in, weight, x);
  }
  void siluMul(const Buffer& gateUp, Buffer& out) override {
    ++work_.operations["siluMul"];
    ForwardingStream::siluMul(gateUp, out);
  }
  // What they are made of is counted.
  void normedLinear(const Buffer& x, const Norm& norm, const PackedWeight& weight, Buffer& out) override {
    Stream::normedLinear(x, norm, weight, out);
  }
  void gatedLinear(const Buffer& x, const Norm& norm, const PackedWeight& weight, Buffer& gateUp,
                   Buffer& out) override {
    Stream::gatedLinear(x, norm, weight, gateUp, out);
  }
  void rope(Buffer& x, std::span<const RotatedColumns> columns, int dim, const Buffer& cosines,
            const Buffer& sines) override {
    ++work_.operations["rope"];
    ForwardingStream::rope(x, columns, dim, cosines, sines);
  }
  void localAttention(const Buffer& queries, const Buffer& keys, const Buffer& values, std::span<const LocalHead> heads,
                      int dim, Buffer& out) override {
    ++work_.operations["localAttention"];
    ForwardingStream::localAttention(queries, keys, values, heads, dim, out);
  }
  void memoryWrite(const Buffer& keys, const Buffer& values, std::span<const MemoryWriter> heads, MemoryDims dims,
                   MemoryUpdate rule, float epsilon, Buffer& states) override {
    ++work_.operations["memoryWrite"];
    ForwardingStream::memoryWrite(keys, values, heads, dims, rule, epsilon, states);
  }
  void memoryRead(const Buffer& queries, std::span<const MemoryReader> heads, MemoryDims dims, float epsilon,
                  const Buffer& states, Buffer& out) override {
    ++work_.operations["memoryRead"];
    ForwardingStream::memoryRead(queries, heads, dims, epsilon, states, out);
  }
  void combine(const Buffer& memory, const Buffer& local, std::span<const GatedColumns> heads, Buffer& out) override {
    ++work_.operations["combine"];
    ForwardingStream::combine(memory, local, heads, out);
  }

 private:
  void count(const PackedWeight& weight) {
    const Shape shape{weight.outputs(), weight.inputs()};
    ++work_.products[shape];
    work_.rows[shape] += rows_;
  }

  Work& work_;
  int rows_ = 0;  // of the pass
};

class CountingBackend : public ForwardingBackend {
 public:
  explicit CountingBackend(Work& work) : ForwardingBackend(makeCpuBackend(1, Precision::Float32)), work_(work) {}
  std::unique_ptr<Stream> makeStream(int threads) const override {
    return std::make_unique<CountingStream>(ForwardingBackend::makeStream(threads), work_);
  }

 private:
  Work& work_;
};

// Of the tiny model: 4 + 2 heads, 2 + 1 KV heads of 16 columns; no gates on its last layer.
constexpr Shape kHead{512, 64}, kQkv{192, 64}, kOut{64, 96}, kGateUp{256, 64}, kDown{64, 128}, kKeysAndValues{32, 64};
constexpr int kLayers = 3;

TEST(ReadingWork, LeavesOutTheLogitsAndMostOfTheLastLayer) {
  Work work;
  const Transformer model(ModelFolder::open(tinyFolder()), std::make_unique<CountingBackend>(work), kTinyBos);
  ASSERT_EQ(model.config().numLayers, kLayers);
  const auto workspace = model.makeWorkspace();
  CompressiveMemory memory(model.memoryShapes());
  const auto segments = randomSegments(5, 32, model.config().vocabSize, 8);
  model.read(*workspace, segments, memory, {});
  const std::map<Shape, int> products = {
      {kQkv, kLayers - 1}, {kOut, kLayers - 1}, {kGateUp, kLayers - 1}, {kDown, kLayers - 1}, {kKeysAndValues, 1}};
  EXPECT_EQ(work.products, products) << "no product of the head, and one of the last layer";
  const std::map<std::string, int> operations = {{"rmsNorm", 2 * (kLayers - 1) + 1},
                                                 {"rope", kLayers - 1},
                                                 {"localAttention", kLayers - 1},
                                                 {"memoryWrite", 2 * kLayers},  // of base heads and of memory heads
                                                 {"memoryRead", 2 * (kLayers - 1)},
                                                 {"combine", 1},  // the layer whose gates mix
                                                 {"siluMul", kLayers - 1}};
  EXPECT_EQ(work.operations, operations);
}

TEST(ReadingWork, AskingComputesEverythingButWritesNothing) {
  Work work;
  const Transformer model(ModelFolder::open(tinyFolder()), std::make_unique<CountingBackend>(work), kTinyBos);
  const auto workspace = model.makeWorkspace();
  SegmentState segment = model.beginSegment(*workspace, nullptr);
  const std::vector<TokenId> tokens = {kTinyBos, 5, 6, 7};
  model.extend(*workspace, segment, tokens, {});
  EXPECT_EQ(work.products[kHead], 1);
  for (const Shape& shape : {kQkv, kOut, kGateUp, kDown}) EXPECT_EQ(work.products[shape], kLayers);
  EXPECT_EQ(work.operations["memoryWrite"], 0);
}

TEST(ReadingWork, SectionsAskedTogetherShareTheLayersBelowTheFirstMemoryAndEndWithTheirLastRows) {
  const auto golden = std::filesystem::path(PALIMPSEST_TEST_DATA) / "golden";
  const std::vector<std::pair<std::filesystem::path, int>> sharedLayers = {
      {tinyFolder(), 0}, {golden / "long-keys", 1}, {golden / "heads-in-some-layers", 1}, {golden / "plain-llama", 2}};
  for (const auto& [folder, shared] : sharedLayers) {
    Work work;
    const Transformer model(ModelFolder::open(folder), std::make_unique<CountingBackend>(work), kTinyBos);
    const ModelConfig& config = model.config();
    const auto workspace = model.makeWorkspace();
    std::vector<SegmentState> sections;
    for (int i = 0; i < 5; ++i) sections.push_back(model.beginSegment(*workspace, nullptr));
    model.extendAll(*workspace, sections, std::vector<TokenId>{kTinyBos, 5, 6, 7}, {});
    const Shape down{config.hiddenSize, config.intermediateSize}, head{config.vocabSize, config.hiddenSize};
    const int below = std::min(shared, config.numLayers - 1), above = config.numLayers - 1 - below;
    const int last = shared < config.numLayers ? 5 : 1;  // of which only the last rows' feed-forward is of any use
    EXPECT_EQ(work.rows[down], 4 * below + 4 * 5 * above + last) << folder;
    EXPECT_EQ(work.rows[head], 5) << folder;
  }
}

}  // namespace
}  // namespace palimpsest::engine
