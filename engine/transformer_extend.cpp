// The part of Transformer that generates: segments that grow.
#include <algorithm>
#include <array>
#include <atomic>
#include <string>
#include <utility>

#include "engine/errors.h"
#include "engine/transformer.h"
#include "engine/transformer_workspace.h"

namespace palimpsest::engine {

SegmentState& SegmentState::operator=(SegmentState&& other) noexcept {
  std::swap(buffers_, other.buffers_);
  std::swap(spare_, other.spare_);
  std::swap(positions_, other.positions_);
  std::swap(emptyMemory_, other.emptyMemory_);
  std::swap(source_, other.source_);
  return *this;
}

SegmentState::~SegmentState() {
  constexpr int kMostKept = 2048;  // positions: longer ones take too much room to be kept for nothing
  if (spare_ && buffers_.capacity <= kMostKept && buffers_.capacity > spare_->capacity) *spare_ = std::move(buffers_);
}

SegmentState Transformer::beginSegment(Workspace& w, const CompressiveMemory* memory) const {
  if (memory) checkMemory(*memory);
  SegmentState segment;
  segment.emptyMemory_ = !memory || memory->empty();
  segment.spare_ = w.spare;
  if (w.spare && w.spare->capacity > 0) segment.buffers_ = std::exchange(*w.spare, {});
  segment.buffers_.layers.resize(static_cast<std::size_t>(config_.numLayers));
  uploadMemory(w, segment, memory);
  return segment;
}

// nullptr = the empty one. Buffers that are new are zero.
void Transformer::uploadMemory(Workspace& w, SegmentState& segment, const CompressiveMemory* memory) const {
  const bool used = segment.buffers_.layers.front().memory != nullptr;
  const std::vector<float> nothing(used && !memory ? largestLayer() : 0);
  for (int index = 0; index < config_.numLayers; ++index) {
    std::unique_ptr<Buffer>& own = segment.buffers_.layers[index].memory;
    const std::size_t floats = memoryShapes_[index].floats();
    if (!own) own = w.stream->allocate(1, static_cast<int>(std::max<std::size_t>(floats, 1)), Element::Float32);
    if (memory) {
      w.stream->upload(memory->layer(index), *own);
    } else if (used) {
      w.stream->upload(std::span(nothing).first(floats), *own);
    }
  }
}

SegmentState Transformer::beginCandidate(const CompressiveMemory& memory) const {
  checkMemory(memory);
  SegmentState segment;
  segment.emptyMemory_ = memory.empty();
  segment.source_ = &memory;
  segment.buffers_.layers.resize(static_cast<std::size_t>(config_.numLayers));
  return segment;
}

void Transformer::takeMemory(Workspace& w, SegmentState& segment) const {
  if (!segment.source_) return;
  uploadMemory(w, segment, segment.source_);
  w.stream->wait();
  segment.source_ = nullptr;
  segment.spare_ = w.spare;
}

std::size_t Transformer::largestLayer() const {
  std::size_t floats = 0;
  for (const auto& shape : memoryShapes_) floats = std::max(floats, shape.floats());
  return floats;
}

void Transformer::grow(Workspace& w, SegmentState& segment, int positions) const {
  if (positions > segment.buffers_.capacity)
    enlarge(w, segment, std::max({positions, 2 * segment.buffers_.capacity, 256}));
}

void Transformer::enlarge(Workspace& w, SegmentState& segment, int capacity) const {
  // Not for a candidate: most of them are given up, and its memory is not there yet.
  if (!segment.source_ && w.spare && w.spare->capacity >= capacity) {
    SegmentState::Buffers larger = std::exchange(*w.spare, {});
    for (int index = 0; index < config_.numLayers; ++index) {
      Buffer& memory = *larger.layers[index].memory;
      w.stream->copyRows(*segment.buffers_.layers[index].memory, 0, 0, 1, memory.columns(), memory, 0, 0);
    }
    return move(w, segment, std::move(larger));
  }
  static std::atomic<std::uint64_t> last = 0;
  SegmentState::Buffers made;
  made.layers.resize(segment.buffers_.layers.size());
  made.capacity = capacity;
  made.number = ++last;
  for (int index = 0; index < config_.numLayers; ++index) {
    const AttentionLayout& heads = layers_[index].heads;
    SegmentState::LayerState& layer = made.layers[index];
    layer.keys = w.stream->allocate(capacity, heads.baseKeys.width, Element::Heads);
    layer.values = w.stream->allocate(capacity, heads.values.width, Element::Heads);
    if (heads.hasMemory()) layer.memoryKeys = w.stream->allocate(capacity, heads.memoryKeys.width, Element::Heads);
  }
  for (int index = 0; index < config_.numLayers; ++index)  // now that nothing can fail any more
    made.layers[index].memory = std::move(segment.buffers_.layers[index].memory);
  move(w, segment, std::move(made));
}

// The rows that are there go along; the memory is there already.
void Transformer::move(Workspace& w, SegmentState& segment, SegmentState::Buffers to) const {
  using Kept = SegmentState::LayerState;
  if (segment.positions_ > 0) {
    for (std::size_t index = 0; index < to.layers.size(); ++index) {
      for (const auto buffer : {&Kept::keys, &Kept::values, &Kept::memoryKeys}) {
        if (const Buffer* from = (segment.buffers_.layers[index].*buffer).get())
          w.stream->copyRows(*from, 0, 0, segment.positions_, from->columns(), *(to.layers[index].*buffer), 0, 0);
      }
    }
  }
  segment.buffers_ = std::move(to);
}

std::span<const float> Transformer::extend(Workspace& w, SegmentState& segment, std::span<const TokenId> tokens,
                                           std::stop_token stop, int lastRows) const {
  if (tokens.size() == 1) return step(w, segment, tokens.front(), std::move(stop));
  const int rows = extendAlone(w, segment, tokens, stop);
  const int last = std::min(lastRows, rows);
  makeRoomForLogits(w, last);
  w.stream->copyRows(*w.x, rows - last, 0, last, config_.hiddenSize, *w.lastRows, 0, 0);
  return logitsOfLastRows(w, last);
}

// What answers are made of, token by token: as short as a pass can be, and the same each time.
std::span<const float> Transformer::step(Workspace& w, SegmentState& segment, TokenId token,
                                         std::stop_token stop) const {
  checkTokens(std::span(&token, 1));
  checkRoom(segment.positions_, 1);
  takeMemory(w, segment);
  grow(w, segment, segment.positions_ + 1);
  makeRoom(w, 1);
  makeRoomForLogits(w, 1);
  if (stop.stop_requested()) throw Stopped();
  Stream& s = *w.stream;
  beginAlone(w, segment, std::span(&token, 1));
  const std::array<std::uint64_t, 3> key = {static_cast<std::uint64_t>(Workspace::Operations::Step), w.buffers,
                                            segment.buffers_.number};
  s.replay(key, [&] {
    s.embed(*embedding_, *w.x);
    for (int index = 0; index < config_.numLayers; ++index) {
      if (stop.stop_requested()) throw Stopped();
      forward(index, w, std::span(&segment, 1));
    }
    s.normedLinear(*w.x, {*finalNorm_, config_.rmsNormEps, *w.lastNormed}, *head_, *w.logits);
  });
  segment.positions_ += 1;
  const auto V = static_cast<std::size_t>(config_.vocabSize);
  if (!w.stepLogits) w.stepLogits = backend_->hostFloats(V);
  const std::span<float> logits(w.stepLogits.get(), V);
  s.download(*w.logits, 0, logits);
  return logits;
}

// The pass that appends `tokens` to a segment.
void Transformer::beginAlone(Workspace& w, const SegmentState& segment, std::span<const TokenId> tokens) const {
  w.tokens.assign(tokens.begin(), tokens.end());
  w.segments.assign(1, {.begin = 0,
                        .rows = static_cast<int>(tokens.size()),
                        .firstPosition = segment.positions_,
                        .keysBegin = 0,
                        .unwritten = 0,
                        .emptyMemory = segment.emptyMemory_,
                        .keyCapacity = segment.buffers_.capacity});
  w.stream->beginPass(w.segments, w.tokens);
}

// Returns how many rows the last pass had.
int Transformer::extendAlone(Workspace& w, SegmentState& segment, std::span<const TokenId> tokens,
                             std::stop_token stop) const {
  const int total = static_cast<int>(tokens.size());
  checkTokens(tokens);
  checkRoom(segment.positions_, total);
  takeMemory(w, segment);
  grow(w, segment, segment.positions_ + total);
  Stream& s = *w.stream;
  int rows = 0;
  for (int done = 0; done < total; done += rows) {
    rows = std::min(pass_.rows, total - done);
    makeRoom(w, rows);
    beginAlone(w, segment, tokens.subspan(static_cast<std::size_t>(done), static_cast<std::size_t>(rows)));
    s.embed(*embedding_, *w.x);
    for (int index = 0; index < config_.numLayers; ++index) {
      if (stop.stop_requested()) throw Stopped();
      forward(index, w, std::span(&segment, 1));
    }
    segment.positions_ += rows;
  }
  return rows;
}

std::span<const float> Transformer::extendAll(Workspace& w, std::span<SegmentState> segments,
                                              std::span<const TokenId> tokens, std::stop_token stop) const {
  const int rows = static_cast<int>(tokens.size());
  checkTokens(tokens);
  checkRoom(0, rows);
  for (const SegmentState& segment : segments)
    if (segment.positions_ > 0) throw ModelError("Only fresh segments can be begun together. Extend this one alone.");
  const auto together = static_cast<std::size_t>(std::max(1, pass_.rows / rows));
  w.hostLogits.clear();
  for (std::size_t done = 0, count = 0; done < segments.size(); done += count) {
    count = std::min(together, segments.size() - done);
    extendTogether(w, segments.subspan(done, count), tokens, stop);
    logitsOfLastRows(w, static_cast<int>(count), done);
  }
  return w.hostLogits;
}

std::span<const float> Transformer::stepAll(Workspace& w, std::span<SegmentState> segments,
                                            std::span<const TokenId> tokens, std::stop_token stop) const {
  if (segments.empty() || tokens.size() != segments.size())
    throw ModelError("Each segment goes on with one token: " + std::to_string(tokens.size()) + " were given for " +
                     std::to_string(segments.size()) + ".");
  checkTokens(tokens);
  for (const SegmentState& segment : segments) checkRoom(segment.positions_, 1);
  const int count = static_cast<int>(segments.size());
  w.segments.clear();
  w.tokens.assign(tokens.begin(), tokens.end());
  for (int i = 0; i < count; ++i) {
    SegmentState& segment = segments[static_cast<std::size_t>(i)];
    takeMemory(w, segment);
    grow(w, segment, segment.positions_ + 1);
    w.segments.push_back({.begin = i,
                          .rows = 1,
                          .firstPosition = segment.positions_,
                          .keysBegin = 0,
                          .unwritten = 0,
                          .emptyMemory = segment.emptyMemory_,
                          .keyCapacity = segment.buffers_.capacity});
  }
  makeRoom(w, count);
  makeRoomForLogits(w, count);
  Stream& s = *w.stream;
  s.beginPass(w.segments, w.tokens);
  s.embed(*embedding_, *w.x);
  for (int index = 0; index < config_.numLayers; ++index) {
    if (stop.stop_requested()) throw Stopped();
    forward(index, w, segments, GoingOn::OneByOne);
  }
  for (SegmentState& segment : segments) segment.positions_ += 1;
  s.copyRows(*w.x, 0, 0, count, config_.hiddenSize, *w.lastRows, 0, 0);
  return logitsOfLastRows(w, count);
}

// As many segments as a pass has rows for, but at least one. Their last rows go to lastRows.
void Transformer::extendTogether(Workspace& w, std::span<SegmentState> segments, std::span<const TokenId> tokens,
                                 std::stop_token stop) const {
  Stream& s = *w.stream;
  const int count = static_cast<int>(segments.size());
  makeRoomForLogits(w, count);
  if (count == 1) {  // it may be longer than a pass
    const int rows = extendAlone(w, segments.front(), tokens, stop);
    s.copyRows(*w.x, rows - 1, 0, 1, config_.hiddenSize, *w.lastRows, 0, 0);
    return;
  }
  const int rows = static_cast<int>(tokens.size());
  makeRoomTogether(w, segments, rows);
  const auto compute = [&](int from, int to) {
    for (int index = from; index < to; ++index) {
      if (stop.stop_requested()) throw Stopped();
      const int floats = static_cast<int>(memoryShapes_[index].floats());
      for (int i = 0; i < count && floats > 0; ++i) {
        if (segments[i].source_) {
          s.upload(segments[i].source_->layer(index), *w.states, static_cast<std::size_t>(i) * w.states->columns());
        } else {
          s.copyRows(*segments[i].buffers_.layers[index].memory, 0, 0, 1, floats, *w.states, i, 0);
        }
      }
      forward(index, w, segments, index + 1 < config_.numLayers ? GoingOn::Together : GoingOn::LastRows);
    }
  };
  // Below the first memory all of them compute the same: one copy of the rows does, and each keeps what it leaves.
  beginCopies(w, segments.first(1), tokens);
  s.embed(*embedding_, *w.x);
  compute(0, firstMemoryLayer_);
  const bool apart = firstMemoryLayer_ < config_.numLayers;
  if (apart) {
    for (int i = 1; i < count; ++i) s.copyRows(*w.x, 0, 0, rows, config_.hiddenSize, *w.x, i * rows, 0);
    beginCopies(w, segments, tokens);
    compute(firstMemoryLayer_, config_.numLayers);
  }
  for (int i = 0; i < count; ++i) {
    segments[i].positions_ = rows;
    s.copyRows(*w.x, apart ? i : 0, 0, 1, config_.hiddenSize, *w.lastRows, i, 0);
  }
}

void Transformer::makeRoomTogether(Workspace& w, std::span<SegmentState> segments, int rows) const {
  const int count = static_cast<int>(segments.size());
  makeRoom(w, count * rows);
  if (!w.states || w.states->rows() < count)
    w.states = w.stream->allocate(count, w.states ? w.states->columns() : 1, Element::Float32), ++w.buffers;
  for (SegmentState& segment : segments) {
    if (segment.buffers_.capacity < rows)
      enlarge(w, segment, rows);  // no more than these tokens need: most of the segments will be given up
  }
}

// A pass of the same tokens for each of the segments, all of them fresh.
void Transformer::beginCopies(Workspace& w, std::span<const SegmentState> segments,
                              std::span<const TokenId> tokens) const {
  w.segments.clear();
  w.tokens.clear();
  for (const SegmentState& segment : segments) {
    const int begin = static_cast<int>(w.tokens.size());
    w.tokens.insert(w.tokens.end(), tokens.begin(), tokens.end());
    w.segments.push_back({.begin = begin,
                          .rows = static_cast<int>(tokens.size()),
                          .firstPosition = 0,
                          .keysBegin = begin,
                          .unwritten = 0,
                          .emptyMemory = segment.emptyMemory_});
  }
  w.stream->beginPass(w.segments, w.tokens);
}

void Transformer::checkRoom(int positions, int more) const {
  if (more > 0 && positions + more <= config_.maxPositionEmbeddings) return;
  throw ModelError("The model '" + config_.name + "' takes up to " + std::to_string(config_.maxPositionEmbeddings) +
                   " tokens at once; " + std::to_string(positions + more) + " were given. Ask for less at once.");
}

void Transformer::makeRoomForLogits(Workspace& w, int rows) const {
  if (w.logits && w.logits->rows() >= rows) return;
  w.logits.reset();  // made last: then all of it is there
  ++w.buffers;
  const int padded = backend_->paddedRows(rows);
  w.lastRows = w.stream->allocate(padded, config_.hiddenSize, Element::Float32);
  w.lastNormed = w.stream->allocate(padded, config_.hiddenSize, Element::Compute);
  w.logits = w.stream->allocate(padded, config_.vocabSize, Element::Float32);
}

// The logits of the rows that stand in lastRows, behind `before` rows of logits that were made already.
std::span<const float> Transformer::logitsOfLastRows(Workspace& w, int rows, std::size_t before) const {
  Stream& s = *w.stream;
  const auto V = static_cast<std::size_t>(config_.vocabSize);
  w.segments.assign(1, {.begin = 0, .rows = rows});
  s.beginPass(w.segments);
  s.normedLinear(*w.lastRows, {*finalNorm_, config_.rmsNormEps, *w.lastNormed}, *head_, *w.logits);
  w.hostLogits.resize((before + static_cast<std::size_t>(rows)) * V);
  s.download(*w.logits, 0, std::span(w.hostLogits).subspan(before * V));
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
    const SegmentState::LayerState& kept = segment.buffers_.layers[index];
    writeMemory(layer, w, *kept.memoryKeys, *kept.values, layer.cachedBase, layer.cachedAdded, *w.states);
    s.download(*w.states, static_cast<std::size_t>(w.states->columns()), memory.layer(index));
  }
  memory.setTokens(memory.tokens() + positions - skipped);
}

}  // namespace palimpsest::engine
