#include "engine/text_passes.h"

#include <optional>
#include <utility>

#include "engine/transformer.h"

namespace palimpsest::engine {

SegmentCutter cutterOf(const Model& model) {
  const ModelConfig& config = model.config();
  const auto& infini = config.infiniAttention;
  return {model.tokenizer(), infini ? infini->segmentLength : config.maxPositionEmbeddings,
          infini ? infini->segmentCutter : 1};
}

TextPass cutPass(SegmentCutter& cutter, std::string_view text, std::int64_t position, std::size_t most) {
  TextPass pass;
  while (!pass.ended && pass.segments.size() < most) {
    std::optional<Segment> next = cutter.next(text, position);
    pass.ended = !next;
    if (pass.ended) break;
    position = next->end;
    pass.begins.push_back(next->begin);
    pass.ends.push_back(next->end);
    pass.segments.push_back(std::move(next->tokens));
  }
  return pass;
}

TextPasses::TextPasses(std::shared_ptr<const Model> model, std::string_view text, Ahead ahead)
    : model_(std::move(model)),
      text_(text),
      cutter_(cutterOf(*model_)),
      cutsAhead_(ahead == Ahead::Always || !model_->card().empty()) {}

TextPasses::~TextPasses() = default;  // of a future of std::async: waits

TextPass TextPasses::take(std::int64_t position) {
  const auto most = static_cast<std::size_t>(model_->transformer().passSize().segments);
  TextPass pass;
  if (ahead_.valid() && aheadPosition_ == position) {
    pass = ahead_.get();
  } else {
    ahead_ = {};
    pass = cutPass(cutter_, text_, position, most);
  }
  if (cutsAhead_ && !pass.ended && !pass.segments.empty()) {
    aheadPosition_ = pass.ends.back();
    ahead_ = std::async(std::launch::async, [this, most] { return cutPass(cutter_, text_, aheadPosition_, most); });
  }
  return pass;
}

}  // namespace palimpsest::engine
