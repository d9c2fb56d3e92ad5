// Matrix products of the CPU back end: oneDNN, with weights packed once and kernels kept per shape.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <oneapi/dnnl/dnnl.hpp>
#include <tuple>

#include "engine/backend.h"

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
  CpuProducts(const dnnl::engine& engine, dnnl::memory::data_type type)
      : engine_(engine), stream_(engine), type_(type) {}

  // out [rows x outputs] = in [rows x inputs] W^T, or += with `add` (out f32 then)
  void run(int rows, const void* in, const CpuWeight& weight, void* out, dnnl::memory::data_type outType, bool add);

 private:
  struct Product {
    dnnl::matmul kernel;
    dnnl::memory in, out, scratch;
    std::size_t scratchBytes = 0;
  };
  using Shape = std::tuple<int, int, int, int, bool>;  // rows, inputs, outputs, type of out, add

  Product& product(const Shape& shape, const CpuWeight& weight);

  dnnl::engine engine_;
  dnnl::stream stream_;
  dnnl::memory::data_type type_;
  std::map<Shape, Product> products_;
  dnnl::memory scratch_;
  std::size_t scratchBytes_ = 0;
};

}  // namespace palimpsest::engine
