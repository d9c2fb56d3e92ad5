// What the CUDA back end keeps on a card and beside it: memory in the order of a stream, buffers, weights.
#pragma once

#include <cublas_v2.h>
#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

#include "engine/backend.h"
#include "engine/cuda_kernels.h"
#include "engine/cuda_quantized.h"
#include "engine/quantized.h"

namespace palimpsest::engine::cuda {

// Throw ModelError, of cudaErrorMemoryAllocation with a sentence of its own.
void check(cudaError_t error);
void check(cublasStatus_t status);
// Host memory that cards copy from and to by themselves, for cudaFreeHost(). Throws ModelError.
void* pinned(std::size_t bytes);

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
        memory_(static_cast<std::size_t>(rows) * columns * (bfloat16 ? sizeof(__nv_bfloat16) : sizeof(float)),
                std::move(queue)) {}
  bool isBFloat16() const { return bfloat16_; }
  std::size_t elementBytes() const { return bfloat16_ ? sizeof(__nv_bfloat16) : sizeof(float); }
  void* data() const { return memory_.data(); }
  const DeviceMemory& memory() const { return memory_; }
  template <class T>
  Rows<T> as() const {
    return {static_cast<T*>(memory_.data()), columns()};
  }
  std::byte* at(std::size_t element) const { return static_cast<std::byte*>(data()) + element * elementBytes(); }

 private:
  bool bfloat16_;
  DeviceMemory memory_;
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
    return static_cast<float*>(pinned(count * sizeof(float)));
  }
  void giveBack(float* room, std::size_t count) {
    const std::lock_guard lock(mutex_);
    free_.emplace(count, room);
  }

 private:
  std::mutex mutex_;
  std::multimap<std::size_t, float*> free_;  // by their size
};

inline CudaBuffer& gpu(Buffer& buffer) { return static_cast<CudaBuffer&>(buffer); }
inline const CudaBuffer& gpu(const Buffer& buffer) { return static_cast<const CudaBuffer&>(buffer); }

// Row-major [outputs x inputs], as it is on disk.
class CudaWeight : public PackedWeight {
 public:
  CudaWeight(int outputs, int inputs, bool bfloat16)
      : PackedWeight(outputs, inputs), values(outputs, inputs, bfloat16) {}
  std::size_t bytes() const override {
    return static_cast<std::size_t>(outputs()) * static_cast<std::size_t>(inputs()) * values.elementBytes();
  }
  QuantizedMatrix matrix() const { return {WeightType::Full, values.data(), nullptr, outputs(), inputs()}; }
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
  QuantizedMatrix matrix() const { return {type_, values_.data(), scales_.data(), outputs(), inputs()}; }

  WeightType type() const { return type_; }
  const DeviceMemory& values() const { return values_; }
  const DeviceMemory& scales() const { return scales_; }

 private:
  WeightType type_;
  DeviceMemory values_, scales_;
};

// f(type): with a value of the type that the buffer holds.
template <class F>
void withType(bool bfloat16, F f) {
  bfloat16 ? f(__nv_bfloat16()) : f(float());
}

}  // namespace palimpsest::engine::cuda
