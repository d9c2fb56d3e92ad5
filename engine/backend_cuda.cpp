// The CUDA back end: cuBLAS for products of many rows with weights, own kernels (cuda_few.h, cuda_kernels.h) for the
// rest. All work of a stream is queued on one CUDA stream, so that what the seam calls the order of the calls is the
// order on the device.
#include <cublas_v2.h>
#include <cuda_runtime.h>
#include <omp.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <exception>
#include <initializer_list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "engine/cpu_kernels.h"
#include "engine/cuda_few.h"
#include "engine/cuda_float8.h"
#include "engine/cuda_kernels.h"
#include "engine/cuda_quantized.h"
#include "engine/devices.h"
#include "engine/errors.h"

namespace palimpsest::engine {

namespace {

using Bf16 = __nv_bfloat16;

constexpr int kFirstWithBFloat16 = 8;  // major number of the compute capability

bool computesFp8(const cudaDeviceProp& properties) { return cuda::Float8Products::areBuilt(properties.major); }

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

// A CUDA stream, which goes when all that was allocated in its order has gone.
struct Queue {
  explicit Queue(int device) {
    check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    int pools = 0;
    check(cudaDeviceGetAttribute(&pools, cudaDevAttrMemoryPoolsSupported, device));
    if (pools == 0) return;
    // So much is kept for the next answer, instead of being given back to the driver and asked for again.
    std::uint64_t kept = kKeptBytes;
    cudaMemPool_t pool = nullptr;
    check(cudaDeviceGetDefaultMemPool(&pool, device));
    check(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &kept));
    hasPool = true;
  }
  ~Queue() {
    cudaStreamSynchronize(stream);
    cudaStreamDestroy(stream);
  }
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;

  static constexpr std::uint64_t kKeptBytes = std::uint64_t{256} << 20;
  cudaStream_t stream = nullptr;
  bool hasPool = false;
};

// Device memory, zero when new: of everybody, or in the order of a queue.
class DeviceMemory {
 public:
  DeviceMemory() = default;
  explicit DeviceMemory(std::size_t bytes, std::shared_ptr<Queue> queue = nullptr) : DeviceMemory() {
    // delegating: what throws below frees data_
    const std::size_t some = std::max<std::size_t>(bytes, 1);
    if (queue && queue->hasPool) {
      check(cudaMallocAsync(&data_, some, queue->stream));
      queue_ = std::move(queue);
      bytes_ = bytes;
      check(cudaMemsetAsync(data_, 0, bytes, queue_->stream));
      return;
    }
    check(cudaMalloc(&data_, some));
    bytes_ = bytes;
    check(cudaMemset(data_, 0, bytes));
    check(cudaStreamSynchronize(nullptr));  // other streams do not wait for it
  }
  DeviceMemory(DeviceMemory&& other) noexcept { *this = std::move(other); }
  DeviceMemory& operator=(DeviceMemory&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    std::swap(queue_, other.queue_);
    return *this;
  }
  ~DeviceMemory() {
    if (data_ && queue_) {
      cudaFreeAsync(data_, queue_->stream);
    } else {
      cudaFree(data_);
    }
  }
  void* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }

 private:
  void* data_ = nullptr;
  std::size_t bytes_ = 0;
  std::shared_ptr<Queue> queue_;
};

class CudaBuffer : public Buffer {
 public:
  CudaBuffer(int rows, int columns, bool bfloat16, std::shared_ptr<Queue> queue = nullptr)
      : Buffer(rows, columns),
        bfloat16_(bfloat16),
        memory_(static_cast<std::size_t>(rows) * columns * (bfloat16 ? sizeof(Bf16) : sizeof(float)),
                std::move(queue)) {}
  bool isBFloat16() const { return bfloat16_; }
  std::size_t elementBytes() const { return bfloat16_ ? sizeof(Bf16) : sizeof(float); }
  void* data() const { return memory_.data(); }
  const DeviceMemory& memory() const { return memory_; }
  template <class T>
  cuda::Rows<T> as() const {
    return {static_cast<T*>(memory_.data()), columns()};
  }
  std::byte* at(std::size_t element) const { return static_cast<std::byte*>(data()) + element * elementBytes(); }

 private:
  bool bfloat16_;
  DeviceMemory memory_;
};

constexpr int kLoadedNumbers = 128 << 10;  // that a thread makes at a time, in its core's cache

// Loads weights through pinned memory of a fixed size: while one part is on its way to the card, all cores make the
// next. One at a time.
class Loader {
 public:
  struct Target {
    const DeviceMemory* memory;
    std::size_t blockBytes;  // the last block may be shorter
  };

  // make(block, to): writes block 0..blocks - 1 of each target; called from several threads.
  void load(std::initializer_list<Target> targets, int blocks,
            const std::function<void(int block, std::span<std::byte* const> to)>& make) {
    std::size_t blockBytes = 0;
    for (const Target& target : targets) blockBytes += target.blockBytes;
    const int together = std::max(1, static_cast<int>(kPartBytes / blockBytes));
    for (int begin = 0, part = 0; begin < blocks; begin += together, part ^= 1) {
      const int here = std::min(together, blocks - begin);
      Part& room = parts_[part];
      room.ready(std::max(kPartBytes, blockBytes));
      std::exception_ptr failed;
#pragma omp parallel for schedule(dynamic) num_threads(omp_get_num_procs())
      for (int i = 0; i < here; ++i) {
        try {
          std::vector<std::byte*> to;
          std::byte* at = room.data;
          for (const Target& target : targets) {
            to.push_back(at + static_cast<std::size_t>(i) * target.blockBytes);
            at += static_cast<std::size_t>(here) * target.blockBytes;
          }
          make(begin + i, to);
        } catch (...) {
#pragma omp critical(loading)
          failed = std::current_exception();
        }
      }
      if (failed) std::rethrow_exception(failed);
      const std::byte* from = room.data;
      for (const Target& target : targets) {
        const std::size_t offset = static_cast<std::size_t>(begin) * target.blockBytes;
        const std::size_t bytes =
            std::min(static_cast<std::size_t>(here) * target.blockBytes, target.memory->bytes() - offset);
        check(cudaMemcpyAsync(static_cast<std::byte*>(target.memory->data()) + offset, from, bytes,
                              cudaMemcpyHostToDevice, nullptr));
        from += static_cast<std::size_t>(here) * target.blockBytes;
      }
      check(cudaEventRecord(room.copied, nullptr));
    }
    check(cudaStreamSynchronize(nullptr));  // the streams do not wait for it
  }

 private:
  static constexpr std::size_t kPartBytes = std::size_t{16} << 20;

  struct Part {
    ~Part() {
      if (copied) cudaEventDestroy(copied);
      cudaFreeHost(data);
    }
    // Room for so many bytes, of which none is on its way any more.
    void ready(std::size_t bytes) {
      if (!copied) check(cudaEventCreateWithFlags(&copied, cudaEventDisableTiming));
      check(cudaEventSynchronize(copied));
      if (bytes <= size) return;
      cudaFreeHost(std::exchange(data, nullptr));
      void* made = nullptr;
      check(cudaMallocHost(&made, bytes));
      data = static_cast<std::byte*>(made);
      size = bytes;
    }
    std::byte* data = nullptr;
    std::size_t size = 0;
    cudaEvent_t copied = nullptr;
  };
  Part parts_[2];
};

// Pinned memory that is used again. What is given back is not freed: recorded copies to it, which are found by its
// address, must stay what they are.
class HostRooms {
 public:
  HostRooms() = default;
  ~HostRooms() {
    for (const auto& [count, room] : free_) cudaFreeHost(room);
  }
  HostRooms(const HostRooms&) = delete;
  HostRooms& operator=(const HostRooms&) = delete;

  float* take(std::size_t count) {
    const std::lock_guard lock(mutex_);
    if (const auto found = free_.find(count); found != free_.end()) {
      float* room = found->second;
      free_.erase(found);
      return room;
    }
    void* made = nullptr;
    check(cudaMallocHost(&made, std::max<std::size_t>(count, 1) * sizeof(float)));
    return static_cast<float*>(made);
  }
  void giveBack(float* room, std::size_t count) {
    const std::lock_guard lock(mutex_);
    free_.emplace(count, room);
  }

 private:
  std::mutex mutex_;
  std::multimap<std::size_t, float*> free_;  // by their size
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

  void fill(const RowSource& source, Loader& loader) {
    const int rows = kTileRows * std::max(1, kLoadedNumbers / inputs() / kTileRows);
    loader.load({{&values_, tileBytes(type_, rows, inputs())}, {&scales_, scaleBytes(type_, rows, inputs())}},
                (outputs() + rows - 1) / rows, [&](int block, std::span<std::byte* const> to) {
                  const int begin = block * rows, here = std::min(rows, outputs() - begin);
                  std::vector<float> values(static_cast<std::size_t>(here) * inputs());
                  source(begin, here, values);
                  const QuantizedTiles tiles = tilesOf(quantize(values, inputs(), type_));
                  std::ranges::copy(tiles.values, to[0]);
                  std::ranges::copy(tiles.scales, to[1]);
                });
  }

 private:
  WeightType type_;
  DeviceMemory values_, scales_;
};

// f(type): with a value of the type that the buffer holds.
template <class F>
void withType(bool bfloat16, F f) {
  bfloat16 ? f(Bf16()) : f(float());
}

// Few rows are computed as they are; of many so many more, that passes have few different shapes to be recorded for and
// tiles of products are whole.
constexpr int kFewRows = 16;
int cudaPaddedRows(int rows) {
  constexpr int kTile = 128;
  return rows <= kFewRows ? rows : (rows + kTile - 1) / kTile * kTile;
}

class CudaStream : public Stream {
 public:
  CudaStream(int device, bool bfloat16, bool float8)
      : device_(device), bfloat16_(bfloat16), queue_(queueOn(device)), stream_(queue_->stream) {
    check(cudaStreamCreateWithFlags(&copies_, cudaStreamNonBlocking));
    for (cudaEvent_t* event : {&computed_, &copied_}) check(cudaEventCreateWithFlags(event, cudaEventDisableTiming));
    check(cudaDeviceGetAttribute(&processors_, cudaDevAttrMultiProcessorCount, device_));
    flashAttention_ = bfloat16_ && cuda::flashAttentionIsBuilt();
    hopperAttention_ = flashAttention_ && cuda::hopperAttentionIsBuilt();
    if (bfloat16_) fewRows_ = cuda::prepareFewRows(device_);
    check(cublasCreate(&products_));
    check(cublasSetStream(products_, stream_));
    productRoom_ = DeviceMemory(kProductRoom);
    check(cublasSetWorkspace(products_, productRoom_.data(), kProductRoom));
    // f32 is f32, not tf32, and the sums of bf16 products are f32 to their end.
    check(cublasSetMathMode(
        products_, static_cast<cublasMath_t>(CUBLAS_DEFAULT_MATH | CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION)));
    if (float8) float8Products_.emplace(products_);
  }
  ~CudaStream() override {
    cudaSetDevice(device_);
    cudaStreamSynchronize(copies_);
    cudaStreamSynchronize(stream_);
    forgetRecords();
    dropMarks();
    float8Products_.reset();
    cublasDestroy(products_);
    for (const cudaEvent_t event : {computed_, copied_}) cudaEventDestroy(event);
    cudaStreamDestroy(copies_);
  }

  std::unique_ptr<Buffer> allocate(int rows, int columns, Element element) override {
    use();
    return std::make_unique<CudaBuffer>(rows, columns, bfloat16_ && element != Element::Float32, queue_);
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

  // Beside what is computed, on a stream of its own.
  void queueDownload(const Buffer& from, std::size_t offset, std::span<float> to) override {
    if (to.empty()) return;
    use();
    check(cudaEventRecord(computed_, stream_));
    check(cudaStreamWaitEvent(copies_, computed_));
    check(cudaMemcpyAsync(to.data(), gpu(from).at(offset), to.size_bytes(), cudaMemcpyDeviceToHost, copies_));
    copying_ = true;
  }
  void wait() override {
    use();
    check(cudaStreamSynchronize(copies_));
    check(cudaStreamSynchronize(stream_));
    copying_ = false;
  }

  void mark() override {
    use();
    cudaEvent_t event = nullptr;
    check(cudaEventCreate(&event));
    marks_.push_back(event);
    check(cudaEventRecord(event, stream_));
  }
  std::vector<double> takeMarks() override {
    wait();
    std::vector<double> seconds;
    for (const cudaEvent_t event : marks_) {
      float milliseconds = 0;
      check(cudaEventElapsedTime(&milliseconds, marks_.front(), event));
      seconds.push_back(milliseconds / 1e3);
    }
    dropMarks();
    return seconds;
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

  void beginPass(std::span<const PassSegment> segments, std::span<const std::int32_t> tokens) override {
    use();
    segments_.assign(segments.begin(), segments.end());
    pass_ = {};
    pass_.count = static_cast<int>(segments.size());
    for (const PassSegment& s : segments_) {
      pass_.rows = std::max(pass_.rows, s.begin + s.rows);
      pass_.longest = std::max(pass_.longest, s.rows);
      pass_.mostKeys = std::max({pass_.mostKeys, s.firstPosition + s.rows, s.keyCapacity});
    }
    for (int* shape : {&pass_.rows, &pass_.longest, &pass_.mostKeys}) *shape = cudaPaddedRows(*shape);
    pass_.early = fewRows_.startsEarly && pass_.rows <= kFewRows;

    // Segments, the segment of each row, the token of each row: one copy, always to the same place.
    const auto rows = static_cast<std::size_t>(pass_.rows);
    const std::size_t segmentBytes = segments.size_bytes(), rowBytes = rows * sizeof(std::int32_t);
    passData_.assign(segmentBytes + 2 * rowBytes, std::byte{0});
    std::memcpy(passData_.data(), segments.data(), segmentBytes);
    auto* segmentOfRow = reinterpret_cast<std::int32_t*>(passData_.data() + segmentBytes);
    std::fill_n(segmentOfRow, rows, -1);
    for (std::size_t s = 0; s < segments.size(); ++s)
      std::fill_n(segmentOfRow + segments[s].begin, segments[s].rows, static_cast<std::int32_t>(s));
    std::ranges::copy(tokens, segmentOfRow + rows);
    auto* to = static_cast<std::byte*>(room(passRoom_, std::max(passData_.size(), kPassRoom)));
    check(cudaMemcpyAsync(to, passData_.data(), passData_.size(), cudaMemcpyHostToDevice, stream_));
    pass_.segments = reinterpret_cast<const PassSegment*>(to);
    pass_.segmentOfRow = reinterpret_cast<const std::int32_t*>(to + segmentBytes);
    tokens_ = pass_.segmentOfRow + rows;
  }

  // The first time as it is: rooms are made, and cuBLAS chooses its kernels. The second time it is recorded.
  void replay(std::span<const std::uint64_t> key, const std::function<void()>& operations) override {
    use();
    std::string name(reinterpret_cast<const char*>(key.data()), key.size_bytes());
    for (const int shape : {pass_.count, pass_.rows, pass_.longest, pass_.mostKeys})
      name.append(reinterpret_cast<const char*>(&shape), sizeof shape);
    Record& record = records_[name];
    record.used = ++uses_;
    if (!record.seen || record.refused) {
      record.seen = true;
      dropOldRecords();
      return operations();
    }
    if (!record.graph) record.graph = recorded(operations);
    record.refused = !record.graph;
    if (record.refused) return operations();
    check(cudaGraphLaunch(record.graph, stream_));
  }

  void embed(const Buffer& table, Buffer& x) override {
    use();
    withType(gpu(table).isBFloat16(), [&]<class T>(T) {
      cuda::embed<T>(tokens_, pass_.rows, gpu(table).as<const T>(), gpu(x).as<float>(), stream_);
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
    const bool aligned = std::ranges::all_of(columns, [](const RotatedColumns& run) { return run.column % 8 == 0; });
    withType(gpu(x).isBFloat16(), [&]<class T>(T) {
      cuda::rope<T>(pass_, gpu(x).as<T>(), runs, static_cast<int>(columns.size()), aligned, dim,
                    gpu(cosines).as<const float>().data, gpu(sines).as<const float>().data, stream_);
    });
    check(cudaGetLastError());
  }

  void keep(const Buffer& from, int segment, std::span<const KeptColumns> columns) override {
    use();
    withType(gpu(from).isBFloat16(), [&]<class T>(T) {
      for (std::size_t done = 0; done < columns.size(); done += cuda::KeptRows<T>::kMost) {
        cuda::KeptRows<T> kept;
        for (const KeptColumns& run :
             columns.subspan(done).first(std::min<std::size_t>(cuda::KeptRows<T>::kMost, columns.size() - done)))
          kept.runs[kept.count++] = {run.column, run.width, gpu(*run.cache).as<T>()};
        cuda::keep<T>(pass_, segment, gpu(from).as<const T>(), kept, stream_);
      }
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
        if (hopperAttention_ && plan.splits == 1 && plan.rowTiles > 1) {
          cuda::hopperAttention<Out>(pass_, gpu(queries).as<const Bf16>(), gpu(keys).as<const Bf16>(),
                                     gpu(values).as<const Bf16>(), list, groupList, dim, plan, gpu(out).as<Out>(),
                                     stream_);
          return;
        }
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
  static constexpr std::size_t kProductRoom = std::size_t{32} << 20;  // what cuBLAS asks for on Hopper
  static constexpr std::size_t kPassRoom = std::size_t{64} << 10;     // enough for most passes
  static constexpr std::size_t kMostRecords = 16;

  struct Record {
    bool seen = false, refused = false;
    cudaGraphExec_t graph = nullptr;
    std::uint64_t used = 0;
  };

  static std::shared_ptr<Queue> queueOn(int device) {
    check(cudaSetDevice(device));
    return std::make_shared<Queue>(device);
  }

  // nullptr where an operation does what cannot be recorded. What it throws besides passes through.
  cudaGraphExec_t recorded(const std::function<void()>& operations) {
    cudaGraph_t graph = nullptr;
    bool refused = false;
    copying_ = false;
    check(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal));
    try {
      operations();
      if (copying_) {
        check(cudaEventRecord(copied_, copies_));
        check(cudaStreamWaitEvent(stream_, copied_));
      }
    } catch (const ModelError&) {
      refused = true;
    } catch (...) {
      endCapture(graph);
      if (graph) cudaGraphDestroy(graph);
      throw;
    }
    cudaGraphExec_t made = nullptr;
    if (endCapture(graph) && !refused && cudaGraphInstantiate(&made, graph, 0) != cudaSuccess) {
      cudaGetLastError();
      made = nullptr;
    }
    if (graph) cudaGraphDestroy(graph);
    return refused ? nullptr : made;
  }
  bool endCapture(cudaGraph_t& graph) {
    const bool ended = cudaStreamEndCapture(stream_, &graph) == cudaSuccess && graph;
    cudaGetLastError();
    return ended;
  }
  void dropMarks() {
    for (const cudaEvent_t event : marks_) cudaEventDestroy(event);
    marks_.clear();
  }
  void forgetRecords() {
    for (const auto& [key, record] : records_)
      if (record.graph) cudaGraphExecDestroy(record.graph);
    records_.clear();
  }
  void dropOldRecords() {
    while (records_.size() > kMostRecords) {
      const auto oldest = std::ranges::min_element(records_, {}, [](const auto& entry) { return entry.second.used; });
      if (oldest->second.graph) cudaGraphExecDestroy(oldest->second.graph);
      records_.erase(oldest);
    }
  }

  void use() { check(cudaSetDevice(device_)); }  // of the calling thread

  // Room that a queued operation may still use is given back only when the stream has come past it.
  void* room(DeviceMemory& memory, std::size_t bytes) {
    if (memory.bytes() < bytes) {
      check(cudaStreamSynchronize(stream_));
      forgetRecords();  // they know the old one
      memory = DeviceMemory();
      memory = DeviceMemory(bytes);
    }
    return memory.data();
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
    if (product.weight.type == WeightType::Fp8) return false;
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
    const bool float8 = weight.type == WeightType::Fp8;
    if (float8 && in.isBFloat16() && productOfFloat8(in.as<const Bf16>(), weight, out, beta != 0.0F)) return;
    if (!float8 && !in.isBFloat16() && cuda::multipliesFew(weight, pass_.rows, in.as<const float>())) {
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
        (float8 ? cuda::dequantizeFloat8<T> : cuda::dequantize<T>)(weight, begin, rows, w, stream_);
        check(cudaGetLastError());
        product(in, w, std::is_same_v<T, Bf16>, begin, rows, weight.inputs, out, beta);
      }
    });
  }

  // False, with nothing done, where this card or this shape has no product of its own.
  bool productOfFloat8(cuda::Rows<const Bf16> in, const cuda::QuantizedMatrix& weight, CudaBuffer& out, bool add) {
    if (cuda::multipliesFewFloat8(weight, pass_.rows, in)) {
      withType(out.isBFloat16(), [&]<class Out>(Out) {
        cuda::float8ProductOfFew<Out>(weight, pass_.rows, in, out.as<Out>(), add, stream_);
      });
      check(cudaGetLastError());
      return true;
    }
    const cuda::Float8Products::Result result{out.data(), out.isBFloat16(), out.columns()};
    if (!float8Products_ || !cuda::quantizesRows(weight.inputs, in) || !cuda::Float8Products::take(weight, result))
      return false;
    const auto rows = static_cast<std::size_t>(pass_.rows), inputs = static_cast<std::size_t>(weight.inputs);
    auto* values = static_cast<std::uint8_t*>(room(float8Rows_, rows * inputs));
    auto* scales = static_cast<float*>(room(float8Scales_, rows * sizeof(float)));
    void* workspace = room(float8Workspace_, kFloat8Workspace);
    cuda::quantizeRows(pass_.rows, weight.inputs, in, values, scales, stream_);
    check(cudaGetLastError());
    const cublasStatus_t status = float8Products_->multiply({weight, values, scales, pass_.rows}, result, add,
                                                            workspace, kFloat8Workspace, stream_);
    if (status == CUBLAS_STATUS_NOT_SUPPORTED) {
      throw ModelError("The cuBLAS that is installed does not multiply fp8 weights of " +
                       std::to_string(weight.outputs) + " x " + std::to_string(weight.inputs) +
                       " on this graphics card. Choose int8 or full weights.");
    }
    check(status);
    return true;
  }

  int device_;
  bool bfloat16_;
  int processors_ = 0;
  bool flashAttention_ = false, hopperAttention_ = false;
  cuda::FewRowsCard fewRows_;
  std::shared_ptr<Queue> queue_;
  cudaStream_t stream_;            // the queue's
  cudaStream_t copies_ = nullptr;  // to the host
  cudaEvent_t computed_ = nullptr, copied_ = nullptr;
  bool copying_ = false;  // something was queued on copies_
  cublasHandle_t products_ = nullptr;
  std::optional<cuda::Float8Products> float8Products_;  // where the card has them
  std::vector<PassSegment> segments_;
  std::vector<std::byte> passData_;
  cuda::Pass pass_;
  const std::int32_t* tokens_ = nullptr;
  DeviceMemory passRoom_, productRoom_, staging_, scratch_, dequantized_;
  DeviceMemory float8Rows_, float8Scales_, float8Workspace_;
  std::map<std::string, Record> records_;  // by their keys and the shape of their pass
  std::uint64_t uses_ = 0;
  std::vector<cudaEvent_t> marks_;
  std::map<std::string, DeviceMemory> lists_;  // by their bytes
};

class CudaBackend : public Backend {
 public:
  CudaBackend(int device, std::string name, bool bfloat16, bool float8)
      : device_(device), name_(std::move(name)), bfloat16_(bfloat16), float8_(float8) {}

  std::string description() const override { return name_ + (bfloat16_ ? ", bf16" : ", f32"); }
  std::string card() const override { return name_; }
  bool computesBFloat16() const override { return bfloat16_; }
  int threads() const override { return 1; }
  int paddedRows(int rows) const override { return cudaPaddedRows(rows); }
  bool recordsOperations() const override { return true; }

  std::shared_ptr<float[]> hostFloats(std::size_t count) const override {
    check(cudaSetDevice(device_));
    float* floats = hostRooms_->take(count);
    std::fill_n(floats, count, 0.0F);
    return {floats, [rooms = hostRooms_, count](float* returned) { rooms->giveBack(returned, count); }};
  }

  std::unique_ptr<PackedWeight> pack(int outputs, int inputs, const RowSource& source, WeightType type) override {
    check(cudaSetDevice(device_));
    if (type != WeightType::Full) {
      auto made = std::make_unique<CudaQuantized>(type, outputs, inputs);
      made->fill(source, loader_);
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
  std::unique_ptr<Stream> makeStream(int) const override {
    return std::make_unique<CudaStream>(device_, bfloat16_, float8_);
  }

 private:
  void fill(CudaBuffer& to, const RowSource& source) {
    const int columns = to.columns(), rows = std::max(1, kLoadedNumbers / std::max(1, columns));
    const std::size_t bytes = static_cast<std::size_t>(rows) * columns * to.elementBytes();
    loader_.load({{&to.memory(), bytes}}, (to.rows() + rows - 1) / rows,
                 [&](int block, std::span<std::byte* const> at) {
                   const int begin = block * rows, here = std::min(rows, to.rows() - begin);
                   std::vector<float> values(static_cast<std::size_t>(here) * columns);
                   source(begin, here, values);
                   if (to.isBFloat16()) {
                     cpuKernels().toBFloat16(values.data(), static_cast<int>(values.size()),
                                             reinterpret_cast<std::uint16_t*>(at[0]));
                   } else {
                     std::memcpy(at[0], values.data(), values.size() * sizeof(float));
                   }
                 });
  }

  int device_;
  std::string name_;
  bool bfloat16_, float8_;
  Loader loader_;
  std::shared_ptr<HostRooms> hostRooms_ = std::make_shared<HostRooms>();
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
    here.cards.push_back({number, properties.name, properties.major >= kFirstWithBFloat16, computesFp8(properties)});
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
  return std::make_unique<CudaBackend>(device, properties.name, has && precision != Precision::Float32,
                                       computesFp8(properties));
}

}  // namespace palimpsest::engine
