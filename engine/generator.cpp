#include "engine/generator.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <optional>
#include <utility>

#include "engine/answer_steps.h"
#include "engine/errors.h"
#include "engine/generator_parts.h"
#include "engine/section_choice.h"

namespace palimpsest::engine {

namespace {

constexpr int kRecallTokens = 48;

// Tokens of the context that are kept for the answer.
int answerRoom(const ModelConfig& config, const SamplingOptions& sampling) {
  return std::min(sampling.maxTokens, config.maxPositionEmbeddings / 4);
}

// By how much the logit of `unknown` is larger than any other.
double leadOf(TokenId unknown, std::span<const float> logits) {
  const auto place = static_cast<std::size_t>(unknown);
  float other = -std::numeric_limits<float>::infinity();
  for (const auto part : {logits.first(place), logits.subspan(place + 1)})
    if (!part.empty()) other = std::max(other, std::ranges::max(part));
  return static_cast<double>(logits[place]) - other;
}

// How many of a segment's tokens stand before byte `place` of the text: those that its beginning has by itself as well.
int tokensBefore(const Tokenizer& tokenizer, std::string_view text, std::int64_t begin, std::span<const TokenId> tokens,
                 std::int64_t place) {
  const auto length = static_cast<std::size_t>(place - begin);
  const std::vector<TokenId> alone = tokenizer.encode(text.substr(static_cast<std::size_t>(begin), length));
  const auto [same, end] = std::ranges::mismatch(tokens, alone);
  return static_cast<int>(same - tokens.begin());
}

Generation inOnePiece(Generation answer, const TextCallback& onText) {
  if (onText && !answer.text.empty()) onText(answer.text);
  return answer;
}

Question withoutPassages(Question question) {
  question.passages.clear();
  return question;
}

}  // namespace

double Generation::largestDoubt() const {
  double largest = doubt();
  for (const AnswerStep& step : steps) largest = std::max(largest, step.doubt);
  return largest;
}

// Which section answers, and the sentences that sections have recalled for the choice, by their places.
struct Generator::Chosen {
  SectionChoice choice;
  std::optional<std::map<std::size_t, Recall>> recalls;
};

Generator::Generator(std::shared_ptr<const Model> model, int threads)
    : model_(std::move(model)),
      threads_(threads > 0 ? threads : model_->threads()),
      workspace_(std::make_unique<Workspace>(*model_, threads_)) {}
Generator::~Generator() = default;

const Model& Generator::model() const { return *model_; }

ReadingPosition Generator::read(CompressiveMemory& memory, std::string_view text, ReadingPosition reading,
                                std::stop_token stop) {
  std::vector<PlaceMemory> none;
  return read(memory, text, reading, {}, none, std::move(stop));
}

ReadingPosition Generator::read(CompressiveMemory& memory, std::string_view text, ReadingPosition reading,
                                std::span<const std::int64_t> places, std::vector<PlaceMemory>& noted,
                                std::stop_token stop) {
  checkReading(text, reading, stop);
  const auto most = static_cast<std::size_t>(model_->transformer().passSize().segments);
  const TextPass pass = cutPass(workspace_->cutter, text, reading.position, most);
  return readPass(memory, text, pass, reading, places, noted, std::move(stop));
}

ReadingPosition Generator::read(CompressiveMemory& memory, TextPasses& passes, ReadingPosition reading,
                                std::span<const std::int64_t> places, std::vector<PlaceMemory>& noted,
                                std::stop_token stop, const std::function<void()>& meanwhile, PassPortions* portions) {
  checkReading(passes.text(), reading, stop);
  return readPass(memory, passes.text(), passes.take(reading.position), reading, places, noted, std::move(stop),
                  meanwhile, portions);
}

void Generator::checkReading(std::string_view text, const ReadingPosition& reading, const std::stop_token& stop) const {
  if (!model_->hasMemory()) {
    throw ModelError("The model '" + model_->name() +
                     "' has no memory heads, so it cannot read a book into memory; it can answer from passages.");
  }
  if (reading.position < 0 || reading.position > static_cast<std::int64_t>(text.size())) {
    throw ModelError("Reading stopped at byte " + std::to_string(reading.position) + " of a text that now has only " +
                     std::to_string(text.size()) + ". Read the book again.");
  }
  if (stop.stop_requested()) throw Stopped();
}

ReadingPosition Generator::readPass(CompressiveMemory& memory, std::string_view text, const TextPass& pass,
                                    ReadingPosition reading, std::span<const std::int64_t> places,
                                    std::vector<PlaceMemory>& noted, std::stop_token stop,
                                    const std::function<void()>& meanwhile, PassPortions* portions) {
  const Transformer& transformer = model_->transformer();
  const PassSize& size = transformer.passSize();
  if (portions) {
    portions->ends.clear();
    portions->memories.reserve(static_cast<std::size_t>(size.portions()));
    while (std::ssize(portions->memories) < size.portions())
      portions->memories.push_back(transformer.memoryForDevice());
  }
  std::vector<PassPlace> inPass;
  std::vector<ReadingPosition> placesReached;
  auto place = std::ranges::upper_bound(places, reading.position);
  for (std::size_t i = 0; i < pass.segments.size(); ++i) {
    const std::vector<TokenId>& tokens = pass.segments[i];
    for (; place != places.end() && *place <= pass.ends[i]; ++place) {
      const int before = *place == pass.ends[i]
                             ? static_cast<int>(tokens.size())
                             : tokensBefore(model_->tokenizer(), text, pass.begins[i], tokens, *place);
      if (before == 0) continue;
      inPass.push_back({static_cast<int>(i), before});
      placesReached.push_back({*place, reading.tokens + before, reading.segments + 1, false});
    }
    reading.position = pass.ends[i];
    reading.tokens += static_cast<std::int64_t>(tokens.size());
    reading.segments += 1;
    if (portions && i + 1 < pass.segments.size() && (i + 1) % static_cast<std::size_t>(size.sectionSegments) == 0)
      portions->ends.push_back(reading);
  }
  if (!pass.segments.empty()) {
    transformer.read(*workspace_->transformer, pass.segments, memory, stop, inPass, meanwhile,
                     portions ? std::span(portions->memories) : std::span<CompressiveMemory>());
  }
  for (std::size_t i = 0; i < inPass.size(); ++i) noted.push_back({placesReached[i], std::move(inPass[i].memory)});
  reading.complete = pass.ended || text.find_first_not_of(kWhiteSpace, static_cast<std::size_t>(reading.position)) ==
                                       std::string_view::npos;
  if (reading.complete) reading.position = static_cast<std::int64_t>(text.size());
  return reading;
}

Prompt Generator::promptOf(const Question& question) const {
  const ModelConfig& config = model_->config();
  return questionPrompt(config, model_->tokenizer(), {question.text, question.earlierTurns, question.passages},
                        config.maxPositionEmbeddings - answerRoom(config, question.sampling));
}

Generator::Begun Generator::begin(const CompressiveMemory* memory, std::span<const TokenId> prompt,
                                  std::stop_token stop) {
  Begun begun{AnswerWriter(*model_, *workspace_->transformer, memory), {}};
  const std::span<const float> logits = begun.writer.put(prompt, std::move(stop));
  begun.logits.assign(logits.begin(), logits.end());
  return begun;
}

bool Generator::answersInSteps() const {
  const auto& infini = model_->config().infiniAttention;
  return infini && infini->answersInSteps;
}

Generation Generator::answer(const CompressiveMemory* memory, const Question& question, const TextCallback& onText,
                             std::stop_token stop) {
  if (!answersInSteps()) return answerOnce(memory, question, onText, std::move(stop));
  return inOnePiece(
      answerInSteps(1, question, promptText(model_->config(), "unknown"),
                    [&](std::size_t, const Question& asked) { return answerOnce(memory, asked, {}, stop); }),
      onText);
}

Generation Generator::answerOnce(const CompressiveMemory* memory, const Question& question, const TextCallback& onText,
                                 std::stop_token stop) {
  return answerWith([&](const Prompt& prompt, Generation&) { return begin(memory, prompt.tokens, stop); }, question,
                    onText, stop);
}

Generation Generator::answer(std::span<const CompressiveMemory* const> sections, const Question& question,
                             const TextCallback& onText, std::stop_token stop) {
  checkSections(sections);
  if (!answersInSteps()) return answerOnce(sections, question, onText, std::move(stop));
  return inOnePiece(answerInSteps(sections.size(), question, promptText(model_->config(), "unknown"),
                                  [&](std::size_t count, const Question& asked) {
                                    return answerOnce(sections.first(count), asked, {}, stop);
                                  }),
                    onText);
}

Generation Generator::answerBy(std::span<const CompressiveMemory* const> sections, std::size_t place,
                               const Question& question, std::stop_token stop) {
  checkSections(sections);
  if (!answersInSteps()) return answerOnce(sections[place], question, {}, std::move(stop));
  bool first = true;
  Generation answer = answerInSteps(sections.size(), question, promptText(model_->config(), "unknown"),
                                    [&](std::size_t count, const Question& asked) {
                                      if (!std::exchange(first, false))
                                        return answerOnce(sections.first(count), asked, {}, stop);
                                      Generation said = answerOnce(sections[place], asked, {}, stop);
                                      said.section = place;
                                      said.doubts.assign(sections.size(), 0);
                                      return said;
                                    });
  answer.section.reset();
  answer.doubts.clear();
  return answer;
}

Generation Generator::answerOnce(std::span<const CompressiveMemory* const> sections, const Question& question,
                                 const TextCallback& onText, std::stop_token stop) {
  return answerWith(
      [&](const Prompt& prompt, Generation& generation) {
        return beginFromSections(sections, question, prompt, generation, stop);
      },
      question, onText, stop);
}

Generation Generator::answer(const BookMemory& book, const Question& question, const TextCallback& onText,
                             std::stop_token stop) {
  const auto sections = book.sections();
  if (sections.size() == 1 || !choosesSections()) return answer(&book.whole(), question, onText, std::move(stop));
  return answer(sections, question, onText, std::move(stop));
}

ChosenSection Generator::choose(std::span<const CompressiveMemory* const> sections, const Question& question,
                                std::stop_token stop) {
  checkSections(sections);
  SectionChoice choice = chooseBy(promptOf(withoutPassages(question)), sections, std::move(stop)).choice;
  return {choice.chosen, std::move(choice.doubts)};
}

void Generator::checkSections(std::span<const CompressiveMemory* const> sections) const {
  if (sections.empty()) throw ModelError("There is no memory to ask. Choose a book that has been read.");
  if (!choosesSections()) {
    throw ModelError("The model '" + model_->name() +
                     "' has no answer for what a book does not say, so it cannot choose between sections. Ask the "
                     "whole memory.");
  }
}

bool Generator::choosesSections() const {
  return model_->hasMemory() && unknownToken(model_->config(), model_->tokenizer()).has_value();
}

Generator::Chosen Generator::chooseBy(const Prompt& asked, std::span<const CompressiveMemory* const> sections,
                                      std::stop_token stop) {
  Chosen chosen;
  chosen.choice = chooseSection(model_->transformer(), *workspace_->transformer, sections, asked.tokens,
                                *unknownToken(model_->config(), model_->tokenizer()), stop);
  if (const auto mark = recallMark()) {
    chosen.recalls = chooseByRecall(chosen.choice, *mark, model_->config().infiniAttention->sureDoubt,
                                    [&](std::size_t place) { return recall(sections[place], asked.tokens, stop); });
  }
  return chosen;
}

// None: the model does not answer in steps, or its tokenizer has no token of its own for the mark.
std::optional<TokenId> Generator::recallMark() const {
  if (!answersInSteps()) return std::nullopt;
  const std::vector<TokenId> mark =
      answerTokens(model_->config(), model_->tokenizer(), std::string_view(&kRecallMark, 1));
  return mark.size() == 1 ? std::optional(mark.front()) : std::nullopt;
}

std::optional<Recall> Generator::recall(const CompressiveMemory* memory, std::span<const TokenId> prompt,
                                        std::stop_token stop) {
  const std::vector<TokenId> ends = stopTokens(model_->config(), model_->tokenizer());
  const auto unknown = unknownToken(model_->config(), model_->tokenizer());
  Begun begun = begin(memory, prompt, stop);
  StreamDecoder decoder(model_->tokenizer());
  Recall recall;
  std::string text;
  while (std::ssize(recall.tokens) < kRecallTokens) {
    const TokenId token = likeliest(begun.logits);
    if (std::ranges::find(ends, token) != ends.end()) break;
    recall.tokens.push_back(token);
    text += decoder.push(token);
    const std::span<const float> logits = begun.writer.put(std::span(&token, 1), stop);
    begun.logits.assign(logits.begin(), logits.end());
    const auto open = text.find(kRecallMark);
    const auto close = open == text.npos ? open : text.find(kRecallMark, open + 1);
    if (close == text.npos) continue;
    recall.sentence = text.substr(open + 1, close - open - 1);
    if (unknown) recall.doubt = std::exp(logProbability(begun.logits, *unknown));
    return recall;
  }
  return std::nullopt;
}

Generator::Begun Generator::beginFromSections(std::span<const CompressiveMemory* const> sections,
                                              const Question& question, const Prompt& prompt, Generation& generation,
                                              std::stop_token stop) {
  Prompt asked = question.passages.empty() ? prompt : promptOf(withoutPassages(question));
  auto [choice, recalls] = chooseBy(asked, sections, stop);
  generation.section = choice.chosen;
  generation.doubts = std::move(choice.doubts);
  const CompressiveMemory& chosen = *sections[choice.chosen];
  if (asked.tokens != prompt.tokens) return begin(&chosen, prompt.tokens, std::move(stop));
  if (recalls) {  // by which another section may have been chosen than the one whose segment is there
    Begun begun = begin(&chosen, asked.tokens, stop);
    if (const auto recalled = recalls->find(choice.chosen); recalled != recalls->end())
      goOnBehind(begun, recalled->second, generation, std::move(stop));
    return begun;
  }
  return {AnswerWriter(*model_, *workspace_->transformer, chosen, std::move(choice.segment), std::move(asked.tokens)),
          std::move(choice.logits)};
}

void Generator::goOnBehind(Begun& begun, const Recall& recalled, Generation& generation, std::stop_token stop) {
  const std::span<const float> logits = begun.writer.put(recalled.tokens, std::move(stop));
  begun.logits.assign(logits.begin(), logits.end());
  generation.recalled = recalled.sentence;
}

Generation Generator::answerWith(const std::function<Begun(const Prompt&, Generation&)>& begun,
                                 const Question& question, const TextCallback& onText, std::stop_token stop) {
  const ModelConfig& config = model_->config();
  const Prompt prompt = promptOf(question);
  Generation generation;
  generation.promptTokens = static_cast<int>(prompt.tokens.size());
  generation.passagesUsed = prompt.passagesUsed;
  const auto first = [&] {
    Begun answer = begun(prompt, generation);
    if (generation.recalled.empty() && likeliest(answer.logits) == recallMark()) {
      const auto recalled = recall(answer.writer.memory(), prompt.tokens, stop);
      if (recalled) goOnBehind(answer, *recalled, generation, stop);
    }
    if (const auto unknown = unknownToken(config, model_->tokenizer())) {
      generation.unknownLead = leadOf(*unknown, answer.logits);
      answer.logits[static_cast<std::size_t>(*unknown)] -=
          question.mustAnswer ? std::numeric_limits<float>::infinity() : config.infiniAttention->unknownBias;
    }
    return answer;
  };
  generate(first, question.sampling, onText, stop, generation);
  if (answersInSteps() && generation.recalled.empty() && generation.end != Generation::End::Stopped) {
    const AnswerParts parts = partsOf(generation.text);  // where the mark was not the likeliest token, or is no token
    generation.recalled = parts.recalled;
    generation.text = std::string(parts.said);
  }
  if (!generation.recalled.empty() && generation.text.empty() && generation.end == Generation::End::EndOfText)
    generation.text =
        kRecallMark + std::exchange(generation.recalled, {}) + kRecallMark;  // the quotation is the answer
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
  std::vector<float> first(afterPrompt.begin(), afterPrompt.end());
  if (const auto unknown = unknownToken(config, model_->tokenizer()))
    first[static_cast<std::size_t>(*unknown)] -= config.infiniAttention->unknownBias;
  double sum = logProbability(first, scored[0]);
  // The rest in passes: row i of the logits [rows x V] tells of the token after the i-th put in.
  const auto V = static_cast<std::size_t>(config.vocabSize);
  const auto most = static_cast<std::size_t>(transformer.passSize().rows);
  for (std::size_t done = 0; done + 1 < scored.size();) {
    const std::size_t rows = std::min(most, scored.size() - 1 - done);
    const std::span<const float> logits =
        transformer.extend(*workspace_->transformer, segment, scored.subspan(done, rows), stop, static_cast<int>(rows));
    for (std::size_t i = 0; i < rows; ++i) sum += logProbability(logits.subspan(i * V, V), scored[done + i + 1]);
    done += rows;
  }
  return {sum / static_cast<double>(scored.size()), static_cast<int>(scored.size())};
}

void Generator::generate(const std::function<Begun()>& begun, const SamplingOptions& sampling,
                         const TextCallback& onText, std::stop_token stop, Generation& generation) {
  const std::vector<TokenId> ends = stopTokens(model_->config(), model_->tokenizer());
  Sampler sampler(sampling);
  StreamDecoder decoder(model_->tokenizer());
  const auto emit = [&](std::string piece) {
    if (generation.text.empty())
      piece.erase(0, std::min(piece.find_first_not_of(kWhiteSpace), piece.size()));  // answers open with a space
    generation.text += piece;
    if (onText && !piece.empty()) onText(piece);
  };
  try {
    Begun answer = begun();
    std::span<const float> logits = answer.logits;
    generation.end = Generation::End::MaxTokens;
    while (generation.generatedTokens < sampling.maxTokens) {
      const TokenId token = sampler.next(logits);
      if (std::find(ends.begin(), ends.end(), token) != ends.end()) {
        generation.end = Generation::End::EndOfText;
        break;
      }
      generation.generatedTokens += 1;
      emit(decoder.push(token));
      if (generation.generatedTokens < sampling.maxTokens) logits = answer.writer.put(std::span(&token, 1), stop);
    }
  } catch (const Stopped&) {
    generation.end = Generation::End::Stopped;
  }
  generation.text = trimmed(generation.text);  // without a character that was not written to its end
}

}  // namespace palimpsest::engine
