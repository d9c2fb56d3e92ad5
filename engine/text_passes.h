// A text as the passes that a Generator reads, each cut and tokenised while the one before it is computed.
#pragma once

#include <cstdint>
#include <future>
#include <memory>
#include <string_view>
#include <vector>

#include "engine/model.h"
#include "engine/segment_cutter.h"

namespace palimpsest::engine {

// The segments of one pass: as many as a pass takes; fewer, or none, where the text ends.
struct TextPass {
  std::vector<std::vector<TokenId>> segments;  // 1..S tokens each, BOS not among them
  std::vector<std::int64_t> begins, ends;      // of each, as Segment has them
  bool ended = false;                          // nothing that has tokens follows them
};

// From byte `position` of `text` on, `most` segments at most. Throws ModelError like SegmentCutter::next.
TextPass cutPass(SegmentCutter& cutter, std::string_view text, std::int64_t position, std::size_t most);

// Cuts the next pass on a thread of its own, so that a graphics card need not wait for the tokenizer. One thread at a
// time may call it.
class TextPasses {
 public:
  enum class Ahead { WhereACardComputes, Always };  // on the CPU the threads that compute would wait for that one
  // `text` is the whole stored text; it must stay where it is, and as it is, for as long as this object.
  TextPasses(std::shared_ptr<const Model> model, std::string_view text, Ahead ahead = Ahead::WhereACardComputes);
  ~TextPasses();  // waits for the pass that is being cut

  std::string_view text() const { return text_; }
  // The pass that begins at byte `position`: what was cut ahead where the last one ended there, else cut now. Throws
  // ModelError like SegmentCutter::next.
  TextPass take(std::int64_t position);

 private:
  std::shared_ptr<const Model> model_;
  std::string_view text_;
  SegmentCutter cutter_;  // of one thread: the caller's while ahead_ holds nothing, else that of ahead_
  bool cutsAhead_;
  std::int64_t aheadPosition_ = 0;
  std::future<TextPass> ahead_;
};

SegmentCutter cutterOf(const Model& model);

}  // namespace palimpsest::engine
