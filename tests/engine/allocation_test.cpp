// Reading allocates no buffer once the first passes have made room. Counts every operator new of this program while
// a pass runs; small ones (oneDNN makes a few per product) are let through.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "tests/engine/transformer_fixture.h"

namespace {

constexpr std::size_t kBuffer = 2048;  // bytes
std::atomic<bool> counting{false};
std::atomic<int> buffers{0};

void* counted(std::size_t bytes) {
  if (counting && bytes >= kBuffer) ++buffers;
  if (void* memory = std::malloc(bytes ? bytes : 1)) return memory;
  throw std::bad_alloc();
}

}  // namespace

void* operator new(std::size_t bytes) { return counted(bytes); }
void* operator new[](std::size_t bytes) { return counted(bytes); }
// AddressSanitizer brings its own nothrow forms; memory from them would come back to the operators below.
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept try {
  return counted(bytes);
} catch (const std::bad_alloc&) {
  return nullptr;
}
void* operator new[](std::size_t bytes, const std::nothrow_t& none) noexcept { return operator new(bytes, none); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }

namespace palimpsest::engine {
namespace {

int buffersAllocatedBy(const auto& work) {
  buffers = 0;
  counting = true;
  work();
  counting = false;
  return buffers;
}

TEST(Allocation, TheSegmentLoopMakesNoBuffers) {
  const Transformer model(ModelFolder::open(tinyFolder()), makeCpuBackend(2, Precision::Automatic), kTinyBos);
  const auto workspace = model.makeWorkspace();
  CompressiveMemory memory(model.memoryShapes());
  const auto segments =
      randomSegments(static_cast<std::size_t>(model.passSegments()), 32, model.config().vocabSize, 21);
  const auto read = [&] { model.read(*workspace, segments, memory, {}); };
  EXPECT_GT(buffersAllocatedBy(read), 0);  // the counter counts
  EXPECT_EQ(buffersAllocatedBy(read), 0);
  EXPECT_EQ(buffersAllocatedBy(read), 0);
}

}  // namespace
}  // namespace palimpsest::engine
