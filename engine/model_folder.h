// A Hugging Face model folder on disk: config, weights by name with their shapes checked, fingerprint.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/model_config.h"
#include "engine/safetensors.h"

namespace palimpsest::engine {

// One weight: a matrix [rows, columns] or a vector [rows] (columns = 1). Points into the mapped files of its
// ModelFolder. int8 follows the compressed-tensors convention: value = scale[row] * I8.
struct Weight {
  TensorView values;  // F32, F16, BF16, or I8 with `scale`
  TensorView scale;   // I8 only: [rows, 1] or [rows]; else data is empty
  std::string file;   // name of the file that holds it, for messages
  std::int64_t rows = 0;
  std::int64_t columns = 1;

  bool isInt8() const { return values.dtype == Dtype::I8; }
  // Rows [begin, begin + out.size() / columns) as f32. Throws std::out_of_range when they are not there.
  void readRows(std::int64_t begin, std::span<float> out) const;
  std::vector<float> toFloats() const;  // all of it: for norms, gates and tests
};

// Opens the folder and checks everything at once: every tensor that the config calls for is there with its shape and a
// type that can be read. After open() no name or shape can be wrong. Throws ModelError. Const and thread-safe after
// open(); cheap to move, the files stay mapped as long as the object lives (Weights point into them).
//
// Memory heads are there when memory_heads.safetensors is; without that file hasMemory() is false and the memory
// accessors must not be called. A layer with 0 memory heads in the config has no memory_*_proj tensors.
class ModelFolder {
 public:
  static ModelFolder open(const std::filesystem::path& folder);

  const std::filesystem::path& path() const { return path_; }
  const ModelConfig& config() const { return config_; }
  bool hasMemory() const { return hasMemory_; }

  const Weight& embedTokens() const;  // [vocab, hidden]
  const Weight& lmHead() const;       // [vocab, hidden]; the embedding when the config ties them
  const Weight& finalNorm() const;    // [hidden]
  // `name` inside "model.layers.{layer}.": "self_attn.q_proj.weight" [heads * dim, hidden], "self_attn.k_proj.weight",
  // "self_attn.v_proj.weight" [kvHeads * dim, hidden], "self_attn.o_proj.weight" [hidden, heads * dim],
  // "mlp.gate_proj.weight", "mlp.up_proj.weight" [intermediate, hidden], "mlp.down_proj.weight" [hidden, intermediate],
  // "input_layernorm.weight", "post_attention_layernorm.weight" [hidden], and with memory heads
  // "self_attn.memory_q_proj.weight" [memoryHeads * memoryDim, hidden], "self_attn.memory_{k,v}_proj.weight"
  // [memoryKvHeads * memoryDim, hidden], "self_attn.memory_o_proj.weight" [hidden, memoryHeads * memoryDim];
  // where they scale what they read "self_attn.memory_power", "self_attn.memory_size" [memoryHeads], never NaN.
  const Weight& layer(int layer, std::string_view name) const;
  // beta of the base heads [numHeads]; empty when the layer has none (all base heads are local then, g = 0).
  // May hold +inf and -inf, never NaN.
  std::vector<float> memoryGate(int layer) const;

  // A tensor by its full name. nullptr when it is not one of those the config calls for.
  const Weight* find(std::string_view name) const;

  // Hex SHA-256 over the config fields that change numbers, the tokenizer's files, all of memory_heads.safetensors and
  // fixed 4 KiB blocks (first, middle, last) of every other tensor that is used. Reads the disk.
  std::string fingerprint() const;

 private:
  ModelFolder() = default;
  void readConfig();
  void openWeightFiles();
  void requireWeight(const std::vector<SafetensorsFile>& files, const std::string& name,
                     std::vector<std::int64_t> shape);
  void requireBase();
  void requireMemory();

  std::filesystem::path path_;
  ModelConfig config_;
  std::vector<SafetensorsFile> shards_;
  std::vector<SafetensorsFile> memoryFile_;  // none or one
  bool hasMemory_ = false;
  std::string addBosToken_;  // of tokenizer_config.json, as it stands there
  std::map<std::string, Weight, std::less<>> weights_;
};

}  // namespace palimpsest::engine
