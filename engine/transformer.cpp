#include "engine/transformer.h"

#include <algorithm>
#include <atomic>
#include <string>
#include <utility>

#include "engine/errors.h"
#include "engine/transformer_workspace.h"

namespace palimpsest::engine {

void Transformer::DeleteWorkspace::operator()(Workspace* workspace) const { delete workspace; }

Transformer::~Transformer() = default;

namespace {

// A number that no other memory's values have; see CompressiveMemory::contents().
std::uint64_t nextContents() {
  static std::atomic<std::uint64_t> last = 0;
  return ++last;
}

}  // namespace

Transformer::WorkspacePointer Transformer::makeWorkspace(int threads) const {
  return makeWorkspace(backend_->makeStream(threads));
}

Transformer::WorkspacePointer Transformer::makeWorkspace(std::unique_ptr<Stream> stream) const {
  WorkspacePointer made(new Workspace(std::move(stream)));
  if (backend_->recordsOperations()) made->spare = std::make_shared<SegmentState::Buffers>();
  return made;
}

void Transformer::makeRoom(Workspace& w, int rows) const {
  if (rows <= w.rows) return;
  w.rows = 0;  // until all of it is there: a device may have no room left
  ++w.buffers;
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
  if (hasMemory()) {
    w.memoryKv = s.allocate(padded, layers_[lastMemoryLayer_].memoryKv->outputs(), Element::Heads);
    if (!w.states) w.states = s.allocate(pass_.segments + 1, static_cast<int>(largestLayer()), Element::Float32);
  }
  w.rows = rows;
}

// One layer over the rows of the pass. Reading (no `segments`): the pass holds whole segments, each of which is
// written. Generating: it holds the new rows of one segment, whose earlier keys and values are kept; or the first rows
// of several, each with a memory of its own; or one copy of these, in a layer without a memory; or the next row of each
// of several, whose earlier keys and values are kept (OneByOne). LastRows: the first rows of several in the last layer,
// of which no more than each one's last is asked for; the pass has these alone afterwards, in x from its first row on.
void Transformer::forward(int index, Workspace& w, std::span<SegmentState> segments, GoingOn goingOn) const {
  const Layer& layer = layers_[index];
  Stream& s = *w.stream;
  Buffer& qkv = *w.qkv[layer.heads.qkvWidth];
  Buffer& attention = *w.attention[layer.heads.attentionWidth];
  s.normedLinear(*w.x, {*layer.attentionNorm, config_.rmsNormEps, *w.normed}, *layer.qkv, qkv);
  if (goingOn == GoingOn::OneByOne) {
    attendOneByOne(index, w, qkv, segments, attention);
  } else if (segments.size() == 1) {
    attendAlone(index, w, qkv, segments, attention);
  } else {
    attend(index, w, qkv, segments, attention);
  }
  if (goingOn == GoingOn::LastRows) keepLastRows(w, attention);
  s.linearAdd(attention, *layer.o, *w.x);
  s.gatedLinear(*w.x, {*layer.feedForwardNorm, config_.rmsNormEps, *w.normed}, *layer.gateUp, *w.gateUp, *w.activated);
  s.linearAdd(*w.activated, *layer.down, *w.x);
}

// Moves each segment's last row of x and of A up to the first rows, which are the pass from now on.
void Transformer::keepLastRows(Workspace& w, Buffer& attention) const {
  Stream& s = *w.stream;
  for (int i = 0; i < static_cast<int>(w.segments.size()); ++i) {
    const int last = w.segments[static_cast<std::size_t>(i)].begin + w.segments[static_cast<std::size_t>(i)].rows - 1;
    if (last == i) continue;
    s.copyRows(*w.x, last, 0, 1, config_.hiddenSize, *w.x, i, 0);
    s.copyRows(attention, last, 0, 1, attention.columns(), attention, i, 0);
  }
  w.segments.assign(1, {.begin = 0, .rows = static_cast<int>(w.segments.size())});
  s.beginPass(w.segments);
}

// A of the pass's rows, of their keys and of the memory.
void Transformer::attend(int index, Workspace& w, Buffer& qkv, std::span<SegmentState> segments,
                         Buffer& attention) const {
  const Layer& layer = layers_[index];
  const AttentionLayout& heads = layer.heads;
  Stream& s = *w.stream;
  // Where no head is both, A_mem and A_dot are columns of A as they are.
  const bool mixes = heads.mixes();
  Buffer& fromMemory = mixes ? *w.fromMemory[heads.attentionWidth] : attention;
  Buffer& fromSegment = mixes ? *w.fromSegment[heads.attentionWidth] : attention;
  const bool reading = segments.empty();
  SegmentState::LayerState* const alone = segments.size() == 1 ? &segments.front().buffers_.layers[index] : nullptr;
  Buffer& states = alone ? *alone->memory : *w.states;

  // The memory sees keys and queries without position. states[i] is the memory before segment i, and each segment reads
  // its own.
  if (reading) writePass(index, w, qkv, qkv, heads.baseMemory.writers, heads.addedMemory.writers);
  s.memoryRead(qkv, heads.baseMemory.readers, heads.baseMemory.dims, epsilon_, states, fromMemory);  // A_mem
  s.memoryRead(qkv, heads.addedMemory.readers, heads.addedMemory.dims, epsilon_, states, fromMemory);

  using Kept = SegmentState::LayerState;
  const bool before = heads.hasBaseMemory();  // base keys are the memory's, too, and without position
  if (before) keep(w, qkv, {{heads.memoryKeys, &Kept::memoryKeys}}, index, segments);
  s.rope(qkv, heads.rotated, heads.base.dim, *cosines_, *sines_);
  if (before) {
    keep(w, qkv, {{heads.baseKeys, &Kept::keys}, {heads.values, &Kept::values}}, index, segments);
  } else {
    keep(w, qkv, {{heads.baseKeys, &Kept::keys}, {heads.values, &Kept::values}, {heads.memoryKeys, &Kept::memoryKeys}},
         index, segments);
  }
  if (alone) {
    s.localAttention(qkv, *alone->keys, *alone->values, layer.cachedLocal, heads.base.dim, fromSegment);  // A_dot
  } else {
    s.localAttention(qkv, qkv, qkv, heads.local, heads.base.dim, fromSegment);
  }
  if (mixes) s.combine(fromMemory, fromSegment, heads.gates, attention);  // A = g A_mem + (1 - g) A_dot
}

// The same where a segment goes on alone: in one operation, if no head is both local and of the memory.
void Transformer::attendAlone(int index, Workspace& w, Buffer& qkv, std::span<SegmentState> segments,
                              Buffer& attention) const {
  const Layer& layer = layers_[index];
  const AttentionLayout& heads = layer.heads;
  if (heads.mixes() || heads.hasBaseMemory()) return attend(index, w, qkv, segments, attention);
  const SegmentState::LayerState& own = segments.front().buffers_.layers[index];
  std::vector<KeptColumns> kept = {{heads.baseKeys.begin, heads.baseKeys.width, own.keys.get()},
                                   {heads.values.begin, heads.values.width, own.values.get()}};
  if (own.memoryKeys) kept.push_back({heads.memoryKeys.begin, heads.memoryKeys.width, own.memoryKeys.get()});
  w.stream->attend({.qkv = qkv,
                    .readers = heads.addedMemory.readers,
                    .dims = heads.addedMemory.dims,
                    .epsilon = epsilon_,
                    .states = *own.memory,
                    .rotated = heads.rotated,
                    .dim = heads.base.dim,
                    .cosines = *cosines_,
                    .sines = *sines_,
                    .kept = kept,
                    .keys = *own.keys,
                    .values = *own.values,
                    .heads = layer.cachedLocal,
                    .out = attention});
}

// Each segment's row in a pass of its own.
void Transformer::attendOneByOne(int index, Workspace& w, Buffer& qkv, std::span<SegmentState> segments,
                                 Buffer& attention) const {
  Stream& s = *w.stream;
  std::unique_ptr<Buffer>&row = w.rowQkv[qkv.columns()], &out = w.rowAttention[attention.columns()];
  if (!row) row = s.allocate(backend_->paddedRows(1), qkv.columns(), Element::Heads);
  if (!out) out = s.allocate(backend_->paddedRows(1), attention.columns(), Element::Compute);
  for (std::size_t i = 0; i < segments.size(); ++i) {
    PassSegment alone = w.segments[i];
    alone.begin = 0;
    s.copyRows(qkv, static_cast<int>(i), 0, 1, qkv.columns(), *row, 0, 0);
    s.beginPass(std::span(&alone, 1), std::span(w.tokens).subspan(i, 1));
    attendAlone(index, w, *row, segments.subspan(i, 1), *out);
    s.copyRows(*out, 0, 0, 1, attention.columns(), attention, static_cast<int>(i), 0);
  }
  s.beginPass(w.segments, w.tokens);
}

void Transformer::writeMemory(const Layer& layer, Workspace& w, const Buffer& keys, const Buffer& values,
                              std::span<const MemoryWriter> base, std::span<const MemoryWriter> added,
                              Buffer& states) const {
  w.stream->memoryWrite(keys, values, base, layer.heads.baseMemory.dims, rule_, epsilon_, states);
  w.stream->memoryWrite(keys, values, added, layer.heads.addedMemory.dims, rule_, epsilon_, states);
}

// All segments of the pass; then, at the places that are wanted, what their segment has written until there. A key
// depends on earlier tokens only, so that is what a segment which ends there would have written.
void Transformer::writePass(int index, Workspace& w, const Buffer& keys, const Buffer& values,
                            std::span<const MemoryWriter> base, std::span<const MemoryWriter> added) const {
  const Layer& layer = layers_[index];
  Stream& s = *w.stream;
  writeMemory(layer, w, keys, values, base, added, *w.states);
  const auto columns = static_cast<std::size_t>(w.states->columns());
  for (PassPlace& place : w.places) {
    PassSegment part = w.segments[place.segment];
    const bool whole = part.rows == part.unwritten + place.tokens;
    if (whole) {
      s.download(*w.states, (static_cast<std::size_t>(place.segment) + 1) * columns, place.memory.layer(index));
      continue;
    }
    part.rows = part.unwritten + place.tokens;
    s.copyRows(*w.states, place.segment, 0, 1, w.states->columns(), *w.placeStates, 0, 0);
    s.beginPass(std::span(&part, 1));
    writeMemory(layer, w, keys, values, base, added, *w.placeStates);
    s.beginPass(w.segments, w.tokens);
    s.download(*w.placeStates, columns, place.memory.layer(index));
  }
}

// Appends each segment's new rows' columns of qkv to what it keeps; where the pass holds one copy for all, these.
void Transformer::keep(Workspace& w, const Buffer& qkv,
                       std::initializer_list<std::pair<ColumnRange, KeptBuffer>> columns, int index,
                       std::span<SegmentState> segments) const {
  std::vector<KeptColumns> kept;
  for (std::size_t i = 0; i < segments.size(); ++i) {
    kept.clear();
    for (const auto& [range, buffer] : columns)
      if (Buffer* cache = (segments[i].buffers_.layers[index].*buffer).get())
        kept.push_back({range.begin, range.width, cache});
    if (!kept.empty()) w.stream->keep(qkv, w.segments.size() == 1 ? 0 : static_cast<int>(i), kept);
  }
}

void Transformer::read(Workspace& w, std::span<const std::vector<TokenId>> segments, CompressiveMemory& memory,
                       std::stop_token stop, std::span<PassPlace> places, const std::function<void()>& meanwhile,
                       std::span<CompressiveMemory> portions) const {
  if (!hasMemory())
    throw ModelError("The model '" + config_.name + "' has no memory to read into. Choose one with memory heads.");
  checkMemory(memory);
  if (segments.empty() || segments.size() > static_cast<std::size_t>(pass_.segments)) {
    throw ModelError("A pass takes 1 to " + std::to_string(pass_.segments) + " segments, not " +
                     std::to_string(segments.size()) + ".");
  }
  checkPlaces(segments, places);
  const auto section = static_cast<std::size_t>(pass_.sectionSegments);
  w.portions = portions.first(std::min(portions.size(), (segments.size() - 1) / section));
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
    for (PassPlace& place : places) {
      if (place.segment + 1 != std::ssize(w.segments)) continue;
      place.memory = CompressiveMemory(memoryShapes_);
      place.memory.setTokens(memory.tokens() + written + place.tokens);
    }
    written += static_cast<std::int64_t>(tokens.size());
    const std::size_t read = w.segments.size();
    if (read % section == 0 && read / section <= w.portions.size())
      w.portions[read / section - 1].setTokens(memory.tokens() + written);
  }
  makeRoom(w, std::max(pass_.rows, static_cast<int>(w.tokens.size())));
  w.places = places;
  Stream& s = *w.stream;
  if (!places.empty() && !w.placeStates) w.placeStates = s.allocate(2, w.states->columns(), Element::Float32);
  if (!w.portions.empty() && !w.portionStates)
    w.portionStates = s.allocate(config_.numLayers * pass_.portions(), w.states->columns(), Element::Float32);
  if (!w.carried) w.carried = s.allocate(config_.numLayers, w.states->columns(), Element::Float32);
  s.wait();  // for what an earlier one that was stopped left queued
  if (!w.next.roomWasGiven()) w.next = memoryForDevice();

  // The memory stays on the device from pass to pass; what it is after each is copied to the host meanwhile.
  const bool carried = memory.contents() != 0 && memory.contents() == w.carriedContents;
  w.carriedContents = 0;  // until the pass is done
  if (!carried) {
    for (int index = 0; index <= lastMemoryLayer_; ++index)
      s.upload(std::as_const(memory).layer(index), *w.carried,
               static_cast<std::size_t>(index) * static_cast<std::size_t>(w.carried->columns()));
  }
  s.beginPass(w.segments, w.tokens);
  try {
    if (places.empty()) {
      std::vector<std::uint64_t> key = {static_cast<std::uint64_t>(Workspace::Operations::Reading), w.buffers,
                                        reinterpret_cast<std::uintptr_t>(w.next.values().data())};
      for (const CompressiveMemory& portion : w.portions)
        key.push_back(reinterpret_cast<std::uintptr_t>(portion.values().data()));
      s.replay(key, [&] { readLayers(w, stop); });
    } else {
      readLayers(w, stop);
    }
    if (meanwhile) meanwhile();
  } catch (...) {
    s.wait();  // for what is queued, and writes into `portions`
    throw;
  }
  s.wait();
  if (stop.stop_requested()) throw Stopped();
  // From now on two memories take turns. Made before, so that where there is no room the old one is as it was.
  CompressiveMemory other;
  if (!memory.roomWasGiven()) other = memoryForDevice();
  w.next.setTokens(memory.tokens() + written);
  std::swap(memory, w.next);
  if (!w.next.roomWasGiven()) w.next = std::move(other);
  w.carriedContents = nextContents();
  memory.setContents(w.carriedContents);
}

CompressiveMemory Transformer::memoryForDevice() const {
  return CompressiveMemory(memoryShapes_, backend_->hostFloats(CompressiveMemory::floatsOf(memoryShapes_)));
}

void Transformer::readLayers(Workspace& w, const std::stop_token& stop) const {
  Stream& s = *w.stream;
  const int segments = static_cast<int>(w.segments.size());
  s.embed(*embedding_, *w.x);
  for (int index = 0; index <= lastMemoryLayer_; ++index) {
    if (stop.stop_requested()) throw Stopped();
    const Layer& layer = layers_[index];
    const std::span<float> next = w.next.layer(index);
    const int floats = static_cast<int>(next.size());
    s.copyRows(*w.carried, index, 0, 1, floats, *w.states, 0, 0);
    if (index < lastMemoryLayer_) {
      forward(index, w, {});
    } else {
      s.normedLinear(*w.x, {*layer.attentionNorm, config_.rmsNormEps, *w.normed}, *layer.memoryKv, *w.memoryKv);
      writePass(index, w, *w.memoryKv, *w.memoryKv, layer.aloneBase, layer.aloneAdded);
    }
    for (int i = 0; i < std::ssize(w.portions); ++i) {  // copied first: the next layer has the same states
      const int row = index * pass_.portions() + i;
      s.copyRows(*w.states, (i + 1) * pass_.sectionSegments, 0, 1, floats, *w.portionStates, row, 0);
      s.queueDownload(*w.portionStates,
                      static_cast<std::size_t>(row) * static_cast<std::size_t>(w.portionStates->columns()),
                      w.portions[static_cast<std::size_t>(i)].layer(index));
    }
    s.copyRows(*w.states, segments, 0, 1, floats, *w.carried, index, 0);
    s.queueDownload(*w.carried, static_cast<std::size_t>(index) * static_cast<std::size_t>(w.carried->columns()), next);
  }
}

double Transformer::runReadingProducts(Workspace& w, int rows) const {
  makeRoom(w, std::max(pass_.rows, rows));
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
  float waited = 0;
  s.download(*w.x, 0, std::span(&waited, 1));  // a device may only have queued them
  return 2.0 * rows * weights;
}

void Transformer::checkPlaces(std::span<const std::vector<TokenId>> segments, std::span<const PassPlace> places) const {
  for (const PassPlace& place : places) {
    const bool there = place.segment >= 0 && place.segment < std::ssize(segments);
    if (there && place.tokens > 0 && place.tokens <= std::ssize(segments[static_cast<std::size_t>(place.segment)]))
      continue;
    throw ModelError("A memory was asked for after token " + std::to_string(place.tokens) + " of segment " +
                     std::to_string(place.segment) + ", which the pass does not have.");
  }
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
