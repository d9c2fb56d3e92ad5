#include "engine/answer_writer.h"

#include <algorithm>
#include <utility>

namespace palimpsest::engine {

AnswerWriter::AnswerWriter(const Model& model, Transformer::Workspace& workspace, const CompressiveMemory* memory)
    : model_(model),
      workspace_(workspace),
      begun_(memory),
      segment_(model.transformer().beginSegment(workspace_, memory)) {}

AnswerWriter::AnswerWriter(const Model& model, Transformer::Workspace& workspace, const CompressiveMemory& memory,
                           SegmentState segment, std::vector<TokenId> written)
    : model_(model),
      workspace_(workspace),
      begun_(&memory),
      segment_(std::move(segment)),
      written_(std::move(written)) {}

std::span<const float> AnswerWriter::put(std::span<const TokenId> tokens, std::stop_token stop) {
  const auto context = static_cast<std::size_t>(model_.config().maxPositionEmbeddings);
  written_.insert(written_.end(), tokens.begin(), tokens.end());
  if (written_.size() <= context) return model_.transformer().extend(workspace_, segment_, tokens, stop);

  const std::size_t half = std::max<std::size_t>(context / 2, 2);
  if (!memory_) memory_ = begun_ ? begun_->clone() : model_.emptyMemory();
  model_.transformer().write(workspace_, segment_, static_cast<int>(half), *memory_);
  std::vector<TokenId> rest;
  if (const auto bos = model_.tokenizer().bosToken()) rest.push_back(*bos);
  rest.insert(rest.end(), written_.begin() + static_cast<std::ptrdiff_t>(half), written_.end());
  segment_ = model_.transformer().beginSegment(workspace_, &*memory_);
  written_ = std::move(rest);
  return model_.transformer().extend(workspace_, segment_, written_, stop);
}

}  // namespace palimpsest::engine
