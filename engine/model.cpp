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
};

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
  try {
    parts.transformer.emplace(files, makeCpuBackend(options.threads, options.precision), parts.tokenizer->bosToken(),
                              options.progress);
  } catch (const dnnl::error& error) {
    throw ModelError("The weights of " + folder.string() + " could not be prepared for this CPU: " + error.what() +
                     ". Choose another model.");
  } catch (const std::bad_alloc&) {
    throw ModelError("There is not enough memory to load the model in " + folder.string() +
                     ". Close other programs, or choose a smaller model.");
  }
  parts.fingerprint = files.fingerprint();
  return model;
}

const ModelConfig& Model::config() const { return parts_->transformer->config(); }
const Tokenizer& Model::tokenizer() const { return *parts_->tokenizer; }
const Transformer& Model::transformer() const { return *parts_->transformer; }
bool Model::hasMemory() const { return parts_->transformer->hasMemory(); }
CompressiveMemory Model::emptyMemory() const { return CompressiveMemory(parts_->transformer->memoryShapes()); }
const std::string& Model::fingerprint() const { return parts_->fingerprint; }
const std::string& Model::name() const { return config().name; }
std::string Model::device() const { return parts_->transformer->backend().description(); }
int Model::threads() const { return parts_->transformer->backend().threads(); }
Precision Model::precision() const {
  return parts_->transformer->backend().computesBFloat16() ? Precision::BFloat16 : Precision::Float32;
}

}  // namespace palimpsest::engine
