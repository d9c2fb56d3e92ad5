#include "engine/cpu_matmul.h"

#include <omp.h>

#include <algorithm>
#include <array>
#include <string_view>
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
void execute(const dnnl::primitive& kernel, const dnnl::stream& stream, const memory& left, const memory& right,
             const memory& out, const memory& scratch) {
  const std::array<dnnl_exec_arg_t, 4> arguments = {{{DNNL_ARG_SRC, left.get()},
                                                     {DNNL_ARG_WEIGHTS, right.get()},
                                                     {DNNL_ARG_DST, out.get()},
                                                     {DNNL_ARG_SCRATCHPAD, scratch.get()}}};
  dnnl::error::wrap_c_api(
      dnnl_primitive_execute(kernel.get(), stream.get(), static_cast<int>(arguments.size()), arguments.data()),
      "the matrix product could not be computed");
}

// Without AVX-512, matmul is oneDNN's GEMM, which allocates its buffers anew in every call. A convolution that looks at
// one pixel at a time is the same product, as fast, and allocates none: the rows are its pixels, their numbers the
// channels.
dnnl::convolution_forward::primitive_desc convolution(int rows, int inputs, int outputs, memory::data_type type,
                                                      const memory::desc& weight, memory::data_type outType,
                                                      const dnnl::primitive_attr& attributes,
                                                      const dnnl::engine& engine) {
  const memory::desc in({1, inputs, rows, 1}, type, memory::format_tag::nhwc);
  const memory::desc out({1, outputs, rows, 1}, outType, memory::format_tag::nhwc);
  return {{dnnl::prop_kind::forward_inference,
           dnnl::algorithm::convolution_direct,
           in,
           weight,
           out,
           {1, 1},
           {0, 0},
           {0, 0}},
          attributes,
          engine};
}

bool isWrittenBy(std::string_view who, const dnnl::primitive_desc& kernel) {
  return std::string_view(kernel.impl_info_str()).starts_with(who);
}

// The largest number of equal parts, each of whole blocks of outputs, that is not above `most`.
int equalParts(int outputs, int most) {
  constexpr int kBlock = 16;
  int parts = std::max(1, most);
  while (parts > 1 && outputs % (parts * kBlock) != 0) --parts;
  return parts;
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
  memory from = plain;
  memory::desc layout = choice.weights_desc();
  if (type == memory::data_type::f32 && isWrittenBy("gemm", choice)) {
    const memory::dims window{outputs, inputs, 1, 1};
    const auto other = convolution(passRows, inputs, outputs, type, {window, type, memory::format_tag::any},
                                   memory::data_type::f32, {}, engine);
    if (isWrittenBy("jit", other)) {
      from = memory({window, type, memory::format_tag::oihw}, engine, plain.get_data_handle());
      layout = other.weights_desc();
    }
  }
  memory packed(layout, engine);
  dnnl::stream stream(engine);
  dnnl::reorder(from, packed).execute(stream, from, packed);
  stream.wait();
  return std::make_unique<CpuWeight>(outputs, inputs, std::move(packed));
}

CpuProducts::Product& CpuProducts::product(const Shape& shape, const CpuWeight& weight) {
  if (const auto found = products_.find(shape); found != products_.end()) return found->second;
  const auto [rows, inputs, outputs, outType, add] = shape;
  const auto type = static_cast<memory::data_type>(outType);
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  if (add) {
    dnnl::post_ops sum;
    sum.append_sum(1.0F);
    attributes.set_post_ops(sum);
  }
  const memory::desc right = weight.memory().get_desc();
  const bool asConvolution = right.dims().size() == 4;
  Product made;
  // A convolution is cut among the threads by pixels. Of a single one, each thread takes some outputs.
  const int parts = asConvolution && rows == 1 ? equalParts(outputs, omp_get_max_threads()) : 1;
  const int width = outputs / parts;
  const auto part = [&](int i) { return right.submemory_desc({width, inputs, 1, 1}, {i * width, 0, 0, 0}); };
  dnnl::primitive_desc description;
  if (asConvolution) {
    description = convolution(rows, inputs, width, type_, part(0), type, attributes, engine_);
  } else {
    const memory::desc in({rows, inputs}, type_, memory::format_tag::ab),
        out({rows, outputs}, type, memory::format_tag::ab);
    description = dnnl::matmul::primitive_desc(dnnl::matmul::desc(in, right, out), attributes, engine_);
  }
  made.kernel = dnnl::primitive(description);
  made.scratchBytes = description.scratchpad_desc().get_size();
  for (int i = 0; i < parts; ++i) {
    Part& own = made.parts.emplace_back();
    own.stream = dnnl::stream(engine_);
    own.in = memory(description.query_md(dnnl::query::src_md), engine_, nullptr);
    own.weight = memory(description.query_md(dnnl::query::weights_md), engine_, nullptr);
    own.out = memory(description.query_md(dnnl::query::dst_md), engine_, nullptr);
    own.scratch = parts > 1 ? memory(description.scratchpad_desc(), engine_)  // its own: parts run side by side
                            : memory(description.scratchpad_desc(), engine_, nullptr);
    if (parts > 1) own.weightOffset = static_cast<std::size_t>(part(i).data.offset0) * sizeof(float);
    own.outOffset = static_cast<std::size_t>(i) * own.out.get_desc().get_size();
  }
  if (made.scratchBytes > scratchBytes_) {
    scratchBytes_ = made.scratchBytes;
    scratch_ = memory(description.scratchpad_desc(), engine_);
  }
  return products_.emplace(shape, std::move(made)).first->second;
}

void CpuProducts::run(int rows, const void* in, const CpuWeight& weight, void* out, memory::data_type outType,
                      bool add) {
  Product& p = product({rows, weight.inputs(), weight.outputs(), static_cast<int>(outType), add}, weight);
  const auto compute = [&](Part& own) {
    own.in.set_data_handle(const_cast<void*>(in));
    own.weight.set_data_handle(static_cast<char*>(weight.memory().get_data_handle()) + own.weightOffset);
    own.out.set_data_handle(static_cast<char*>(out) + own.outOffset);
    if (p.parts.size() == 1 && p.scratchBytes > 0) own.scratch.set_data_handle(scratch_.get_data_handle());
    execute(p.kernel, own.stream, own.in, own.weight, own.out, own.scratch);
  };
  // In a region of one thread, oneDNN's own threads would be made anew for each product.
  if (p.parts.size() == 1) return compute(p.parts.front());
#pragma omp parallel for schedule(static)
  for (std::size_t i = 0; i < p.parts.size(); ++i) compute(p.parts[i]);
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
