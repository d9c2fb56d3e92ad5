// Gates at their ends: a base head with beta = +inf is a memory head, one with beta = -inf a head of the plain model.
#include <gtest/gtest.h>

#include <limits>

#include "tests/engine/transformer_fixture.h"

namespace palimpsest::engine {
namespace {

constexpr int kHidden = 24, kMiddle = 40, kVocab = 30, kDim = 8, kLayers = 2;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

struct Matrix {
  int rows, columns;
  std::vector<float> values;
};

Matrix randomMatrix(int rows, int columns, std::mt19937& random) {
  std::normal_distribution<float> normal(0.0F, 1.0F / std::sqrt(static_cast<float>(columns)));
  Matrix matrix{rows, columns, std::vector<float>(static_cast<std::size_t>(rows * columns))};
  for (float& value : matrix.values) value = normal(random);
  return matrix;
}

Matrix below(const Matrix& a, const Matrix& b) {
  Matrix out{a.rows + b.rows, a.columns, a.values};
  out.values.insert(out.values.end(), b.values.begin(), b.values.end());
  return out;
}

Matrix beside(const Matrix& a, const Matrix& b) {
  Matrix out{a.rows, a.columns + b.columns, {}};
  for (int r = 0; r < a.rows; ++r) {
    out.values.insert(out.values.end(), a.values.begin() + r * a.columns, a.values.begin() + (r + 1) * a.columns);
    out.values.insert(out.values.end(), b.values.begin() + r * b.columns, b.values.begin() + (r + 1) * b.columns);
  }
  return out;
}

class FolderWriter {
 public:
  void matrix(const std::string& name, const Matrix& m) {
    kept_.push_back(std::make_unique<std::vector<float>>(m.values));
    SafetensorsWriter& file = name.find("memory_") == std::string::npos ? base_ : memory_;
    file.add(name, {m.rows, m.columns}, *kept_.back());
  }
  void vector(const std::string& name, const std::vector<float>& values) {
    kept_.push_back(std::make_unique<std::vector<float>>(values));
    SafetensorsWriter& file = name.find("memory_") == std::string::npos ? base_ : memory_;
    file.add(name, {static_cast<std::int64_t>(values.size())}, *kept_.back());
  }
  void write(const std::filesystem::path& folder, int heads, int memoryHeads) {
    std::filesystem::create_directories(folder);
    std::ofstream(folder / "config.json")
        << R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "hidden_size": )"
        << kHidden << R"(, "intermediate_size": )" << kMiddle << R"(, "num_hidden_layers": )" << kLayers
        << R"(, "num_attention_heads": )" << heads << R"(, "num_key_value_heads": )" << heads << R"(, "head_dim": )"
        << kDim << R"(, "vocab_size": )" << kVocab
        << R"(, "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "tie_word_embeddings": true, "infini_attention": )"
        << R"({"segment_length": 16, "segment_cutter": 1, "memory_update": "linear", "memory_heads": )" << memoryHeads
        << R"(, "memory_kv_heads": )" << memoryHeads << R"(, "memory_head_dim": )" << kDim << R"(, "epsilon": 1e-6}})";
    base_.writeFile(folder / "model.safetensors");
    memory_.writeFile(folder / "memory_heads.safetensors");
  }

 private:
  std::vector<std::unique_ptr<std::vector<float>>> kept_;
  SafetensorsWriter base_, memory_;
};

// Writes the same model twice: heads 2 and 3 of `gated` are shut off from local attention, `added` has them as memory
// heads.
void writeTwins(const std::filesystem::path& gated, const std::filesystem::path& added) {
  std::mt19937 random(7);
  FolderWriter a, b;
  const auto both = [&](const std::string& name, const Matrix& m) { a.matrix(name, m), b.matrix(name, m); };
  both("model.embed_tokens.weight", randomMatrix(kVocab, kHidden, random));
  for (int layer = 0; layer < kLayers; ++layer) {
    const std::string at = "model.layers." + std::to_string(layer) + ".";
    for (const char* name : {"q", "k", "v"}) {
      const Matrix local = randomMatrix(2 * kDim, kHidden, random), memory = randomMatrix(2 * kDim, kHidden, random);
      a.matrix(at + "self_attn." + name + "_proj.weight", below(local, memory));
      b.matrix(at + "self_attn." + name + "_proj.weight", local);
      b.matrix(at + "self_attn.memory_" + name + "_proj.weight", memory);
    }
    const Matrix local = randomMatrix(kHidden, 2 * kDim, random), memory = randomMatrix(kHidden, 2 * kDim, random);
    a.matrix(at + "self_attn.o_proj.weight", beside(local, memory));
    b.matrix(at + "self_attn.o_proj.weight", local);
    b.matrix(at + "self_attn.memory_o_proj.weight", memory);
    a.vector(at + "self_attn.memory_gate", {-kInfinity, -kInfinity, kInfinity, kInfinity});
    both(at + "mlp.gate_proj.weight", randomMatrix(kMiddle, kHidden, random));
    both(at + "mlp.up_proj.weight", randomMatrix(kMiddle, kHidden, random));
    both(at + "mlp.down_proj.weight", randomMatrix(kHidden, kMiddle, random));
    for (FolderWriter* writer : {&a, &b}) {
      writer->vector(at + "input_layernorm.weight", std::vector<float>(kHidden, 1.0F));
      writer->vector(at + "post_attention_layernorm.weight", std::vector<float>(kHidden, 1.0F));
    }
  }
  for (FolderWriter* writer : {&a, &b}) writer->vector("model.norm.weight", std::vector<float>(kHidden, 1.0F));
  a.write(gated, 4, 0);
  b.write(added, 2, 2);
}

struct Loaded {
  explicit Loaded(const std::filesystem::path& folder)
      : model(ModelFolder::open(folder), testBackend(Precision::Float32), std::nullopt),
        workspace(model.makeWorkspace()),
        memory(model.memoryShapes()) {}
  std::vector<float> logits(const std::vector<TokenId>& tokens) {
    SegmentState segment = model.beginSegment(*workspace, &memory);
    return copyOf(model.extend(*workspace, segment, tokens, {}, static_cast<int>(tokens.size())));
  }
  Transformer model;
  Transformer::WorkspacePointer workspace;
  CompressiveMemory memory;
};

TEST(Gates, ABaseHeadWithAnInfiniteGateIsAMemoryHead) {
  if (lacks(Precision::Float32)) GTEST_SKIP() << "this device cannot";
  const TemporaryFolder folder;
  writeTwins(folder.path() / "gated", folder.path() / "added");
  Loaded gated(folder.path() / "gated"), added(folder.path() / "added");
  const std::vector<TokenId> prompt = {3, 9, 4, 4, 21, 17, 8};
  EXPECT_EQ(gated.memory.bytes(), added.memory.bytes());  // the shut heads have no memory
  EXPECT_LT(relativeError(gated.logits(prompt), added.logits(prompt)), 2e-6) << "on the empty memory";

  const auto segments = randomSegments(5, 16, kVocab, 9);
  gated.model.read(*gated.workspace, segments, gated.memory, {});
  added.model.read(*added.workspace, segments, added.memory, {});
  EXPECT_LT(relativeError(gated.memory.values(), added.memory.values()), 2e-6);
  EXPECT_LT(relativeError(gated.logits(prompt), added.logits(prompt)), 2e-6);
}

}  // namespace
}  // namespace palimpsest::engine
