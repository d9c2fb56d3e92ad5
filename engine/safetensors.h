// The safetensors format: eight bytes of header length, a JSON header, the tensors' bytes.
// Format: https://github.com/huggingface/safetensors (README, "Format").
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace palimpsest::engine {

enum class Dtype { F32, F16, BF16, I8, I32, I64, U8 };

std::size_t bytesOf(Dtype dtype);                            // per element
std::string_view nameOf(Dtype dtype);                        // as in the file: "BF16"
std::string shapeText(std::span<const std::int64_t> shape);  // "[512, 256]"

// A tensor inside a file or a blob. `data` is little-endian, row-major and need not be aligned.
struct TensorView {
  std::string name;
  Dtype dtype = Dtype::F32;
  std::vector<std::int64_t> shape;
  std::span<const std::byte> data;  // elements() * bytesOf(dtype) bytes

  std::int64_t elements() const;
};

// Reads elements [begin, begin + out.size()) of a tensor as f32. I64 and I32 may lose digits. Throws std::out_of_range.
void convertToFloat(const TensorView& tensor, std::int64_t begin, std::span<float> out);

// An opened file (mapped, read-only) or a blob of the caller's. Untrusted input: each count, size and offset is checked
// against the length before use; tensors must follow each other without gap or overlap. Throws ModelError naming the
// file, the tensor and what is wrong. Const after opening, so it may be read from several threads.
class SafetensorsFile {
 public:
  static SafetensorsFile open(const std::filesystem::path& file);
  // `bytes` must outlive the object; `sourceName` stands in error messages.
  static SafetensorsFile parse(std::span<const std::byte> bytes, const std::string& sourceName);

  const std::vector<TensorView>& tensors() const { return tensors_; }  // in the order of their data
  const TensorView* find(std::string_view name) const;                 // nullptr = not there
  const TensorView& at(std::string_view name) const;                   // throws ModelError
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  const std::string& sourceName() const { return sourceName_; }

 private:
  class Mapping;
  void readHeader(std::span<const std::byte> bytes);

  std::shared_ptr<const Mapping> mapping_;  // empty for a blob
  std::string sourceName_;
  std::vector<TensorView> tensors_;
  std::map<std::string, std::size_t, std::less<>> index_;  // name -> place in tensors_
  std::map<std::string, std::string> metadata_;
};

// Builds a safetensors blob. The tensors' bytes are not copied before toBytes() or writeFile().
class SafetensorsWriter {
 public:
  void setMetadata(const std::string& key, const std::string& value) { metadata_[key] = value; }
  // Throws std::invalid_argument when the bytes do not fit the shape or the name is taken.
  void add(const std::string& name, Dtype dtype, std::vector<std::int64_t> shape, std::span<const std::byte> data);
  void add(const std::string& name, std::vector<std::int64_t> shape, std::span<const float> data);

  std::vector<std::byte> toBytes() const;
  void writeFile(const std::filesystem::path& file) const;  // throws ModelError

 private:
  std::string header() const;  // the JSON, padded with spaces so that the data is aligned to 8 bytes

  std::vector<TensorView> tensors_;
  std::map<std::string, std::string> metadata_;
};

}  // namespace palimpsest::engine
