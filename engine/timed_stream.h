// How long each operation of a pass takes on the device: a stream that notes the time after each.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/forwarding_stream.h"

namespace palimpsest::engine {

class TimedStream : public ForwardingStream {
 public:
  explicit TimedStream(std::unique_ptr<Stream> inner) : ForwardingStream(std::move(inner)) {}

  // Seconds of each kind of operation ("linear 4096 x 14336") since the last call. Waits for all of them.
  std::map<std::string, double> take();

  void copyRows(const Buffer& from, int fromRow, int fromColumn, int rows, int width, Buffer& to, int toRow,
                int toColumn) override;
  void beginPass(std::span<const PassSegment> segments, std::span<const std::int32_t> tokens) override;
  void embed(const Buffer& table, Buffer& x) override;
  void rmsNorm(const Buffer& x, const Buffer& weight, float epsilon, Buffer& out) override;
  void linear(const Buffer& in, const PackedWeight& weight, Buffer& out) override;
  void linearAdd(const Buffer& in, const PackedWeight& weight, Buffer& x) override;
  void siluMul(const Buffer& gateUp, Buffer& out) override;
  void normedLinear(const Buffer& x, const Norm& norm, const PackedWeight& weight, Buffer& out) override;
  void gatedLinear(const Buffer& x, const Norm& norm, const PackedWeight& weight, Buffer& gateUp, Buffer& out) override;
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
  void attend(const Attention& a) override;

 private:
  void note(std::string name);
  void note(const char* name, const PackedWeight& weight);

  std::vector<std::string> names_;  // of the operation before each mark
};

}  // namespace palimpsest::engine
