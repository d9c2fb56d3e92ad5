#include "engine/cuda_records.h"

#include <algorithm>
#include <utility>

#include "engine/cuda_buffers.h"
#include "engine/errors.h"

namespace palimpsest::engine::cuda {

namespace {

constexpr std::size_t kMostRecords = 16;

bool endCapture(cudaStream_t stream, cudaGraph_t& graph) {
  const bool ended = cudaStreamEndCapture(stream, &graph) == cudaSuccess && graph;
  cudaGetLastError();
  return ended;
}

}  // namespace

void Records::run(std::string key, const std::function<void()>& operations) {
  const auto known = records_.find(key);
  if (known == records_.end()) {
    operations();  // which may forget all records
    records_[std::move(key)].used = ++uses_;
    return dropOldest();
  }
  Record& record = known->second;
  record.used = ++uses_;
  if (record.refused) return operations();
  if (!record.graph) record.graph = made(operations);
  record.refused = !record.graph;
  if (record.refused) return operations();
  check(cudaGraphLaunch(record.graph, stream_));
}

// nullptr where an operation does what cannot be recorded.
cudaGraphExec_t Records::made(const std::function<void()>& operations) {
  cudaGraph_t graph = nullptr;
  bool refused = false;
  check(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal));
  try {
    operations();
  } catch (const ModelError&) {
    refused = true;
  } catch (...) {
    endCapture(stream_, graph);
    if (graph) cudaGraphDestroy(graph);
    throw;
  }
  cudaGraphExec_t instance = nullptr;
  if (endCapture(stream_, graph) && !refused && cudaGraphInstantiate(&instance, graph, 0) != cudaSuccess) {
    cudaGetLastError();
    instance = nullptr;
  }
  if (graph) cudaGraphDestroy(graph);
  return instance;
}

void Records::forget() {
  for (const auto& [key, record] : records_)
    if (record.graph) cudaGraphExecDestroy(record.graph);
  records_.clear();
}

void* Records::room(DeviceMemory& memory, std::size_t bytes) {
  if (memory.bytes() < bytes) {
    check(cudaStreamSynchronize(stream_));
    forget();
    memory = DeviceMemory();
    memory = DeviceMemory(bytes);
  }
  return memory.data();
}

void Records::dropOldest() {
  while (records_.size() > kMostRecords) {
    const auto oldest = std::ranges::min_element(records_, {}, [](const auto& entry) { return entry.second.used; });
    if (oldest->second.graph) cudaGraphExecDestroy(oldest->second.graph);
    records_.erase(oldest);
  }
}

}  // namespace palimpsest::engine::cuda
