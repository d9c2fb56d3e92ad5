// What config.json says: the numbers of a Llama, and of its Infini-attention memory if it has one.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace palimpsest::engine {

// Llama 3's frequency scaling ("rope_scaling": {"rope_type": "llama3", ...}).
struct RopeScaling {
  float factor = 8.0F;
  float lowFreqFactor = 1.0F;
  float highFreqFactor = 4.0F;
  int originalMaxPositionEmbeddings = 8192;
};

// The shortest segment that can be cut: a character may need several tokens.
constexpr int kMinSegmentLength = 8;

// Of one book. Each takes its room and its part of the time of every question.
constexpr int kMaxSections = 256;

enum class MemoryUpdate { Linear, Delta };

// The "infini_attention" object of config.json. Lists have one entry per layer.
struct InfiniAttentionConfig {
  int segmentLength = 256;  // S, tokens; BOS not counted
  int segmentCutter = 1;    // version of the cutting rule, see segment_cutter.h
  MemoryUpdate memoryUpdate = MemoryUpdate::Linear;
  int sections = 1;  // that a book's memory is kept in, see section_rule.h; above 1 with the linear rule only
  std::vector<int> memoryHeads;  // added heads with g = 1
  std::vector<int> memoryKvHeads;
  std::vector<int> memoryHeadDim;              // of queries and keys
  std::vector<int> memoryValueDim;             // of values; that of keys if config.json does not say
  bool memoryScaled = false;                   // memory heads scale what they read, see Stream::memoryRead
  float epsilon = 1e-6F;                       // on the denominator sigma(Q) z
  bool answersInSteps = false;                 // see answer_steps.h
  float sureDoubt = 0.0F;                      // a section that doubts less is sure, see section_choice.h; 0: none is
  float unknownBias = 0.0F;                    // nats by which "unknown" must be likelier to be answered, see prompt.h
  std::map<std::string, std::string> prompts;  // "question", "summary", "passages", "unknown": see prompt.h
};

struct ModelConfig {
  int hiddenSize = 0;
  int intermediateSize = 0;
  int numLayers = 0;
  int numHeads = 0;
  int numKvHeads = 0;
  int headDim = 0;
  int vocabSize = 0;
  int maxPositionEmbeddings = 2048;
  float rmsNormEps = 1e-5F;
  float ropeTheta = 10000.0F;
  std::optional<RopeScaling> ropeScaling;
  bool tieWordEmbeddings = false;
  std::string name;              // "_name_or_path", else the folder's name
  std::vector<int> eosTokenIds;  // config.json and generation_config.json together
  bool int8Weights = false;      // "quantization_config" of the compressed-tensors kind, 8 bits per row
  std::string chatTemplate;      // Jinja text of tokenizer_config.json or chat_template.jinja; empty = a base model
  std::optional<InfiniAttentionConfig> infiniAttention;
};

// Reads config.json text. Throws ModelError naming the field, what was expected and what is there.
// ModelFolder adds what other files say: generation_config.json, the chat template, and a name if there is none here.
ModelConfig parseModelConfig(const std::string& json, const std::string& sourceName);

}  // namespace palimpsest::engine
