// How weights come to a card.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <functional>
#include <initializer_list>
#include <span>

#include "engine/cuda_buffers.h"

namespace palimpsest::engine::cuda {

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
            const std::function<void(int block, std::span<std::byte* const> to)>& make);

 private:
  static constexpr std::size_t kPartBytes = std::size_t{16} << 20;

  struct Part {
    ~Part();
    // Room for so many bytes, of which none is on its way any more.
    void ready(std::size_t bytes);
    std::byte* data = nullptr;
    std::size_t size = 0;
    cudaEvent_t copied = nullptr;
  };
  Part parts_[2];
};

// All of a weight or a table.
void fill(CudaBuffer& to, const RowSource& source, Loader& loader);
void fill(const CudaQuantized& to, const RowSource& source, Loader& loader);

}  // namespace palimpsest::engine::cuda
