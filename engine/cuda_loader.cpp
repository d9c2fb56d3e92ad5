#include "engine/cuda_loader.h"

#include <omp.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <exception>
#include <utility>
#include <vector>

#include "engine/cpu_kernels.h"

namespace palimpsest::engine::cuda {

namespace {

constexpr int kLoadedNumbers = 128 << 10;  // that a thread makes at a time, in its core's cache

}  // namespace

Loader::Part::~Part() {
  if (copied) cudaEventDestroy(copied);
  cudaFreeHost(data);
}

void Loader::Part::ready(std::size_t bytes) {
  if (!copied) check(cudaEventCreateWithFlags(&copied, cudaEventDisableTiming));
  check(cudaEventSynchronize(copied));
  if (bytes <= size) return;
  cudaFreeHost(std::exchange(data, nullptr));
  size = 0;
  data = static_cast<std::byte*>(pinned(bytes));
  size = bytes;
}

void Loader::load(std::initializer_list<Target> targets, int blocks,
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

void fill(CudaBuffer& to, const RowSource& source, Loader& loader) {
  const int columns = to.columns(), rows = std::max(1, kLoadedNumbers / std::max(1, columns));
  const std::size_t bytes = static_cast<std::size_t>(rows) * columns * to.elementBytes();
  loader.load({{&to.memory(), bytes}}, (to.rows() + rows - 1) / rows, [&](int block, std::span<std::byte* const> at) {
    const int begin = block * rows, here = std::min(rows, to.rows() - begin);
    std::vector<float> values(static_cast<std::size_t>(here) * columns);
    source(begin, here, values);
    if (to.isBFloat16()) {
      cpuKernels().toBFloat16(values.data(), static_cast<int>(values.size()), reinterpret_cast<std::uint16_t*>(at[0]));
    } else {
      std::memcpy(at[0], values.data(), values.size() * sizeof(float));
    }
  });
}

void fill(const CudaQuantized& to, const RowSource& source, Loader& loader) {
  const WeightType type = to.type();
  const int inputs = to.inputs(), rows = kTileRows * std::max(1, kLoadedNumbers / inputs / kTileRows);
  loader.load({{&to.values(), tileBytes(type, rows, inputs)}, {&to.scales(), scaleBytes(type, rows, inputs)}},
              (to.outputs() + rows - 1) / rows, [&](int block, std::span<std::byte* const> at) {
                const int begin = block * rows, here = std::min(rows, to.outputs() - begin);
                std::vector<float> values(static_cast<std::size_t>(here) * inputs);
                source(begin, here, values);
                const QuantizedTiles tiles = tilesOf(quantize(values, inputs, type));
                std::ranges::copy(tiles.values, at[0]);
                std::ranges::copy(tiles.scales, at[1]);
              });
}

}  // namespace palimpsest::engine::cuda
