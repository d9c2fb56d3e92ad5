// The verbs: reading, answering and summarising, with the tiny model (random weights: what it says makes no sense).
#include "engine/generator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/answer_writer.h"
#include "engine/backend.h"
#include "engine/errors.h"
#include "engine/transformer.h"
#include "tests/engine/generator_fixture.h"
#include "tests/engine/sentence.h"

namespace palimpsest::engine {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

class ReadingTest : public testing::TestWithParam<Precision> {
 protected:
  void SetUp() override {
    if (GetParam() == Precision::BFloat16 && !cpuMultipliesBFloat16()) GTEST_SKIP() << "this CPU has no bf16";
  }
};

TEST_P(ReadingTest, InOneGoWithQuestionsBetweenAndFromSnapshotsGivesTheSameBits) {
  const std::string text = bookText(4000);
  const auto model = load(tinyFolder(), GetParam());
  CompressiveMemory once = model->emptyMemory();
  Generator reader(model);
  readAll(reader, once, text);
  EXPECT_GT(once.tokens(), 3 * 2048);

  CompressiveMemory disturbed = model->emptyMemory();
  Generator asker(model);
  ReadingPosition reading;
  while (!reading.complete) {
    reading = asker.read(disturbed, text, reading);
    asker.answer(&disturbed, {"Who is Weena?", {}, {}, {.maxTokens = 5}});
  }
  EXPECT_EQ(copyOf(disturbed.values()), copyOf(once.values()));

  std::vector<std::byte> saved = saveSnapshot(*model, model->emptyMemory(), {});
  int passes = 0;
  for (bool complete = false; !complete; ++passes) {  // each pass as if by a new process
    const auto again = load(tinyFolder(), GetParam());
    Generator generator(again);
    MemorySnapshot snapshot = loadSnapshot(*again, saved);
    const ReadingPosition after = generator.read(snapshot.memory, text, snapshot.reading);
    EXPECT_EQ(after.tokens, snapshot.memory.tokens());
    saved = saveSnapshot(*again, snapshot.memory, after);
    complete = after.complete;
  }
  EXPECT_GT(passes, 3);
  EXPECT_EQ(copyOf(loadSnapshot(*model, saved).memory.values()), copyOf(once.values()));
}

// On a CPU without AVX-512 the bits depend on the threads; ctest has this once more as such a CPU would do it.
TEST_P(ReadingTest, AGeneratorWithOtherThreadsReadsAsAModelLoadedForThem) {
  const std::string text = bookText(4000);
  for (const int threads : {1, 3}) {
    const auto loaded = Model::load(tinyFolder(), {.threads = threads, .precision = GetParam(), .progress = {}});
    Generator own(loaded);
    CompressiveMemory expected = loaded->emptyMemory();
    ReadingPosition end;
    while (!end.complete) end = own.read(expected, text, end);

    const auto model = load(tinyFolder(), GetParam());  // for two
    Generator other(model, threads);
    EXPECT_EQ(other.threads(), threads);
    CompressiveMemory memory = model->emptyMemory();
    readAll(other, memory, text);
    const SnapshotArithmetic by{model->precision(), threads, "", WeightType::Full};
    EXPECT_EQ(saveSnapshot(*model, memory, end, by), saveSnapshot(*loaded, expected, end));
    EXPECT_EQ(arithmeticOf(saveSnapshot(*model, memory, end, by)), arithmeticOf(*loaded));
  }
}

INSTANTIATE_TEST_SUITE_P(, ReadingTest, testing::Values(Precision::Float32, Precision::BFloat16),
                         [](const auto& tested) { return tested.param == Precision::BFloat16 ? "bf16" : "f32"; });

class GeneratorTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { model_ = load(tinyFolder()); }
  static void TearDownTestSuite() { model_.reset(); }
  GeneratorTest() : generator_(model_), memory_(model_->emptyMemory()) {}

  static inline std::shared_ptr<const Model> model_;
  Generator generator_;
  CompressiveMemory memory_;
};

TEST_F(GeneratorTest, ReadingTellsHowFarItCame) {
  const std::string text = bookText(3000) + " \n\n ";
  const ReadingPosition first = generator_.read(memory_, text, {});
  EXPECT_EQ(first.segments, model_->transformer().passSize().segments);
  EXPECT_GT(first.position, 0);
  EXPECT_FALSE(first.complete);
  EXPECT_EQ(first.tokens, memory_.tokens());
  ReadingPosition reading = first;
  while (!reading.complete) reading = generator_.read(memory_, text, reading);
  EXPECT_EQ(reading.tokens, memory_.tokens());
  EXPECT_GT(reading.segments, first.segments);
  EXPECT_EQ(reading.position, static_cast<std::int64_t>(text.size()));
}

TEST_F(GeneratorTest, ATextWithoutWordsIsReadAtOnce) {
  for (const char* text : {"", " \n\n\t "}) {
    const ReadingPosition reading = generator_.read(memory_, text, {});
    EXPECT_TRUE(reading.complete);
    EXPECT_EQ(reading.tokens, 0);
    EXPECT_TRUE(memory_.empty());
  }
}

TEST(GeneratorReading, EndsWhereTheTokenizerLeavesNothingOfTheRest) {
  const ChangedModel stars("tokenizer.json", [](Json& json) {
    json["normalizer"] = {{"type", "Replace"}, {"pattern", {{"String", "*"}}}, {"content", ""}};
  });
  const auto model = load(stars.path());
  Generator generator(model);
  std::string book = bookText(1500);
  book.pop_back();  // the space at its end would have a token before the stars
  for (const std::string& words : {std::string(), std::string("Weena was old."), book}) {
    CompressiveMemory memory = model->emptyMemory(), bare = model->emptyMemory();
    readAll(generator, bare, words);
    const std::string text = words + std::string(5000, '*');
    ReadingPosition reading;
    for (int passes = 0; !reading.complete && passes < 10; ++passes) reading = generator.read(memory, text, reading);
    EXPECT_TRUE(reading.complete) << "after " << words.size() << " bytes of words";
    EXPECT_EQ(reading.position, static_cast<std::int64_t>(text.size()));
    EXPECT_EQ(memory.tokens(), bare.tokens());
  }
}

TEST_F(GeneratorTest, AMemoryOfATenTimesLongerTextIsNoLarger) {
  const std::string text = bookText(1000);
  std::string tenTimes;
  for (int i = 0; i < 10; ++i) tenTimes += text;
  CompressiveMemory longMemory = model_->emptyMemory();
  ReadingPosition reading, longReading;
  while (!reading.complete) reading = generator_.read(memory_, text, reading);
  while (!longReading.complete) longReading = generator_.read(longMemory, tenTimes, longReading);
  EXPECT_GT(longMemory.tokens(), 9 * memory_.tokens());
  EXPECT_EQ(longMemory.bytes(), memory_.bytes());
  EXPECT_EQ(longMemory.bytes(), model_->emptyMemory().bytes());
  const std::size_t saved = saveSnapshot(*model_, memory_, reading).size();
  const std::size_t longSaved = saveSnapshot(*model_, longMemory, longReading).size();
  EXPECT_LE(longSaved - saved, 16U) << "only the counts in its header have more digits";
}

TEST_F(GeneratorTest, StoppedReadingChangesNothing) {
  const std::string text = bookText(3000);
  const ReadingPosition reading = generator_.read(memory_, text, {});
  const std::vector<float> before = copyOf(memory_.values());
  std::stop_source source;
  source.request_stop();
  EXPECT_THROW(generator_.read(memory_, text, reading, source.get_token()), Stopped);
  EXPECT_EQ(copyOf(memory_.values()), before);
  EXPECT_EQ(memory_.tokens(), reading.tokens);
}

TEST_F(GeneratorTest, APositionBehindTheTextIsAnError) {
  EXPECT_THAT(
      [&] { generator_.read(memory_, "short", {.position = 6, .tokens = 2, .segments = 1, .complete = false}); },
      ThrowsMessage<ModelError>(HasSubstr("byte 6 of a text that now has only 5")));
}

TEST_F(GeneratorTest, AnswersAreTheSameEachTimeAndLeaveTheMemoryUnchanged) {
  readAll(generator_, memory_, bookText(500));
  const std::vector<float> before = copyOf(memory_.values());
  const Question question{"Who is Weena?", {{"When?", "In 1895."}}, {"It was old."}, {.maxTokens = 20}};
  const Generation first = generator_.answer(&memory_, question);
  const Generation second = generator_.answer(&memory_, question);
  EXPECT_EQ(first.text, second.text);
  EXPECT_EQ(first.passagesUsed, 1);
  EXPECT_GT(first.promptTokens, 10);
  EXPECT_LE(first.generatedTokens, 20);
  EXPECT_EQ(copyOf(memory_.values()), before);
  EXPECT_EQ(
      memory_.tokens(),
      loadSnapshot(*model_, saveSnapshot(*model_, memory_,
                                         {.position = 0, .tokens = memory_.tokens(), .segments = 0, .complete = true}))
          .memory.tokens());
}

TEST_F(GeneratorTest, PiecesOfAnAnswerAreItsText) {
  readAll(generator_, memory_, bookText(500));
  std::string pieces;
  const Generation answer = generator_.answer(&memory_, {"Who?", {}, {}, {.maxTokens = 30}},
                                              [&](std::string_view piece) { pieces += piece; });
  EXPECT_FALSE(answer.text.empty());
  EXPECT_EQ(pieces.substr(0, answer.text.size()), answer.text);
  EXPECT_EQ(pieces.find_first_not_of(" \n\t\r", answer.text.size()), std::string::npos);
}

TEST_F(GeneratorTest, TheBiasMovesTheThresholdOfTheUnknownAnswerAlone) {
  const auto withBias = [](float bias) {
    const ChangedModel changed("config.json", [&](Json& config) { config["infini_attention"]["unknown_bias"] = bias; });
    return load(changed.path());
  };
  const auto first = [&](const std::shared_ptr<const Model>& model) {
    return Generator(model).answer(nullptr, {"Who?", {}, {}, {.maxTokens = 1}}).text;
  };
  const auto eager = withBias(-29);  // nats in favour of it: more than random weights can resist
  const auto unknown = unknownToken(eager->config(), eager->tokenizer());
  ASSERT_TRUE(unknown);
  StreamDecoder decoder(model_->tokenizer());
  std::string word = decoder.push(*unknown) + decoder.finish();
  word.erase(0, word.find_first_not_of(' '));
  EXPECT_EQ(first(eager), word);
  EXPECT_NE(first(model_), word);
  EXPECT_EQ(first(withBias(30)), first(model_)) << "what was not said is not said less";
  const SamplingOptions few{.maxTokens = 8};
  EXPECT_EQ(Generator(eager).summarize(memory_, few).text, generator_.summarize(memory_, few).text);
  EXPECT_EQ(eager->fingerprint(), model_->fingerprint()) << "memories that were read before stay good";
}

// From the least bias at which it answers on: where the lead is.
TEST_F(GeneratorTest, TheLeadIsTheBiasFromWhichOnItAnswers) {
  const auto firstWith = [&](double bias, bool mustAnswer = false) {
    const ChangedModel changed("config.json", [&](Json& config) { config["infini_attention"]["unknown_bias"] = bias; });
    Generator generator(load(changed.path()));
    return generator.answer(nullptr, {"Who?", {}, {}, {.maxTokens = 1}, mustAnswer});
  };
  const Generation plain = firstWith(0);
  ASSERT_TRUE(plain.unknownLead);
  const double lead = *plain.unknownLead;
  ASSERT_LT(lead, 0) << "random weights do not begin with it";
  EXPECT_EQ(firstWith(lead + 0.01).text, plain.text);
  const Generation refused = firstWith(lead - 0.01);
  EXPECT_NE(refused.text, plain.text);
  EXPECT_EQ(refused.unknownLead, lead) << "before the bias";
  EXPECT_EQ(firstWith(lead - 0.01, true).text, plain.text);
  EXPECT_EQ(firstWith(-29, true).text, plain.text);
}

// The score's own arithmetic: the probability of each token after those before it, one at a time.
double scoreByHand(const Model& model, const CompressiveMemory* memory, const Question& question,
                   std::span<const TokenId> answer) {
  const auto workspace = model.transformer().makeWorkspace();
  const Prompt prompt =
      questionPrompt(model.config(), model.tokenizer(), {question.text, question.earlierTurns, question.passages}, 400);
  AnswerWriter writer(model, *workspace, memory);
  std::span<const float> logits = writer.put(prompt.tokens, {});
  double product = 0;
  for (const TokenId token : answer) {
    double sum = 0;
    for (const float logit : logits) sum += std::exp(static_cast<double>(logit));
    product += std::log(std::exp(static_cast<double>(logits[static_cast<std::size_t>(token)])) / sum);
    logits = writer.put(std::span(&token, 1), {});
  }
  return product / static_cast<double>(answer.size());
}

TEST_F(GeneratorTest, TheScoreIsTheMeanLogProbabilityOfTheAnswersTokens) {
  readAll(generator_, memory_, bookText(500));
  const std::vector<float> before = copyOf(memory_.values());
  const Question question{"Who is Weena?", {{"When?", "In 1895."}}, {"It was old."}, {.maxTokens = 20}};
  const std::string answer = " nobody saw the old clock\n";
  const auto tokens = answerTokens(model_->config(), model_->tokenizer(), answer);
  ASSERT_GT(tokens.size(), 3U);
  for (const CompressiveMemory* memory :
       {static_cast<const CompressiveMemory*>(&memory_), (const CompressiveMemory*)nullptr}) {
    const AnswerScore score = generator_.score(memory, question, answer);
    EXPECT_EQ(score.tokens, static_cast<int>(tokens.size()));
    EXPECT_LT(score.logProbability, 0);
    EXPECT_NEAR(score.logProbability, scoreByHand(*model_, memory, question, tokens), 1e-5);
    EXPECT_EQ(generator_.score(memory, question, answer).logProbability, score.logProbability);
  }
  EXPECT_NE(generator_.score(&memory_, question, answer).logProbability,
            generator_.score(nullptr, question, answer).logProbability);
  EXPECT_EQ(copyOf(memory_.values()), before);
}

TEST_F(GeneratorTest, WhatTheModelSaysItselfScoresHigherThanAnythingElse) {
  readAll(generator_, memory_, bookText(500));
  const Question question{"Who?", {}, {}, {.maxTokens = 1}};
  const std::string said = generator_.answer(&memory_, question).text;
  ASSERT_FALSE(said.empty());
  const double own = generator_.score(&memory_, question, said).logProbability;
  for (const char* other : {"clock", "Weena", "1895", "behind"}) {
    if (answerTokens(model_->config(), model_->tokenizer(), other).size() != 1) continue;
    EXPECT_LE(generator_.score(&memory_, question, other).logProbability, own) << other;
  }
}

TEST_F(GeneratorTest, ALongAnswerIsScoredByItsBeginningAndAnEmptyOneIsRefused) {
  const std::string text = bookText(2000);
  const AnswerScore score = generator_.score(nullptr, {"Who?", {}, {}, {}}, text);
  EXPECT_GT(score.tokens, model_->config().maxPositionEmbeddings / 4);
  EXPECT_LE(score.tokens, model_->config().maxPositionEmbeddings);
  EXPECT_THAT(
      [&] {
        generator_.score(nullptr, {"Who?", {}, {}, {}}, " \n");
      },
      ThrowsMessage<ModelError>(HasSubstr("no answer to be scored")));
  std::stop_source source;
  source.request_stop();
  EXPECT_THROW(generator_.score(nullptr, {"Who?", {}, {}, {}}, "Weena", source.get_token()), Stopped);
}

TEST_F(GeneratorTest, TheScoreKnowsTheBiasOfTheUnknownAnswer) {
  const ChangedModel changed("config.json", [](Json& config) { config["infini_attention"]["unknown_bias"] = 5.0; });
  const auto wary = load(changed.path());
  Generator generator(wary);
  const Question question{"Who?", {}, {}, {}};
  const std::string unknown = promptText(model_->config(), "unknown");
  EXPECT_LT(generator.score(nullptr, question, unknown).logProbability,
            generator_.score(nullptr, question, unknown).logProbability);
}

TEST_F(GeneratorTest, MaxTokensEndsAnAnswer) {
  const Generation none = generator_.answer(nullptr, {"Who?", {}, {}, {.maxTokens = 0}});
  EXPECT_EQ(none.end, Generation::End::MaxTokens);
  EXPECT_EQ(none.generatedTokens, 0);
  EXPECT_EQ(none.text, "");
}

TEST_F(GeneratorTest, StoppingAnAnswerKeepsTheTextSoFar) {
  readAll(generator_, memory_, bookText(500));
  std::stop_source source;
  std::string pieces;
  const auto stopAfterSome = [&](std::string_view piece) {
    pieces += piece;
    if (pieces.size() > 8) source.request_stop();
  };
  const Generation answer =
      generator_.answer(&memory_, {"Who?", {}, {}, {.maxTokens = 200}}, stopAfterSome, source.get_token());
  EXPECT_EQ(answer.end, Generation::End::Stopped);
  EXPECT_FALSE(answer.text.empty());
  EXPECT_LT(answer.generatedTokens, 200);

  const Generation atOnce = generator_.summarize(memory_, {}, {}, source.get_token());
  EXPECT_EQ(atOnce.end, Generation::End::Stopped);
  EXPECT_EQ(atOnce.text, "");
}

TEST_F(GeneratorTest, AnAnswerMayOutgrowTheContext) {
  readAll(generator_, memory_, bookText(500));
  const std::vector<float> before = copyOf(memory_.values());
  const int more = 3 * model_->config().maxPositionEmbeddings;
  // With a high temperature the random model does not end its text soon; the seed is one of those where it goes on.
  Generation longest;
  for (std::uint64_t seed = 0; seed < 20 && longest.generatedTokens < more; ++seed) {
    longest = generator_.answer(&memory_,
                                {"Who?", {}, {}, {.temperature = 1.0F, .topP = 1.0F, .seed = seed, .maxTokens = more}});
  }
  EXPECT_EQ(longest.generatedTokens, more);
  EXPECT_EQ(longest.end, Generation::End::MaxTokens);
  EXPECT_EQ(copyOf(memory_.values()), before);
}

// What falls out of the context is in the clone, as if it had been read there; the book's memory knows nothing of it.
TEST_F(GeneratorTest, WhatOutgrowsTheContextIsWrittenToTheClone) {
  readAll(generator_, memory_, bookText(500));
  const std::vector<float> before = copyOf(memory_.values());
  const auto workspace = model_->transformer().makeWorkspace();
  const auto context = static_cast<std::size_t>(model_->config().maxPositionEmbeddings);
  std::vector<TokenId> tokens = {kTinyBos};
  for (const auto& segment : randomSegments(20, 32, model_->config().vocabSize, 6))
    tokens.insert(tokens.end(), segment.begin(), segment.end());

  AnswerWriter writer(*model_, *workspace, &memory_);
  writer.put(std::span(tokens).first(context - 2), {});
  for (std::size_t i = context - 2; i < context; ++i) writer.put(std::span(&tokens[i], 1), {});
  EXPECT_EQ(copyOf(writer.memory()->values()), before) << "all of it fits";
  const std::vector<float> logits = copyOf(writer.put(std::span(&tokens[context], 1), {}));

  CompressiveMemory expected = memory_.clone();
  const std::vector<TokenId> dropped(tokens.begin() + 1, tokens.begin() + static_cast<std::ptrdiff_t>(context / 2));
  model_->transformer().read(*workspace, std::span(&dropped, 1), expected, {});
  EXPECT_GT(relativeError(expected.values(), before), 1e-2);
  EXPECT_LT(relativeError(writer.memory()->values(), expected.values()), 2e-6);
  EXPECT_EQ(writer.memory()->tokens(), memory_.tokens() + static_cast<std::int64_t>(dropped.size()));

  // And what is left goes on from there.
  std::vector<TokenId> kept = {kTinyBos};
  kept.insert(kept.end(), tokens.begin() + static_cast<std::ptrdiff_t>(context / 2),
              tokens.begin() + static_cast<std::ptrdiff_t>(context) + 1);
  SegmentState segment = model_->transformer().beginSegment(*workspace, &expected);
  EXPECT_LT(relativeError(logits, model_->transformer().extend(*workspace, segment, kept, {})), 1e-5);
  EXPECT_EQ(copyOf(memory_.values()), before);
}

TEST_F(GeneratorTest, SummariesReadTheMemory) {
  const Generation empty = generator_.summarize(memory_, {.maxTokens = 12});
  readAll(generator_, memory_, bookText(500));
  const Generation full = generator_.summarize(memory_, {.maxTokens = 12});
  EXPECT_NE(full.text, empty.text);
}

TEST(GeneratorWithoutMemory, AnswersFromPassagesAndRefusesToRead) {
  const TemporaryFolder folder;
  const auto model = loadWithoutMemory(folder);
  EXPECT_FALSE(model->hasMemory());
  EXPECT_EQ(model->emptyMemory().bytes(), 0U);
  Generator generator(model);
  CompressiveMemory memory = model->emptyMemory();
  EXPECT_THAT([&] { generator.read(memory, "Some text.", {}); },
              ThrowsMessage<ModelError>(HasSubstr("has no memory heads")));
  const Generation answer = generator.answer(nullptr, {"Who?", {}, {"Weena was little."}, {.maxTokens = 10}});
  EXPECT_EQ(answer.passagesUsed, 1);
}

TEST(ModelTest, SaysWhatItIs) {
  const auto model = load(tinyFolder());
  EXPECT_EQ(model->name(), "tiny-model");
  EXPECT_EQ(model->device(), "CPU, 2 threads, f32");
  EXPECT_EQ(model->threads(), 2);
  EXPECT_TRUE(model->hasMemory());
  EXPECT_EQ(model->fingerprint().size(), 64U);
  EXPECT_EQ(model->emptyMemory().layers(), model->config().numLayers);
}

TEST(ModelTest, LoadingTellsItsProgress) {
  std::vector<double> shares;
  Model::load(tinyFolder(), {.threads = 1, .precision = Precision::Float32, .progress = [&](double share) {
                               shares.push_back(share);
                             }});
  ASSERT_FALSE(shares.empty());
  EXPECT_TRUE(std::is_sorted(shares.begin(), shares.end()));
  EXPECT_EQ(shares.back(), 1.0);
}

// The sentence with which a folder is refused before any weight has been loaded.
std::string refusalOf(const std::filesystem::path& folder) {
  bool loading = false;
  try {
    Model::load(folder, {.threads = 1, .precision = Precision::Float32, .progress = [&](double) { loading = true; }});
  } catch (const ModelError& error) {
    EXPECT_FALSE(loading);
    return expectSentence(error.what());
  }
  return "was loaded";
}

TEST(ModelTest, AChatTemplateOfAnUnknownKindIsRefusedAtLoad) {
  const ChangedModel gemma("tokenizer_config.json",
                           [](Json& json) { json["chat_template"] = "<start_of_turn>user\n{{ messages }}"; });
  EXPECT_THAT(refusalOf(gemma.path()), HasSubstr("is of a kind that is not known"));
  const ChangedModel chatMl("tokenizer_config.json",
                            [](Json& json) { json["chat_template"] = "<|im_start|>{{ messages }}<|im_end|>"; });
  EXPECT_THAT(refusalOf(chatMl.path()), HasSubstr("needs the token <|im_start|>"));
}

TEST(ModelTest, ATokenizerWithMoreTokensThanTheModelIsRefused) {
  const ChangedModel larger("tokenizer.json", [](Json& json) {
    json["added_tokens"].push_back({{"id", 512}, {"content", "<one more>"}, {"special", true}});
  });
  EXPECT_THAT(refusalOf(larger.path()), HasSubstr("has 513 tokens, the model only 512"));
}

TEST(ModelTest, AMissingFolderIsAModelError) { EXPECT_THROW(Model::load("/nowhere/at/all"), ModelError); }

}  // namespace
}  // namespace palimpsest::engine
