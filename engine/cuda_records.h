// Operations that are recorded once and then played: CUDA graphs.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>

namespace palimpsest::engine::cuda {

class DeviceMemory;

// Of one stream, and of its thread. Keeps the records that were used last.
class Records {
 public:
  explicit Records(cudaStream_t stream) : stream_(stream) {}
  ~Records() { forget(); }
  Records(const Records&) = delete;
  Records& operator=(const Records&) = delete;

  // Runs what `operations` queue on the stream: the first time for a key as they are, so that all room is made and
  // libraries choose their kernels; the second time they are recorded; from then on they are not called. Where they do
  // what cannot be recorded they are always called. What they throw passes through.
  void run(std::string key, const std::function<void()>& operations);
  void forget();  // all: something that they name is no more
  // At least so many bytes in `memory`. What is there already is given back for more only when the stream has come past
  // what is queued, which may still use it, and with all records, which know it.
  void* room(DeviceMemory& memory, std::size_t bytes);

 private:
  struct Record {
    bool refused = false;
    cudaGraphExec_t graph = nullptr;
    std::uint64_t used = 0;
  };

  cudaGraphExec_t made(const std::function<void()>& operations);
  void dropOldest();

  cudaStream_t stream_;
  std::map<std::string, Record> records_;
  std::uint64_t uses_ = 0;
};

}  // namespace palimpsest::engine::cuda
