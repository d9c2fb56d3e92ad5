#include "engine/transformer.h"

#include <algorithm>
#include <map>
#include <string>

#include "engine/errors.h"

namespace palimpsest::engine {

namespace {

// Layers may differ in their number of heads; those of the same width share a buffer.
using ByWidth = std::map<int, std::unique_ptr<Buffer>>;

}  // namespace

class Transformer::Workspace {
 public:
  explicit Workspace(std::unique_ptr<Stream> own) : stream(std::move(own)) {}

  std::unique_ptr<Stream> stream;
  std::vector<PassSegment> segments;
  std::vector<TokenId> tokens;                   // of all segments, BOS included
  int rows = 0;                                  // that the buffers below have room for
  std::unique_ptr<Buffer> x;                     // [T x D]    f32, the residual stream
  std::unique_ptr<Buffer> normed;                // [T x D]    compute
  ByWidth qkv;                                   // [T x QKV]  heads
  ByWidth fromMemory;                            // [T x A]    f32, A_mem
  ByWidth fromSegment;                           // [T x A]    f32, A_dot
  ByWidth attention;                             // [T x A]    compute, A
  std::unique_ptr<Buffer> gateUp;                // [T x 2 F]  compute
  std::unique_ptr<Buffer> activated;             // [T x F]    compute
  std::unique_ptr<Buffer> memoryKv;              // [T x K, V of the last memory layer]  heads
  std::unique_ptr<Buffer> states;                // [segments + 1 x floats of M and z]  f32
  std::unique_ptr<Buffer> lastRows, lastNormed;  // [rows x D] f32 and compute
  std::unique_ptr<Buffer> logits;                // [rows x V] f32
  std::vector<float> hostLogits;
  std::vector<float> memoryAfter;  // what the memory becomes when the pass is complete
};

void Transformer::DeleteWorkspace::operator()(Workspace* workspace) const { delete workspace; }

Transformer::~Transformer() = default;

Transformer::WorkspacePointer Transformer::makeWorkspace(int threads) const {
  return WorkspacePointer(new Workspace(backend_->makeStream(threads)));
}

void Transformer::makeRoom(Workspace& w, int rows) const {
  if (rows <= w.rows) return;
  w.rows = rows;
  const int padded = backend_->paddedRows(rows);
  Stream& s = *w.stream;
  w.x = s.allocate(padded, config_.hiddenSize, Element::Float32);
  w.normed = s.allocate(padded, config_.hiddenSize, Element::Compute);
  for (const Layer& layer : layers_) {
    const int qkv = layer.heads.qkvWidth, attention = layer.heads.attentionWidth;
    w.qkv[qkv] = s.allocate(padded, qkv, Element::Heads);
    if (layer.heads.mixes()) {
      w.fromMemory[attention] = s.allocate(padded, attention, Element::Float32);
      w.fromSegment[attention] = s.allocate(padded, attention, Element::Float32);
    }
    w.attention[attention] = s.allocate(padded, attention, Element::Compute);
  }
  w.gateUp = s.allocate(padded, 2 * config_.intermediateSize, Element::Compute);
  w.activated = s.allocate(padded, config_.intermediateSize, Element::Compute);
  if (!hasMemory()) return;
  w.memoryKv = s.allocate(padded, layers_[lastMemoryLayer_].memoryKv->outputs(), Element::Heads);
  if (w.states) return;
  std::size_t floats = 0;
  for (const auto& shape : memoryShapes_) floats = std::max(floats, shape.floats());
  w.states = s.allocate(passSegments_ + 1, static_cast<int>(floats), Element::Float32);
}

// One layer over the rows of the pass. Reading (segment == nullptr): the pass holds whole segments, each of which is
// written. Generating: it holds the new rows of `segment`, whose earlier keys and values are kept.
void Transformer::forward(int index, Workspace& w, SegmentState* segment) const {
  const Layer& layer = layers_[index];
  const AttentionLayout& heads = layer.heads;
  Stream& s = *w.stream;
  Buffer& qkv = *w.qkv[heads.qkvWidth];
  Buffer& attention = *w.attention[heads.attentionWidth];
  // Where no head is both, A_mem and A_dot are columns of A as they are.
  const bool mixes = heads.mixes();
  Buffer& fromMemory = mixes ? *w.fromMemory[heads.attentionWidth] : attention;
  Buffer& fromSegment = mixes ? *w.fromSegment[heads.attentionWidth] : attention;
  Buffer& states = segment ? *segment->layers_[index].memory : *w.states;

  s.rmsNorm(*w.x, *layer.attentionNorm, config_.rmsNormEps, *w.normed);
  s.linear(*w.normed, *layer.qkv, qkv);

  // The memory sees keys and queries without position. states[i] is the memory before segment i, and each segment reads
  // its own.
  if (!segment) writeMemory(layer, w, qkv, qkv, heads.baseMemory.writers, heads.addedMemory.writers);
  s.memoryRead(qkv, heads.baseMemory.readers, heads.base.dim, epsilon_, states, fromMemory);  // A_mem
  s.memoryRead(qkv, heads.addedMemory.readers, heads.added.dim, epsilon_, states, fromMemory);

  if (segment) keep(w, qkv, heads.memoryKeys, segment->layers_[index].memoryKeys.get(), segment->positions_);
  s.rope(qkv, heads.rotated, heads.base.dim, *cosines_, *sines_);
  if (segment) {
    SegmentState::LayerState& kept = segment->layers_[index];
    keep(w, qkv, heads.baseKeys, kept.keys.get(), segment->positions_);
    keep(w, qkv, heads.values, kept.values.get(), segment->positions_);
    s.localAttention(qkv, *kept.keys, *kept.values, layer.cachedLocal, heads.base.dim, fromSegment);  // A_dot
  } else {
    s.localAttention(qkv, qkv, qkv, heads.local, heads.base.dim, fromSegment);
  }
  if (mixes) s.combine(fromMemory, fromSegment, heads.gates, attention);  // A = g A_mem + (1 - g) A_dot
  s.linearAdd(attention, *layer.o, *w.x);

  s.rmsNorm(*w.x, *layer.feedForwardNorm, config_.rmsNormEps, *w.normed);
  s.linear(*w.normed, *layer.gateUp, *w.gateUp);
  s.siluMul(*w.gateUp, *w.activated);
  s.linearAdd(*w.activated, *layer.down, *w.x);
}

void Transformer::writeMemory(const Layer& layer, Workspace& w, const Buffer& keys, const Buffer& values,
                              std::span<const MemoryWriter> base, std::span<const MemoryWriter> added) const {
  w.stream->memoryWrite(keys, values, base, layer.heads.base.dim, rule_, epsilon_, *w.states);
  w.stream->memoryWrite(keys, values, added, layer.heads.added.dim, rule_, epsilon_, *w.states);
}

// Appends the new rows' columns of qkv to what the segment keeps.
void Transformer::keep(Workspace& w, const Buffer& qkv, ColumnRange columns, Buffer* kept, int positions) const {
  if (!kept) return;
  const int rows = w.segments.front().rows;
  w.stream->copyRows(qkv, 0, columns.begin, rows, columns.width, *kept, positions, 0);
}

void Transformer::read(Workspace& w, std::span<const std::vector<TokenId>> segments, CompressiveMemory& memory,
                       std::stop_token stop) const {
  if (!hasMemory())
    throw ModelError("The model '" + config_.name + "' has no memory to read into. Choose one with memory heads.");
  checkMemory(memory);
  if (segments.empty() || segments.size() > static_cast<std::size_t>(passSegments_)) {
    throw ModelError("A pass takes 1 to " + std::to_string(passSegments_) + " segments, not " +
                     std::to_string(segments.size()) + ".");
  }
  w.segments.clear();
  w.tokens.clear();
  std::int64_t written = 0;
  for (const std::vector<TokenId>& tokens : segments) {
    checkTokens(tokens);
    const int begin = static_cast<int>(w.tokens.size());
    if (bos_) w.tokens.push_back(*bos_);
    w.tokens.insert(w.tokens.end(), tokens.begin(), tokens.end());
    const int rows = static_cast<int>(w.tokens.size()) - begin;
    w.segments.push_back({.begin = begin,
                          .rows = rows,
                          .firstPosition = 0,
                          .keysBegin = begin,
                          .unwritten = bos_ ? 1 : 0,
                          .emptyMemory = memory.empty() && begin == 0});
    written += static_cast<std::int64_t>(tokens.size());
  }
  makeRoom(w, std::max(passRows_, static_cast<int>(w.tokens.size())));
  w.memoryAfter.resize(memory.values().size());

  Stream& s = *w.stream;
  s.beginPass(w.segments);
  s.embed(w.tokens, *embedding_, *w.x);
  std::size_t done = 0;  // floats of memoryAfter
  for (int index = 0; index <= lastMemoryLayer_; ++index) {
    if (stop.stop_requested()) throw Stopped();
    const Layer& layer = layers_[index];
    const std::size_t floats = memory.layer(index).size();
    s.upload(memory.layer(index), *w.states);
    if (index < lastMemoryLayer_) {
      forward(index, w, nullptr);
    } else {
      s.rmsNorm(*w.x, *layer.attentionNorm, config_.rmsNormEps, *w.normed);
      s.linear(*w.normed, *layer.memoryKv, *w.memoryKv);
      writeMemory(layer, w, *w.memoryKv, *w.memoryKv, layer.aloneBase, layer.aloneAdded);
    }
    s.download(*w.states, segments.size() * static_cast<std::size_t>(w.states->columns()),
               std::span(w.memoryAfter).subspan(done, floats));
    done += floats;
  }
  if (stop.stop_requested()) throw Stopped();
  std::copy(w.memoryAfter.begin(), w.memoryAfter.begin() + static_cast<std::ptrdiff_t>(done), memory.values().begin());
  memory.setTokens(memory.tokens() + written);
}

SegmentState Transformer::beginSegment(Workspace& w, const CompressiveMemory* memory) const {
  if (memory) checkMemory(*memory);
  SegmentState segment;
  segment.emptyMemory_ = !memory || memory->empty();
  for (int index = 0; index < config_.numLayers; ++index) {
    SegmentState::LayerState layer;
    const std::size_t floats = memoryShapes_[index].floats();
    layer.memory = w.stream->allocate(1, static_cast<int>(std::max<std::size_t>(floats, 1)), Element::Float32);
    if (memory) w.stream->upload(memory->layer(index), *layer.memory);
    segment.layers_.push_back(std::move(layer));
  }
  return segment;
}

void Transformer::grow(Workspace& w, SegmentState& segment, int positions) const {
  if (positions <= segment.capacity_) return;
  const int capacity = std::max({positions, 2 * segment.capacity_, 256});
  const auto enlarge = [&](std::unique_ptr<Buffer>& buffer, int columns) {
    auto larger = w.stream->allocate(capacity, columns, Element::Heads);
    if (buffer) w.stream->copyRows(*buffer, 0, 0, segment.positions_, columns, *larger, 0, 0);
    buffer = std::move(larger);
  };
  for (int index = 0; index < config_.numLayers; ++index) {
    const AttentionLayout& heads = layers_[index].heads;
    enlarge(segment.layers_[index].keys, heads.baseKeys.width);
    enlarge(segment.layers_[index].values, heads.values.width);
    if (heads.hasMemory()) enlarge(segment.layers_[index].memoryKeys, heads.memoryKeys.width);
  }
  segment.capacity_ = capacity;
}

std::span<const float> Transformer::extend(Workspace& w, SegmentState& segment, std::span<const TokenId> tokens,
                                           std::stop_token stop, int lastRows) const {
  checkTokens(tokens);
  const int total = static_cast<int>(tokens.size());
  if (total == 0 || segment.positions_ + total > config_.maxPositionEmbeddings) {
    throw ModelError("The model '" + config_.name + "' takes up to " + std::to_string(config_.maxPositionEmbeddings) +
                     " tokens at once; " + std::to_string(segment.positions_ + total) +
                     " were given. Ask for less at once.");
  }
  grow(w, segment, segment.positions_ + total);
  Stream& s = *w.stream;
  int rows = 0;
  for (int done = 0; done < total; done += rows) {
    rows = std::min(passRows_, total - done);
    makeRoom(w, rows);
    w.tokens.assign(tokens.begin() + done, tokens.begin() + done + rows);
    w.segments.assign(1, {.begin = 0,
                          .rows = rows,
                          .firstPosition = segment.positions_,
                          .keysBegin = 0,
                          .unwritten = 0,
                          .emptyMemory = segment.emptyMemory_});
    s.beginPass(w.segments);
    s.embed(w.tokens, *embedding_, *w.x);
    for (int index = 0; index < config_.numLayers; ++index) {
      if (stop.stop_requested()) throw Stopped();
      forward(index, w, &segment);
    }
    segment.positions_ += rows;
  }
  return logitsOfLastRows(w, rows, std::min(lastRows, rows));
}

std::span<const float> Transformer::logitsOfLastRows(Workspace& w, int rows, int lastRows) const {
  Stream& s = *w.stream;
  if (!w.lastRows || w.lastRows->rows() < lastRows) {
    const int padded = backend_->paddedRows(lastRows);
    w.lastRows = s.allocate(padded, config_.hiddenSize, Element::Float32);
    w.lastNormed = s.allocate(padded, config_.hiddenSize, Element::Compute);
    w.logits = s.allocate(padded, config_.vocabSize, Element::Float32);
  }
  w.segments.assign(1, {.begin = 0, .rows = lastRows});
  s.beginPass(w.segments);
  s.copyRows(*w.x, rows - lastRows, 0, lastRows, config_.hiddenSize, *w.lastRows, 0, 0);
  s.rmsNorm(*w.lastRows, *finalNorm_, config_.rmsNormEps, *w.lastNormed);
  s.linear(*w.lastNormed, *head_, *w.logits);
  w.hostLogits.resize(static_cast<std::size_t>(lastRows) * static_cast<std::size_t>(config_.vocabSize));
  s.download(*w.logits, 0, w.hostLogits);
  return w.hostLogits;
}

void Transformer::write(Workspace& w, const SegmentState& segment, int positions, CompressiveMemory& memory) const {
  checkMemory(memory);
  const int skipped = bos_ ? 1 : 0;
  if (positions > segment.positions_ || positions <= skipped) {
    throw ModelError("A segment of " + std::to_string(segment.positions_) + " positions cannot write " +
                     std::to_string(positions) + " of them.");
  }
  if (!hasMemory()) return;
  makeRoom(w, 1);
  Stream& s = *w.stream;
  w.segments.assign(1, {.begin = 0,
                        .rows = positions,
                        .firstPosition = 0,
                        .keysBegin = 0,
                        .unwritten = skipped,
                        .emptyMemory = memory.empty()});
  s.beginPass(w.segments);
  for (int index = 0; index < config_.numLayers; ++index) {
    const Layer& layer = layers_[index];
    if (!layer.heads.hasMemory()) continue;
    s.upload(memory.layer(index), *w.states);
    const SegmentState::LayerState& kept = segment.layers_[index];
    writeMemory(layer, w, *kept.memoryKeys, *kept.values, layer.cachedBase, layer.cachedAdded);
    s.download(*w.states, static_cast<std::size_t>(w.states->columns()), memory.layer(index));
  }
  memory.setTokens(memory.tokens() + positions - skipped);
}

double Transformer::runReadingProducts(Workspace& w, int rows) const {
  makeRoom(w, std::max(passRows_, rows));
  Stream& s = *w.stream;
  w.segments.assign(1, {.begin = 0, .rows = rows});
  s.beginPass(w.segments);
  double weights = 0;
  const auto count = [&](const PackedWeight& weight) {
    weights += static_cast<double>(weight.inputs()) * weight.outputs();
  };
  for (int index = 0; index < lastMemoryLayer_; ++index) {
    const Layer& layer = layers_[index];
    s.linear(*w.normed, *layer.qkv, *w.qkv[layer.heads.qkvWidth]);
    s.linearAdd(*w.attention[layer.heads.attentionWidth], *layer.o, *w.x);
    s.linear(*w.normed, *layer.gateUp, *w.gateUp);
    s.linearAdd(*w.activated, *layer.down, *w.x);
    for (const auto* weight : {&layer.qkv, &layer.o, &layer.gateUp, &layer.down}) count(**weight);
  }
  if (lastMemoryLayer_ >= 0) {
    s.linear(*w.normed, *layers_[lastMemoryLayer_].memoryKv, *w.memoryKv);
    count(*layers_[lastMemoryLayer_].memoryKv);
  }
  return 2.0 * rows * weights;
}

void Transformer::checkTokens(std::span<const TokenId> tokens) const {
  for (const TokenId token : tokens) {
    if (token < 0 || token >= config_.vocabSize) {
      throw ModelError("Token " + std::to_string(token) + " is outside the vocabulary of the model '" + config_.name +
                       "' (" + std::to_string(config_.vocabSize) + " tokens). Its tokenizer belongs to another model.");
    }
  }
}

void Transformer::checkMemory(const CompressiveMemory& memory) const {
  if (memory.shapes() != memoryShapes_)
    throw ModelError("This memory has the shape of another model than '" + config_.name + "'. Read the book again.");
}

}  // namespace palimpsest::engine
