#include "engine/generator.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "engine/answer_writer.h"
#include "engine/errors.h"
#include "engine/segment_cutter.h"
#include "engine/transformer.h"

namespace palimpsest::engine {

namespace {

constexpr std::string_view kWhiteSpace = " \t\r\n";

std::string trimmed(const std::string& text) {
  const auto begin = text.find_first_not_of(kWhiteSpace);
  if (begin == std::string::npos) return {};
  return text.substr(begin, text.find_last_not_of(kWhiteSpace) + 1 - begin);
}

int segmentLength(const ModelConfig& config) {
  return config.infiniAttention ? config.infiniAttention->segmentLength : config.maxPositionEmbeddings;
}

// Tokens of the context that are kept for the answer.
int answerRoom(const ModelConfig& config, const SamplingOptions& sampling) {
  return std::min(sampling.maxTokens, config.maxPositionEmbeddings / 4);
}

// The logits of an answer's first token, with unknown_bias taken from `lessLikely`.
std::vector<float> biased(const ModelConfig& config, std::span<const float> logits, std::optional<TokenId> lessLikely) {
  std::vector<float> first(logits.begin(), logits.end());
  if (lessLikely) first[static_cast<std::size_t>(*lessLikely)] -= config.infiniAttention->unknownBias;
  return first;
}

double logProbability(std::span<const float> logits, TokenId token) {
  const double most = *std::ranges::max_element(logits);
  double sum = 0;
  for (const float logit : logits) sum += std::exp(logit - most);
  return logits[static_cast<std::size_t>(token)] - most - std::log(sum);
}

}  // namespace

struct Generator::Workspace {
  Workspace(const Model& model, int threads)
      : transformer(model.transformer().makeWorkspace(threads)),
        cutter(model.tokenizer(), segmentLength(model.config()),
               model.config().infiniAttention ? model.config().infiniAttention->segmentCutter : 1) {}

  Transformer::WorkspacePointer transformer;
  SegmentCutter cutter;
};

Generator::Generator(std::shared_ptr<const Model> model, int threads)
    : model_(std::move(model)),
      threads_(threads > 0 ? threads : model_->threads()),
      workspace_(std::make_unique<Workspace>(*model_, threads_)) {}
Generator::~Generator() = default;

const Model& Generator::model() const { return *model_; }

ReadingPosition Generator::read(CompressiveMemory& memory, std::string_view text, ReadingPosition reading,
                                std::stop_token stop) {
  if (!model_->hasMemory()) {
    throw ModelError("The model '" + model_->name() +
                     "' has no memory heads, so it cannot read a book into memory; it can answer from passages.");
  }
  if (reading.position < 0 || reading.position > static_cast<std::int64_t>(text.size())) {
    throw ModelError("Reading stopped at byte " + std::to_string(reading.position) + " of a text that now has only " +
                     std::to_string(text.size()) + ". Read the book again.");
  }
  if (stop.stop_requested()) throw Stopped();
  std::vector<std::vector<TokenId>> segments;
  const auto most = static_cast<std::size_t>(model_->transformer().passSegments());
  bool ended = false;
  while (segments.size() < most) {
    std::optional<Segment> next = workspace_->cutter.next(text, reading.position);
    ended = !next;
    if (ended) break;
    reading.position = next->end;
    reading.tokens += static_cast<std::int64_t>(next->tokens.size());
    reading.segments += 1;
    segments.push_back(std::move(next->tokens));
  }
  if (!segments.empty()) model_->transformer().read(*workspace_->transformer, segments, memory, stop);
  reading.complete = ended || text.find_first_not_of(kWhiteSpace, static_cast<std::size_t>(reading.position)) ==
                                  std::string_view::npos;
  if (reading.complete) reading.position = static_cast<std::int64_t>(text.size());
  return reading;
}

Prompt Generator::promptOf(const Question& question) const {
  const ModelConfig& config = model_->config();
  return questionPrompt(config, model_->tokenizer(), {question.text, question.earlierTurns, question.passages},
                        config.maxPositionEmbeddings - answerRoom(config, question.sampling));
}

Generation Generator::answer(const CompressiveMemory* memory, const Question& question, const TextCallback& onText,
                             std::stop_token stop) {
  const ModelConfig& config = model_->config();
  const Prompt prompt = promptOf(question);
  Generation generation =
      generate(memory, prompt.tokens, question.sampling, onText, stop, biasedToken(config, model_->tokenizer()));
  generation.passagesUsed = prompt.passagesUsed;
  generation.unknown = isUnknownAnswer(config, generation.text);
  return generation;
}

AnswerScore Generator::score(const CompressiveMemory* memory, const Question& question, std::string_view answer,
                             std::stop_token stop) {
  const ModelConfig& config = model_->config();
  const Transformer& transformer = model_->transformer();
  const Prompt prompt = promptOf(question);
  std::vector<TokenId> tokens = answerTokens(config, model_->tokenizer(), answer);
  if (tokens.empty()) throw ModelError("There is no answer to be scored.");
  const int room = config.maxPositionEmbeddings - static_cast<int>(prompt.tokens.size());
  const std::span<const TokenId> scored =
      std::span(tokens).first(std::min(tokens.size(), static_cast<std::size_t>(std::max(room, 1))));
  SegmentState segment = transformer.beginSegment(*workspace_->transformer, memory);
  const std::span<const float> afterPrompt = transformer.extend(*workspace_->transformer, segment, prompt.tokens, stop);
  double sum = logProbability(biased(config, afterPrompt, biasedToken(config, model_->tokenizer())), scored[0]);
  // The rest in passes: row i of the logits [rows x V] tells of the token after the i-th put in.
  const auto V = static_cast<std::size_t>(config.vocabSize);
  const auto most = static_cast<std::size_t>(transformer.passRows());
  for (std::size_t done = 0; done + 1 < scored.size();) {
    const std::size_t rows = std::min(most, scored.size() - 1 - done);
    const std::span<const float> logits =
        transformer.extend(*workspace_->transformer, segment, scored.subspan(done, rows), stop, static_cast<int>(rows));
    for (std::size_t i = 0; i < rows; ++i) sum += logProbability(logits.subspan(i * V, V), scored[done + i + 1]);
    done += rows;
  }
  return {sum / static_cast<double>(scored.size()), static_cast<int>(scored.size())};
}

Generation Generator::summarize(const CompressiveMemory& memory, const SamplingOptions& sampling,
                                const TextCallback& onText, std::stop_token stop) {
  return generate(&memory, summaryPrompt(model_->config(), model_->tokenizer()), sampling, onText, stop);
}

Generation Generator::generate(const CompressiveMemory* memory, std::span<const TokenId> prompt,
                               const SamplingOptions& sampling, const TextCallback& onText, std::stop_token stop,
                               std::optional<TokenId> lessLikely) {
  const std::vector<TokenId> ends = stopTokens(model_->config(), model_->tokenizer());
  Generation generation;
  generation.promptTokens = static_cast<int>(prompt.size());
  Sampler sampler(sampling);
  StreamDecoder decoder(model_->tokenizer());
  const auto emit = [&](std::string piece) {
    if (generation.text.empty())
      piece.erase(0, std::min(piece.find_first_not_of(kWhiteSpace), piece.size()));  // answers open with a space
    generation.text += piece;
    if (onText && !piece.empty()) onText(piece);
  };
  try {
    AnswerWriter writer(*model_, *workspace_->transformer, memory);
    const std::vector<float> first = biased(model_->config(), writer.put(prompt, stop), lessLikely);
    std::span<const float> logits = first;
    generation.end = Generation::End::MaxTokens;
    while (generation.generatedTokens < sampling.maxTokens) {
      const TokenId token = sampler.next(logits);
      if (std::find(ends.begin(), ends.end(), token) != ends.end()) {
        generation.end = Generation::End::EndOfText;
        break;
      }
      generation.generatedTokens += 1;
      emit(decoder.push(token));
      if (generation.generatedTokens < sampling.maxTokens) logits = writer.put(std::span(&token, 1), stop);
    }
  } catch (const Stopped&) {
    generation.end = Generation::End::Stopped;
  }
  emit(decoder.finish());
  generation.text = trimmed(generation.text);
  return generation;
}

}  // namespace palimpsest::engine
