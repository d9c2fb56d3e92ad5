// The CPU's side of the seam, private to the CPU back end: its buffers and its stream.
#pragma once

#include <omp.h>

#include <chrono>
#include <cstdlib>
#include <memory>
#include <vector>

#include "engine/cpu_kernels.h"
#include "engine/cpu_matmul.h"

namespace palimpsest::engine {

class CpuBuffer : public Buffer {
 public:
  CpuBuffer(int rows, int columns, bool bfloat16);
  bool isBFloat16() const { return bfloat16_; }
  void* data() const { return data_.get(); }
  std::size_t elements() const { return static_cast<std::size_t>(rows()) * static_cast<std::size_t>(columns()); }
  float* floats(int row = 0, int column = 0) const { return static_cast<float*>(data()) + at(row, column); }
  Bf16* halves(int row = 0, int column = 0) const { return static_cast<Bf16*>(data()) + at(row, column); }

 private:
  struct Free {
    void operator()(void* p) const { std::free(p); }
  };
  std::size_t at(int row, int column) const {
    return static_cast<std::size_t>(row) * static_cast<std::size_t>(columns()) + column;
  }

  bool bfloat16_;
  std::unique_ptr<void, Free> data_;
};

inline CpuBuffer& cpu(Buffer& buffer) { return static_cast<CpuBuffer&>(buffer); }
inline const CpuBuffer& cpu(const Buffer& buffer) { return static_cast<const CpuBuffer&>(buffer); }

struct CpuSettings {
  int threads = 1;
  bool bfloat16 = false;
  bool tiles = false;  // with bfloat16: attention and memory, too, multiply in it, and Element::Heads is bf16
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};

  dnnl::memory::data_type type() const {
    return bfloat16 ? dnnl::memory::data_type::bf16 : dnnl::memory::data_type::f32;
  }
};

// Rows that matrix products are computed for: few different shapes, so that few kernels are made.
int cpuPaddedRows(int rows);

// Each operation cuts its rows, heads or tiles among the threads; no sum crosses two pieces of work, so the results do
// not depend on which thread takes what, nor on how many there are (but see SnapshotArithmetic for oneDNN's products).
// Implemented in cpu_stream.cpp (row by row), cpu_attention.cpp and, for CPUs with matrix tiles,
// cpu_attention_tiles.cpp.
class CpuStream : public Stream {
 public:
  explicit CpuStream(const CpuSettings& settings);

  std::unique_ptr<Buffer> allocate(int rows, int columns, Element element) override;
  void upload(std::span<const float> from, Buffer& to, std::size_t offset) override;
  void download(const Buffer& from, std::size_t offset, std::span<float> to) override;
  void queueDownload(const Buffer& from, std::size_t offset, std::span<float> to) override {
    download(from, offset, to);
  }
  void wait() override {}  // nothing is queued
  void mark() override;
  std::vector<double> takeMarks() override;
  void copyRows(const Buffer& from, int fromRow, int fromColumn, int rows, int width, Buffer& to, int toRow,
                int toColumn) override;
  void beginPass(std::span<const PassSegment> segments, std::span<const std::int32_t> tokens) override;
  void replay(std::span<const std::uint64_t>, const std::function<void()>& operations) override { operations(); }

  void embed(const Buffer& table, Buffer& x) override;
  void rmsNorm(const Buffer& x, const Buffer& weight, float epsilon, Buffer& out) override;
  void linear(const Buffer& in, const PackedWeight& weight, Buffer& out) override;
  void linearAdd(const Buffer& in, const PackedWeight& weight, Buffer& x) override;
  void siluMul(const Buffer& gateUp, Buffer& out) override;
  void rope(Buffer& x, std::span<const RotatedColumns> columns, int dim, const Buffer& cosines,
            const Buffer& sines) override;
  void keep(const Buffer& from, int segment, std::span<const KeptColumns> columns) override;
  void localAttention(const Buffer& queries, const Buffer& keys, const Buffer& values, std::span<const LocalHead> heads,
                      int dim, Buffer& out) override;
  void memoryWrite(const Buffer& keys, const Buffer& values, std::span<const MemoryWriter> heads, MemoryDims dims,
                   MemoryUpdate rule, float epsilon, Buffer& states) override;
  void memoryRead(const Buffer& queries, std::span<const MemoryReader> heads, MemoryDims dims, float epsilon,
                  const Buffer& states, Buffer& out) override;
  void combine(const Buffer& memory, const Buffer& local, std::span<const GatedColumns> heads, Buffer& out) override;

 private:
  struct Tile {  // rows [row, row + rows) of a segment (counted in the segment), for one head
    int segment, head, row, rows;
  };
  // Whole segments' keys and values of one KV head, laid out for products.
  struct PackedHead {
    int segment, key, value;
    std::size_t panels, rows;  // where they start in packed_, in floats, or in bf16 with matrix tiles
  };
  struct PackedSize {
    std::size_t keys, values;
  };

  void cutTiles(int heads, int tileRows);
  PackedSize packedSize(int keys, int dim) const;
  static PackedSize tilePackedSize(int keys, int dim);
  void packHeads(const CpuBuffer& keys, const CpuBuffer& values, std::span<const LocalHead> heads, int dim);
  void attendTile(const Tile& tile, const PackedHead& packed, const CpuBuffer& queries, const LocalHead& head, int dim,
                  CpuBuffer& out);
  void attendRow(const Tile& tile, const CpuBuffer& queries, const CpuBuffer& keys, const CpuBuffer& values,
                 const LocalHead& head, int dim, CpuBuffer& out);
  float readFactor(const float* read, int dim, float weight, float epsilon, const MemoryReader& head) const;
  void writeSegment(const PassSegment& segment, const CpuBuffer& keys, const CpuBuffer& values,
                    const MemoryWriter& head, MemoryDims dims, const float* before, MemoryUpdate rule, float epsilon,
                    float* after);

  // The same with products of bf16, at least where enough rows share a right side.
  void packHeadsForTiles(const CpuBuffer& keys, const CpuBuffer& values, int dim);
  void localAttentionInTiles(const CpuBuffer& queries, const CpuBuffer& keys, const CpuBuffer& values,
                             std::span<const LocalHead> heads, int dim, CpuBuffer& out);
  void memoryWriteInTiles(const CpuBuffer& keys, const CpuBuffer& values, std::span<const MemoryWriter> heads,
                          MemoryDims dims, CpuBuffer& states);
  void memoryReadInTiles(const CpuBuffer& queries, std::span<const MemoryReader> heads, MemoryDims dims, float epsilon,
                         const CpuBuffer& states, CpuBuffer& out);
  void sumStates(std::span<const MemoryWriter> heads, MemoryDims dims, CpuBuffer& states);

  // Row `row` of `out` from `column` on = factor * x[0..n)
  void put(float factor, const float* x, int n, CpuBuffer& out, int row, int column) const;
  // n numbers of a row as f32: where they are, or converted into `room`.
  const float* floatsOf(const CpuBuffer& x, int row, int column, int n, float* room) const;

  // Memory for one operation's packed operands, and each thread's own; made before a parallel region, at the start of
  // a cache line, and kept.
  void needPacked(std::size_t floats) { need(packed_, floats); }
  void needScratch(std::size_t floats);
  static void need(std::unique_ptr<CpuBuffer>& buffer, std::size_t floats);
  float* scratch() { return scratch_[static_cast<std::size_t>(omp_get_thread_num())]->floats(); }

  CpuSettings settings_;
  const CpuKernels& kernels_;
  CpuProducts products_;
  CpuTileProducts tileProducts_;
  std::vector<PassSegment> segments_;
  std::vector<std::int32_t> tokens_;
  std::vector<std::chrono::steady_clock::time_point> marks_;
  std::vector<int> segmentOfRow_;
  int rows_ = 0;
  std::vector<std::unique_ptr<CpuBuffer>> scratch_;
  std::unique_ptr<CpuBuffer> packed_;
  std::vector<PackedHead> packedHeads_;
  std::vector<int> headKv_;                       // which of a segment's packed heads a head reads
  std::vector<int> packedMatrices_, headMatrix_;  // the same for the memory: where a packed M starts in a state
  std::vector<Tile> tiles_;
  std::vector<std::pair<CpuTileProducts::Product*, CpuTileProducts::Product*>> tileKernels_;  // of each tile
};

}  // namespace palimpsest::engine
