// The CUDA back end: cuBLAS for products of many rows with weights, own kernels (cuda_few.h, cuda_kernels.h) for the
// rest. All work of a stream is queued on one CUDA stream, so that what the seam calls the order of the calls is the
// order on the device.
#include <cublas_v2.h>
#include <cuda_runtime.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "engine/cuda_few.h"
#include "engine/cuda_kernels.h"
#include "engine/cuda_quantized.h"
#include "engine/devices.h"
#include "engine/errors.h"

namespace palimpsest::engine {

namespace {

using Bf16 = __nv_bfloat16;

constexpr int kFirstWithBFloat16 = 8;  // major number of the compute capability

[[noreturn]] void fail(const std::string& what) {
  throw ModelError("The graphics card failed (" + what + "). Try again, or compute on the CPU.");
}

void check(cudaError_t error) {
  if (error == cudaSuccess) return;
  cudaGetLastError();  // the next call must not see it
  if (error == cudaErrorMemoryAllocation) {
    throw ModelError(
        "The graphics card has no room left. Close other programs that use it, choose a smaller model, or "
        "compute on the CPU.");
  }
  fail(cudaGetErrorString(error));
}

void check(cublasStatus_t status) {
  if (status != CUBLAS_STATUS_SUCCESS) fail(cublasGetStatusString(status));
}

// Device memory, zero when new.
class DeviceMemory {
 public:
  DeviceMemory() = default;
  explicit DeviceMemory(std::size_t bytes) : DeviceMemory() {  // delegating: what throws below frees data_
    check(cudaMalloc(&data_, std::max<std::size_t>(bytes, 1)));
    bytes_ = bytes;
    check(cudaMemset(data_, 0, bytes));
    check(cudaStreamSynchronize(nullptr));  // other streams do not wait for it
  }
  DeviceMemory(DeviceMemory&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  DeviceMemory& operator=(DeviceMemory&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~DeviceMemory() { cudaFree(data_); }
  void* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }

 private:
  void* data_ = nullptr;
  std::size_t bytes_ = 0;
};

class CudaHostBuffer : public HostBuffer {
 public:
  CudaHostBuffer(std::size_t floats, cudaStream_t stream) : HostBuffer({allocate(floats), floats}), stream_(stream) {}
  ~CudaHostBuffer() override {
    cudaStreamSynchronize(stream_);  // a copy may be on its way
    cudaFreeHost(values().data());
  }

 private:
  static float* allocate(std::size_t floats) {
    void* data = nullptr;
    check(cudaMallocHost(&data, std::max<std::size_t>(floats, 1) * sizeof(float)));
    return static_cast<float*>(data);
  }
  cudaStream_t stream_;
};

class CudaBuffer : public Buffer {
 public:
  CudaBuffer(int rows, int columns, bool bfloat16)
      : Buffer(rows, columns),
        bfloat16_(bfloat16),
        memory_(static_cast<std::size_t>(rows) * columns * (bfloat16 ? sizeof(Bf16) : sizeof(float))) {}
  bool isBFloat16() const { return bfloat16_; }
  std::size_t elementBytes() const { return bfloat16_ ? sizeof(Bf16) : sizeof(float); }
  void* data() const { return memory_.data(); }
  template <class T>
  cuda::Rows<T> as() const {
    return {static_cast<T*>(memory_.data()), columns()};
  }
  std::byte* at(std::size_t element) const { return static_cast<std::byte*>(data()) + element * elementBytes(); }

 private:
  bool bfloat16_;
  DeviceMemory memory_;
};

CudaBuffer& gpu(Buffer& buffer) { return static_cast<CudaBuffer&>(buffer); }
const CudaBuffer& gpu(const Buffer& buffer) { return static_cast<const CudaBuffer&>(buffer); }

// Row-major [outputs x inputs], as it is on disk.
class CudaWeight : public PackedWeight {
 public:
  CudaWeight(int outputs, int inputs, bool bfloat16)
      : PackedWeight(outputs, inputs), values(outputs, inputs, bfloat16) {}
  std::size_t bytes() const override {
    return static_cast<std::size_t>(outputs()) * static_cast<std::size_t>(inputs()) * values.elementBytes();
  }
  cuda::QuantizedMatrix matrix() const { return {WeightType::Full, values.data(), nullptr, outputs(), inputs()}; }
  CudaBuffer values;
};

// Of fewer bits, as tilesOf() lays it out.
class CudaQuantized : public PackedWeight {
 public:
  CudaQuantized(WeightType type, int outputs, int inputs)
      : PackedWeight(outputs, inputs),
        type_(type),
        values_(tileBytes(type, outputs, inputs)),
        scales_(scaleBytes(type, outputs, inputs)) {}
  std::size_t bytes() const override { return values_.bytes() + scales_.bytes(); }
  cuda::QuantizedMatrix matrix() const { return {type_, values_.data(), scales_.data(), outputs(), inputs()}; }

  // In blocks of whole tiles and some megabytes, as CudaBackend::fill().
  void fill(const RowSource& source) {
    const int block = std::max(1, (8 << 20) / inputs() / kTileRows) * kTileRows;
    std::vector<float> rows;
    for (int row = 0; row < outputs(); row += block) {
      const int here = std::min(block, outputs() - row);
      rows.resize(static_cast<std::size_t>(here) * inputs());
      source(row, here, rows);
      const QuantizedTiles tiles = tilesOf(quantize(rows, inputs(), type_));
      put(tiles.values, values_, tileBytes(type_, row, inputs()));
      put(tiles.scales, scales_, scaleBytes(type_, row, inputs()));
    }
    check(cudaStreamSynchronize(nullptr));  // as in constants()
  }

 private:
  static void put(const std::vector<std::byte>& from, const DeviceMemory& to, std::size_t offset) {
    check(cudaMemcpy(static_cast<std::byte*>(to.data()) + offset, from.data(), from.size(), cudaMemcpyHostToDevice));
  }

  WeightType type_;
  DeviceMemory values_, scales_;
};

// f(type): with a value of the type that the buffer holds.
template <class F>
void withType(bool bfloat16, F f) {
  bfloat16 ? f(Bf16()) : f(float());
}

class CudaStream : public Stream {
 public:
  CudaStream(int device, bool bfloat16) : device_(device), bfloat16_(bfloat16) {
    use();
    check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
    check(cudaDeviceGetAttribute(&processors_, cudaDevAttrMultiProcessorCount, device_));
    flashAttention_ = bfloat16_ && cuda::flashAttentionIsBuilt();
    if (bfloat16_) fewRows_ = cuda::prepareFewRows(device_);
    check(cublasCreate(&products_));
    check(cublasSetStream(products_, stream_));
    // f32 is f32, not tf32, and the sums of bf16 products are f32 to their end.
    check(cublasSetMathMode(
        products_, static_cast<cublasMath_t>(CUBLAS_DEFAULT_MATH | CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION)));
  }
  ~CudaStream() override {
    cudaSetDevice(device_);
    cudaStreamSynchronize(stream_);
    cublasDestroy(products_);
    cudaStreamDestroy(stream_);
  }

  std::unique_ptr<Buffer> allocate(int rows, int columns, Element element) override {
    use();
    return std::make_unique<CudaBuffer>(rows, columns, bfloat16_ && element != Element::Float32);
  }

  void upload(std::span<const float> from, Buffer& to, std::size_t offset) override {
    if (from.empty()) return;
    use();
    CudaBuffer& target = gpu(to);
    if (!target.isBFloat16()) {
      check(cudaMemcpyAsync(target.at(offset), from.data(), from.size_bytes(), cudaMemcpyHostToDevice, stream_));
      return;
    }
    float* staged = static_cast<float*>(room(staging_, from.size_bytes()));
    check(cudaMemcpyAsync(staged, from.data(), from.size_bytes(), cudaMemcpyHostToDevice, stream_));
    cuda::convert<float, Bf16>(staged, reinterpret_cast<Bf16*>(target.at(offset)), from.size(), stream_);
    check(cudaGetLastError());
  }

  void download(const Buffer& from, std::size_t offset, std::span<float> to) override {
    if (to.empty()) return;
    use();
    const CudaBuffer& source = gpu(from);
    const void* values = source.at(offset);
    if (source.isBFloat16()) {
      float* staged = static_cast<float*>(room(staging_, to.size_bytes()));
      cuda::convert<Bf16, float>(static_cast<const Bf16*>(values), staged, to.size(), stream_);
      check(cudaGetLastError());
      values = staged;
    }
    check(cudaMemcpyAsync(to.data(), values, to.size_bytes(), cudaMemcpyDeviceToHost, stream_));
    check(cudaStreamSynchronize(stream_));
  }

  std::unique_ptr<HostBuffer> allocateHost(std::size_t floats) override {
    use();
    return std::make_unique<CudaHostBuffer>(floats, stream_);
  }
  void queueUpload(std::span<const float> from, Buffer& to) override {
    use();
    check(cudaMemcpyAsync(gpu(to).data(), from.data(), from.size_bytes(), cudaMemcpyHostToDevice, stream_));
  }
  void queueDownload(const Buffer& from, std::size_t offset, std::span<float> to) override {
    use();
    check(cudaMemcpyAsync(to.data(), gpu(from).at(offset), to.size_bytes(), cudaMemcpyDeviceToHost, stream_));
  }
  void wait() override {
    use();
    check(cudaStreamSynchronize(stream_));
  }

  void copyRows(const Buffer& from, int fromRow, int fromColumn, int rows, int width, Buffer& to, int toRow,
                int toColumn) override {
    if (rows == 0 || width == 0) return;
    use();
    const CudaBuffer& source = gpu(from);
    CudaBuffer& target = gpu(to);
    const std::size_t bytes = source.elementBytes();
    check(cudaMemcpy2DAsync(target.at(static_cast<std::size_t>(toRow) * target.columns() + toColumn),
                            target.columns() * bytes,
                            source.at(static_cast<std::size_t>(fromRow) * source.columns() + fromColumn),
                            source.columns() * bytes, width * bytes, rows, cudaMemcpyDeviceToDevice, stream_));
  }

  void beginPass(std::span<const PassSegment> segments) override {
    use();
    segments_.assign(segments.begin(), segments.end());
    pass_ = {};
    pass_.count = static_cast<int>(segments.size());
    for (const PassSegment& s : segments_) {
      pass_.rows = std::max(pass_.rows, s.begin + s.rows);
      pass_.longest = std::max(pass_.longest, s.rows);
      pass_.mostKeys = std::max(pass_.mostKeys, s.firstPosition + s.rows);
    }
    std::vector<int> segmentOfRow(static_cast<std::size_t>(pass_.rows));
    for (std::size_t s = 0; s < segments_.size(); ++s)
      std::fill_n(segmentOfRow.begin() + segments_[s].begin, segments_[s].rows, static_cast<int>(s));
    pass_.segments = put<PassSegment>(passSegments_, segments_);
    pass_.segmentOfRow = put<int>(passRows_, segmentOfRow);
  }

  void embed(std::span<const std::int32_t> tokens, const Buffer& table, Buffer& x) override {
    const std::int32_t* ids = put<std::int32_t>(tokens_, tokens);
    withType(gpu(table).isBFloat16(), [&]<class T>(T) {
      cuda::embed<T>(ids, pass_.rows, gpu(table).as<const T>(), gpu(x).as<float>(), stream_);
    });
    check(cudaGetLastError());
  }

  void rmsNorm(const Buffer& x, const Buffer& weight, float epsilon, Buffer& out) override {
    use();
    withType(gpu(out).isBFloat16(), [&]<class T>(T) {
      cuda::rmsNorm<T>(pass_.rows, gpu(x).as<const float>(), gpu(weight).as<const float>().data, epsilon,
                       gpu(out).as<T>(), stream_);
    });
    check(cudaGetLastError());
  }

  void linear(const Buffer& in, const PackedWeight& weight, Buffer& out) override { product(in, weight, out, 0.0F); }
  void linearAdd(const Buffer& in, const PackedWeight& weight, Buffer& x) override { product(in, weight, x, 1.0F); }

  void siluMul(const Buffer& gateUp, Buffer& out) override {
    use();
    withType(gpu(out).isBFloat16(),
             [&]<class T>(T) { cuda::siluMul<T>(pass_.rows, gpu(gateUp).as<const T>(), gpu(out).as<T>(), stream_); });
    check(cudaGetLastError());
  }

  void normedLinear(const Buffer& x, const Norm& norm, const PackedWeight& weight, Buffer& out) override {
    if (!multipliedFew(normed(x, norm), weight, out)) Stream::normedLinear(x, norm, weight, out);
  }
  void gatedLinear(const Buffer& x, const Norm& norm, const PackedWeight& weight, Buffer& gateUp,
                   Buffer& out) override {
    cuda::FewRowsProduct product = normed(x, norm);
    product.gated = true;
    if (!multipliedFew(product, weight, out)) Stream::gatedLinear(x, norm, weight, gateUp, out);
  }

  void rope(Buffer& x, std::span<const RotatedColumns> columns, int dim, const Buffer& cosines,
            const Buffer& sines) override {
    const RotatedColumns* runs = constant(columns);
    withType(gpu(x).isBFloat16(), [&]<class T>(T) {
      cuda::rope<T>(pass_, gpu(x).as<T>(), runs, static_cast<int>(columns.size()), dim,
                    gpu(cosines).as<const float>().data, gpu(sines).as<const float>().data, stream_);
    });
    check(cudaGetLastError());
  }

  void localAttention(const Buffer& queries, const Buffer& keys, const Buffer& values, std::span<const LocalHead> heads,
                      int dim, Buffer& out) override {
    if (heads.empty()) return;
    if (dim > kMostHeadDim) {
      throw ModelError("This model's heads have " + std::to_string(dim) +
                       " dimensions; on a graphics card they may have " + std::to_string(kMostHeadDim) +
                       ". Compute on the CPU.");
    }
    const LocalHead* list = constant(heads);
    const int count = static_cast<int>(heads.size());
    if (flashAttention_ &&
        cuda::takesFlashAttention(heads, dim, queries.columns(), keys.columns(), values.columns(), out.columns())) {
      const std::vector<cuda::HeadGroup> groups = cuda::groupHeads(heads);
      const cuda::FlashPlan plan = cuda::planFlashAttention(pass_, groups, count, dim, processors_);
      const cuda::HeadGroup* groupList = constant(std::span(groups));
      float* partial = static_cast<float*>(room(scratch_, plan.roomFloats * sizeof(float)));
      withType(gpu(out).isBFloat16(), [&]<class Out>(Out) {
        cuda::flashAttention<Out>(pass_, gpu(queries).as<const Bf16>(), gpu(keys).as<const Bf16>(),
                                  gpu(values).as<const Bf16>(), list, count, groupList, dim, plan, partial,
                                  gpu(out).as<Out>(), stream_);
      });
      check(cudaGetLastError());
      return;
    }
    withType(gpu(queries).isBFloat16(), [&]<class T>(T) {
      withType(gpu(out).isBFloat16(), [&]<class Out>(Out) {
        cuda::localAttention<T, Out>(pass_, gpu(queries).as<const T>(), gpu(keys).as<const T>(),
                                     gpu(values).as<const T>(), list, count, dim, gpu(out).as<Out>(), stream_);
      });
    });
    check(cudaGetLastError());
  }

  void memoryWrite(const Buffer& keys, const Buffer& values, std::span<const MemoryWriter> heads, MemoryDims dims,
                   MemoryUpdate rule, float epsilon, Buffer& states) override {
    if (heads.empty()) return;
    const MemoryWriter* list = constant(heads);
    const int count = static_cast<int>(heads.size());
    const auto to = gpu(states).as<float>();
    withType(gpu(keys).isBFloat16(), [&]<class T>(T) {
      const auto k = gpu(keys).as<const T>(), v = gpu(values).as<const T>();
      if (rule == MemoryUpdate::Linear && cuda::takesMemoryWriteTiles(heads, dims, keys.columns(), values.columns())) {
        const cuda::MemoryWritePlan plan = cuda::planMemoryWrite(pass_, count, dims, processors_);
        float* sums = static_cast<float*>(room(scratch_, plan.roomFloats * sizeof(float)));
        cuda::memoryWriteTiles<T>(pass_, k, v, list, count, dims, plan, sums, to, stream_);
        return;
      }
      if (rule == MemoryUpdate::Linear) {
        cuda::memoryWrite<T>(pass_, k, v, list, count, dims, to, stream_);
        cuda::sumStates(pass_.count, list, count, dims, to, stream_);
        return;
      }
      float* unknown = static_cast<float*>(
          room(scratch_, static_cast<std::size_t>(count) * pass_.longest * dims.value * sizeof(float)));
      for (int s = 0; s < pass_.count; ++s) {
        const int rows = segments_[s].rows - segments_[s].unwritten;
        cuda::memoryWriteDelta<T>(pass_, s, rows, k, v, list, count, dims, epsilon, to, unknown, stream_);
      }
    });
    check(cudaGetLastError());
  }

  void memoryRead(const Buffer& queries, std::span<const MemoryReader> heads, MemoryDims dims, float epsilon,
                  const Buffer& states, Buffer& out) override {
    if (heads.empty()) return;
    const MemoryReader* list = constant(heads);
    const bool tiles = cuda::takesMemoryReadTiles(heads, dims, queries.columns(), states.columns(), out.columns());
    withType(gpu(queries).isBFloat16(), [&]<class T>(T) {
      withType(gpu(out).isBFloat16(), [&]<class Out>(Out) {
        const auto read = tiles ? cuda::memoryReadTiles<T, Out> : cuda::memoryRead<T, Out>;
        read(pass_, gpu(queries).as<const T>(), list, static_cast<int>(heads.size()), dims, epsilon,
             gpu(states).as<const float>(), gpu(out).as<Out>(), stream_);
      });
    });
    check(cudaGetLastError());
  }

  void combine(const Buffer& memory, const Buffer& local, std::span<const GatedColumns> heads, Buffer& out) override {
    const GatedColumns* runs = constant(heads);
    withType(gpu(out).isBFloat16(), [&]<class Out>(Out) {
      cuda::combine<Out>(pass_, gpu(memory).as<const float>(), gpu(local).as<const float>(), runs,
                         static_cast<int>(heads.size()), gpu(out).as<Out>(), stream_);
    });
    check(cudaGetLastError());
  }

 private:
  static constexpr int kMostHeadDim = 256;

  void use() { check(cudaSetDevice(device_)); }  // of the calling thread

  // Room that a queued operation may still use is given back only when the stream has come past it.
  void* room(DeviceMemory& memory, std::size_t bytes) {
    if (memory.bytes() < bytes) {
      check(cudaStreamSynchronize(stream_));
      memory = DeviceMemory();
      memory = DeviceMemory(bytes);
    }
    return memory.data();
  }

  template <class T>
  const T* put(DeviceMemory& memory, std::span<const T> values) {
    use();
    void* to = room(memory, values.size_bytes());
    check(cudaMemcpyAsync(to, values.data(), values.size_bytes(), cudaMemcpyHostToDevice, stream_));
    return static_cast<const T*>(to);
  }

  // Lists of heads are few and always the same: each is kept on the device.
  template <class T>
  const T* constant(std::span<const T> list) {
    use();
    const std::string key(reinterpret_cast<const char*>(list.data()), list.size_bytes());
    auto kept = lists_.find(key);
    if (kept == lists_.end()) {
      DeviceMemory made(key.size());
      check(cudaMemcpyAsync(made.data(), key.data(), key.size(), cudaMemcpyHostToDevice, stream_));
      kept = lists_.emplace(key, std::move(made)).first;
    }
    return static_cast<const T*>(kept->second.data());
  }

  // out = in W^T + beta out
  void product(const Buffer& in, const PackedWeight& weight, Buffer& out, float beta) {
    use();
    if (gpu(in).isBFloat16() && multipliedFew({.in = gpu(in).as<const Bf16>(), .add = beta != 0.0F}, weight, out))
      return;
    if (const auto* quantized = dynamic_cast<const CudaQuantized*>(&weight))
      return product(gpu(in), quantized->matrix(), gpu(out), beta);
    const CudaBuffer& w = static_cast<const CudaWeight&>(weight).values;
    product(gpu(in), w.data(), w.isBFloat16(), 0, weight.outputs(), weight.inputs(), gpu(out), beta);
  }

  static cuda::FewRowsProduct normed(const Buffer& x, const Norm& norm) {
    return {.x = gpu(x).as<const float>(), .norm = gpu(norm.weight).as<const float>().data, .epsilon = norm.epsilon};
  }

  // Queues it if it is one of few rows, and says whether it did. `product` holds all but what is in the other
  // arguments.
  bool multipliedFew(cuda::FewRowsProduct product, const PackedWeight& weight, Buffer& out) {
    if (!bfloat16_) return false;
    const auto* quantized = dynamic_cast<const CudaQuantized*>(&weight);
    product.weight = quantized ? quantized->matrix() : static_cast<const CudaWeight&>(weight).matrix();
    product.rows = pass_.rows;
    if (gpu(out).isBFloat16()) {
      product.halves = gpu(out).as<Bf16>();
    } else {
      product.floats = gpu(out).as<float>();
    }
    if (!cuda::takesFewRows(fewRows_, product)) return false;
    use();
    cuda::multiplyFewRows(fewRows_, product, stream_);
    check(cudaGetLastError());
    return true;
  }

  // Into columns [begin, begin + outputs) of `out`; w is [outputs x inputs]. cuBLAS counts columns first, so that it
  // sees out^T = W in^T.
  void product(const CudaBuffer& in, const void* w, bool bfloat16, int begin, int outputs, int inputs, CudaBuffer& out,
               float beta) {
    const auto typeOf = [](bool half) { return half ? CUDA_R_16BF : CUDA_R_32F; };
    const float one = 1.0F;
    check(cublasGemmEx(products_, CUBLAS_OP_T, CUBLAS_OP_N, outputs, pass_.rows, inputs, &one, w, typeOf(bfloat16),
                       inputs, in.data(), typeOf(in.isBFloat16()), in.columns(), &beta,
                       out.at(static_cast<std::size_t>(begin)), typeOf(out.isBFloat16()), out.columns(),
                       CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT));
  }

  void product(const CudaBuffer& in, const cuda::QuantizedMatrix& weight, CudaBuffer& out, float beta) {
    if (!in.isBFloat16() && cuda::multipliesFew(weight, pass_.rows, in.as<const float>())) {
      cuda::productOfFew(weight, pass_.rows, in.as<const float>(), out.as<float>(), beta != 0.0F, stream_);
      check(cudaGetLastError());
      return;
    }
    withType(in.isBFloat16(), [&]<class T>(T) {
      // As many rows at a time as there is room for dequantised ones.
      const std::size_t rowBytes = sizeof(T) * static_cast<std::size_t>(weight.inputs);
      const int most = std::max(1, static_cast<int>(kDequantizedBytes / rowBytes / kTileRows)) * kTileRows;
      T* w = static_cast<T*>(room(dequantized_, rowBytes * std::min(most, weight.outputs)));
      for (int begin = 0; begin < weight.outputs; begin += most) {
        const int rows = std::min(most, weight.outputs - begin);
        cuda::dequantize<T>(weight, begin, rows, w, stream_);
        check(cudaGetLastError());
        product(in, w, std::is_same_v<T, Bf16>, begin, rows, weight.inputs, out, beta);
      }
    });
  }

  int device_;
  bool bfloat16_;
  int processors_ = 0;
  bool flashAttention_ = false;
  cuda::FewRowsCard fewRows_;
  cudaStream_t stream_ = nullptr;
  cublasHandle_t products_ = nullptr;
  std::vector<PassSegment> segments_;
  cuda::Pass pass_;
  DeviceMemory passSegments_, passRows_, tokens_, staging_, scratch_, dequantized_;
  std::map<std::string, DeviceMemory> lists_;  // by their bytes
};

class CudaBackend : public Backend {
 public:
  CudaBackend(int device, std::string name, bool bfloat16)
      : device_(device), name_(std::move(name)), bfloat16_(bfloat16) {}

  std::string description() const override { return name_ + (bfloat16_ ? ", bf16" : ", f32"); }
  std::string card() const override { return name_; }
  bool computesBFloat16() const override { return bfloat16_; }
  int threads() const override { return 1; }
  int paddedRows(int rows) const override { return rows; }

  std::unique_ptr<PackedWeight> pack(int outputs, int inputs, const RowSource& source, WeightType type) override {
    check(cudaSetDevice(device_));
    if (type != WeightType::Full) {
      auto made = std::make_unique<CudaQuantized>(type, outputs, inputs);
      made->fill(source);
      return made;
    }
    auto made = std::make_unique<CudaWeight>(outputs, inputs, bfloat16_);
    fill(made->values, source);
    return made;
  }
  std::unique_ptr<Buffer> table(int rows, int columns, const RowSource& source) override {
    check(cudaSetDevice(device_));
    auto made = std::make_unique<CudaBuffer>(rows, columns, bfloat16_);
    fill(*made, source);
    return made;
  }
  std::unique_ptr<Buffer> constants(int rows, int columns, std::span<const float> values) override {
    check(cudaSetDevice(device_));
    auto made = std::make_unique<CudaBuffer>(rows, columns, false);
    check(cudaMemcpy(made->data(), values.data(), values.size_bytes(), cudaMemcpyHostToDevice));
    check(cudaStreamSynchronize(nullptr));  // it returns when the values are staged, and the streams do not wait
    return made;
  }
  std::unique_ptr<Stream> makeStream(int) const override { return std::make_unique<CudaStream>(device_, bfloat16_); }

 private:
  // In blocks of some megabytes, so that host memory stays flat.
  static void fill(CudaBuffer& to, const RowSource& source) {
    const int block = std::max(1, (8 << 20) / std::max(1, to.columns()));
    std::vector<float> values;
    std::vector<Bf16> rounded;
    for (int row = 0; row < to.rows(); row += block) {
      const int here = std::min(block, to.rows() - row);
      values.resize(static_cast<std::size_t>(here) * to.columns());
      source(row, here, values);
      const void* from = values.data();
      if (to.isBFloat16()) {
        rounded.resize(values.size());
        std::ranges::transform(values, rounded.begin(), [](float x) { return __float2bfloat16_rn(x); });
        from = rounded.data();
      }
      check(cudaMemcpy(to.at(static_cast<std::size_t>(row) * to.columns()), from, values.size() * to.elementBytes(),
                       cudaMemcpyHostToDevice));
    }
    check(cudaStreamSynchronize(nullptr));
  }

  int device_;
  std::string name_;
  bool bfloat16_;
};

}  // namespace

bool builtWithCuda() { return true; }

GraphicsCards graphicsCards() {
  GraphicsCards here;
  int count = 0, driver = 0;
  if (const cudaError_t error = cudaGetDeviceCount(&count); error != cudaSuccess) {
    cudaGetLastError();
    const bool hasDriver = cudaDriverGetVersion(&driver) == cudaSuccess && driver > 0;
    if (error == cudaErrorInsufficientDriver && hasDriver) {
      here.problem = "The driver of the graphics card is too old: it knows CUDA " + std::to_string(driver / 1000) +
                     "." + std::to_string(driver % 1000 / 10) + ", and this program was built with CUDA " +
                     std::to_string(CUDART_VERSION / 1000) + "." + std::to_string(CUDART_VERSION % 1000 / 10) +
                     ". Update the driver.";
    } else if (error != cudaErrorNoDevice && hasDriver) {
      here.problem = std::string("The graphics card cannot be used (") + cudaGetErrorString(error) + ").";
    }
    return here;
  }
  for (int number = 0; number < count; ++number) {
    cudaDeviceProp properties{};
    check(cudaGetDeviceProperties(&properties, number));
    here.cards.push_back({number, properties.name, properties.major >= kFirstWithBFloat16});
  }
  return here;
}

std::size_t freeCudaBytes(int device) {
  std::size_t free = 0, all = 0;
  check(cudaSetDevice(device));
  check(cudaMemGetInfo(&free, &all));
  return free;
}

std::unique_ptr<Backend> makeCudaBackend(int device, Precision precision) {
  check(cudaSetDevice(device));
  cudaDeviceProp properties{};
  check(cudaGetDeviceProperties(&properties, device));
  const bool has = properties.major >= kFirstWithBFloat16;
  if (precision == Precision::BFloat16 && !has) {
    throw ModelError(std::string(properties.name) +
                     " does not compute in bf16; choose f32, or leave the precision to the program.");
  }
  return std::make_unique<CudaBackend>(device, properties.name, has && precision != Precision::Float32);
}

}  // namespace palimpsest::engine
