// The part of Generator that sums up.
#include <algorithm>
#include <optional>
#include <utility>

#include "engine/book_card.h"
#include "engine/errors.h"
#include "engine/generator_parts.h"

namespace palimpsest::engine {

namespace {

constexpr std::size_t kCardsTogether = 16;  // on a CPU: each takes some ten megabytes of keys and values

}  // namespace

Generation Generator::summarize(const CompressiveMemory& memory, const SamplingOptions& sampling,
                                const TextCallback& onText, std::stop_token stop) {
  const std::vector<TokenId> prompt = summaryPrompt(model_->config(), model_->tokenizer());
  Generation generation;
  generation.promptTokens = static_cast<int>(prompt.size());
  generate([&] { return begin(&memory, prompt, stop); }, sampling, onText, stop, generation);
  return generation;
}

Generation Generator::summarize(const BookMemory& book, const SamplingOptions& sampling, const TextCallback& onText,
                                std::stop_token stop, const CardIndex& index) {
  const auto& infini = model_->config().infiniAttention;
  if (!infini || infini->sections == 1) return summarize(book.whole(), sampling, onText, std::move(stop));
  const auto sections = book.fewerSections(cardsFor(book.whole().tokens()));  // of a short text one: no item twice
  Generation together;
  std::vector<std::string> cards;
  const auto add = [&](const Generation& one) {
    together.promptTokens += one.promptTokens;
    together.generatedTokens += one.generatedTokens;
    if (together.end != Generation::End::Stopped) together.end = one.end;
    if (one.end != Generation::End::Stopped) cards.push_back(one.text);
  };
  const std::size_t many = model_->transformer().backend().recordsOperations() ? 1 : kCardsTogether;
  for (auto left = std::span(sections); !left.empty() && together.end != Generation::End::Stopped;) {
    const auto some = left.first(std::min(many, left.size()));
    left = left.subspan(some.size());
    if (some.size() == 1) {
      add(summarize(some.front(), sampling, {}, stop));
    } else {
      std::ranges::for_each(summarizeTogether(some, sampling, stop), add);
    }
  }
  const std::optional<std::string> merged = mergeCards(cards, index);
  if (!merged && together.end != Generation::End::Stopped)
    return summarize(book.whole(), sampling, onText, std::move(stop));
  together.text = merged.value_or("");
  if (onText && !together.text.empty()) onText(together.text);
  return together;
}

std::vector<Generation> Generator::summarizeTogether(std::span<const CompressiveMemory> memories,
                                                     const SamplingOptions& sampling, const std::stop_token& stop) {
  const Transformer& transformer = model_->transformer();
  const std::vector<TokenId> prompt = summaryPrompt(model_->config(), model_->tokenizer());
  const std::vector<TokenId> ends = stopTokens(model_->config(), model_->tokenizer());
  const auto V = static_cast<std::size_t>(model_->config().vocabSize);
  struct Writing {
    Generation* generation;
    Sampler sampler;
    std::vector<TokenId> tokens;
  };
  std::vector<Generation> generations(memories.size());
  std::vector<Writing> writing;  // those that have not ended, beside their segments
  std::vector<SegmentState> segments;
  for (std::size_t i = 0; i < memories.size(); ++i) {
    generations[i].promptTokens = static_cast<int>(prompt.size());
    writing.push_back({&generations[i], Sampler(sampling), {}});
    segments.push_back(transformer.beginCandidate(memories[i]));
  }
  const auto finish = [&](Writing& one, Generation::End end) {
    one.generation->end = end;
    one.generation->generatedTokens = static_cast<int>(one.tokens.size());
    StreamDecoder decoder(model_->tokenizer());
    std::string text;
    for (const TokenId token : one.tokens) text += decoder.push(token);
    one.generation->text = trimmed(text);
  };
  try {
    std::span<const float> logits = transformer.extendAll(*workspace_->transformer, segments, prompt, stop);
    std::vector<TokenId> next;
    for (int made = 0; made < sampling.maxTokens && !writing.empty(); ++made) {
      if (made > 0) logits = transformer.stepAll(*workspace_->transformer, segments, next, stop);
      next.clear();
      std::size_t kept = 0;
      for (std::size_t i = 0; i < writing.size(); ++i) {
        const TokenId token = writing[i].sampler.next(logits.subspan(i * V, V));
        if (std::ranges::find(ends, token) != ends.end()) {
          finish(writing[i], Generation::End::EndOfText);
          continue;
        }
        writing[i].tokens.push_back(token);
        next.push_back(token);
        if (kept != i) {
          writing[kept] = std::move(writing[i]);
          segments[kept] = std::move(segments[i]);
        }
        ++kept;
      }
      writing.erase(writing.begin() + static_cast<std::ptrdiff_t>(kept), writing.end());
      segments.erase(segments.begin() + static_cast<std::ptrdiff_t>(kept), segments.end());
    }
    for (Writing& one : writing) finish(one, Generation::End::MaxTokens);
  } catch (const Stopped&) {
    for (Writing& one : writing) finish(one, Generation::End::Stopped);
  }
  return generations;
}

}  // namespace palimpsest::engine
