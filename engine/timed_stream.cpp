#include "engine/timed_stream.h"

#include <utility>

namespace palimpsest::engine {

void TimedStream::note(std::string name) {
  mark();
  names_.push_back(std::move(name));
}

void TimedStream::note(const char* name, const PackedWeight& weight) {
  note(std::string(name) + ' ' + std::to_string(weight.outputs()) + " x " + std::to_string(weight.inputs()));
}

std::map<std::string, double> TimedStream::take() {
  std::map<std::string, double> seconds;
  const std::vector<double> at = takeMarks();
  for (std::size_t i = 1; i < at.size(); ++i) seconds[names_[i]] += at[i] - at[i - 1];
  names_.clear();
  seconds.erase("beginPass");  // what lies before is the caller's own
  return seconds;
}

void TimedStream::copyRows(const Buffer& from, int fromRow, int fromColumn, int rows, int width, Buffer& to, int toRow,
                           int toColumn) {
  ForwardingStream::copyRows(from, fromRow, fromColumn, rows, width, to, toRow, toColumn);
  note("copyRows");
}
void TimedStream::beginPass(std::span<const PassSegment> segments, std::span<const std::int32_t> tokens) {
  ForwardingStream::beginPass(segments, tokens);
  note("beginPass");
}
void TimedStream::embed(const Buffer& table, Buffer& x) {
  ForwardingStream::embed(table, x);
  note("embed");
}
void TimedStream::rmsNorm(const Buffer& x, const Buffer& weight, float epsilon, Buffer& out) {
  ForwardingStream::rmsNorm(x, weight, epsilon, out);
  note("rmsNorm");
}
void TimedStream::linear(const Buffer& in, const PackedWeight& weight, Buffer& out) {
  ForwardingStream::linear(in, weight, out);
  note("linear", weight);
}
void TimedStream::linearAdd(const Buffer& in, const PackedWeight& weight, Buffer& x) {
  ForwardingStream::linearAdd(in, weight, x);
  note("linearAdd", weight);
}
void TimedStream::siluMul(const Buffer& gateUp, Buffer& out) {
  ForwardingStream::siluMul(gateUp, out);
  note("siluMul");
}
// Each of what they are made of is timed, as the device computes long passes.
void TimedStream::normedLinear(const Buffer& x, const Norm& norm, const PackedWeight& weight, Buffer& out) {
  Stream::normedLinear(x, norm, weight, out);
}
void TimedStream::gatedLinear(const Buffer& x, const Norm& norm, const PackedWeight& weight, Buffer& gateUp,
                              Buffer& out) {
  Stream::gatedLinear(x, norm, weight, gateUp, out);
}
void TimedStream::rope(Buffer& x, std::span<const RotatedColumns> columns, int dim, const Buffer& cosines,
                       const Buffer& sines) {
  ForwardingStream::rope(x, columns, dim, cosines, sines);
  note("rope");
}
void TimedStream::keep(const Buffer& from, int segment, std::span<const KeptColumns> columns) {
  ForwardingStream::keep(from, segment, columns);
  note("keep");
}
void TimedStream::localAttention(const Buffer& queries, const Buffer& keys, const Buffer& values,
                                 std::span<const LocalHead> heads, int dim, Buffer& out) {
  ForwardingStream::localAttention(queries, keys, values, heads, dim, out);
  note("localAttention");
}
void TimedStream::memoryWrite(const Buffer& keys, const Buffer& values, std::span<const MemoryWriter> heads,
                              MemoryDims dims, MemoryUpdate rule, float epsilon, Buffer& states) {
  ForwardingStream::memoryWrite(keys, values, heads, dims, rule, epsilon, states);
  note("memoryWrite");
}
void TimedStream::memoryRead(const Buffer& queries, std::span<const MemoryReader> heads, MemoryDims dims, float epsilon,
                             const Buffer& states, Buffer& out) {
  ForwardingStream::memoryRead(queries, heads, dims, epsilon, states, out);
  note("memoryRead");
}
void TimedStream::combine(const Buffer& memory, const Buffer& local, std::span<const GatedColumns> heads, Buffer& out) {
  ForwardingStream::combine(memory, local, heads, out);
  note("combine");
}
void TimedStream::attend(const Attention& a) { Stream::attend(a); }

}  // namespace palimpsest::engine
