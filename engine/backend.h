// The seam between the mathematics (transformer.cpp) and the device that computes it.
//
// Above it, Infini-attention is written once; below it each device has files of its own (backend_cpu.cpp,
// backend_cuda.cpp). A Backend owns what never changes (weights, packed once for its matrix products); a Stream belongs
// to one thread and owns what does (buffers, kernels prepared for their shapes). Operations on a Stream run in the
// order of the calls and take whole passes: several segments at once, as rows of one matrix. A device may queue them;
// download() waits.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/model_config.h"
#include "engine/precision.h"

namespace palimpsest::engine {

// How the numbers of a buffer are kept. Compute is the type that matrix products take: f32, or bf16 where the device
// multiplies in it. Heads is that of queries, keys and values: Compute where attention, too, is made of such products,
// else f32. Sums, softmax, M and z are f32 everywhere.
enum class Element { Float32, Compute, Heads };

// Device memory: rows x columns, row-major, zero when new. Made by Stream::allocate, opaque above the seam.
class Buffer {
 public:
  virtual ~Buffer() = default;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  int rows() const { return rows_; }
  int columns() const { return columns_; }

 protected:
  Buffer(int rows, int columns) : rows_(rows), columns_(columns) {}

 private:
  int rows_;
  int columns_;
};

// A weight [outputs x inputs] in the order that the device's matrix product wants.
class PackedWeight {
 public:
  virtual ~PackedWeight() = default;
  PackedWeight(const PackedWeight&) = delete;
  PackedWeight& operator=(const PackedWeight&) = delete;
  int outputs() const { return outputs_; }
  int inputs() const { return inputs_; }
  virtual std::size_t bytes() const = 0;

 protected:
  PackedWeight(int outputs, int inputs) : outputs_(outputs), inputs_(inputs) {}

 private:
  int outputs_;
  int inputs_;
};

// Rows [begin, begin + rows) of a weight that is still on disk, as f32, into `out`. See Backend::pack; called from
// several threads at once.
using RowSource = std::function<void(std::int64_t begin, std::int64_t rows, std::span<float> out)>;

// A run of rows that belong to one segment. When a segment is extended (a prompt, then token by token) only its
// new rows are in the pass, and its earlier keys are in a cache.
struct PassSegment {
  int begin = 0;  // its first row in the pass
  int rows = 0;
  int firstPosition = 0;     // position of that row in its segment; earlier positions are in the key cache
  int keysBegin = 0;         // row of the key buffer that holds position 0
  int unwritten = 0;         // leading rows that are never written to the memory: 1 where a BOS opens the segment
  bool emptyMemory = false;  // nothing has been written before this segment
  int keyCapacity = 0;       // positions that the key cache has room for, where there is one
};

// Heads as columns of the buffers they read and write, so that any mixture of base heads, memory heads and GQA groups
// is one flat list. All of a list have the same dimensions.
struct LocalHead {
  int query, key, value, out;  // first columns
};
struct MemoryDims {
  int key = 0;  // of queries and keys: M is [key x value], z [key]
  int value = 0;
};
struct MemoryReader {
  int query, out;          // first columns
  int matrix, normalizer;  // where its KV head's M and z start in a memory state, in floats
  float power = 0;         // what is read is multiplied by (size / rms)^power, see memoryRead
  float size = 1;
};
struct MemoryWriter {
  int key, value;  // first columns
  int matrix, normalizer;
};
// out = g A_mem + (1 - g) A_dot over `width` columns. On an empty memory a gate strictly between 0 and 1 counts as 0.
struct GatedColumns {
  int column, width;
  float gate;
};
struct RotatedColumns {
  int column, heads;  // heads next to each other
};
// Columns of a pass that a cache keeps.
struct KeptColumns {
  int column, width;
  Buffer* cache;
};

// Attention of a segment that is alone in its pass and goes on, where each head is either local or of the memory: the
// arguments of memoryRead, rope, keep and localAttention. `keys` and `values` are caches that `kept` names, and local
// heads have their keys and values as columns of these.
struct Attention {
  Buffer& qkv;
  std::span<const MemoryReader> readers;
  MemoryDims dims;
  float epsilon;
  const Buffer& states;
  std::span<const RotatedColumns> rotated;
  int dim;
  const Buffer &cosines, &sines;
  std::span<const KeptColumns> kept;
  const Buffer &keys, &values;
  std::span<const LocalHead> heads;
  Buffer& out;
};

// A norm before a product, with room for its result where it is an operation of its own.
struct Norm {
  const Buffer& weight;
  float epsilon;
  Buffer& room;
};

class Stream {
 public:
  virtual ~Stream() = default;

  virtual std::unique_ptr<Buffer> allocate(int rows, int columns, Element element) = 0;
  // Buffers of any elements, from element `offset` of the buffer on. What is uploaded must stay as it is until wait()
  // or download().
  virtual void upload(std::span<const float> from, Buffer& to, std::size_t offset = 0) = 0;
  virtual void download(const Buffer& from, std::size_t offset, std::span<float> to) = 0;
  // The same of a Float32 buffer, without waiting: `from` must not change and `to`, of Backend::hostFloats(), is the
  // device's until wait(). It may come in between operations that are queued later.
  virtual void queueDownload(const Buffer& from, std::size_t offset, std::span<float> to) = 0;
  virtual void wait() = 0;  // until all that was queued is done
  // Notes the time when the device has done what was queued so far. takeMarks() waits for it and tells the seconds of
  // every mark since the last call, counted from the first one.
  virtual void mark() = 0;
  virtual std::vector<double> takeMarks() = 0;
  // Rows [0, rows) of `width` columns, between buffers of the same elements.
  virtual void copyRows(const Buffer& from, int fromRow, int fromColumn, int rows, int width, Buffer& to, int toRow,
                        int toColumn) = 0;

  // The rows that all operations until the next beginPass work on, and their tokens if any operation asks for them.
  // Buffers of activations need at least paddedRows(rows) rows, because a device may compute a few more than asked.
  virtual void beginPass(std::span<const PassSegment> segments, std::span<const std::int32_t> tokens = {}) = 0;

  // Runs `operations`, which belong to the pass that has begun and wait for nothing. A device may record them (a CUDA
  // graph) and play the record again for the same key: then `operations` is not called, and whatever it names must be
  // what it was, but for the pass's positions and tokens and what buffers hold.
  virtual void replay(std::span<const std::uint64_t> key, const std::function<void()>& operations) = 0;

  // x[t] = table[token of row t]
  virtual void embed(const Buffer& table, Buffer& x) = 0;
  // out = x / sqrt(mean(x^2) + eps) * weight; weight is [1 x columns]
  virtual void rmsNorm(const Buffer& x, const Buffer& weight, float epsilon, Buffer& out) = 0;
  // out = in W^T; `out` may be of any elements
  virtual void linear(const Buffer& in, const PackedWeight& weight, Buffer& out) = 0;
  // x += in W^T; x is Float32
  virtual void linearAdd(const Buffer& in, const PackedWeight& weight, Buffer& x) = 0;
  // out = silu(g) * u, with [g | u] = gateUp
  virtual void siluMul(const Buffer& gateUp, Buffer& out) = 0;
  // out = rmsNorm(x) W^T. What this and the next leave in their rooms is not to be read: a device may do it in one.
  virtual void normedLinear(const Buffer& x, const Norm& norm, const PackedWeight& weight, Buffer& out) {
    rmsNorm(x, norm.weight, norm.epsilon, norm.room);
    linear(norm.room, weight, out);
  }
  // out = silu(g) * u, with [g | u] = rmsNorm(x) W^T, for which `gateUp` has room
  virtual void gatedLinear(const Buffer& x, const Norm& norm, const PackedWeight& weight, Buffer& gateUp, Buffer& out) {
    normedLinear(x, norm, weight, gateUp);
    siluMul(gateUp, out);
  }

  // In all that follows queries, keys and values are Heads, `out` is Compute or, for combine() to read, Float32, and
  // everything else is Float32.

  // Rotates the two halves of each head by cos and sin of its row's position; tables are [positions x dim / 2].
  virtual void rope(Buffer& x, std::span<const RotatedColumns> columns, int dim, const Buffer& cosines,
                    const Buffer& sines) = 0;
  // The rows of a segment of the pass, into rows firstPosition.. of caches of its own.
  virtual void keep(const Buffer& from, int segment, std::span<const KeptColumns> columns) = 0;
  // Causal softmax attention of each segment with itself: row i sees its segment's positions 0..i.
  virtual void localAttention(const Buffer& queries, const Buffer& keys, const Buffer& values,
                              std::span<const LocalHead> heads, int dim, Buffer& out) = 0;

  // states is [segments + 1 x floats of one layer]: row s is what segment s reads. Row 0 is given; for each segment
  //   linear  states[s + 1] = states[s] + sigma(K)^T V
  //   delta   states[s + 1] = states[s] + sigma(K)^T (V - sigma(K) M / (sigma(K) z + eps)),  M and z of states[s]
  // and z grows by the sum of sigma(K). The segment's keys and values start at row keysBegin of their buffers.
  virtual void memoryWrite(const Buffer& keys, const Buffer& values, std::span<const MemoryWriter> heads,
                           MemoryDims dims, MemoryUpdate rule, float epsilon, Buffer& states) = 0;
  // out = A (size / rms)^power with A = sigma(Q) M / (sigma(Q) z + eps), M and z of states[s] for the rows of segment
  // s, and rms = sqrt(mean(A^2) + eps^2) of each row and head
  virtual void memoryRead(const Buffer& queries, std::span<const MemoryReader> heads, MemoryDims dims, float epsilon,
                          const Buffer& states, Buffer& out) = 0;
  virtual void combine(const Buffer& memory, const Buffer& local, std::span<const GatedColumns> heads, Buffer& out) = 0;
  // These in one. What is left in qkv is not to be read.
  virtual void attend(const Attention& a) {
    memoryRead(a.qkv, a.readers, a.dims, a.epsilon, a.states, a.out);
    rope(a.qkv, a.rotated, a.dim, a.cosines, a.sines);
    keep(a.qkv, 0, a.kept);
    localAttention(a.qkv, a.keys, a.values, a.heads, a.dim, a.out);
  }
};

// Thread-safe once the weights are packed; outlives its streams.
class Backend {
 public:
  virtual ~Backend() = default;
  virtual std::string description() const = 0;     // "CPU, 2 threads, bf16"
  virtual std::string card() const { return {}; }  // its name, where it is a graphics card
  virtual bool computesBFloat16() const = 0;
  virtual int threads() const = 0;
  virtual int paddedRows(int rows) const = 0;
  virtual bool recordsOperations() const { return false; }  // Stream::replay() pays where buffers stay the same

  // Reads the weight in blocks of rows, so that no whole f32 copy of a large model is needed. `type` is what keptAs()
  // (quantized.h) makes of the type that is wanted. The CPU keeps the values of fewer bits as it keeps all others.
  virtual std::unique_ptr<PackedWeight> pack(int outputs, int inputs, const RowSource& source,
                                             WeightType type = WeightType::Full) = 0;
  // Zeros that a device copies to and from by itself, while the caller goes on (pinned memory, for CUDA). They may
  // outlive the Backend.
  virtual std::shared_ptr<float[]> hostFloats(std::size_t count) const = 0;
  // A table for embed(), Compute.
  virtual std::unique_ptr<Buffer> table(int rows, int columns, const RowSource& source) = 0;
  virtual std::unique_ptr<Buffer> constants(int rows, int columns, std::span<const float> values) = 0;  // Float32
  // threads 0 = as many as threads(); a device that computes elsewhere takes no notice.
  virtual std::unique_ptr<Stream> makeStream(int threads = 0) const = 0;
};

// threads 0 = the physical cores. Throws ModelError when bf16 is asked of a CPU without it.
std::unique_ptr<Backend> makeCpuBackend(int threads, Precision precision);
// The graphics card number `device`, one of graphicsCards(). Throws ModelError where it cannot be had, or bf16 is asked
// of one without it; without CUDA always, and so does the next.
std::unique_ptr<Backend> makeCudaBackend(int device, Precision precision);
std::size_t freeCudaBytes(int device);  // of its memory, now. Throws ModelError.

bool cpuMultipliesBFloat16();  // whether this CPU has instructions for it (AVX512_BF16, AMX)

}  // namespace palimpsest::engine
