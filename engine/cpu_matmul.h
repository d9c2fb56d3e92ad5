// Matrix products of the CPU back end: oneDNN, with weights packed once and kernels kept per shape.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <oneapi/dnnl/dnnl.hpp>
#include <tuple>
#include <vector>

#include "engine/backend.h"
#include "engine/cpu_kernels.h"

namespace palimpsest::engine {

class CpuWeight : public PackedWeight {
 public:
  CpuWeight(int outputs, int inputs, dnnl::memory memory) : PackedWeight(outputs, inputs), memory_(std::move(memory)) {}
  std::size_t bytes() const override { return memory_.get_desc().get_size(); }
  const dnnl::memory& memory() const { return memory_; }

 private:
  dnnl::memory memory_;  // oneDNN's own layout
};

// Reads the weight, converts it to `type` and reorders it into the layout that oneDNN prefers for passes of `passRows`
// rows.
std::unique_ptr<CpuWeight> packCpuWeight(const dnnl::engine& engine, dnnl::memory::data_type type, int passRows,
                                         int outputs, int inputs, const RowSource& source);

// The products of one stream. A kernel is made when a shape is first seen (about a millisecond) and kept, with a
// scratchpad that all share, so that a product in the segment loop allocates no buffer. Not thread-safe.
class CpuProducts {
 public:
  CpuProducts(const dnnl::engine& engine, dnnl::memory::data_type type) : engine_(engine), type_(type) {}

  // out [rows x outputs] = in [rows x inputs] W^T, or += with `add` (out f32 then)
  void run(int rows, const void* in, const CpuWeight& weight, void* out, dnnl::memory::data_type outType, bool add);

 private:
  struct Part {  // what a call changes, for each run of outputs that is computed apart
    dnnl::stream stream;
    dnnl::memory in, weight, out, scratch;
    std::size_t weightOffset = 0, outOffset = 0;  // bytes
  };
  struct Product {
    dnnl::primitive kernel;
    std::vector<Part> parts;  // mostly one
    std::size_t scratchBytes = 0;
  };
  using Shape = std::tuple<int, int, int, int, bool>;  // rows, inputs, outputs, type of out, add

  Product& product(const Shape& shape, const CpuWeight& weight);

  dnnl::engine engine_;
  dnnl::memory::data_type type_;
  std::map<Shape, Product> products_;
  dnnl::memory scratch_;
  std::size_t scratchBytes_ = 0;
};

// Whether this CPU multiplies bf16 in tiles of registers (AMX), more than ten times as fast as f32. With AVX512_BF16
// alone small products gain nothing over f32.
bool cpuMultipliesTiles();

// Small products of bf16 with sums in f32, each computed by the one thread that asks for it, inside a parallel loop.
class CpuTileProducts {
 public:
  struct Shape {
    int rows = 0;     // of the left side and of the result
    int depth = 0;    // a multiple of kTileDepth
    int columns = 0;  // of the right side and of the result: a multiple of kTilePanel
    auto operator<=>(const Shape&) const = default;
  };
  class Product;

  CpuTileProducts(const dnnl::engine& engine, int threads);
  ~CpuTileProducts();
  // Makes the kernel when the shape is first seen; not inside a parallel loop. Valid as long as this object.
  Product& prepare(const Shape& shape);
  // out [rows x columns] = left [rows x depth] right, with `right` as kTilePanel says; all without gaps. `thread`
  // counts from 0: no two threads at a time may give the same.
  void run(Product& product, int thread, const Bf16* left, const Bf16* right, float* out) const;

 private:
  dnnl::engine engine_;
  std::map<Shape, std::unique_ptr<Product>> products_;
  std::vector<dnnl::memory> scratch_;  // one for each thread, all shapes share it
  std::size_t scratchBytes_ = 0;
};

}  // namespace palimpsest::engine
