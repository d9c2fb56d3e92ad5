#include "engine/memory_snapshot.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <stdexcept>
#include <string_view>

#include "engine/errors.h"
#include "engine/safetensors.h"
#include "engine/sha256.h"
#include "engine/transformer.h"

namespace palimpsest::engine {

namespace {

using Reason = SnapshotError::Reason;

constexpr std::string_view kFormat = "palimpsest-memory", kSectionFormat = "palimpsest-section";
constexpr std::string_view kVersion = "1";
constexpr const char* kBits = "bits";
constexpr int kBitsOfSections = 4;
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

// The blob, if its bytes are the ones that were saved and in a format that this program knows.
SafetensorsFile openChecked(std::span<const std::byte> blob) {
  SafetensorsFile file = openBlob(blob);
  checkDigest(blob, field(file, "sha256"));
  if (const std::string format = field(file, "format"); format != kFormat && format != kSectionFormat)
    refuse(Reason::Damaged, "it is not a saved memory.");
  if (const std::string version = field(file, "version"); version != kVersion) {
    refuse(Reason::OtherVersion, "it was saved in format " + version +
                                     ", and this version of Palimpsest reads format " + std::string(kVersion) + ".");
  }
  return file;
}

bool isSection(const SafetensorsFile& file) { return field(file, "format") == kSectionFormat; }
void checkIsWhole(const SafetensorsFile& file) {
  if (isSection(file)) refuse(Reason::Damaged, "it is one section of a memory, not the whole.");
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

const TensorView& tensorOf(const SafetensorsFile& file, const std::string& name, Dtype dtype,
                           const std::vector<std::int64_t>& shape) {
  const TensorView* tensor = file.find(name);
  if (!tensor || tensor->dtype != dtype || tensor->shape != shape) {
    refuse(Reason::Damaged,
           "it should hold \"" + name + "\" as " + std::string(nameOf(dtype)) + " " + shapeText(shape) + ", but has " +
               (tensor ? std::string(nameOf(tensor->dtype)) + " " + shapeText(tensor->shape) : std::string("none")) +
               ".");
  }
  return *tensor;
}

void copyTensor(const SafetensorsFile& file, const std::string& name, const std::vector<std::int64_t>& shape,
                std::span<float> to) {
  convertToFloat(tensorOf(file, name, Dtype::F32, shape), 0, to);
}

void checkTensors(const SafetensorsFile& file, std::size_t expected) {
  if (file.tensors().size() == expected) return;
  refuse(Reason::Damaged, "it holds " + std::to_string(file.tensors().size()) + " tensors, the model needs " +
                              std::to_string(expected) + ".");
}

// That this model made it, by the rules that it has now.
void checkModel(const SafetensorsFile& file, const Model& model) {
  if (field(file, "fingerprint") != model.fingerprint())
    refuse(Reason::OtherModel, "it was made by another model than '" + model.name() + "'.");
  const std::string rule = nameOfRule(model.config());
  if (field(file, "rule") != rule) {
    refuse(Reason::OtherRule,
           "it was written with the " + field(file, "rule") + " rule, and the model uses the " + rule + " rule.");
  }
  if (field(file, "cutter") != cutterOf(model.config())) {
    refuse(Reason::OtherRule, "its text was cut by rule " + field(file, "cutter") + ", and the model uses rule " +
                                  cutterOf(model.config()) + ".");
  }
}

ReadingPosition positionIn(const SafetensorsFile& file, const std::string& prefix = "") {
  return {.position = numberField(file, prefix + "position"),
          .tokens = numberField(file, prefix + "tokens"),
          .segments = numberField(file, prefix + "segments")};
}
void set(SafetensorsWriter& writer, const ReadingPosition& reading, const std::string& prefix = "") {
  writer.setMetadata(prefix + "tokens", std::to_string(reading.tokens));
  writer.setMetadata(prefix + "position", std::to_string(reading.position));
  writer.setMetadata(prefix + "segments", std::to_string(reading.segments));
}

// The blob that `writer` makes once what all blobs say is in its header, too.
std::vector<std::byte> finished(SafetensorsWriter& writer, std::string_view format, const Model& model) {
  writer.setMetadata("format", std::string(format));
  writer.setMetadata("version", std::string(kVersion));
  writer.setMetadata("fingerprint", model.fingerprint());
  writer.setMetadata("rule", nameOfRule(model.config()));
  writer.setMetadata("cutter", cutterOf(model.config()));
  writer.setMetadata("sha256", kNoDigest);
  const auto setSize = [&](std::size_t bytes) {
    const std::string size = std::to_string(bytes);
    writer.setMetadata("bytes", std::string(20 - size.size(), '0') + size);
  };
  setSize(0);
  setSize(writer.toBytes().size());
  std::vector<std::byte> blob = writer.toBytes();
  fill(digestPlace(std::span(blob), kNoDigest), hex(sha256(blob)));
  return blob;
}

MemorySnapshot wholeIn(const SafetensorsFile& file, const Model& model) {
  checkIsWhole(file);
  checkModel(file, model);
  MemorySnapshot snapshot;
  snapshot.fingerprint = model.fingerprint();
  snapshot.arithmetic = arithmeticIn(file);
  snapshot.reading = positionIn(file);
  snapshot.reading.complete = field(file, "complete") == "yes";
  snapshot.memory = model.emptyMemory();
  const auto parts = partsOf(snapshot.memory.shapes());
  checkTensors(file, 2 * parts.size());
  for (const Part& part : parts) {
    const std::span<float> layer = snapshot.memory.layer(part.layer);
    copyTensor(file, part.name + "M", matrixShape(part), partMatrix(layer, snapshot.memory, part));
    copyTensor(file, part.name + "z", normalizerShape(part), partNormalizer(layer, snapshot.memory, part));
  }
  snapshot.memory.setTokens(snapshot.reading.tokens);
  return snapshot;
}

// Sections that do not say their bits have eight.
bool hasFourBits(const SafetensorsFile& file) {
  if (!file.metadata().contains(kBits)) return false;
  const std::int64_t bits = numberField(file, kBits);
  if (bits != kBitsOfSections)
    refuse(Reason::Damaged, "its header names " + std::to_string(bits) + " bits a number, which are not known.");
  return true;
}

std::vector<std::int64_t> packedShape(const Part& part) {
  const auto width = static_cast<std::size_t>(part.shape.valueDim);
  return {part.shape.kvHeads, part.shape.keyDim, static_cast<std::int64_t>(SectionMemory::packedBytes(width))};
}

SectionSnapshot sectionIn(const SafetensorsFile& file, const Model& model) {
  checkModel(file, model);
  const ReadingPosition begin = positionIn(file, "begin_"), end = positionIn(file);
  // Two places may lie in one segment.
  if (begin.position >= end.position || begin.tokens >= end.tokens || begin.segments > end.segments)
    refuse(Reason::Damaged, "its header says that it ends where it begins, or before.");
  const bool four = hasFourBits(file);
  const SectionMemory::Shapes& shapes = model.transformer().memoryShapes();
  std::vector<std::uint8_t> matrices;
  std::vector<float> scales, normalizers;
  const auto append = [&](const TensorView& tensor, std::vector<float>& to) {
    to.resize(to.size() + static_cast<std::size_t>(tensor.elements()));
    convertToFloat(tensor, 0, std::span(to).last(static_cast<std::size_t>(tensor.elements())));
  };
  const auto parts = partsOf(shapes);
  checkTensors(file, 3 * parts.size());
  for (const Part& part : parts) {
    const auto shape = four ? packedShape(part) : matrixShape(part);
    const auto bytes = tensorOf(file, part.name + "M", four ? Dtype::U8 : Dtype::I8, shape).data;
    const auto* matrix = reinterpret_cast<const std::uint8_t*>(bytes.data());
    matrices.insert(matrices.end(), matrix, matrix + bytes.size());
    append(tensorOf(file, part.name + "scale", Dtype::F32, normalizerShape(part)), scales);
    append(tensorOf(file, part.name + "z", Dtype::F32, normalizerShape(part)), normalizers);
  }
  const std::int64_t tokens = end.tokens - begin.tokens;
  if (!four) {
    const std::span values(reinterpret_cast<const std::int8_t*>(matrices.data()), matrices.size());
    return {SectionMemory::fromEightBits(shapes, tokens, values, scales, std::move(normalizers)), begin, end};
  }
  try {
    return {SectionMemory(shapes, tokens, std::move(matrices), std::move(scales), std::move(normalizers)), begin, end};
  } catch (const std::invalid_argument& error) {
    refuse(Reason::Damaged, std::string("it is damaged. (") + error.what() + ")");
  }
}

void checkShapes(const SectionMemory::Shapes& shapes, const Model& model) {
  if (shapes == model.transformer().memoryShapes()) return;
  throw ModelError("This memory has the shape of another model than '" + model.name() +
                   "' and cannot be saved with it. Read the book again.");
}

}  // namespace

std::vector<std::byte> saveSnapshot(const Model& model, const CompressiveMemory& memory, const ReadingPosition& reading,
                                    const std::optional<SnapshotArithmetic>& arithmetic) {
  checkShapes(memory.shapes(), model);
  const SnapshotArithmetic by = arithmetic ? *arithmetic : arithmeticOf(model);
  SafetensorsWriter writer;
  set(writer, reading);
  writer.setMetadata("complete", reading.complete ? "yes" : "no");
  writer.setMetadata("precision", by.precision == Precision::BFloat16 ? kBFloat16 : kFloat32);
  writer.setMetadata("threads", std::to_string(by.threads));
  if (!by.card.empty()) writer.setMetadata("card", by.card);
  if (by.weights != WeightType::Full) writer.setMetadata("weights", std::string(nameOf(by.weights)));
  for (const Part& part : partsOf(memory.shapes())) {
    writer.add(part.name + "M", matrixShape(part), partMatrix(memory.layer(part.layer), memory, part));
    writer.add(part.name + "z", normalizerShape(part), partNormalizer(memory.layer(part.layer), memory, part));
  }
  return finished(writer, kFormat, model);
}

std::vector<std::byte> saveSection(const Model& model, const SectionSnapshot& section) {
  checkShapes(section.memory.shapes(), model);
  SafetensorsWriter writer;
  set(writer, section.begin, "begin_");
  set(writer, section.end);
  writer.setMetadata(kBits, std::to_string(kBitsOfSections));
  std::span<const std::uint8_t> packed = section.memory.packed();
  std::span<const float> scales = section.memory.scales(), normalizers = section.memory.normalizers();
  for (const Part& part : partsOf(section.memory.shapes())) {
    const std::size_t rows = static_cast<std::size_t>(part.shape.kvHeads) * static_cast<std::size_t>(part.shape.keyDim);
    const std::size_t bytes = rows * SectionMemory::packedBytes(static_cast<std::size_t>(part.shape.valueDim));
    writer.add(part.name + "M", Dtype::U8, packedShape(part), std::as_bytes(packed.first(bytes)));
    writer.add(part.name + "scale", normalizerShape(part), scales.first(rows));
    writer.add(part.name + "z", normalizerShape(part), normalizers.first(rows));
    packed = packed.subspan(bytes);
    scales = scales.subspan(rows);
    normalizers = normalizers.subspan(rows);
  }
  return finished(writer, kSectionFormat, model);
}

MemorySnapshot loadSnapshot(const Model& model, std::span<const std::byte> blob) {
  return wholeIn(openChecked(blob), model);
}

bool isSection(std::span<const std::byte> blob) {
  try {
    return isSection(openChecked(blob));
  } catch (const SnapshotError&) {
    return false;
  }
}

std::variant<MemorySnapshot, SectionSnapshot> loadPart(const Model& model, std::span<const std::byte> blob) {
  const SafetensorsFile file = openChecked(blob);
  if (isSection(file)) return sectionIn(file, model);
  return wholeIn(file, model);
}

SnapshotArithmetic arithmeticOf(std::span<const std::byte> blob) {
  const SafetensorsFile file = openChecked(blob);
  checkIsWhole(file);
  return arithmeticIn(file);
}

SnapshotArithmetic arithmeticOf(const Model& model) {
  return {model.precision(), model.threads(), model.card(), model.weights()};
}

}  // namespace palimpsest::engine
