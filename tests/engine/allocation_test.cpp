// Reading allocates no buffer once the first passes have made room. Counts every operator new of this program and every
// aligned allocation (which is how back ends and oneDNN get theirs) while a pass runs; small ones (oneDNN makes a few
// per product) are let through.
#include <gtest/gtest.h>
#include <malloc.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <new>

#include "engine/generator.h"
#include "tests/engine/transformer_fixture.h"

namespace {

constexpr std::size_t kBuffer = 2048;  // bytes
std::atomic<bool> counting{false};
std::atomic<int> buffers{0};

void count(std::size_t bytes) {
  if (counting && bytes >= kBuffer) ++buffers;
}

void* counted(std::size_t bytes) {
  count(bytes);
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

// In the place of the C library's, for the whole program with its libraries; memalign stays its own.
extern "C" void* aligned_alloc(std::size_t alignment, std::size_t bytes) {
  count(bytes);
  return memalign(alignment, bytes);
}
extern "C" int posix_memalign(void** memory, std::size_t alignment, std::size_t bytes) {
  count(bytes);
  *memory = memalign(alignment, bytes);
  return *memory ? 0 : ENOMEM;
}

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
      randomSegments(static_cast<std::size_t>(model.passSize().segments), 32, model.config().vocabSize, 21);
  const auto read = [&] { model.read(*workspace, segments, memory, {}); };
  EXPECT_GT(buffersAllocatedBy(read), 0);  // the counter counts
  EXPECT_EQ(buffersAllocatedBy(read), 0);
  EXPECT_EQ(buffersAllocatedBy(read), 0);
}

TEST(Allocation, ABufferOfTheBackEndIsSeen) {
  const auto stream = makeCpuBackend(1, Precision::Float32)->makeStream();
  std::unique_ptr<Buffer> buffer;
  EXPECT_EQ(buffersAllocatedBy([&] { buffer = stream->allocate(64, 64, Element::Float32); }), 1);
}

TEST(Allocation, ReadingATextMakesNoBuffersOnceItsWordsAreKnown) {
  std::string text;
  for (int i = 0; i < 12000; ++i) text += i % 11 == 0 ? "clock. " : i % 7 == 0 ? "Weena " : "the ";
  const auto model = Model::load(tinyFolder(), {.threads = 2, .precision = Precision::Automatic, .progress = {}});
  Generator generator(model);
  CompressiveMemory memory = model->emptyMemory();
  ReadingPosition reading;
  const auto read = [&] { reading = generator.read(memory, text, reading); };
  EXPECT_GT(buffersAllocatedBy(read), 0);
  std::int64_t longest = reading.tokens;  // of a pass
  int passes = 0, longer = 0;
  for (; !reading.complete; ++passes) {
    const std::int64_t before = reading.tokens;
    const int made = buffersAllocatedBy(read);
    if (reading.complete) continue;           // the last pass is shorter: products of another shape are prepared for it
    if (reading.tokens - before > longest) {  // and for one that is longer than all before
      longest = reading.tokens - before;
      longer += 1;
      continue;
    }
    EXPECT_EQ(made, 0) << "pass " << passes;
  }
  EXPECT_GT(passes, 3);
  EXPECT_LE(longer, 1) << "the same words again and again";
}

}  // namespace
}  // namespace palimpsest::engine
