// All work of a stream is queued on one CUDA stream, so that what the seam calls the order of the calls is the order on
// the device; only what goes to the host beside the computation has one of its own.
#include "engine/cuda_stream.h"

#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "engine/cuda_buffers.h"
#include "engine/cuda_kernels.h"
#include "engine/cuda_products.h"
#include "engine/cuda_quantized.h"
#include "engine/cuda_records.h"
#include "engine/cuda_step.h"
#include "engine/errors.h"

namespace palimpsest::engine::cuda {

namespace {

using Bf16 = __nv_bfloat16;

class CudaStream : public Stream {
 public:
  CudaStream(int device, bool bfloat16, bool float8) : CudaStream(device, bfloat16, float8, queueOn(device)) {
    check(cudaStreamCreateWithFlags(&copies_, cudaStreamNonBlocking));
    for (cudaEvent_t* event : {&computed_, &copied_}) check(cudaEventCreateWithFlags(event, cudaEventDisableTiming));
    check(cudaDeviceGetAttribute(&processors_, cudaDevAttrMultiProcessorCount, device_));
    flashAttention_ = bfloat16_ && cuda::flashAttentionIsBuilt();
    hopperAttention_ = flashAttention_ && cuda::hopperAttentionIsBuilt();
    stepAttention_ = flashAttention_ && cuda::stepAttentionIsBuilt();
  }
  ~CudaStream() override {
    cudaSetDevice(device_);
    cudaStreamSynchronize(stream_);
    if (copies_) cudaStreamSynchronize(copies_);
    records_.forget();
    dropMarks();
    for (const cudaEvent_t event : {computed_, copied_})
      if (event) cudaEventDestroy(event);
    if (copies_) cudaStreamDestroy(copies_);
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
    float* staged = static_cast<float*>(records_.room(staging_, from.size_bytes()));
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
      float* staged = static_cast<float*>(records_.room(staging_, to.size_bytes()));
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
    for (int* shape : {&pass_.rows, &pass_.longest, &pass_.mostKeys}) *shape = paddedRows(*shape);
    pass_.early = products_.startsEarly() && pass_.rows <= kMostRows;

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
    auto* to = static_cast<std::byte*>(records_.room(passRoom_, std::max(passData_.size(), kPassRoom)));
    check(cudaMemcpyAsync(to, passData_.data(), passData_.size(), cudaMemcpyHostToDevice, stream_));
    pass_.segments = reinterpret_cast<const PassSegment*>(to);
    pass_.segmentOfRow = reinterpret_cast<const std::int32_t*>(to + segmentBytes);
    tokens_ = pass_.segmentOfRow + rows;
  }

  void replay(std::span<const std::uint64_t> key, const std::function<void()>& operations) override {
    use();
    std::string name(reinterpret_cast<const char*>(key.data()), key.size_bytes());
    for (const int shape : {pass_.count, pass_.rows, pass_.longest, pass_.mostKeys})
      name.append(reinterpret_cast<const char*>(&shape), sizeof shape);
    records_.run(std::move(name), [&] {
      copying_ = false;
      operations();
      if (!copying_) return;  // else what is copied belongs to the record
      check(cudaEventRecord(copied_, copies_));
      check(cudaStreamWaitEvent(stream_, copied_));
    });
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

  void linear(const Buffer& in, const PackedWeight& weight, Buffer& out) override {
    use();
    products_.multiply(pass_.rows, gpu(in), weight, gpu(out), false);
  }
  void linearAdd(const Buffer& in, const PackedWeight& weight, Buffer& x) override {
    use();
    products_.multiply(pass_.rows, gpu(in), weight, gpu(x), true);
  }

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
    FewRowsProduct product = normed(x, norm);
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
      float* partial = static_cast<float*>(records_.room(scratch_, plan.roomFloats * sizeof(float)));
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
        float* sums = static_cast<float*>(records_.room(scratch_, plan.roomFloats * sizeof(float)));
        cuda::memoryWriteTiles<T>(pass_, k, v, list, count, dims, plan, sums, to, stream_);
        return;
      }
      if (rule == MemoryUpdate::Linear) {
        cuda::memoryWrite<T>(pass_, k, v, list, count, dims, to, stream_);
        cuda::sumStates(pass_.count, list, count, dims, to, stream_);
        return;
      }
      float* unknown = static_cast<float*>(
          records_.room(scratch_, static_cast<std::size_t>(count) * pass_.longest * dims.value * sizeof(float)));
      for (int s = 0; s < pass_.count; ++s)
        cuda::memoryWriteDelta<T>(pass_, s, k, v, list, count, dims, epsilon, to, unknown, stream_);
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

  void attend(const Attention& a) override {
    if (!attendedInStep(a)) Stream::attend(a);
  }

 private:
  static constexpr int kMostHeadDim = 256;
  static constexpr std::size_t kPassRoom = std::size_t{64} << 10;  // enough for most passes

  // Of its own, so that the destructor gives back what there is when the rest of a construction fails.
  CudaStream(int device, bool bfloat16, bool float8, std::shared_ptr<Queue> queue)
      : device_(device),
        bfloat16_(bfloat16),
        queue_(std::move(queue)),
        stream_(queue_->stream),
        records_(stream_),
        products_(device, bfloat16, float8, stream_, records_) {}

  static std::shared_ptr<Queue> queueOn(int device) {
    check(cudaSetDevice(device));
    return std::make_shared<Queue>(device);
  }

  void dropMarks() {
    for (const cudaEvent_t event : marks_) cudaEventDestroy(event);
    marks_.clear();
  }
  void use() { check(cudaSetDevice(device_)); }  // of the calling thread

  // Queues it if it is that of one row and of a shape that one kernel takes, and says whether it did.
  bool attendedInStep(const Attention& a) {
    if (!stepAttention_ || pass_.rows != 1 || pass_.count != 1 || a.kept.size() > cuda::KeptRows<Bf16>::kMost ||
        !gpu(a.qkv).isBFloat16() || !gpu(a.out).isBFloat16())
      return false;
    const std::vector<cuda::HeadGroup> groups = cuda::groupHeads(a.heads);
    cuda::StepAttention step = {.qkv = gpu(a.qkv).as<const Bf16>(),
                                .headCount = static_cast<int>(a.heads.size()),
                                .groupCount = static_cast<int>(groups.size()),
                                .dim = a.dim,
                                .cosines = gpu(a.cosines).as<const float>().data,
                                .sines = gpu(a.sines).as<const float>().data,
                                .keys = gpu(a.keys).as<const Bf16>(),
                                .values = gpu(a.values).as<const Bf16>(),
                                .readerCount = static_cast<int>(a.readers.size()),
                                .dims = a.dims,
                                .epsilon = a.epsilon,
                                .states = gpu(a.states).as<const float>(),
                                .out = gpu(a.out).as<Bf16>()};
    for (const KeptColumns& run : a.kept) {
      if (run.cache == &a.keys) step.keyShift = run.column;
      if (run.cache == &a.values) step.valueShift = run.column;
      step.kept.runs[step.kept.count++] = {run.column, run.width, gpu(*run.cache).as<Bf16>()};
    }
    for (const cuda::HeadGroup& group : groups) step.largestGroup = std::max(step.largestGroup, group.count);
    if (!cuda::takesStepAttention(a.heads, groups, a.dim, a.readers, a.dims, step)) return false;
    use();
    step.heads = constant(a.heads);
    step.groups = constant(std::span<const cuda::HeadGroup>(groups));
    if (!a.readers.empty()) step.readers = constant(a.readers);
    step.partial = static_cast<float*>(records_.room(scratch_, cuda::stepRoomFloats(pass_, step) * sizeof(float)));
    // zeros when new
    step.counters = static_cast<unsigned*>(records_.room(stepCounters_, groups.size() * sizeof(unsigned)));
    cuda::stepAttention(pass_, step, stream_);
    check(cudaGetLastError());
    return true;
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

  static FewRowsProduct normed(const Buffer& x, const Norm& norm) {
    return {.x = gpu(x).as<const float>(), .norm = gpu(norm.weight).as<const float>().data, .epsilon = norm.epsilon};
  }
  bool multipliedFew(const FewRowsProduct& product, const PackedWeight& weight, Buffer& out) {
    use();
    return products_.multipliedFew(pass_.rows, product, weight, gpu(out));
  }

  int device_;
  bool bfloat16_;
  int processors_ = 0;
  bool flashAttention_ = false, hopperAttention_ = false, stepAttention_ = false;
  std::shared_ptr<Queue> queue_;
  cudaStream_t stream_;            // the queue's
  cudaStream_t copies_ = nullptr;  // to the host
  cudaEvent_t computed_ = nullptr, copied_ = nullptr;
  bool copying_ = false;  // something was queued on copies_
  std::vector<PassSegment> segments_;
  std::vector<std::byte> passData_;
  cuda::Pass pass_;
  const std::int32_t* tokens_ = nullptr;
  DeviceMemory passRoom_, staging_, scratch_, stepCounters_;
  Records records_;
  Products products_;
  std::vector<cudaEvent_t> marks_;
  std::map<std::string, DeviceMemory> lists_;  // by their bytes
};

}  // namespace

std::unique_ptr<Stream> makeStream(int device, bool bfloat16, bool float8) {
  return std::make_unique<CudaStream>(device, bfloat16, float8);
}

// Few rows are computed as they are; of many so many more, that passes have few different shapes to be recorded for and
// tiles of products are whole.
int paddedRows(int rows) {
  constexpr int kTile = 128;
  return rows <= kMostRows ? rows : (rows + kTile - 1) / kTile * kTile;
}

}  // namespace palimpsest::engine::cuda
