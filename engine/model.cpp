#include "engine/model.h"

#include <dnnl.hpp>
#include <optional>

#include "engine/backend.h"
#include "engine/errors.h"
#include "engine/model_folder.h"
#include "engine/prompt.h"
#include "engine/transformer.h"

namespace palimpsest::engine {

struct Model::Parts {
  std::unique_ptr<Tokenizer> tokenizer;
  std::string fingerprint;
  std::optional<Transformer> transformer;
  std::string deviceFallback;

  void loadWeights(const ModelFolder& files, const DevicePlan& plan, const LoadOptions& options);
};

namespace {

std::unique_ptr<Backend> makeBackend(const DeviceChoice& device, const LoadOptions& options) {
  if (device.kind == DeviceChoice::Kind::Cuda) return makeCudaBackend(device.card, options.precision);
  return makeCpuBackend(options.threads, options.precision);
}

}  // namespace

Model::Model() : parts_(std::make_unique<Parts>()) {}
Model::~Model() = default;

std::shared_ptr<const Model> Model::load(const std::filesystem::path& folder, const LoadOptions& options) {
  std::shared_ptr<Model> model(new Model());
  Parts& parts = *model->parts_;
  const ModelFolder files = ModelFolder::open(folder);
  parts.tokenizer = Tokenizer::load(folder);
  checkPrompts(files.config(), *parts.tokenizer);
  if (parts.tokenizer->vocabSize() > files.config().vocabSize)
    throw ModelError("The tokenizer in " + folder.string() + " has " + std::to_string(parts.tokenizer->vocabSize()) +
                     " tokens, the model only " + std::to_string(files.config().vocabSize) +
                     ": they do not belong together. Get both from the same place.");
  using Kind = DeviceChoice::Kind;
  const GraphicsCards cards = options.device.kind == Kind::Cpu ? GraphicsCards() : graphicsCards();
  DevicePlan plan = planDevice(options.device, options.precision, options.weights, files, cards, freeCudaBytes);
  if (options.planned) options.planned(plan);
  try {
    parts.loadWeights(files, plan, options);
  } catch (const ModelError& error) {
    if (plan.device.kind == Kind::Cpu || options.device.kind != Kind::Automatic) throw;
    plan = planDevice({Kind::Cpu}, options.precision, options.weights, files, {}, freeCudaBytes);
    plan.fallback = error.what();
    parts.loadWeights(files, plan, options);
  }
  parts.deviceFallback = plan.fallback;
  parts.fingerprint = files.fingerprint();
  return model;
}

void Model::Parts::loadWeights(const ModelFolder& files, const DevicePlan& plan, const LoadOptions& options) {
  try {
    transformer.emplace(files, makeBackend(plan.device, options), tokenizer->bosToken(), options.progress,
                        plan.weights);
  } catch (const dnnl::error& error) {
    throw ModelError("The weights of " + files.path().string() +
                     " could not be prepared for this CPU: " + error.what() + ". Choose another model.");
  } catch (const std::bad_alloc&) {
    throw ModelError("There is not enough memory to load the model in " + files.path().string() +
                     ". Close other programs, or choose a smaller model.");
  }
}

const ModelConfig& Model::config() const { return parts_->transformer->config(); }
const Tokenizer& Model::tokenizer() const { return *parts_->tokenizer; }
const Transformer& Model::transformer() const { return *parts_->transformer; }
bool Model::hasMemory() const { return parts_->transformer->hasMemory(); }
CompressiveMemory Model::emptyMemory() const { return CompressiveMemory(parts_->transformer->memoryShapes()); }
const std::string& Model::fingerprint() const { return parts_->fingerprint; }
const std::string& Model::name() const { return config().name; }
std::string Model::device() const {
  const std::string device = parts_->transformer->backend().description();
  return weights() == WeightType::Full ? device : device + ", " + std::string(nameOf(weights())) + " weights";
}
WeightType Model::weights() const { return parts_->transformer->weights(); }
const std::string& Model::deviceFallback() const { return parts_->deviceFallback; }
std::string Model::card() const { return parts_->transformer->backend().card(); }
int Model::threads() const { return parts_->transformer->backend().threads(); }
Precision Model::precision() const {
  return parts_->transformer->backend().computesBFloat16() ? Precision::BFloat16 : Precision::Float32;
}

}  // namespace palimpsest::engine
