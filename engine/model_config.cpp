#include "engine/model_config.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>

#include "engine/errors.h"
#include "engine/json_file.h"

namespace palimpsest::engine {

namespace {

using Json = nlohmann::json;

// Far above any model in use, and low enough that no product of two of them overflows 64 bits.
constexpr int kMaxWidth = 1 << 17;
constexpr int kMaxIntermediate = 1 << 20;
constexpr int kMaxLayers = 1024;
constexpr int kMaxHeads = 1024;
constexpr int kMaxHeadDim = 1024;
constexpr int kMaxVocabulary = 1 << 22;
constexpr int kMaxPositions = 1 << 24;
constexpr int kMaxSegmentLength = 1 << 16;
const char* const kUnquantised = "Take the unquantised model.";
constexpr std::int64_t kMaxMemoryFloats = std::int64_t{1} << 30;  // 4 GiB of M and z

// One JSON object of the config with typed, bounded access. null counts as missing, as in transformers.
class Fields {
 public:
  Fields(const Json& json, std::string source, std::string prefix = "")
      : json_(json), source_(std::move(source)), prefix_(std::move(prefix)) {}

  [[noreturn]] void fail(const std::string& why) const { throw unusable(source_, why); }
  [[noreturn]] void fail(const std::string& why, const std::string& remedy) const {
    throw unusable(source_, why, remedy);
  }
  const Json* find(const char* name) const {
    const auto found = json_.find(name);
    return found == json_.end() || found->is_null() ? nullptr : &*found;
  }
  bool has(const char* name) const { return find(name) != nullptr; }

  int integer(const char* name, int least, int most) const {
    const Json* value = find(name);
    if (value == nullptr) fail(label(name) + " is missing");
    return integerOf(*value, name, least, most);
  }
  int integer(const char* name, int least, int most, int ifMissing) const {
    return has(name) ? integer(name, least, most) : ifMissing;
  }
  int integerOf(const Json& value, const char* name, int least, int most) const {
    const bool fits = value.is_number_integer() &&
                      !(value.is_number_unsigned() && value.get<std::uint64_t>() > INT32_MAX) &&
                      value.get<std::int64_t>() >= least && value.get<std::int64_t>() <= most;
    if (!fits) expected(name, "a whole number from " + std::to_string(least) + " to " + std::to_string(most), value);
    return value.get<int>();
  }
  float real(const char* name, float above, float most, float ifMissing) const {
    const Json* value = find(name);
    if (value == nullptr) return ifMissing;
    const double number = value->is_number() ? value->get<double>() : std::nan("");
    if (!(number > above && number <= most))
      expected(name, "a number above " + shortNumber(above) + " and up to " + shortNumber(most), *value);
    return static_cast<float>(number);
  }
  bool flag(const char* name, bool ifMissing) const {
    const Json* value = find(name);
    if (value == nullptr) return ifMissing;
    if (!value->is_boolean()) expected(name, "true or false", *value);
    return value->get<bool>();
  }
  std::string text(const char* name, const std::string& ifMissing) const {
    const Json* value = find(name);
    if (value == nullptr) return ifMissing;
    if (!value->is_string()) expected(name, "a text", *value);
    return value->get<std::string>();
  }
  // A number for all layers, or a list with one per layer.
  std::vector<int> perLayer(const char* name, int layers, int most, int ifMissing) const {
    const Json* value = find(name);
    if (value == nullptr || !value->is_array())
      return std::vector<int>(static_cast<std::size_t>(layers), integer(name, 0, most, ifMissing));
    if (value->size() != static_cast<std::size_t>(layers)) {
      fail(label(name) + " must have one entry for each of the " + std::to_string(layers) + " layers, not " +
           std::to_string(value->size()));
    }
    std::vector<int> list;
    for (const Json& item : *value) list.push_back(integerOf(item, name, 0, most));
    return list;
  }
  std::string label(const char* name) const { return "\"" + prefix_ + name + "\""; }
  [[noreturn]] void expected(const char* name, const std::string& what, const Json& found) const {
    fail(label(name) + " must be " + what + ", not " +
         found.dump(-1, ' ', true, Json::error_handler_t::replace).substr(0, 60));
  }
  Fields object(const char* name) const {
    const Json* value = find(name);
    if (value == nullptr || !value->is_object()) expected(name, "an object", value == nullptr ? Json() : *value);
    return {*value, source_, prefix_ + name + "."};
  }
  const Json& json() const { return json_; }

 private:
  static std::string shortNumber(float number) {
    std::string text = std::to_string(number);
    text.erase(text.find_last_not_of('0') + 1);
    if (text.back() == '.') text.pop_back();
    return text;
  }

  const Json& json_;
  std::string source_;
  std::string prefix_;
};

void checkArchitecture(const Fields& fields) {
  std::string architecture;
  if (const Json* list = fields.find("architectures");
      list != nullptr && list->is_array() && !list->empty() && list->front().is_string()) {
    architecture = list->front().get<std::string>();
  } else {
    architecture = fields.text("model_type", "") == "llama" ? "LlamaForCausalLM" : "an unnamed one";
  }
  const bool mistral = architecture == "MistralForCausalLM";
  if (!mistral && architecture != "LlamaForCausalLM") {
    fields.fail("the architecture is " + architecture +
                "; only LlamaForCausalLM, and MistralForCausalLM without a sliding window, can be used");
  }
  // In transformers a Mistral config without the field means a window of 4096.
  if (mistral && !(fields.json().contains("sliding_window") && fields.json()["sliding_window"].is_null())) {
    fields.fail("\"sliding_window\" is set (or left at its default); Mistral models can be used only where it is null");
  }
  if (mistral && !fields.has("num_key_value_heads")) fields.fail("\"num_key_value_heads\" is missing");
  if (!mistral && fields.has("sliding_window"))
    fields.fail("\"sliding_window\" is set; models with sliding windows cannot be used");
  if (fields.text("hidden_act", "silu") != "silu")
    fields.fail("\"hidden_act\" is " + fields.text("hidden_act", "") + "; only silu can be used");
  for (const char* bias : {"attention_bias", "mlp_bias"}) {
    if (fields.flag(bias, false)) fields.fail(fields.label(bias) + " is true; models with biases cannot be used");
  }
}

// rope_theta at the top, or all of it in "rope_parameters" as transformers 5 writes it.
void readRope(const Fields& fields, ModelConfig& config) {
  config.ropeTheta = fields.real("rope_theta", 0.0F, 1e12F, config.ropeTheta);
  for (const char* name : {"rope_scaling", "rope_parameters"}) {
    if (!fields.has(name)) continue;
    const Fields rope = fields.object(name);
    config.ropeTheta = rope.real("rope_theta", 0.0F, 1e12F, config.ropeTheta);
    const std::string type = rope.text("rope_type", rope.text("type", "default"));
    if (rope.real("partial_rotary_factor", 0.0F, 1.0F, 1.0F) != 1.0F)
      rope.fail(rope.label("partial_rotary_factor") + " is not 1; such models cannot be used");
    if (type == "default") continue;
    if (type != "llama3")
      rope.fail(rope.label("rope_type") + " is " + type + "; only \"default\" and \"llama3\" can be used");
    RopeScaling scaling;
    scaling.factor = rope.real("factor", 0.0F, 1e6F, scaling.factor);
    scaling.lowFreqFactor = rope.real("low_freq_factor", 0.0F, 1e6F, scaling.lowFreqFactor);
    scaling.highFreqFactor = rope.real("high_freq_factor", 0.0F, 1e6F, scaling.highFreqFactor);
    scaling.originalMaxPositionEmbeddings =
        rope.integer("original_max_position_embeddings", 1, kMaxPositions, scaling.originalMaxPositionEmbeddings);
    if (!(scaling.highFreqFactor > scaling.lowFreqFactor))
      rope.fail(rope.label("high_freq_factor") + " must be above low_freq_factor");
    config.ropeScaling = scaling;
  }
  if (fields.real("partial_rotary_factor", 0.0F, 1.0F, 1.0F) != 1.0F)
    fields.fail("\"partial_rotary_factor\" is not 1; such models cannot be used");
}

// Only what the engine computes: 8-bit whole numbers, symmetric, one scale per row.
void readQuantization(const Fields& fields, ModelConfig& config) {
  if (!fields.has("quantization_config")) return;
  const Fields quantization = fields.object("quantization_config");
  const std::string method = quantization.text("quant_method", "of an unnamed kind");
  if (method != "compressed-tensors") {
    quantization.fail("the weights are quantised (" + method + "); only compressed-tensors with 8-bit rows can be used",
                      kUnquantised);
  }
  const std::string format = quantization.text("format", "int-quantized");
  if (format != "int-quantized" && format != "naive-quantized") {
    quantization.fail(quantization.label("format") + " is " + format + "; only int-quantized can be used",
                      kUnquantised);
  }
  const Fields groups = quantization.object("config_groups");
  for (const auto& [name, ignored] : groups.json().items()) {
    const Fields weights = groups.object(name.c_str()).object("weights");
    const bool usable = weights.integer("num_bits", 1, 64, 8) == 8 && weights.text("type", "int") == "int" &&
                        weights.flag("symmetric", true) && weights.text("strategy", "") == "channel";
    if (!usable)
      weights.fail(
          groups.label(name.c_str()) +
              " is not symmetric 8-bit with one scale per row (strategy channel), the only kind that can be used",
          kUnquantised);
  }
  config.int8Weights = true;
}

std::map<std::string, std::string> readPrompts(const Fields& infini) {
  std::map<std::string, std::string> prompts;
  if (!infini.has("prompts")) return prompts;
  const Fields fields = infini.object("prompts");
  for (const auto& [key, value] : fields.json().items()) {
    if (!value.is_null()) prompts[key] = fields.text(key.c_str(), "");
  }
  const auto needs = [&](const char* key, const char* place) {
    const auto found = prompts.find(key);
    if (found != prompts.end() && found->second.find(place) == std::string::npos)
      fields.fail(fields.label(key) + " has no " + place + " in it");
  };
  needs("question", "{question}");
  needs("turn", "{question}");
  needs("turn", "{answer}");
  needs("passages", "{passages}");
  return prompts;
}

void readInfiniAttention(const Fields& fields, ModelConfig& config) {
  if (!fields.has("infini_attention")) return;
  const Fields infini = fields.object("infini_attention");
  InfiniAttentionConfig memory;
  memory.segmentLength = infini.integer("segment_length", kMinSegmentLength, kMaxSegmentLength);
  memory.segmentCutter = infini.integer("segment_cutter", 0, 1 << 20, 1);
  if (memory.segmentCutter != 1) {
    infini.fail(infini.label("segment_cutter") + " is " + std::to_string(memory.segmentCutter) +
                    "; this program knows version 1",
                "Get a newer version of Palimpsest for this model.");
  }
  const std::string update = infini.text("memory_update", "linear");
  if (update != "linear" && update != "delta")
    infini.fail(infini.label("memory_update") + " must be linear or delta, not " + update);
  memory.memoryUpdate = update == "delta" ? MemoryUpdate::Delta : MemoryUpdate::Linear;
  memory.sections = infini.integer("sections", 1, kMaxSections, 1);
  if (memory.sections > 1 && memory.memoryUpdate != MemoryUpdate::Linear) {
    infini.fail(infini.label("sections") + " is " + std::to_string(memory.sections) +
                    ", but sections are differences of memories, and only those of the linear rule can be subtracted",
                "Set it to 1, or choose a model with the linear rule.");
  }
  memory.memoryHeads = infini.perLayer("memory_heads", config.numLayers, kMaxHeads, 0);
  memory.memoryKvHeads = infini.perLayer("memory_kv_heads", config.numLayers, kMaxHeads, 0);
  memory.memoryHeadDim = infini.perLayer("memory_head_dim", config.numLayers, kMaxHeadDim, config.headDim);
  memory.memoryValueDim = memory.memoryHeadDim;
  if (infini.has("memory_value_dim"))
    memory.memoryValueDim = infini.perLayer("memory_value_dim", config.numLayers, kMaxHeadDim, 0);
  memory.memoryScaled = infini.flag("memory_scaled", false);
  memory.epsilon = infini.real("epsilon", 0.0F, 1.0F, memory.epsilon);
  memory.answersInSteps = infini.flag("answers_in_steps", false);
  memory.sureDoubt = infini.real("sure_doubt", 0.0F, 1.0F, memory.sureDoubt);
  memory.unknownBias = infini.real("unknown_bias", -30.0F, 30.0F, memory.unknownBias);
  memory.prompts = readPrompts(infini);

  std::int64_t floats = 0;
  for (std::size_t i = 0; i < memory.memoryHeads.size(); ++i) {
    const int heads = memory.memoryHeads[i];
    int& kvHeads = memory.memoryKvHeads[i];
    if (heads == 0) kvHeads = 0;
    if (heads > 0 && (kvHeads == 0 || heads % kvHeads != 0)) {
      infini.fail("layer " + std::to_string(i) + ": " + std::to_string(heads) + " memory heads cannot share " +
                  std::to_string(kvHeads) + " memory KV heads");
    }
    if (heads > 0 && memory.memoryHeadDim[i] == 0)
      infini.fail(infini.label("memory_head_dim") + " is 0 in layer " + std::to_string(i));
    if (heads > 0 && memory.memoryValueDim[i] == 0)
      infini.fail(infini.label("memory_value_dim") + " is 0 in layer " + std::to_string(i));
    const std::int64_t keyDim = memory.memoryHeadDim[i], valueDim = memory.memoryValueDim[i];
    const std::int64_t baseDim = config.headDim;
    floats += kvHeads * keyDim * (valueDim + 1) + config.numKvHeads * baseDim * (baseDim + 1);
  }
  if (floats > kMaxMemoryFloats)
    infini.fail("the memory of one book would take more than 4 GiB; the numbers of heads cannot be right");
  config.infiniAttention = std::move(memory);
}

}  // namespace

ModelConfig parseModelConfig(const std::string& json, const std::string& sourceName) {
  const Json parsed = parseJsonObject(json, sourceName);
  const Fields fields(parsed, sourceName);
  checkArchitecture(fields);

  ModelConfig config;
  config.hiddenSize = fields.integer("hidden_size", 1, kMaxWidth);
  config.intermediateSize = fields.integer("intermediate_size", 1, kMaxIntermediate);
  config.numLayers = fields.integer("num_hidden_layers", 1, kMaxLayers);
  config.numHeads = fields.integer("num_attention_heads", 1, kMaxHeads);
  config.numKvHeads = fields.integer("num_key_value_heads", 1, kMaxHeads, config.numHeads);
  if (config.numHeads % config.numKvHeads != 0) {
    fields.fail(std::to_string(config.numHeads) + " attention heads cannot share " + std::to_string(config.numKvHeads) +
                " key-value heads");
  }
  if (!fields.has("head_dim") && config.hiddenSize % config.numHeads != 0) {
    fields.fail("\"head_dim\" is missing, and " + std::to_string(config.hiddenSize) +
                " (hidden_size) is no multiple of " + std::to_string(config.numHeads) + " heads");
  }
  config.headDim = fields.integer("head_dim", 1, kMaxHeadDim, config.hiddenSize / config.numHeads);
  if (config.headDim > kMaxHeadDim || config.headDim % 2 != 0)
    fields.fail("\"head_dim\" is " + std::to_string(config.headDim) + "; it must be even and at most 1024");
  config.vocabSize = fields.integer("vocab_size", 1, kMaxVocabulary);
  config.maxPositionEmbeddings =
      fields.integer("max_position_embeddings", kMinSegmentLength, kMaxPositions, config.maxPositionEmbeddings);
  config.rmsNormEps =
      fields.real("rms_norm_eps", 0.0F, 1.0F, 1e-6F);  // 1e-6: what transformers takes when it is missing
  config.tieWordEmbeddings = fields.flag("tie_word_embeddings", false);
  config.name = fields.text("_name_or_path", "");
  readRope(fields, config);
  readQuantization(fields, config);
  if (const Json* eos = fields.find("eos_token_id"))
    config.eosTokenIds = parseEosIds(*eos, config.vocabSize, sourceName);
  readInfiniAttention(fields, config);
  return config;
}

}  // namespace palimpsest::engine
