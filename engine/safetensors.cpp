#include "engine/safetensors.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "engine/errors.h"

namespace palimpsest::engine {

static_assert(std::endian::native == std::endian::little, "tensors are read as they lie in the file");

namespace {

using Json = nlohmann::json;

constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;  // the format's own limit
constexpr std::size_t kMaxDimensions = 8;
constexpr std::size_t kLengthBytes = 8;

struct DtypeInfo {
  Dtype dtype;
  std::string_view name;
  std::size_t bytes;
};
constexpr std::array<DtypeInfo, 7> kDtypes{{{Dtype::F32, "F32", 4},
                                            {Dtype::F16, "F16", 2},
                                            {Dtype::BF16, "BF16", 2},
                                            {Dtype::I8, "I8", 1},
                                            {Dtype::I32, "I32", 4},
                                            {Dtype::I64, "I64", 8},
                                            {Dtype::U8, "U8", 1}}};

const DtypeInfo& infoOf(Dtype dtype) {
  return *std::find_if(kDtypes.begin(), kDtypes.end(), [&](const DtypeInfo& info) { return info.dtype == dtype; });
}

[[noreturn]] void fail(const std::string& source, const std::string& why) { throw unusable(source, why); }
[[noreturn]] void failWriting(const std::filesystem::path& file, int error) {
  throw ModelError("The file " + file.string() + " cannot be written: " + std::strerror(error) +
                   ". See to it that there is room and that it may be written.");
}

// Multiplies two sizes; nullopt-like: returns false on overflow of 63 bits.
bool multiply(std::uint64_t& product, std::uint64_t factor) {
  constexpr std::uint64_t kMax = std::numeric_limits<std::int64_t>::max();
  if (factor != 0 && product > kMax / factor) return false;
  product *= factor;
  return true;
}

std::uint64_t unsignedOf(const Json& value, const std::string& source, const std::string& what) {
  if (!value.is_number_unsigned()) fail(source, what + " is not a whole number that is 0 or more");
  return value.get<std::uint64_t>();
}

Dtype dtypeOf(const Json& entry, const std::string& source, const std::string& tensor) {
  if (!entry.contains("dtype") || !entry["dtype"].is_string()) fail(source, "tensor " + tensor + " has no dtype");
  const auto& name = entry["dtype"].get_ref<const std::string&>();
  for (const DtypeInfo& info : kDtypes) {
    if (info.name == name) return info.dtype;
  }
  fail(source, "tensor " + tensor + " is of type " + name.substr(0, 20) +
                   ", which cannot be read (F32, F16, BF16, I8, I32, I64 and U8 can)");
}

// One entry of the header, checked against the `dataSize` bytes after the header.
TensorView tensorOf(const std::string& name, const Json& entry, std::span<const std::byte> data,
                    const std::string& source) {
  TensorView tensor;
  tensor.name = name;
  if (!entry.is_object()) fail(source, "the entry of tensor " + name + " is not an object");
  tensor.dtype = dtypeOf(entry, source, name);
  if (!entry.contains("shape") || !entry["shape"].is_array()) fail(source, "tensor " + name + " has no shape");
  if (entry["shape"].size() > kMaxDimensions) fail(source, "tensor " + name + " has more than 8 dimensions");
  std::uint64_t bytes = bytesOf(tensor.dtype);
  for (const Json& item : entry["shape"]) {
    const std::uint64_t size = unsignedOf(item, source, "a dimension of tensor " + name);
    if (size > std::numeric_limits<std::int64_t>::max())
      fail(source, "a dimension of tensor " + name + " is too large");
    tensor.shape.push_back(static_cast<std::int64_t>(size));
    if (!multiply(bytes, size)) fail(source, "tensor " + name + " would be larger than any file");
  }
  if (!entry.contains("data_offsets") || !entry["data_offsets"].is_array() || entry["data_offsets"].size() != 2) {
    fail(source, "tensor " + name + " has no data_offsets");
  }
  const std::uint64_t begin = unsignedOf(entry["data_offsets"][0], source, "an offset of tensor " + name);
  const std::uint64_t end = unsignedOf(entry["data_offsets"][1], source, "an offset of tensor " + name);
  if (begin > end) fail(source, "tensor " + name + " ends before it begins");
  if (end > data.size()) {
    fail(source, "tensor " + name + " ends at byte " + std::to_string(end) + " of the data, but there are only " +
                     std::to_string(data.size()) + ": the file is cut off");
  }
  if (end - begin != bytes) {
    fail(source, "tensor " + name + " of type " + std::string(nameOf(tensor.dtype)) + " and shape " +
                     shapeText(tensor.shape) + " needs " + std::to_string(bytes) + " bytes, but its offsets give it " +
                     std::to_string(end - begin));
  }
  tensor.data = data.subspan(begin, end - begin);
  return tensor;
}

float halfToFloat(std::uint16_t half) {
  // Exponent and mantissa moved into place and scaled by 2^112 (the difference of the biases); exact for subnormals
  // too.
  const std::uint32_t magnitude = half & 0x7FFFU;
  std::uint32_t bits = std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude << 13) * 0x1p112F);
  bits = magnitude >= 0x7C00U ? (0x7F800000U | (magnitude << 13)) : bits;
  return std::bit_cast<float>(bits | (static_cast<std::uint32_t>(half & 0x8000U) << 16));
}

float brainToFloat(std::uint16_t brain) { return std::bit_cast<float>(static_cast<std::uint32_t>(brain) << 16); }

// Elements may be unaligned in the file, hence the copies; they cost nothing after optimisation.
template <typename Stored, typename Convert>
void convert(const std::byte* from, std::span<float> out, Convert toFloat) {
  for (std::size_t i = 0; i < out.size(); ++i) {
    Stored value;
    std::memcpy(&value, from + i * sizeof(Stored), sizeof(Stored));
    out[i] = toFloat(value);
  }
}

}  // namespace

std::size_t bytesOf(Dtype dtype) { return infoOf(dtype).bytes; }
std::string_view nameOf(Dtype dtype) { return infoOf(dtype).name; }

std::string shapeText(std::span<const std::int64_t> shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) text += (i > 0 ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

std::int64_t TensorView::elements() const { return static_cast<std::int64_t>(data.size() / bytesOf(dtype)); }

void convertToFloat(const TensorView& tensor, std::int64_t begin, std::span<float> out) {
  const std::int64_t elements = tensor.elements();
  if (begin < 0 || begin > elements || static_cast<std::uint64_t>(elements - begin) < out.size()) {
    throw std::out_of_range("tensor " + tensor.name + " has no elements " + std::to_string(begin) + " to " +
                            std::to_string(begin) + " + " + std::to_string(out.size()));
  }
  const std::byte* from = tensor.data.data() + static_cast<std::size_t>(begin) * bytesOf(tensor.dtype);
  const auto plain = [](auto value) { return static_cast<float>(value); };
  switch (tensor.dtype) {
    case Dtype::F32:
      convert<float>(from, out, plain);
      break;
    case Dtype::F16:
      convert<std::uint16_t>(from, out, halfToFloat);
      break;
    case Dtype::BF16:
      convert<std::uint16_t>(from, out, brainToFloat);
      break;
    case Dtype::I8:
      convert<std::int8_t>(from, out, plain);
      break;
    case Dtype::U8:
      convert<std::uint8_t>(from, out, plain);
      break;
    case Dtype::I32:
      convert<std::int32_t>(from, out, plain);
      break;
    case Dtype::I64:
      convert<std::int64_t>(from, out, plain);
      break;
  }
}

// A file mapped read-only for as long as somebody holds it.
class SafetensorsFile::Mapping {
 public:
  explicit Mapping(const std::filesystem::path& file) {
    const int descriptor = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) fail(file.string(), std::string("it cannot be opened: ") + std::strerror(errno));
    struct stat status {};
    const bool regular = ::fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode);
    if (regular && status.st_size > 0) {
      size_ = static_cast<std::size_t>(status.st_size);
      address_ = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, descriptor, 0);
    }
    const int error = errno;
    ::close(descriptor);
    if (!regular) fail(file.string(), "it is not a file");
    if (address_ == MAP_FAILED) fail(file.string(), std::string("it cannot be mapped: ") + std::strerror(error));
  }
  ~Mapping() {
    if (address_ != nullptr && address_ != MAP_FAILED) ::munmap(address_, size_);
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;

  std::span<const std::byte> bytes() const { return {static_cast<const std::byte*>(address_), size_}; }

 private:
  void* address_ = nullptr;
  std::size_t size_ = 0;
};

SafetensorsFile SafetensorsFile::open(const std::filesystem::path& file) {
  SafetensorsFile opened;
  opened.sourceName_ = file.string();
  opened.mapping_ = std::make_shared<const Mapping>(file);
  opened.readHeader(opened.mapping_->bytes());
  return opened;
}

SafetensorsFile SafetensorsFile::parse(std::span<const std::byte> bytes, const std::string& sourceName) {
  SafetensorsFile parsed;
  parsed.sourceName_ = sourceName;
  parsed.readHeader(bytes);
  return parsed;
}

void SafetensorsFile::readHeader(std::span<const std::byte> bytes) {
  if (bytes.size() < kLengthBytes) fail(sourceName_, "it is too short for a safetensors file");
  std::uint64_t headerSize = 0;
  std::memcpy(&headerSize, bytes.data(), kLengthBytes);
  if (headerSize > kMaxHeaderBytes)
    fail(sourceName_, "it is not a safetensors file (its header would have " + std::to_string(headerSize) + " bytes)");
  if (headerSize > bytes.size() - kLengthBytes) fail(sourceName_, "it is cut off inside its header");
  const auto* text = reinterpret_cast<const char*>(bytes.data()) + kLengthBytes;
  const std::span<const std::byte> data = bytes.subspan(kLengthBytes + headerSize);

  const Json header = Json::parse(text, text + headerSize, nullptr, /*allow_exceptions=*/false);
  if (!header.is_object()) fail(sourceName_, "it is not a safetensors file (its header is not a JSON object)");
  for (const auto& [name, entry] : header.items()) {
    if (name != "__metadata__") {
      tensors_.push_back(tensorOf(name, entry, data, sourceName_));
      continue;
    }
    if (!entry.is_object()) fail(sourceName_, "__metadata__ is not an object");
    for (const auto& [key, value] : entry.items()) {
      if (!value.is_string()) fail(sourceName_, "__metadata__ entry " + key + " is not a string");
      metadata_[key] = value.get<std::string>();
    }
  }

  // Without gap or overlap: each tensor begins where the one before it ends.
  std::sort(tensors_.begin(), tensors_.end(), [](const TensorView& a, const TensorView& b) {
    return std::pair(a.data.data(), a.data.size()) < std::pair(b.data.data(), b.data.size());
  });
  const std::byte* expected = data.data();
  for (const TensorView& tensor : tensors_) {
    if (tensor.data.data() < expected) fail(sourceName_, "tensor " + tensor.name + " overlaps another one");
    if (tensor.data.data() > expected) fail(sourceName_, "there is a gap before tensor " + tensor.name);
    expected += tensor.data.size();
  }
  if (expected != data.data() + data.size()) fail(sourceName_, "it has bytes after its last tensor");
  for (std::size_t i = 0; i < tensors_.size(); ++i) index_[tensors_[i].name] = i;
}

const TensorView* SafetensorsFile::find(std::string_view name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &tensors_[found->second];
}

const TensorView& SafetensorsFile::at(std::string_view name) const {
  const TensorView* tensor = find(name);
  if (tensor == nullptr) fail(sourceName_, "it has no tensor " + std::string(name));
  return *tensor;
}

void SafetensorsWriter::add(const std::string& name, Dtype dtype, std::vector<std::int64_t> shape,
                            std::span<const std::byte> data) {
  std::uint64_t bytes = bytesOf(dtype);
  for (const std::int64_t size : shape) {
    if (size < 0 || !multiply(bytes, static_cast<std::uint64_t>(size)))
      throw std::invalid_argument("tensor " + name + ": impossible shape");
  }
  if (bytes != data.size())
    throw std::invalid_argument("tensor " + name + ": the bytes do not fit the shape " + shapeText(shape));
  const auto same = [&](const TensorView& tensor) { return tensor.name == name; };
  if (std::any_of(tensors_.begin(), tensors_.end(), same))
    throw std::invalid_argument("tensor " + name + " is there already");
  tensors_.push_back({name, dtype, std::move(shape), data});
}

void SafetensorsWriter::add(const std::string& name, std::vector<std::int64_t> shape, std::span<const float> data) {
  add(name, Dtype::F32, std::move(shape), std::as_bytes(data));
}

std::string SafetensorsWriter::header() const {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  if (!metadata_.empty()) json["__metadata__"] = metadata_;
  std::uint64_t offset = 0;
  for (const TensorView& tensor : tensors_) {
    json[tensor.name] = {{"dtype", nameOf(tensor.dtype)},
                         {"shape", tensor.shape},
                         {"data_offsets", {offset, offset + tensor.data.size()}}};
    offset += tensor.data.size();
  }
  std::string text = json.dump();
  text.append((8 - text.size() % 8) % 8, ' ');
  return text;
}

std::vector<std::byte> SafetensorsWriter::toBytes() const {
  const std::string text = header();
  const std::uint64_t size = text.size();
  std::size_t total = kLengthBytes + text.size();
  for (const TensorView& tensor : tensors_) total += tensor.data.size();

  std::vector<std::byte> bytes;
  bytes.reserve(total);
  const auto append = [&](const void* from, std::size_t count) {
    const auto* begin = static_cast<const std::byte*>(from);
    bytes.insert(bytes.end(), begin, begin + count);
  };
  append(&size, kLengthBytes);
  append(text.data(), text.size());
  for (const TensorView& tensor : tensors_) append(tensor.data.data(), tensor.data.size());
  return bytes;
}

void SafetensorsWriter::writeFile(const std::filesystem::path& file) const {
  const std::vector<std::byte> bytes = toBytes();
  const int descriptor = ::open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (descriptor < 0) failWriting(file, errno);
  int error = 0;
  std::size_t done = 0;
  while (done < bytes.size() && error == 0) {
    const ssize_t count = ::write(descriptor, bytes.data() + done, bytes.size() - done);
    if (count >= 0) {
      done += static_cast<std::size_t>(count);
    } else if (errno != EINTR) {
      error = errno;
    }
  }
  if (::close(descriptor) != 0 && error == 0) error = errno;
  if (error != 0) failWriting(file, error);
}

}  // namespace palimpsest::engine
