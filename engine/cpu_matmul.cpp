#include "engine/cpu_matmul.h"

#include <omp.h>

#include <algorithm>
#include <array>
#include <vector>

namespace palimpsest::engine {

using dnnl::memory;

namespace {

// oneDNN's levels are sets of bits; every level from avx512_core_bf16 on holds that one's.
bool cpuHas(dnnl::cpu_isa isa) {
  const auto level = static_cast<unsigned>(dnnl::get_effective_cpu_isa());
  return (level & static_cast<unsigned>(isa)) == static_cast<unsigned>(isa);
}

// The C call: the C++ one builds two containers each time.
void execute(const dnnl::matmul& kernel, const dnnl::stream& stream, const memory& left, const memory& right,
             const memory& out, const memory& scratch) {
  const std::array<dnnl_exec_arg_t, 4> arguments = {{{DNNL_ARG_SRC, left.get()},
                                                     {DNNL_ARG_WEIGHTS, right.get()},
                                                     {DNNL_ARG_DST, out.get()},
                                                     {DNNL_ARG_SCRATCHPAD, scratch.get()}}};
  dnnl::error::wrap_c_api(
      dnnl_primitive_execute(kernel.get(), stream.get(), static_cast<int>(arguments.size()), arguments.data()),
      "the matrix product could not be computed");
}

}  // namespace

bool cpuMultipliesBFloat16() { return cpuHas(dnnl::cpu_isa::avx512_core_bf16); }
bool cpuMultipliesTiles() { return cpuHas(dnnl::cpu_isa::avx512_core_amx); }

std::unique_ptr<CpuWeight> packCpuWeight(const dnnl::engine& engine, memory::data_type type, int passRows, int outputs,
                                         int inputs, const RowSource& source) {
  // W [outputs x inputs] row-major is the product's right side [inputs x outputs] read with swapped strides.
  memory plain({{inputs, outputs}, type, memory::format_tag::ba}, engine);
  constexpr int kBlock = 64;
  std::vector<float> block(static_cast<std::size_t>(std::min(kBlock, outputs)) * inputs);
  for (int row = 0; row < outputs; row += kBlock) {
    const int rows = std::min(kBlock, outputs - row);
    const std::span<float> out(block.data(), static_cast<std::size_t>(rows) * inputs);
    source(row, rows, out);
    const std::size_t at = static_cast<std::size_t>(row) * inputs;
    if (type == memory::data_type::bf16) {
      for (int r = 0; r < rows; ++r) {
        cpuKernels().toBFloat16(
            out.data() + static_cast<std::size_t>(r) * inputs, inputs,
            static_cast<Bf16*>(plain.get_data_handle()) + at + static_cast<std::size_t>(r) * inputs);
      }
    } else {
      std::copy(out.begin(), out.end(), static_cast<float*>(plain.get_data_handle()) + at);
    }
  }

  const memory::desc in({passRows, inputs}, type, memory::format_tag::ab);
  const memory::desc any({inputs, outputs}, type, memory::format_tag::any);
  const memory::desc out({passRows, outputs}, memory::data_type::f32, memory::format_tag::ab);
  const dnnl::matmul::primitive_desc choice(dnnl::matmul::desc(in, any, out), engine);
  memory packed(choice.weights_desc(), engine);
  dnnl::stream stream(engine);
  dnnl::reorder(plain, packed).execute(stream, plain, packed);
  stream.wait();
  return std::make_unique<CpuWeight>(outputs, inputs, std::move(packed));
}

CpuProducts::Product& CpuProducts::product(const Shape& shape, const CpuWeight& weight) {
  if (const auto found = products_.find(shape); found != products_.end()) return found->second;
  const auto [rows, inputs, outputs, outType, add] = shape;
  const memory::desc in({rows, inputs}, type_, memory::format_tag::ab);
  const memory::desc out({rows, outputs}, static_cast<memory::data_type>(outType), memory::format_tag::ab);
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  if (add) {
    dnnl::post_ops sum;
    sum.append_sum(1.0F);
    attributes.set_post_ops(sum);
  }
  const dnnl::matmul::primitive_desc description(dnnl::matmul::desc(in, weight.memory().get_desc(), out), attributes,
                                                 engine_);
  Product made;
  made.kernel = dnnl::matmul(description);
  made.in = memory(in, engine_, nullptr);
  made.out = memory(out, engine_, nullptr);
  made.scratch = memory(description.scratchpad_desc(), engine_, nullptr);
  made.scratchBytes = description.scratchpad_desc().get_size();
  if (made.scratchBytes > scratchBytes_) {
    scratchBytes_ = made.scratchBytes;
    scratch_ = memory(description.scratchpad_desc(), engine_);
  }
  return products_.emplace(shape, std::move(made)).first->second;
}

void CpuProducts::run(int rows, const void* in, const CpuWeight& weight, void* out, memory::data_type outType,
                      bool add) {
  Product& p = product({rows, weight.inputs(), weight.outputs(), static_cast<int>(outType), add}, weight);
  p.in.set_data_handle(const_cast<void*>(in));
  p.out.set_data_handle(out);
  if (p.scratchBytes > 0) p.scratch.set_data_handle(scratch_.get_data_handle());
  execute(p.kernel, stream_, p.in, weight.memory(), p.out, p.scratch);
}

class CpuTileProducts::Product {
 public:
  struct Own {  // what a call changes, for each thread
    dnnl::stream stream;
    memory left, right, out, scratch;
  };
  dnnl::matmul kernel;
  std::vector<Own> own;
};

CpuTileProducts::CpuTileProducts(const dnnl::engine& engine, int threads)
    : engine_(engine), scratch_(static_cast<std::size_t>(threads)) {}
CpuTileProducts::~CpuTileProducts() = default;

CpuTileProducts::Product& CpuTileProducts::prepare(const Shape& shape) {
  if (const auto found = products_.find(shape); found != products_.end()) return *found->second;
  const memory::desc left({shape.rows, shape.depth}, memory::data_type::bf16, memory::format_tag::ab);
  const memory::desc right({shape.depth, shape.columns}, memory::data_type::bf16, memory::format_tag::BA16a64b2a);
  const memory::desc out({shape.rows, shape.columns}, memory::data_type::f32, memory::format_tag::ab);
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  const int before = omp_get_max_threads();
  omp_set_num_threads(1);  // oneDNN cuts a kernel's work for as many as there are when it is made
  const dnnl::matmul::primitive_desc description(dnnl::matmul::desc(left, right, out), attributes, engine_);
  auto made = std::make_unique<Product>();
  made->kernel = dnnl::matmul(description);
  omp_set_num_threads(before);

  const bool larger = description.scratchpad_desc().get_size() > scratchBytes_;
  scratchBytes_ = std::max(scratchBytes_, description.scratchpad_desc().get_size());
  for (memory& scratch : scratch_) {
    if (larger) scratch = memory(description.scratchpad_desc(), engine_);
    made->own.push_back({dnnl::stream(engine_), memory(left, engine_, nullptr), memory(right, engine_, nullptr),
                         memory(out, engine_, nullptr), memory(description.scratchpad_desc(), engine_, nullptr)});
  }
  return *products_.emplace(shape, std::move(made)).first->second;
}

void CpuTileProducts::run(Product& product, int thread, const Bf16* left, const Bf16* right, float* out) const {
  Product::Own& own = product.own[static_cast<std::size_t>(thread)];
  own.left.set_data_handle(const_cast<Bf16*>(left));
  own.right.set_data_handle(const_cast<Bf16*>(right));
  own.out.set_data_handle(out);
  if (scratchBytes_ > 0) own.scratch.set_data_handle(scratch_[static_cast<std::size_t>(thread)].get_data_handle());
  execute(product.kernel, own.stream, own.left, own.right, own.out, own.scratch);
}

}  // namespace palimpsest::engine
