// Asking several sections at once: the passes that they share, and which of them answers.
#include "engine/section_choice.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "engine/errors.h"
#include "tests/engine/generator_fixture.h"
#include "tests/engine/sentence.h"

namespace palimpsest::engine {
namespace {

using testing::HasSubstr;

class SectionChoiceTest : public testing::TestWithParam<Precision> {
 protected:
  void SetUp() override {
    if (GetParam() == Precision::BFloat16 && !cpuMultipliesBFloat16()) GTEST_SKIP() << "this CPU has no bf16";
    model_ = load(tinyFolder(), GetParam());
    Generator generator(model_);
    for (unsigned seed = 1; seed <= 5; ++seed) {
      memories_.push_back(model_->emptyMemory());
      readAll(generator, memories_.back(), bookText(300 * seed, seed));
    }
    memories_.push_back(model_->emptyMemory());  // where nothing was written, gates count as shut
    for (const CompressiveMemory& memory : memories_) sections_.push_back(&memory);
    workspace_ = model_->transformer().makeWorkspace();
    unknown_ = *unknownToken(model_->config(), model_->tokenizer());
  }
  std::vector<TokenId> prompt(int length) const {
    std::vector<TokenId> tokens = randomSegments(1, 2 * length, model_->config().vocabSize, 3).front();
    tokens.resize(static_cast<std::size_t>(length));
    tokens.front() = kTinyBos;
    return tokens;
  }
  std::vector<float> alone(const CompressiveMemory& memory, std::span<const TokenId> tokens,
                           std::span<const TokenId> then = {}) {
    SegmentState segment = model_->transformer().beginSegment(*workspace_, &memory);
    auto logits = model_->transformer().extend(*workspace_, segment, tokens, {});
    for (const TokenId& token : then)
      logits = model_->transformer().extend(*workspace_, segment, std::span(&token, 1), {});
    return copyOf(logits);
  }
  // Rounding of f32 or of bf16, over a few layers; as in transformer_test.cpp.
  static double rounding() { return GetParam() == Precision::BFloat16 ? 2e-2 : 2e-6; }

  std::shared_ptr<const Model> model_;
  std::vector<CompressiveMemory> memories_;
  std::vector<const CompressiveMemory*> sections_;
  Transformer::WorkspacePointer workspace_;
  TokenId unknown_ = 0;
};

TEST_P(SectionChoiceTest, TogetherTheyGiveWhatEachGivesAlone) {
  const Transformer& transformer = model_->transformer();
  const auto V = static_cast<std::size_t>(model_->config().vocabSize);
  // One pass for all; for the longest prompt one for ten of them (a pass has 2112 rows), and one that is left over.
  std::vector<const CompressiveMemory*> sections = sections_;
  sections.insert(sections.end(), sections_.begin(), sections_.begin() + 5);
  for (const bool candidates : {false, true}) {
    for (const int length : {3, 20, 70, 200}) {
      SCOPED_TRACE(std::to_string(length) + (candidates ? " tokens, candidates" : " tokens"));
      const std::vector<TokenId> tokens = prompt(length), then = {7, 11, 13};
      std::vector<SegmentState> segments;
      for (const auto* section : sections)
        segments.push_back(candidates ? transformer.beginCandidate(*section)
                                      : transformer.beginSegment(*workspace_, section));
      const std::vector<float> logits = copyOf(transformer.extendAll(*workspace_, segments, tokens, {}));
      ASSERT_EQ(logits.size(), sections.size() * V);
      for (std::size_t i = 0; i < sections.size(); ++i) {
        EXPECT_EQ(segments[i].positions(), length);
        EXPECT_LT(relativeError(std::span(logits).subspan(i * V, V), alone(*sections[i], tokens)), rounding())
            << "section " << i;
        if (i % 2 == 0) transformer.takeMemory(*workspace_, segments[i]);  // else when it goes on
        std::vector<float> after;  // what was kept of the prompt is what follows it reads
        for (const TokenId& token : then)
          after = copyOf(transformer.extend(*workspace_, segments[i], std::span(&token, 1), {}));
        EXPECT_LT(relativeError(after, alone(*sections[i], tokens, then)), rounding()) << "section " << i;
      }
    }
  }
}

TEST_P(SectionChoiceTest, AskedTwiceTheyGiveTheSameBits) {
  const auto tokens = prompt(20);
  const auto choose = [&] { return chooseSection(model_->transformer(), *workspace_, sections_, tokens, unknown_); };
  const SectionChoice first = choose(), second = choose();
  EXPECT_EQ(first.doubts, second.doubts);
  EXPECT_EQ(first.logits, second.logits);
}

TEST_P(SectionChoiceTest, TheDoubtIsTheProbabilityOfTheUnknownAnswersFirstToken) {
  const auto tokens = prompt(20);
  const SectionChoice choice = chooseSection(model_->transformer(), *workspace_, sections_, tokens, unknown_);
  ASSERT_EQ(choice.doubts.size(), sections_.size());
  for (std::size_t i = 0; i < sections_.size(); ++i) {
    const std::vector<float> logits = alone(*sections_[i], tokens);
    double sum = 0;
    for (const float logit : logits) sum += std::exp(static_cast<double>(logit));
    const double expected = std::exp(static_cast<double>(logits[static_cast<std::size_t>(unknown_)])) / sum;
    EXPECT_NEAR(choice.doubts[i], expected, expected * (GetParam() == Precision::BFloat16 ? 0.1 : 1e-4));
    EXPECT_GE(choice.doubts[i], choice.doubts[choice.chosen]);
  }
  EXPECT_EQ(choice.segment.positions(), 20);
}

TEST(SectionChoice, NewerSectionsTakeOverWhereTheyAreSureOrDoubtLess) {
  EXPECT_TRUE(takesOver(0.2, 0.3, 0.05));
  EXPECT_FALSE(takesOver(0.3, 0.2, 0.05));
  EXPECT_FALSE(takesOver(0.2, 0.2, 0.05)) << "of equals the earliest";
  EXPECT_TRUE(takesOver(0.04, 0.0001, 0.05)) << "what a book says later holds";
  EXPECT_FALSE(takesOver(0.05, 0.0001, 0.05)) << "not sure";
  EXPECT_FALSE(takesOver(0.04, 0.0001, 0.0)) << "nothing is sure";
}

TEST_P(SectionChoiceTest, OfEqualDoubtsTheEarliestIsChosen) {
  const std::vector<const CompressiveMemory*> equal{sections_[2], sections_[2], sections_[2]};
  const SectionChoice choice = chooseSection(model_->transformer(), *workspace_, equal, prompt(20), unknown_);
  EXPECT_EQ(choice.doubts[0], choice.doubts[2]);
  EXPECT_EQ(choice.chosen, 0U);
}

TEST_P(SectionChoiceTest, MoreThanArePutTogetherAreAskedInTurn) {
  std::vector<const CompressiveMemory*> many(35, sections_[5]);
  const auto tokens = prompt(20);
  const SectionChoice few = chooseSection(model_->transformer(), *workspace_, sections_, tokens, unknown_);
  many[17] = many[34] = sections_[few.chosen];
  const SectionChoice choice = chooseSection(model_->transformer(), *workspace_, many, tokens, unknown_);
  ASSERT_EQ(choice.doubts.size(), 35U);
  if (few.chosen != 5) {
    EXPECT_EQ(choice.chosen, 17U);
  }
  EXPECT_NEAR(choice.doubts[choice.chosen], few.doubts[few.chosen],
              few.doubts[few.chosen] * (GetParam() == Precision::BFloat16 ? 0.1 : 1e-4));
  EXPECT_EQ(choice.logits.size(), static_cast<std::size_t>(model_->config().vocabSize));
  EXPECT_EQ(choice.segment.positions(), 20);
}

TEST_P(SectionChoiceTest, TokenByTokenTheyGoOnTogetherAsEachDoesAlone) {
  const Transformer& transformer = model_->transformer();
  const auto V = static_cast<std::size_t>(model_->config().vocabSize);
  const auto tokens = prompt(20);
  std::vector<SegmentState> segments;
  for (const auto* section : sections_) segments.push_back(transformer.beginCandidate(*section));
  transformer.extendAll(*workspace_, segments, tokens, {});
  // One that stands elsewhere and had buffers of its own from the beginning.
  segments.push_back(transformer.beginSegment(*workspace_, sections_[1]));
  transformer.extend(*workspace_, segments.back(), prompt(5), {});
  const std::size_t count = segments.size();
  std::vector<std::vector<TokenId>> then(count);
  for (int step = 0; step < 4; ++step) {
    std::vector<TokenId> next;
    for (std::size_t i = 0; i < count; ++i) {
      next.push_back(static_cast<TokenId>(7 + 11 * i + 3 * static_cast<std::size_t>(step)));
      then[i].push_back(next.back());
    }
    const std::vector<float> logits = copyOf(transformer.stepAll(*workspace_, segments, next, {}));
    ASSERT_EQ(logits.size(), count * V);
    for (std::size_t i = 0; i < count; ++i) {
      const bool elsewhere = i + 1 == count;
      EXPECT_EQ(segments[i].positions(), (elsewhere ? 5 : 20) + step + 1);
      const auto expected =
          elsewhere ? alone(*sections_[1], prompt(5), then[i]) : alone(*sections_[i], tokens, then[i]);
      EXPECT_LT(relativeError(std::span(logits).subspan(i * V, V), expected), rounding()) << "segment " << i;
    }
  }
}

TEST_P(SectionChoiceTest, WhatCannotGoOnTogetherIsRefused) {
  const Transformer& transformer = model_->transformer();
  std::vector<SegmentState> segments;
  const auto step = [&](std::vector<TokenId> tokens, std::stop_token stop = {}) {
    transformer.stepAll(*workspace_, segments, tokens, std::move(stop));
  };
  EXPECT_THROW(step({}), ModelError) << "none";
  for (int i = 0; i < 2; ++i) segments.push_back(transformer.beginCandidate(*sections_[0]));
  transformer.extendAll(*workspace_, segments, prompt(256), {});
  EXPECT_THROW(step({1}), ModelError) << "one token for two";
  EXPECT_THROW(step({1, 512}), ModelError) << "outside the vocabulary";
  EXPECT_THROW(step({1, 2}), ModelError) << "no room in the context";
  segments.clear();
  for (int i = 0; i < 2; ++i) segments.push_back(transformer.beginSegment(*workspace_, sections_[0]));
  std::stop_source source;
  source.request_stop();
  EXPECT_THROW(step({1, 2}, source.get_token()), Stopped);
}

TEST_P(SectionChoiceTest, WhatCannotBeAskedTogetherIsRefused) {
  const Transformer& transformer = model_->transformer();
  std::vector<SegmentState> segments;
  for (int i = 0; i < 2; ++i) segments.push_back(transformer.beginSegment(*workspace_, nullptr));
  EXPECT_THROW(transformer.extendAll(*workspace_, segments, {}, {}), ModelError);
  EXPECT_THROW(transformer.extendAll(*workspace_, segments, prompt(257), {}), ModelError) << "no room in the context";
  EXPECT_THROW(transformer.extendAll(*workspace_, segments, std::vector<TokenId>{0, 512}, {}), ModelError);
  transformer.extend(*workspace_, segments[1], prompt(3), {});
  EXPECT_THROW(transformer.extendAll(*workspace_, segments, prompt(3), {}), ModelError) << "one has begun already";
  std::stop_source source;
  source.request_stop();
  EXPECT_THROW(chooseSection(transformer, *workspace_, sections_, prompt(3), unknown_, source.get_token()), Stopped);
}

INSTANTIATE_TEST_SUITE_P(, SectionChoiceTest, testing::Values(Precision::Float32, Precision::BFloat16),
                         [](const auto& tested) { return tested.param == Precision::BFloat16 ? "bf16" : "f32"; });

// Through the Generator, with books of several sections.
class AskingSections : public testing::Test {
 protected:
  static std::shared_ptr<const Model> changed(const std::function<void(Json&)>& change) {
    const ChangedModel model("config.json", [&](Json& config) { change(config["infini_attention"]); });
    return load(model.path());
  }
  static void SetUpTestSuite() {
    model_ = changed([](Json& infini) { infini["sections"] = 4; });
    Generator generator(model_);
    book_ = std::make_unique<BookMemory>(model_);
    const std::string text = bookText(9000);
    while (!book_->reading().complete) book_->advance(generator, text);
  }
  static void TearDownTestSuite() {
    book_.reset();
    model_.reset();
  }
  static inline std::shared_ptr<const Model> model_;
  static inline std::unique_ptr<BookMemory> book_;
  Generator generator_{model_};
  const Question question_{"Who is Weena?", {{"When?", "In 1895."}}, {}, {.maxTokens = 12}};
};

TEST_F(AskingSections, TheLeastDoubtingOneAnswersAsItWouldAlone) {
  const Generation made = generator_.answer(*book_, question_);
  ASSERT_TRUE(made.section);
  ASSERT_EQ(made.doubts.size(), 4U);
  EXPECT_EQ(*made.section, static_cast<std::size_t>(std::ranges::min_element(made.doubts) - made.doubts.begin()));
  EXPECT_EQ(made.doubt(), made.doubts[*made.section]);
  const ChosenSection chosen = generator_.choose(book_->sections(), question_);
  EXPECT_EQ(chosen.place, *made.section);
  EXPECT_EQ(chosen.doubts, made.doubts);
  EXPECT_EQ(chosen.doubt(), chosen.leastDoubt());
  const Generation alone = generator_.answer(book_->sections()[*made.section], question_);
  EXPECT_EQ(made.text, alone.text);
  EXPECT_EQ(made.promptTokens, alone.promptTokens);
  EXPECT_EQ(made.generatedTokens, alone.generatedTokens);
  EXPECT_FALSE(alone.section);
  EXPECT_TRUE(alone.doubts.empty());
}

// The bound is put between what its sections doubt, so that each of them in turn is the newest sure one.
TEST_F(AskingSections, OfSureOnesTheNewestAnswers) {
  const std::vector<double> doubts = generator_.answer(*book_, question_).doubts;
  std::set<std::size_t> answering;
  for (const double bound : doubts) {
    const double sure = bound * 1.000001;
    const auto model = changed([&](Json& infini) {
      infini["sections"] = 4;
      infini["sure_doubt"] = sure;
    });
    const float rounded = model->config().infiniAttention->sureDoubt;
    auto expected = static_cast<std::size_t>(std::ranges::min_element(doubts) - doubts.begin());
    for (std::size_t i = 0; i < doubts.size(); ++i)
      if (doubts[i] < static_cast<double>(rounded)) expected = i;
    Generator generator(model);
    const Generation made = generator.answer(*book_, question_);
    EXPECT_EQ(made.doubts, doubts);
    EXPECT_EQ(*made.section, expected) << "bound " << sure;
    EXPECT_EQ(made.text, generator.answer(book_->sections()[expected], question_).text);
    EXPECT_EQ(generator.choose(book_->sections(), question_).leastDoubt(), std::ranges::min(doubts));
    answering.insert(expected);
  }
  EXPECT_GT(answering.size(), 1U);
}

// Its answers have no steps: they are the same, and told in one piece.
TEST_F(AskingSections, AModelThatMayAnswerInStepsNeedNot) {
  const auto model = changed([](Json& infini) {
    infini["sections"] = 4;
    infini["answers_in_steps"] = true;
  });
  EXPECT_FALSE(generator_.answersInSteps());
  Generator generator(model);
  ASSERT_TRUE(generator.answersInSteps());
  const auto sections = book_->sections();
  const std::vector<std::function<Generation(Generator&, const TextCallback&)>> ways{
      [&](Generator& asked, const TextCallback& onText) { return asked.answer(*book_, question_, onText); },
      [&](Generator& asked, const TextCallback& onText) { return asked.answer(sections[1], question_, onText); }};
  for (const auto& answer : ways) {
    std::vector<std::string> pieces;
    const Generation made = answer(generator, [&](std::string_view piece) { pieces.emplace_back(piece); });
    const Generation alone = answer(generator_, {});
    EXPECT_EQ(made.text, alone.text);
    EXPECT_EQ(made.section, alone.section);
    EXPECT_EQ(made.doubts, alone.doubts);
    EXPECT_EQ(made.unknownLead, alone.unknownLead);
    EXPECT_TRUE(made.steps.empty());
    EXPECT_EQ(pieces, std::vector{made.text});
  }
}

TEST_F(AskingSections, PassagesAreForTheAnswerAndNotForTheChoice) {
  const Generation bare = generator_.answer(*book_, question_);
  Question question = question_;
  question.passages = {"Weena was an old clock."};
  const Generation made = generator_.answer(*book_, question);
  EXPECT_EQ(made.doubts, bare.doubts);
  EXPECT_EQ(made.section, bare.section);
  EXPECT_EQ(generator_.choose(book_->sections(), question).place, *made.section);
  EXPECT_EQ(made.passagesUsed, 1);
  EXPECT_GT(made.promptTokens, bare.promptTokens);
  EXPECT_EQ(made.text, generator_.answer(book_->sections()[*made.section], question).text);
}

TEST_F(AskingSections, TheBiasCountsInTheAnswerAndNotInTheChoice) {
  const auto eager = changed([](Json& infini) {
    infini["sections"] = 4;
    infini["unknown_bias"] = -29;  // nats in favour of it: more than random weights can resist
  });
  Question question = question_;
  question.sampling.maxTokens = 1;
  const Generation made = Generator(eager).answer(*book_, question);
  EXPECT_EQ(made.doubts, generator_.answer(*book_, question).doubts);
  StreamDecoder decoder(eager->tokenizer());
  std::string word = decoder.push(*unknownToken(eager->config(), eager->tokenizer())) + decoder.finish();
  word.erase(0, word.find_first_not_of(' '));
  EXPECT_EQ(made.text, word);
}

TEST_F(AskingSections, ChangesNothing) {
  const auto save = [&] { return book_->save().whole; };
  const auto before = save();
  std::vector<std::vector<float>> sections;
  for (const CompressiveMemory* section : book_->sections()) sections.push_back(copyOf(section->values()));
  Question question = question_;
  question.sampling.maxTokens = 400;  // the context has 256: what came first is written, to a clone
  const Generation first = generator_.answer(*book_, question);
  EXPECT_EQ(generator_.answer(*book_, question).text, first.text);
  EXPECT_EQ(save(), before);
  for (std::size_t i = 0; i < sections.size(); ++i)
    EXPECT_EQ(copyOf(book_->sections()[i]->values()), sections[i]) << "section " << i;
}

TEST_F(AskingSections, OneSectionIsAskedAsTheWholeIs) {
  BookMemory small(model_);
  while (!small.reading().complete) small.advance(generator_, "The old clock stood behind Weena.");
  const Generation made = generator_.answer(small, question_);
  EXPECT_FALSE(made.section);
  EXPECT_EQ(made.text, generator_.answer(&small.whole(), question_).text);
}

TEST_F(AskingSections, AModelThatKnowsNoUnknownAnswerAsksTheWhole) {
  const auto sure = changed([](Json& infini) {
    infini["sections"] = 4;
    infini["prompts"]["unknown"] = "";
  });
  Generator generator(sure);
  EXPECT_FALSE(generator.choosesSections());
  EXPECT_TRUE(generator_.choosesSections());
  const Generation made = generator.answer(*book_, question_);
  EXPECT_FALSE(made.section);
  EXPECT_EQ(made.text, generator.answer(&book_->whole(), question_).text);
  try {
    generator.answer(book_->sections(), question_);
    ADD_FAILURE() << "was answered";
  } catch (const ModelError& error) {
    EXPECT_THAT(expectSentence(error.what()), HasSubstr("cannot choose between sections"));
  }
  EXPECT_THROW(generator.choose(book_->sections(), question_), ModelError);
  EXPECT_THROW(generator_.answer(std::span<const CompressiveMemory* const>(), question_), ModelError);
  EXPECT_THROW(generator_.choose({}, question_), ModelError);
}

TEST_F(AskingSections, StoppedWhileChoosingItSaysNothing) {
  std::stop_source source;
  source.request_stop();
  const Generation made = generator_.answer(*book_, question_, {}, source.get_token());
  EXPECT_EQ(made.end, Generation::End::Stopped);
  EXPECT_TRUE(made.text.empty());
  EXPECT_FALSE(made.section);
  EXPECT_THROW(generator_.choose(book_->sections(), question_, source.get_token()), Stopped);
}

// The tiny model knows no cards: what its sections say cannot be joined.
TEST_F(AskingSections, ASummaryThatIsNoCardIsOfTheWhole) {
  const SamplingOptions few{.maxTokens = 12};
  EXPECT_EQ(generator_.summarize(*book_, few).text, generator_.summarize(book_->whole(), few).text);
  std::stop_source source;
  source.request_stop();
  const Generation stopped = generator_.summarize(*book_, few, {}, source.get_token());
  EXPECT_EQ(stopped.end, Generation::End::Stopped);
  EXPECT_EQ(stopped.text, "");
}

}  // namespace
}  // namespace palimpsest::engine
