#include "engine/model_folder.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>
#include <stdexcept>

#include "engine/errors.h"
#include "engine/json_file.h"
#include "engine/sha256.h"

namespace palimpsest::engine {

namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr std::size_t kMaxConfigBytes = 4 << 20;
constexpr std::size_t kMaxIndexBytes = 64 << 20;
constexpr std::size_t kMaxTokenizerBytes = 256 << 20;
constexpr std::size_t kMaxShards = 1000;

const char* const kMemoryFile = "memory_heads.safetensors";

std::string layerName(int layer, std::string_view name) {
  return "model.layers." + std::to_string(layer) + "." + std::string(name);
}

std::string fileNameOf(const SafetensorsFile& file) { return fs::path(file.sourceName()).filename().string(); }

// The shards that the index names. The names come from the file: only plain ones, so that nothing outside is opened.
std::set<std::string> shardNames(const fs::path& indexFile) {
  const Json index = readJsonFile(indexFile, kMaxIndexBytes);
  if (!index.contains("weight_map") || !index["weight_map"].is_object())
    throw unusable(indexFile.string(), "it has no weight_map");
  std::set<std::string> names;
  for (const auto& [tensor, file] : index["weight_map"].items()) {
    const std::string name = file.is_string() ? file.get<std::string>() : "";
    if (name.empty() || name == ".." || name.find('/') != std::string::npos || name.find('\0') != std::string::npos) {
      throw unusable(indexFile.string(), "the file named for tensor " + tensor + " is not a plain file name");
    }
    names.insert(name);
    if (names.size() > kMaxShards) throw unusable(indexFile.string(), "it names more than 1000 files");
  }
  return names;
}

// The template of a chat, from the two places where transformers keeps it; empty = none.
std::string chatTemplateOf(const fs::path& folder, const Json& tokenizerConfig) {
  if (fs::exists(folder / "chat_template.jinja")) return readTextFile(folder / "chat_template.jinja", kMaxConfigBytes);
  const auto found = tokenizerConfig.find("chat_template");
  if (found == tokenizerConfig.end()) return "";
  if (found->is_string()) return found->get<std::string>();
  if (!found->is_array()) return "";
  for (const Json& entry : *found) {  // several by name: [{"name": "default", "template": "..."}, ...]
    if (entry.is_object() && entry.value("name", Json()) == "default" && entry.value("template", Json()).is_string())
      return entry["template"];
  }
  return "";
}

// Numbers and names with their lengths before them, so that no two configs give the same bytes.
class Fingerprint {
 public:
  void add(std::string_view label, std::string_view value) {
    const std::string line = std::string(label) + ":" + std::to_string(value.size()) + ":";
    hash_.update(line);
    hash_.update(value);
    hash_.update("\n");
  }
  void add(std::string_view label, std::int64_t value) { add(label, std::to_string(value)); }
  void addFloat(std::string_view label, float value) {
    add(label, static_cast<std::int64_t>(std::bit_cast<std::uint32_t>(value)));
  }
  void add(std::string_view label, const std::vector<int>& values) {
    std::string text;
    for (const int value : values) text += std::to_string(value) + ",";
    add(label, text);
  }
  void addTensor(const TensorView& tensor, bool whole) {
    constexpr std::size_t kBlock = 4096;
    add(tensor.name, std::string(nameOf(tensor.dtype)) + shapeText(tensor.shape));
    const std::span<const std::byte> data = tensor.data;
    if (whole || data.size() <= 3 * kBlock) {
      hash_.update(data);
      return;
    }
    hash_.update(data.first(kBlock));
    hash_.update(data.subspan(data.size() / 2 / kBlock * kBlock, kBlock));
    hash_.update(data.last(kBlock));
  }
  std::string finish() { return hex(hash_.finish()); }

 private:
  Sha256 hash_;
};

void addConfig(Fingerprint& print, const ModelConfig& config) {
  print.add("hidden_size", config.hiddenSize);
  print.add("intermediate_size", config.intermediateSize);
  print.add("layers", config.numLayers);
  print.add("heads", config.numHeads);
  print.add("kv_heads", config.numKvHeads);
  print.add("head_dim", config.headDim);
  print.add("vocab", config.vocabSize);
  print.addFloat("rms_norm_eps", config.rmsNormEps);
  print.addFloat("rope_theta", config.ropeTheta);
  print.add("tied", config.tieWordEmbeddings ? 1 : 0);
  if (config.ropeScaling) {
    print.addFloat("rope_factor", config.ropeScaling->factor);
    print.addFloat("rope_low", config.ropeScaling->lowFreqFactor);
    print.addFloat("rope_high", config.ropeScaling->highFreqFactor);
    print.add("rope_original", config.ropeScaling->originalMaxPositionEmbeddings);
  }
  if (config.infiniAttention) {
    const InfiniAttentionConfig& memory = *config.infiniAttention;
    print.add("segment_length", memory.segmentLength);
    print.add("segment_cutter", memory.segmentCutter);
    print.add("memory_update", memory.memoryUpdate == MemoryUpdate::Linear ? "linear" : "delta");
    print.add("memory_heads", memory.memoryHeads);
    print.add("memory_kv_heads", memory.memoryKvHeads);
    print.add("memory_head_dim", memory.memoryHeadDim);
    if (memory.memoryValueDim != memory.memoryHeadDim) print.add("memory_value_dim", memory.memoryValueDim);
    print.addFloat("epsilon", memory.epsilon);
    if (memory.memoryScaled) print.add("memory_scaled", 1);
  }
}

}  // namespace

void Weight::readRows(std::int64_t begin, std::span<float> out) const {
  const auto width = static_cast<std::size_t>(columns);
  const std::size_t count = out.size() / width;
  if (begin < 0 || begin > rows || count > static_cast<std::size_t>(rows - begin) || out.size() % width != 0) {
    throw std::out_of_range("tensor " + values.name + " has no rows " + std::to_string(begin) + " to " +
                            std::to_string(begin) + " + " + std::to_string(count));
  }
  convertToFloat(values, begin * columns, out);
  if (!isInt8()) return;
  for (std::size_t row = 0; row < count; ++row) {
    float factor = 0;
    convertToFloat(scale, begin + static_cast<std::int64_t>(row), {&factor, 1});
    for (float& value : out.subspan(row * width, width)) value *= factor;
  }
}

std::vector<float> Weight::toFloats() const {
  std::vector<float> floats(static_cast<std::size_t>(rows * columns));
  readRows(0, floats);
  return floats;
}

ModelFolder ModelFolder::open(const fs::path& folder) {
  std::error_code error;
  if (!fs::exists(folder, error))
    throw unusable(folder.string(), "the model folder is missing", "Give the folder that holds config.json.");
  if (!fs::is_directory(folder, error))
    throw unusable(folder.string(), "it is not a folder", "Give the folder that holds config.json.");
  ModelFolder opened;
  opened.path_ = folder;
  opened.readConfig();
  opened.openWeightFiles();
  opened.requireBase();
  if (fs::exists(folder / kMemoryFile)) opened.requireMemory();
  return opened;
}

void ModelFolder::readConfig() {
  const fs::path configFile = path_ / "config.json";
  config_ = parseModelConfig(readTextFile(configFile, kMaxConfigBytes), configFile.string());
  if (config_.name.empty()) config_.name = fs::weakly_canonical(path_).filename().string();

  const fs::path generationFile = path_ / "generation_config.json";
  if (fs::exists(generationFile)) {
    const Json generation = readJsonFile(generationFile, kMaxConfigBytes);
    const auto eos = generation.find("eos_token_id");
    if (eos != generation.end() && !eos->is_null()) {
      for (const int id : parseEosIds(*eos, config_.vocabSize, generationFile.string())) {
        if (std::count(config_.eosTokenIds.begin(), config_.eosTokenIds.end(), id) == 0)
          config_.eosTokenIds.push_back(id);
      }
    }
  }
  Json tokenizerConfig = Json::object();
  if (fs::exists(path_ / "tokenizer_config.json"))
    tokenizerConfig = readJsonFile(path_ / "tokenizer_config.json", kMaxConfigBytes);
  if (tokenizerConfig.contains("add_bos_token")) addBosToken_ = tokenizerConfig["add_bos_token"].dump();
  config_.chatTemplate = chatTemplateOf(path_, tokenizerConfig);
}

void ModelFolder::openWeightFiles() {
  const fs::path single = path_ / "model.safetensors";
  const fs::path index = path_ / "model.safetensors.index.json";
  if (fs::exists(single)) {
    shards_.push_back(SafetensorsFile::open(single));
  } else if (fs::exists(index)) {
    for (const std::string& name : shardNames(index)) {
      if (!fs::exists(path_ / name))
        throw unusable(path_.string(), "the file " + name + " is missing, which model.safetensors.index.json names",
                       "Fetch it from where the model came from.");
      shards_.push_back(SafetensorsFile::open(path_ / name));
    }
  } else {
    throw unusable(
        path_.string(),
        "it has no model.safetensors (nor model.safetensors.index.json); weights in other formats cannot be loaded",
        "Fetch the safetensors files of the model.");
  }
}

void ModelFolder::requireWeight(const std::vector<SafetensorsFile>& files, const std::string& name,
                                std::vector<std::int64_t> shape) {
  const auto holder = [&](const std::string& tensor) {
    return std::find_if(files.begin(), files.end(),
                        [&](const SafetensorsFile& file) { return file.find(tensor) != nullptr; });
  };
  const auto file = holder(name);
  if (file == files.end()) {
    const std::string where = files.size() == 1 ? files.front().sourceName() : path_.string();
    throw unusable(where, name + " is missing; expected " + shapeText(shape));
  }
  Weight weight;
  weight.values = file->at(name);
  weight.file = fileNameOf(*file);
  if (weight.values.shape != shape) {
    throw unusable(file->sourceName(),
                   name + " is " + shapeText(weight.values.shape) + " where config.json asks for " + shapeText(shape));
  }
  weight.rows = shape[0];
  weight.columns = shape.size() > 1 ? shape[1] : 1;
  const Dtype dtype = weight.values.dtype;
  if (dtype == Dtype::I8 && shape.size() == 2) {
    if (!config_.int8Weights)
      throw unusable(file->sourceName(), name + " is of type I8, but config.json has no quantization_config");
    const std::string scaleName = name + "_scale";
    const auto scaleFile = holder(scaleName);
    if (scaleFile == files.end())
      throw unusable(file->sourceName(),
                     scaleName + " is missing; expected " + shapeText(std::array{weight.rows, std::int64_t{1}}));
    weight.scale = scaleFile->at(scaleName);
    const std::vector<std::int64_t>& found = weight.scale.shape;
    if (found != std::vector{weight.rows} && found != std::vector{weight.rows, std::int64_t{1}}) {
      throw unusable(scaleFile->sourceName(), scaleName + " is " + shapeText(found) + " where config.json asks for " +
                                                  shapeText(std::array{weight.rows, std::int64_t{1}}));
    }
  }
  const Dtype floats = dtype == Dtype::I8 && shape.size() == 2 ? weight.scale.dtype : dtype;
  if (floats != Dtype::F32 && floats != Dtype::F16 && floats != Dtype::BF16) {
    throw unusable(file->sourceName(), name + " is of type " + std::string(nameOf(dtype)) +
                                           "; F32, F16, BF16, and I8 with a float scale can be used");
  }
  weights_.insert_or_assign(name, std::move(weight));
}

void ModelFolder::requireBase() {
  const std::int64_t hidden = config_.hiddenSize;
  const std::int64_t queries = std::int64_t{config_.numHeads} * config_.headDim;
  const std::int64_t keys = std::int64_t{config_.numKvHeads} * config_.headDim;
  const std::int64_t inner = config_.intermediateSize;
  requireWeight(shards_, "model.embed_tokens.weight", {config_.vocabSize, hidden});
  requireWeight(shards_, "model.norm.weight", {hidden});
  if (!config_.tieWordEmbeddings) requireWeight(shards_, "lm_head.weight", {config_.vocabSize, hidden});
  for (int i = 0; i < config_.numLayers; ++i) {
    const auto require = [&](const char* name, std::vector<std::int64_t> shape) {
      requireWeight(shards_, layerName(i, name), std::move(shape));
    };
    require("input_layernorm.weight", {hidden});
    require("self_attn.q_proj.weight", {queries, hidden});
    require("self_attn.k_proj.weight", {keys, hidden});
    require("self_attn.v_proj.weight", {keys, hidden});
    require("self_attn.o_proj.weight", {hidden, queries});
    require("post_attention_layernorm.weight", {hidden});
    require("mlp.gate_proj.weight", {inner, hidden});
    require("mlp.up_proj.weight", {inner, hidden});
    require("mlp.down_proj.weight", {hidden, inner});
  }
}

void ModelFolder::requireMemory() {
  const fs::path file = path_ / kMemoryFile;
  if (!config_.infiniAttention)
    throw unusable(file.string(), "it is there, but config.json has no \"infini_attention\" that describes it");
  memoryFile_.push_back(SafetensorsFile::open(file));
  const InfiniAttentionConfig& memory = *config_.infiniAttention;
  for (int i = 0; i < config_.numLayers; ++i) {
    const auto at = static_cast<std::size_t>(i);
    const std::int64_t hidden = config_.hiddenSize;
    const std::int64_t queries = std::int64_t{memory.memoryHeads[at]} * memory.memoryHeadDim[at];
    const std::int64_t keys = std::int64_t{memory.memoryKvHeads[at]} * memory.memoryHeadDim[at];
    const std::int64_t values = std::int64_t{memory.memoryKvHeads[at]} * memory.memoryValueDim[at];
    const std::int64_t outputs = std::int64_t{memory.memoryHeads[at]} * memory.memoryValueDim[at];
    const auto require = [&](const char* name, std::vector<std::int64_t> shape) {
      requireWeight(memoryFile_, layerName(i, name), std::move(shape));
    };
    if (memory.memoryHeads[at] > 0) {
      require("self_attn.memory_q_proj.weight", {queries, hidden});
      require("self_attn.memory_k_proj.weight", {keys, hidden});
      require("self_attn.memory_v_proj.weight", {values, hidden});
      require("self_attn.memory_o_proj.weight", {hidden, outputs});
    }
    const auto requireNumbers = [&](const std::string& name, int count) {
      requireWeight(memoryFile_, name, {count});
      for (const float number : weights_.at(name).toFloats()) {
        if (std::isnan(number)) throw unusable(file.string(), name + " holds a value that is not a number");
      }
    };
    if (memory.memoryScaled && memory.memoryHeads[at] > 0) {
      requireNumbers(layerName(i, "self_attn.memory_power"), memory.memoryHeads[at]);
      requireNumbers(layerName(i, "self_attn.memory_size"), memory.memoryHeads[at]);
    }
    const std::string gate = layerName(i, "self_attn.memory_gate");
    if (memoryFile_[0].find(gate) != nullptr) requireNumbers(gate, config_.numHeads);
  }
  if (memoryFile_[0].tensors().empty()) throw unusable(file.string(), "it holds no tensors");
  for (const TensorView& tensor : memoryFile_[0].tensors()) {
    const bool scale =
        tensor.name.ends_with("_scale") && weights_.contains(tensor.name.substr(0, tensor.name.size() - 6));
    if (!scale && !weights_.contains(tensor.name))
      throw unusable(file.string(), "the tensor " + tensor.name + " is none that config.json calls for");
  }
  hasMemory_ = true;
}

const Weight* ModelFolder::find(std::string_view name) const {
  const auto found = weights_.find(name);
  return found == weights_.end() ? nullptr : &found->second;
}

const Weight& ModelFolder::embedTokens() const { return weights_.at("model.embed_tokens.weight"); }
const Weight& ModelFolder::finalNorm() const { return weights_.at("model.norm.weight"); }
const Weight& ModelFolder::lmHead() const {
  return config_.tieWordEmbeddings ? embedTokens() : weights_.at("lm_head.weight");
}

const Weight& ModelFolder::layer(int layer, std::string_view name) const {
  const Weight* weight = find(layerName(layer, name));
  if (weight == nullptr) throw unusable(path_.string(), "it has no tensor " + layerName(layer, name));
  return *weight;
}

std::vector<float> ModelFolder::memoryGate(int layer) const {
  const Weight* gate = find(layerName(layer, "self_attn.memory_gate"));
  return gate == nullptr ? std::vector<float>() : gate->toFloats();
}

std::string ModelFolder::fingerprint() const {
  Fingerprint print;
  print.add("palimpsest", "model fingerprint 1");
  addConfig(print, config_);
  for (const char* name : {"tokenizer.json", "tokenizer.model"}) {
    if (fs::exists(path_ / name)) print.add(name, readTextFile(path_ / name, kMaxTokenizerBytes));
  }
  print.add("add_bos_token", addBosToken_);
  for (const auto& [name, weight] : weights_) {
    const bool memory = weight.file == kMemoryFile;
    print.addTensor(weight.values, memory);
    if (weight.isInt8()) print.addTensor(weight.scale, memory);
  }
  return print.finish();
}

}  // namespace palimpsest::engine
