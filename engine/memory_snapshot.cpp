#include "engine/memory_snapshot.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <string_view>

#include "engine/errors.h"
#include "engine/safetensors.h"
#include "engine/sha256.h"
#include "engine/transformer.h"

namespace palimpsest::engine {

namespace {

using Reason = SnapshotError::Reason;

constexpr std::string_view kFormat = "palimpsest-memory";
constexpr std::string_view kVersion = "1";
constexpr const char* kFloat32 = "f32";
constexpr const char* kBFloat16 = "bf16";
constexpr std::int64_t kMostThreads = 4096;
constexpr std::size_t kDigestLength = 64;
// The checksum is taken over the whole blob with this in its own place.
const std::string kNoDigest(kDigestLength, '0');

std::string nameOfRule(const ModelConfig& config) {
  return config.infiniAttention && config.infiniAttention->memoryUpdate == MemoryUpdate::Delta ? "delta" : "linear";
}

std::string cutterOf(const ModelConfig& config) {
  return config.infiniAttention ? std::to_string(config.infiniAttention->segmentCutter) : "0";
}

[[noreturn]] void refuse(Reason reason, const std::string& why) {
  throw SnapshotError(reason,
                      "This saved memory cannot be used: " + why + " Read the book again from its stored text.");
}

struct Part {
  std::string name;  // "layers.3.added."
  CompressiveMemory::PartShape shape;
  int layer, firstHead;
};

std::vector<Part> partsOf(const std::vector<CompressiveMemory::LayerShape>& shapes) {
  std::vector<Part> parts;
  for (int layer = 0; layer < static_cast<int>(shapes.size()); ++layer) {
    const auto& shape = shapes[static_cast<std::size_t>(layer)];
    const std::string prefix = "layers." + std::to_string(layer) + ".";
    if (shape.base.kvHeads > 0) parts.push_back({prefix + "base.", shape.base, layer, 0});
    if (shape.added.kvHeads > 0) parts.push_back({prefix + "added.", shape.added, layer, shape.base.kvHeads});
  }
  return parts;
}

std::vector<std::int64_t> matrixShape(const Part& part) {
  return {part.shape.kvHeads, part.shape.keyDim, part.shape.valueDim};
}
std::vector<std::int64_t> normalizerShape(const Part& part) { return {part.shape.kvHeads, part.shape.keyDim}; }

// All M of a part, or all z: its heads stand next to each other.
template <class Floats>
auto partMatrix(Floats layer, const CompressiveMemory& memory, const Part& part) {
  const auto& shape = memory.shapes()[static_cast<std::size_t>(part.layer)];
  return layer.subspan(shape.matrixOffset(part.firstHead),
                       static_cast<std::size_t>(part.shape.kvHeads) * part.shape.keyDim * part.shape.valueDim);
}
template <class Floats>
auto partNormalizer(Floats layer, const CompressiveMemory& memory, const Part& part) {
  const auto& shape = memory.shapes()[static_cast<std::size_t>(part.layer)];
  return layer.subspan(shape.normalizerOffset(part.firstHead),
                       static_cast<std::size_t>(part.shape.kvHeads) * part.shape.keyDim);
}

// Where the digest stands in the blob's header.
template <class Byte>
std::span<Byte> digestPlace(std::span<Byte> blob, std::string_view digest) {
  const auto* text = reinterpret_cast<const char*>(blob.data());
  const std::string marked = "\"sha256\":\"" + std::string(digest) + "\"";
  const auto at = std::string_view(text, blob.size()).find(marked);
  if (at == std::string_view::npos) return {};
  return blob.subspan(at + std::string_view("\"sha256\":\"").size(), kDigestLength);
}

void fill(std::span<std::byte> place, std::string_view text) {
  std::memcpy(place.data(), text.data(), std::min(place.size(), text.size()));
}

std::uint64_t littleEndian64(std::span<const std::byte> bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = 8; i-- > 0;) value = value << 8 | static_cast<std::uint64_t>(bytes[i]);
  return value;
}

// Opens the blob and tells a blob that ends too early from one with wrong bytes in it.
SafetensorsFile openBlob(std::span<const std::byte> blob) {
  if (blob.size() < 8) refuse(Reason::Truncated, "it is cut off (" + std::to_string(blob.size()) + " bytes).");
  if (littleEndian64(blob) > blob.size() - 8) {
    refuse(Reason::Truncated, "it is cut off within its header (" + std::to_string(blob.size()) + " bytes).");
  }
  try {
    return SafetensorsFile::parse(blob, "the saved memory");
  } catch (const ModelError& error) {
    const std::string_view header(reinterpret_cast<const char*>(blob.data()) + 8, littleEndian64(blob));
    const std::string_view mark = "\"bytes\":\"";
    const auto at = header.find(mark);
    std::size_t expected = 0;
    if (at != std::string_view::npos)
      std::from_chars(header.data() + at + mark.size(), header.data() + header.size(), expected);
    if (blob.size() < expected) {
      refuse(Reason::Truncated,
             "it is cut off (" + std::to_string(blob.size()) + " of " + std::to_string(expected) + " bytes).");
    }
    refuse(Reason::Damaged, std::string("it is damaged. (") + error.what() + ")");
  }
}

std::string field(const SafetensorsFile& file, const std::string& key) {
  const auto found = file.metadata().find(key);
  if (found == file.metadata().end()) refuse(Reason::Damaged, "its header lacks \"" + key + "\".");
  return found->second;
}

std::int64_t numberField(const SafetensorsFile& file, const std::string& key) {
  const std::string text = field(file, key);
  std::int64_t value = -1;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  if (result.ec != std::errc() || result.ptr != text.data() + text.size() || value < 0) {
    refuse(Reason::Damaged, "its header says \"" + key + "\": \"" + text + "\", which is no count.");
  }
  return value;
}

void checkDigest(std::span<const std::byte> blob, const std::string& digest) {
  const auto place = digest.size() == kDigestLength ? digestPlace(blob, digest) : std::span<const std::byte>();
  if (place.empty()) refuse(Reason::Damaged, "its checksum cannot be read.");
  const auto before = static_cast<std::size_t>(place.data() - blob.data());
  Sha256 hash;
  hash.update(blob.first(before));
  hash.update(kNoDigest);
  hash.update(blob.subspan(before + kDigestLength));
  if (hex(hash.finish()) != digest)
    refuse(Reason::Damaged, "its checksum is wrong, so some of its bytes have changed.");
}

// The blob, if its bytes are the ones that were saved and in the format that this program knows.
SafetensorsFile openChecked(std::span<const std::byte> blob) {
  SafetensorsFile file = openBlob(blob);
  checkDigest(blob, field(file, "sha256"));
  if (field(file, "format") != kFormat) refuse(Reason::Damaged, "it is not a saved memory.");
  if (const std::string version = field(file, "version"); version != kVersion) {
    refuse(Reason::OtherVersion, "it was saved in format " + version +
                                     ", and this version of Palimpsest reads format " + std::string(kVersion) + ".");
  }
  return file;
}

SnapshotArithmetic arithmeticIn(const SafetensorsFile& file) {
  const std::string precision = field(file, "precision");
  const std::int64_t threads = numberField(file, "threads");
  if (precision != kFloat32 && precision != kBFloat16)
    refuse(Reason::Damaged, "its header names a precision \"" + precision + "\" that is not known.");
  if (threads < 1 || threads > kMostThreads)
    refuse(Reason::Damaged, "its header names " + std::to_string(threads) + " threads, which cannot be.");
  const auto optional = [&](const char* key, const char* otherwise) {
    const auto found = file.metadata().find(key);
    return found == file.metadata().end() ? std::string(otherwise) : found->second;
  };
  const std::string weights = optional("weights", "full");
  const auto type = weightsOf(weights);
  if (!type || *type == WeightType::Automatic)
    refuse(Reason::Damaged, "its header names weights \"" + weights + "\" that are not known.");
  return {precision == kBFloat16 ? Precision::BFloat16 : Precision::Float32, static_cast<int>(threads),
          optional("card", ""), *type};
}

void copyTensor(const SafetensorsFile& file, const std::string& name, const std::vector<std::int64_t>& shape,
                std::span<float> to) {
  const TensorView* tensor = file.find(name);
  if (!tensor || tensor->dtype != Dtype::F32 || tensor->shape != shape) {
    refuse(Reason::Damaged,
           "it should hold \"" + name + "\" as F32 " + shapeText(shape) + ", but has " +
               (tensor ? std::string(nameOf(tensor->dtype)) + " " + shapeText(tensor->shape) : std::string("none")) +
               ".");
  }
  convertToFloat(*tensor, 0, to);
}

std::vector<std::byte> blobOf(const Model& model, const CompressiveMemory& memory, const ReadingPosition& reading,
                              const SnapshotArithmetic& arithmetic, std::size_t bytes) {
  SafetensorsWriter writer;
  const auto set = [&](const char* key, const std::string& value) { writer.setMetadata(key, value); };
  set("format", std::string(kFormat));
  set("version", std::string(kVersion));
  set("fingerprint", model.fingerprint());
  set("rule", nameOfRule(model.config()));
  set("cutter", cutterOf(model.config()));
  set("tokens", std::to_string(reading.tokens));
  set("position", std::to_string(reading.position));
  set("segments", std::to_string(reading.segments));
  set("complete", reading.complete ? "yes" : "no");
  set("precision", arithmetic.precision == Precision::BFloat16 ? kBFloat16 : kFloat32);
  set("threads", std::to_string(arithmetic.threads));
  if (!arithmetic.card.empty()) set("card", arithmetic.card);
  if (arithmetic.weights != WeightType::Full) set("weights", std::string(nameOf(arithmetic.weights)));
  set("sha256", kNoDigest);
  const std::string size = std::to_string(bytes);
  set("bytes", std::string(20 - size.size(), '0') + size);
  for (const Part& part : partsOf(memory.shapes())) {
    writer.add(part.name + "M", matrixShape(part), partMatrix(memory.layer(part.layer), memory, part));
    writer.add(part.name + "z", normalizerShape(part), partNormalizer(memory.layer(part.layer), memory, part));
  }
  return writer.toBytes();
}

}  // namespace

std::vector<std::byte> saveSnapshot(const Model& model, const CompressiveMemory& memory, const ReadingPosition& reading,
                                    const std::optional<SnapshotArithmetic>& arithmetic) {
  if (memory.shapes() != model.transformer().memoryShapes()) {
    throw ModelError("This memory has the shape of another model than '" + model.name() +
                     "' and cannot be saved with it. Read the book again.");
  }
  const SnapshotArithmetic by = arithmetic ? *arithmetic : arithmeticOf(model);
  const std::size_t bytes = blobOf(model, memory, reading, by, 0).size();
  std::vector<std::byte> blob = blobOf(model, memory, reading, by, bytes);
  const std::string digest = hex(sha256(blob));
  fill(digestPlace(std::span(blob), kNoDigest), digest);
  return blob;
}

MemorySnapshot loadSnapshot(const Model& model, std::span<const std::byte> blob) {
  const SafetensorsFile file = openChecked(blob);
  MemorySnapshot snapshot;
  snapshot.fingerprint = field(file, "fingerprint");
  if (snapshot.fingerprint != model.fingerprint()) {
    refuse(Reason::OtherModel, "it was made by another model than '" + model.name() + "'.");
  }
  const std::string rule = nameOfRule(model.config());
  if (field(file, "rule") != rule) {
    refuse(Reason::OtherRule,
           "it was written with the " + field(file, "rule") + " rule, and the model uses the " + rule + " rule.");
  }
  if (field(file, "cutter") != cutterOf(model.config())) {
    refuse(Reason::OtherRule, "its text was cut by rule " + field(file, "cutter") + ", and the model uses rule " +
                                  cutterOf(model.config()) + ".");
  }
  snapshot.arithmetic = arithmeticIn(file);
  snapshot.reading = {.position = numberField(file, "position"),
                      .tokens = numberField(file, "tokens"),
                      .segments = numberField(file, "segments"),
                      .complete = field(file, "complete") == "yes"};
  snapshot.memory = model.emptyMemory();
  const auto parts = partsOf(snapshot.memory.shapes());
  if (file.tensors().size() != 2 * parts.size()) {
    refuse(Reason::Damaged, "it holds " + std::to_string(file.tensors().size()) + " tensors, the model needs " +
                                std::to_string(2 * parts.size()) + ".");
  }
  for (const Part& part : parts) {
    const std::span<float> layer = snapshot.memory.layer(part.layer);
    copyTensor(file, part.name + "M", matrixShape(part), partMatrix(layer, snapshot.memory, part));
    copyTensor(file, part.name + "z", normalizerShape(part), partNormalizer(layer, snapshot.memory, part));
  }
  snapshot.memory.setTokens(snapshot.reading.tokens);
  return snapshot;
}

SnapshotArithmetic arithmeticOf(std::span<const std::byte> blob) { return arithmeticIn(openChecked(blob)); }

SnapshotArithmetic arithmeticOf(const Model& model) {
  return {model.precision(), model.threads(), model.card(), model.weights()};
}

}  // namespace palimpsest::engine
