// Llama with Infini-attention (arXiv 2404.07143), written once above the Backend. forward() in transformer.cpp reads
// from top to bottom as the paper does.
//
// Letters in shape comments: T rows of a pass, D hidden size, F feed-forward size, V vocabulary, A = all heads' outputs
// side by side, QKV = all queries, keys and values side by side (see attention_layout.h).
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <utility>
#include <vector>

#include "engine/attention_layout.h"
#include "engine/backend.h"
#include "engine/compressive_memory.h"
#include "engine/model_folder.h"
#include "engine/tokenizer.h"

namespace palimpsest::engine {

// A segment that grows: a prompt, then token by token. Holds its keys and values, and the memory that it reads.
// Belongs to the Workspace that made it.
class SegmentState {
 public:
  SegmentState() = default;
  SegmentState(SegmentState&& other) noexcept { *this = std::move(other); }
  SegmentState& operator=(SegmentState&& other) noexcept;
  ~SegmentState();

  int positions() const { return positions_; }  // BOS included

 private:
  friend class Transformer;
  struct LayerState {
    std::unique_ptr<Buffer> keys;        // [capacity x base keys]    heads, rotated
    std::unique_ptr<Buffer> values;      // [capacity x values]       heads
    std::unique_ptr<Buffer> memoryKeys;  // [capacity x memory keys]  heads, un-rotated; null without a memory
    std::unique_ptr<Buffer> memory;      // [1 x floats of M and z of the layer]
  };
  struct Buffers {
    std::vector<LayerState> layers;
    int capacity = 0;          // positions that there is room for
    std::uint64_t number = 0;  // no other's
  };
  // Where a segment that ends leaves its buffers to the next one, so that what was recorded with them can be played
  // again; null where nothing is recorded.
  using Spare = std::shared_ptr<Buffers>;

  Buffers buffers_;
  Spare spare_;
  int positions_ = 0;
  bool emptyMemory_ = true;
  const CompressiveMemory* source_ = nullptr;  // of a candidate: what its memory will be
};

// A place within a pass, and the memory there: every token before it is written, and none after it.
struct PassPlace {
  int segment = 0;  // of the pass
  int tokens = 0;   // of that segment that stand before the place: 1..all of them, BOS not counted
  CompressiveMemory memory = {};
};

// What read() takes at once; fixed for a model. bos: whether one opens every segment.
struct PassSize {
  int segments = 1;
  int sectionSegments = 1;  // that a section of a book has at least; a pass takes one such portion or several
  int rows = 0;             // of the longest pass, be it of read() or of extend()

  int portions() const { return segments / sectionSegments - 1; }  // that read() can fill in
};
PassSize passSizeOf(const ModelConfig& config, bool bos);
// The heads of a layer of this folder.
AttentionLayout layoutOf(const ModelFolder& folder, int layer);

// Immutable once made and thread-safe; what changes is passed in. Throws ModelError.
class Transformer {
 public:
  // bos: the token that opens every segment, where the tokenizer adds one. Reads all weights; `folder` may go
  // afterwards. The token table and the norms are Full whatever `weights` says.
  Transformer(const ModelFolder& folder, std::unique_ptr<Backend> backend, std::optional<TokenId> bos,
              const std::function<void(double share)>& progress = {}, WeightType weights = WeightType::Full);
  ~Transformer();

  const ModelConfig& config() const { return config_; }
  const Backend& backend() const { return *backend_; }
  WeightType weights() const { return weights_; }
  bool hasMemory() const { return lastMemoryLayer_ >= 0; }
  const std::vector<CompressiveMemory::LayerShape>& memoryShapes() const { return memoryShapes_; }
  const PassSize& passSize() const { return pass_; }
  std::size_t weightBytes() const;

  // Buffers of one thread. They grow with the longest pass seen and are then kept.
  class Workspace;
  struct DeleteWorkspace {
    void operator()(Workspace* workspace) const;
  };
  using WorkspacePointer = std::unique_ptr<Workspace, DeleteWorkspace>;
  WorkspacePointer makeWorkspace(int threads = 0) const;                 // 0 = as many as the back end's
  WorkspacePointer makeWorkspace(std::unique_ptr<Stream> stream) const;  // of the back end, or handing on to one

  // Reads one pass: 1..passSize().segments segments of 1..S tokens, BOS not among them. `memory` takes them all, in
  // order. Throws Stopped, seen between two layers; the memory is unchanged then. The memory at each of `places` is
  // filled in beside it; the bits of `memory` are the same with and without. `meanwhile` is called while a device
  // computes, and `memory` is still the old one then. portions[i] (best of memoryForDevice()) is filled with the memory
  // after (i + 1) * passSize().sectionSegments segments, of as many as there are and as the pass goes on behind.
  void read(Workspace& workspace, std::span<const std::vector<TokenId>> segments, CompressiveMemory& memory,
            std::stop_token stop, std::span<PassPlace> places = {}, const std::function<void()>& meanwhile = {},
            std::span<CompressiveMemory> portions = {}) const;
  CompressiveMemory memoryForDevice() const;  // of zeros, where a device writes fastest

  // A fresh segment that reads `memory` (nullptr = the empty one). The memory is copied, not kept.
  SegmentState beginSegment(Workspace& workspace, const CompressiveMemory* memory) const;
  // One of several segments for extendAll(), most of which are given up after it: `memory` is not copied, and must stay
  // until takeMemory(), which the segment that goes on needs, or until the segment has gone.
  SegmentState beginCandidate(const CompressiveMemory& memory) const;
  void takeMemory(Workspace& workspace, SegmentState& segment) const;
  // Appends tokens (the caller puts the BOS) and returns the logits [lastRows x V] that follow the last ones; valid
  // until the workspace is used again. lastRows <= tokens.size() and <= passSize().rows. Throws Stopped.
  std::span<const float> extend(Workspace& workspace, SegmentState& segment, std::span<const TokenId> tokens,
                                std::stop_token stop, int lastRows = 1) const;
  // The same tokens after several fresh segments of other memories at once: the layers below the first memory are
  // computed once for all of them; above, all rows go through the matrix products together, attention and memory are
  // each segment's own. Returns the logits [segments x V] that follow the last token; valid until the workspace is used
  // again. Not the bits of extend(): products and attention of a longer pass are tiled in another way (within the
  // tolerances of transformer_test.cpp). Throws Stopped; the segments must not be used then.
  std::span<const float> extendAll(Workspace& workspace, std::span<SegmentState> segments,
                                   std::span<const TokenId> tokens, std::stop_token stop) const;
  // One token more for each of several segments: the rows go through the matrix products together, attention and memory
  // are each segment's own. Returns the logits [segments x V], valid until the workspace is used again; not the bits of
  // extend(), see extendAll(). For a CPU, where a product of few rows takes hardly longer than one of a single row.
  // Throws Stopped; the segments must not be used then.
  std::span<const float> stepAll(Workspace& workspace, std::span<SegmentState> segments,
                                 std::span<const TokenId> tokens, std::stop_token stop) const;
  // Writes the first `positions` positions of a segment into `memory`, its BOS left out.
  void write(Workspace& workspace, const SegmentState& segment, int positions, CompressiveMemory& memory) const;

  // Only the matrix products of a pass of `rows` rows, as read() runs them: the ceiling that the bench measures
  // against. Returns their floating-point operations. Read a pass with the workspace first: the numbers that it leaves
  // are multiplied here, and zeros would cost a card less power, and so less time.
  double runReadingProducts(Workspace& workspace, int rows) const;

 private:
  struct Layer {
    AttentionLayout heads;
    std::unique_ptr<Buffer> attentionNorm, feedForwardNorm;  // [1 x D]
    std::unique_ptr<PackedWeight> qkv, o, gateUp, down;
    std::unique_ptr<PackedWeight> memoryKv;  // last memory layer only: all that reading needs of it
    std::vector<LocalHead> cachedLocal;      // the heads as columns of a SegmentState's buffers
    std::vector<MemoryWriter> cachedBase, cachedAdded;
    std::vector<MemoryWriter> aloneBase, aloneAdded;  // as columns of memoryKv's product
  };

  std::unique_ptr<PackedWeight> pack(int outputs, int inputs, const RowSource& source) const;
  void loadLayer(const ModelFolder& folder, int index);
  void makeRopeTables();
  void makeRoom(Workspace& workspace, int rows) const;
  void uploadMemory(Workspace& workspace, SegmentState& segment, const CompressiveMemory* memory) const;
  void readLayers(Workspace& workspace, const std::stop_token& stop) const;
  enum class GoingOn { Together, OneByOne, LastRows };
  void forward(int index, Workspace& workspace, std::span<SegmentState> segments,
               GoingOn goingOn = GoingOn::Together) const;
  void keepLastRows(Workspace& workspace, Buffer& attention) const;
  void attend(int index, Workspace& workspace, Buffer& qkv, std::span<SegmentState> segments, Buffer& attention) const;
  void attendAlone(int index, Workspace& workspace, Buffer& qkv, std::span<SegmentState> segments,
                   Buffer& attention) const;
  void attendOneByOne(int index, Workspace& workspace, Buffer& qkv, std::span<SegmentState> segments,
                      Buffer& attention) const;
  using KeptBuffer = std::unique_ptr<Buffer> SegmentState::LayerState::*;
  void keep(Workspace& workspace, const Buffer& qkv, std::initializer_list<std::pair<ColumnRange, KeptBuffer>> columns,
            int index, std::span<SegmentState> segments) const;
  std::span<const float> step(Workspace& workspace, SegmentState& segment, TokenId token, std::stop_token stop) const;
  void beginAlone(Workspace& workspace, const SegmentState& segment, std::span<const TokenId> tokens) const;
  int extendAlone(Workspace& workspace, SegmentState& segment, std::span<const TokenId> tokens,
                  std::stop_token stop) const;
  void extendTogether(Workspace& workspace, std::span<SegmentState> segments, std::span<const TokenId> tokens,
                      std::stop_token stop) const;
  void makeRoomTogether(Workspace& workspace, std::span<SegmentState> segments, int rows) const;
  void beginCopies(Workspace& workspace, std::span<const SegmentState> segments, std::span<const TokenId> tokens) const;
  void makeRoomForLogits(Workspace& workspace, int rows) const;
  std::span<const float> logitsOfLastRows(Workspace& workspace, int rows, std::size_t before = 0) const;
  void writeMemory(const Layer& layer, Workspace& workspace, const Buffer& keys, const Buffer& values,
                   std::span<const MemoryWriter> base, std::span<const MemoryWriter> added, Buffer& states) const;
  void writePass(int index, Workspace& workspace, const Buffer& keys, const Buffer& values,
                 std::span<const MemoryWriter> base, std::span<const MemoryWriter> added) const;
  void checkPlaces(std::span<const std::vector<TokenId>> segments, std::span<const PassPlace> places) const;
  void checkTokens(std::span<const TokenId> tokens) const;
  void checkMemory(const CompressiveMemory& memory) const;
  void checkRoom(int positions, int more) const;
  std::size_t largestLayer() const;  // floats of M and z
  void grow(Workspace& workspace, SegmentState& segment, int positions) const;
  void enlarge(Workspace& workspace, SegmentState& segment, int capacity) const;
  void move(Workspace& workspace, SegmentState& segment, SegmentState::Buffers to) const;

  ModelConfig config_;
  std::unique_ptr<Backend> backend_;
  std::optional<TokenId> bos_;
  WeightType weights_;
  MemoryUpdate rule_ = MemoryUpdate::Linear;
  float epsilon_ = 1e-6F;
  std::unique_ptr<Buffer> embedding_;        // [V x D]
  std::unique_ptr<Buffer> finalNorm_;        // [1 x D]
  std::unique_ptr<PackedWeight> head_;       // [V x D]
  std::unique_ptr<Buffer> cosines_, sines_;  // [positions x d / 2]
  std::vector<Layer> layers_;
  std::vector<CompressiveMemory::LayerShape> memoryShapes_;
  int firstMemoryLayer_ = 0;  // below it segments of the same tokens are the same; the number of layers = no memory
  int lastMemoryLayer_ = -1;  // reading ends here; -1 = no memory at all
  PassSize pass_;
};

}  // namespace palimpsest::engine
