#include "engine/cpu_stream.h"

#include <algorithm>
#include <cstring>
#include <new>

namespace palimpsest::engine {

namespace {

// f(i) for i in [0, n), cut among the threads in equal runs; alone where there is little to do.
template <class F>
void parallelFor(int n, F f) {
#pragma omp parallel for schedule(static) if (n > 1)
  for (int i = 0; i < n; ++i) f(i);
}

}  // namespace

CpuBuffer::CpuBuffer(int rows, int columns, bool bfloat16) : Buffer(rows, columns), bfloat16_(bfloat16) {
  const std::size_t bytes = std::max<std::size_t>(elements(), 1) * (bfloat16 ? sizeof(Bf16) : sizeof(float));
  const std::size_t whole = (bytes + 63) / 64 * 64;
  data_.reset(std::aligned_alloc(64, whole));
  if (!data_) throw std::bad_alloc();
  std::memset(data_.get(), 0, whole);
}

int cpuPaddedRows(int rows) {
  if (rows <= 1) return 1;
  if (rows <= 16) return 16;
  return (rows + 63) / 64 * 64;
}

CpuStream::CpuStream(const CpuSettings& settings)
    : settings_(settings),
      kernels_(cpuKernels()),
      products_(settings.engine, settings.type()),
      tileProducts_(settings.engine, settings.threads),
      scratch_(static_cast<std::size_t>(settings.threads)) {}

std::unique_ptr<Buffer> CpuStream::allocate(int rows, int columns, Element element) {
  const bool halves = element == Element::Compute ? settings_.bfloat16 : element == Element::Heads && settings_.tiles;
  return std::make_unique<CpuBuffer>(rows, columns, halves);
}

void CpuStream::upload(std::span<const float> from, Buffer& to, std::size_t offset) {
  if (cpu(to).isBFloat16()) {
    kernels_.toBFloat16(from.data(), static_cast<int>(from.size()), cpu(to).halves() + offset);
  } else {
    std::copy(from.begin(), from.end(), cpu(to).floats() + offset);
  }
}

void CpuStream::download(const Buffer& from, std::size_t offset, std::span<float> to) {
  if (cpu(from).isBFloat16()) {
    kernels_.toFloat(cpu(from).halves() + offset, static_cast<int>(to.size()), to.data());
  } else {
    std::copy_n(cpu(from).floats() + offset, to.size(), to.begin());
  }
}

void CpuStream::mark() { marks_.push_back(std::chrono::steady_clock::now()); }

std::vector<double> CpuStream::takeMarks() {
  std::vector<double> seconds;
  for (const auto& mark : marks_) seconds.push_back(std::chrono::duration<double>(mark - marks_.front()).count());
  marks_.clear();
  return seconds;
}

void CpuStream::copyRows(const Buffer& from, int fromRow, int fromColumn, int rows, int width, Buffer& to, int toRow,
                         int toColumn) {
  const CpuBuffer& source = cpu(from);
  CpuBuffer& target = cpu(to);
  for (int r = 0; r < rows; ++r) {
    if (source.isBFloat16()) {
      std::copy_n(source.halves(fromRow + r, fromColumn), width, target.halves(toRow + r, toColumn));
    } else {
      std::copy_n(source.floats(fromRow + r, fromColumn), width, target.floats(toRow + r, toColumn));
    }
  }
}

void CpuStream::keep(const Buffer& from, int segment, std::span<const KeptColumns> columns) {
  const PassSegment& rows = segments_[static_cast<std::size_t>(segment)];
  for (const KeptColumns& kept : columns)
    copyRows(from, rows.begin, kept.column, rows.rows, kept.width, *kept.cache, rows.firstPosition, 0);
}

void CpuStream::beginPass(std::span<const PassSegment> segments, std::span<const std::int32_t> tokens) {
  omp_set_num_threads(settings_.threads);  // of the calling thread; oneDNN and the loops here follow it
  segments_.assign(segments.begin(), segments.end());
  tokens_.assign(tokens.begin(), tokens.end());
  rows_ = 0;
  for (const PassSegment& segment : segments_) rows_ = std::max(rows_, segment.begin + segment.rows);
  segmentOfRow_.resize(static_cast<std::size_t>(rows_));
  for (std::size_t s = 0; s < segments_.size(); ++s) {
    std::fill_n(segmentOfRow_.begin() + segments_[s].begin, segments_[s].rows, static_cast<int>(s));
  }
}

void CpuStream::put(float factor, const float* x, int n, CpuBuffer& out, int row, int column) const {
  if (out.isBFloat16()) {
    kernels_.scaleToBFloat16(factor, x, n, out.halves(row, column));
  } else {
    kernels_.scale(factor, x, n, out.floats(row, column));
  }
}

const float* CpuStream::floatsOf(const CpuBuffer& x, int row, int column, int n, float* room) const {
  if (!x.isBFloat16()) return x.floats(row, column);
  kernels_.toFloat(x.halves(row, column), n, room);
  return room;
}

void CpuStream::needScratch(std::size_t floats) {
  for (auto& own : scratch_) need(own, floats);
}

void CpuStream::need(std::unique_ptr<CpuBuffer>& buffer, std::size_t floats) {
  if (buffer && buffer->elements() >= floats) return;
  constexpr std::size_t kColumns = 64;
  buffer.reset();
  buffer = std::make_unique<CpuBuffer>(static_cast<int>((floats + kColumns - 1) / kColumns), kColumns, false);
}

void CpuStream::embed(const Buffer& table, Buffer& x) {
  const CpuBuffer& from = cpu(table);
  CpuBuffer& to = cpu(x);
  const int n = x.columns();
  parallelFor(rows_, [&](int t) {
    const int token = tokens_[static_cast<std::size_t>(t)];
    if (from.isBFloat16()) {
      kernels_.toFloat(from.halves(token), n, to.floats(t));
    } else {
      std::copy_n(from.floats(token), n, to.floats(t));
    }
  });
  // Rows that only fill up the products' shape.
  for (int t = rows_; t < cpuPaddedRows(rows_); ++t) std::fill_n(to.floats(t), n, 0.0F);
}

void CpuStream::rmsNorm(const Buffer& x, const Buffer& weight, float epsilon, Buffer& out) {
  const CpuBuffer& from = cpu(x);
  CpuBuffer& to = cpu(out);
  const int n = x.columns();
  needScratch(static_cast<std::size_t>(n));
  parallelFor(rows_, [&](int t) {
    if (!to.isBFloat16()) return kernels_.rmsNorm(from.floats(t), cpu(weight).floats(), n, epsilon, to.floats(t));
    float* row = scratch();
    kernels_.rmsNorm(from.floats(t), cpu(weight).floats(), n, epsilon, row);
    kernels_.toBFloat16(row, n, to.halves(t));
  });
}

void CpuStream::linear(const Buffer& in, const PackedWeight& weight, Buffer& out) {
  const auto type = cpu(out).isBFloat16() ? dnnl::memory::data_type::bf16 : dnnl::memory::data_type::f32;
  products_.run(cpuPaddedRows(rows_), cpu(in).data(), static_cast<const CpuWeight&>(weight), cpu(out).data(), type,
                false);
}

void CpuStream::linearAdd(const Buffer& in, const PackedWeight& weight, Buffer& x) {
  products_.run(cpuPaddedRows(rows_), cpu(in).data(), static_cast<const CpuWeight&>(weight), cpu(x).data(),
                dnnl::memory::data_type::f32, true);
}

void CpuStream::siluMul(const Buffer& gateUp, Buffer& out) {
  const CpuBuffer& from = cpu(gateUp);
  CpuBuffer& to = cpu(out);
  const int n = out.columns();
  parallelFor(rows_, [&](int t) {
    if (to.isBFloat16()) {
      kernels_.siluMulBFloat16(from.halves(t), from.halves(t, n), n, to.halves(t));
    } else {
      kernels_.siluMul(from.floats(t), from.floats(t, n), n, to.floats(t));
    }
  });
}

void CpuStream::rope(Buffer& x, std::span<const RotatedColumns> columns, int dim, const Buffer& cosines,
                     const Buffer& sines) {
  parallelFor(rows_, [&](int t) {
    const PassSegment& segment = segments_[segmentOfRow_[t]];
    const int position = segment.firstPosition + t - segment.begin;
    for (const RotatedColumns& run : columns) {
      for (int h = 0; h < run.heads; ++h) {
        const int column = run.column + h * dim;
        const float* c = cpu(cosines).floats(position);
        const float* s = cpu(sines).floats(position);
        if (cpu(x).isBFloat16()) {
          kernels_.ropeBFloat16(cpu(x).halves(t, column), c, s, dim / 2);
        } else {
          kernels_.rope(cpu(x).floats(t, column), c, s, dim / 2);
        }
      }
    }
  });
}

void CpuStream::combine(const Buffer& memory, const Buffer& local, std::span<const GatedColumns> heads, Buffer& out) {
  CpuBuffer& to = cpu(out);
  needScratch(static_cast<std::size_t>(out.columns()));
  parallelFor(rows_, [&](int t) {
    const bool emptyMemory = segments_[segmentOfRow_[t]].emptyMemory;
    for (const GatedColumns& head : heads) {
      const float* mem = cpu(memory).floats(t, head.column);
      const float* dot = cpu(local).floats(t, head.column);
      const float gate = emptyMemory && head.gate < 1.0F ? 0.0F : head.gate;
      const float* mixed = gate == 0.0F ? dot : mem;
      if (gate > 0.0F && gate < 1.0F) {
        kernels_.mix(gate, mem, 1.0F - gate, dot, head.width, scratch());
        mixed = scratch();
      }
      if (to.isBFloat16()) {
        kernels_.toBFloat16(mixed, head.width, to.halves(t, head.column));
      } else {
        std::copy_n(mixed, head.width, to.floats(t, head.column));
      }
    }
  });
}

}  // namespace palimpsest::engine
