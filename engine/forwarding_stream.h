// A stream that hands every operation on to another one: for those that look on, and change or count a few of them.
#pragma once

#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "engine/backend.h"

namespace palimpsest::engine {

class ForwardingStream : public Stream {
 public:
  explicit ForwardingStream(std::unique_ptr<Stream> inner) : inner_(std::move(inner)) {}

  std::unique_ptr<Buffer> allocate(int rows, int columns, Element element) override {
    return inner_->allocate(rows, columns, element);
  }
  void upload(std::span<const float> from, Buffer& to, std::size_t offset) override {
    inner_->upload(from, to, offset);
  }
  void download(const Buffer& from, std::size_t offset, std::span<float> to) override {
    inner_->download(from, offset, to);
  }
  void queueDownload(const Buffer& from, std::size_t offset, std::span<float> to) override {
    inner_->queueDownload(from, offset, to);
  }
  void wait() override { inner_->wait(); }
  void mark() override { inner_->mark(); }
  std::vector<double> takeMarks() override { return inner_->takeMarks(); }
  void copyRows(const Buffer& from, int fromRow, int fromColumn, int rows, int width, Buffer& to, int toRow,
                int toColumn) override {
    inner_->copyRows(from, fromRow, fromColumn, rows, width, to, toRow, toColumn);
  }
  void beginPass(std::span<const PassSegment> segments, std::span<const std::int32_t> tokens) override {
    inner_->beginPass(segments, tokens);
  }
  // Not by the inner one: what is played from a record does not come by here.
  void replay(std::span<const std::uint64_t>, const std::function<void()>& operations) override { operations(); }
  void embed(const Buffer& table, Buffer& x) override { inner_->embed(table, x); }
  void rmsNorm(const Buffer& x, const Buffer& weight, float epsilon, Buffer& out) override {
    inner_->rmsNorm(x, weight, epsilon, out);
  }
  void linear(const Buffer& in, const PackedWeight& weight, Buffer& out) override { inner_->linear(in, weight, out); }
  void linearAdd(const Buffer& in, const PackedWeight& weight, Buffer& x) override { inner_->linearAdd(in, weight, x); }
  void siluMul(const Buffer& gateUp, Buffer& out) override { inner_->siluMul(gateUp, out); }
  void normedLinear(const Buffer& x, const Norm& norm, const PackedWeight& weight, Buffer& out) override {
    inner_->normedLinear(x, norm, weight, out);
  }
  void gatedLinear(const Buffer& x, const Norm& norm, const PackedWeight& weight, Buffer& gateUp,
                   Buffer& out) override {
    inner_->gatedLinear(x, norm, weight, gateUp, out);
  }
  void rope(Buffer& x, std::span<const RotatedColumns> columns, int dim, const Buffer& cosines,
            const Buffer& sines) override {
    inner_->rope(x, columns, dim, cosines, sines);
  }
  void keep(const Buffer& from, int segment, std::span<const KeptColumns> columns) override {
    inner_->keep(from, segment, columns);
  }
  void localAttention(const Buffer& queries, const Buffer& keys, const Buffer& values, std::span<const LocalHead> heads,
                      int dim, Buffer& out) override {
    inner_->localAttention(queries, keys, values, heads, dim, out);
  }
  void memoryWrite(const Buffer& keys, const Buffer& values, std::span<const MemoryWriter> heads, MemoryDims dims,
                   MemoryUpdate rule, float epsilon, Buffer& states) override {
    inner_->memoryWrite(keys, values, heads, dims, rule, epsilon, states);
  }
  void memoryRead(const Buffer& queries, std::span<const MemoryReader> heads, MemoryDims dims, float epsilon,
                  const Buffer& states, Buffer& out) override {
    inner_->memoryRead(queries, heads, dims, epsilon, states, out);
  }
  void combine(const Buffer& memory, const Buffer& local, std::span<const GatedColumns> heads, Buffer& out) override {
    inner_->combine(memory, local, heads, out);
  }
  void attend(const Attention& a) override { inner_->attend(a); }

 private:
  std::unique_ptr<Stream> inner_;
};

}  // namespace palimpsest::engine
