// A model in memory: config, tokenizer and weights of one folder. Immutable once loaded, shared by pointer.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "engine/compressive_memory.h"
#include "engine/devices.h"
#include "engine/model_config.h"
#include "engine/precision.h"
#include "engine/tokenizer.h"

namespace palimpsest::engine {

class Transformer;

struct LoadOptions {
  int threads = 0;                             // of the CPU; 0 = the physical cores
  Precision precision = Precision::Automatic;  // bf16 where the device computes it, else f32
  DeviceChoice device = {};
  WeightType weights = WeightType::Automatic;  // the best that fits on the card; Full on the CPU
  // Before the weights are read: where, in how many bits, and of a card what is needed and what is free.
  std::function<void(const DevicePlan& plan)> planned = {};
  std::function<void(double share)> progress;  // 0..1
};

class Model {
 public:
  // Loads a Hugging Face Llama folder, with or without memory heads. Throws DeviceError, and ModelError, also for what
  // would stand in the way only later: a chat template of an unknown kind, a tokenizer of another model. Where the
  // device is left to the program and a card fails, the CPU computes (deviceFallback()).
  static std::shared_ptr<const Model> load(const std::filesystem::path& folder, const LoadOptions& options = {});
  ~Model();

  const ModelConfig& config() const;
  const Tokenizer& tokenizer() const;
  const Transformer& transformer() const;

  bool hasMemory() const;  // false: answers from passages only
  CompressiveMemory emptyMemory() const;
  const std::string& fingerprint() const;  // hex SHA-256, see DESIGN: what a snapshot belongs to
  const std::string& name() const;
  std::string device() const;                 // "NVIDIA L4, bf16, int4 weights": for the status line
  const std::string& deviceFallback() const;  // a sentence: why the CPU computes though a card is here; else ""
  std::string card() const;                   // name of the graphics card that computes; "" = the CPU
  Precision precision() const;
  WeightType weights() const;  // never Automatic
  int threads() const;

 private:
  Model();
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

// Model::load, or what stands in for it in a test.
using MakeModel =
    std::function<std::shared_ptr<const Model>(const std::filesystem::path& folder, const LoadOptions& options)>;

}  // namespace palimpsest::engine
