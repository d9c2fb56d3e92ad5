// Answers that begin with a recalled sentence. The tiny model says what it says; so its tokenizer is changed: the first
// token of its answer is called an opening mark, a later one the closing mark.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "engine/answer_steps.h"
#include "engine/answer_writer.h"
#include "engine/prompt.h"
#include "engine/sampler.h"
#include "tests/engine/generator_fixture.h"

namespace palimpsest::engine {
namespace {

constexpr TokenId kQuotationMark = 3;  // of the tiny tokenizer

class RecallTest : public testing::Test {
 protected:
  void SetUp() override {
    text_ = bookText(2500);
    const auto model = speaking([](Json&, Json&, Json&) {});
    const BookMemory book = read(model);
    // To most questions it says what is not suited.
    for (int number = 110; number < 700; ++number) {
      question_.text = "Who is Weena, and what did she do in " + std::to_string(number) + "?";
      ids_ = greedy(*model, book.whole());
      for (closes_ = 2; closes_ + 1 < ids_.size(); ++closes_)
        if (isSuited(promptOf(*model)) && keepsItsWords()) return;
    }
    FAIL() << "random weights have said nothing that is suited";
  }

  // The marks stand neither in the prompt, which would change, nor in the sentence; a new word follows.
  bool isSuited(const std::vector<TokenId>& prompt) const {
    const auto isNew = [&](std::size_t place) {
      return std::ranges::count(std::span(ids_).first(place + 1), ids_[place]) == 1;
    };
    return std::ranges::count(ids_, ids_[0]) == 1 && isNew(closes_) && isNew(closes_ + 1) &&
           std::ranges::count(prompt, ids_[0]) == 0 && std::ranges::count(prompt, ids_[closes_]) == 0;
  }

  // Nor in the text, nor in a word that is made of them.
  bool keepsItsWords() const {
    const auto model = inSteps();
    return greedy(*model, read(model).whole()) == ids_;
  }

  BookMemory read(const std::shared_ptr<const Model>& model) const {
    Generator generator(model);
    BookMemory book(model);
    while (!book.reading().complete) book.advance(generator, text_);
    return book;
  }

  std::vector<TokenId> promptOf(const Model& model) const {
    return questionPrompt(model.config(), model.tokenizer(), {question_.text, {}, {}}, 200).tokens;
  }

  std::vector<TokenId> greedy(const Model& model, const CompressiveMemory& memory) const {
    const auto workspace = model.transformer().makeWorkspace();
    AnswerWriter writer(model, *workspace, &memory);
    std::vector<TokenId> ids;
    std::span<const float> logits = writer.put(promptOf(model), {});
    while (ids.size() < 20) {
      ids.push_back(likeliest(logits));
      logits = writer.put(std::span(&ids.back(), 1), {});
    }
    return ids;
  }

  // The tiny model with another output matrix, its embeddings in another order, or it would say one word for ever.
  static std::shared_ptr<const Model> speaking(
      const std::function<void(Json& tokenizer, Json& infini, Json& config)>& change) {
    const TemporaryFolder folder;
    for (const auto& entry : std::filesystem::directory_iterator(tinyFolder()))
      std::filesystem::copy(entry.path(), folder.path() / entry.path().filename());
    Json tokenizer = Json::parse(contentOf(folder.path() / "tokenizer.json"));
    Json config = Json::parse(contentOf(folder.path() / "config.json"));
    config["tie_word_embeddings"] = false;
    change(tokenizer, config["infini_attention"], config);
    folder.write("tokenizer.json", tokenizer.dump());
    folder.write("config.json", config.dump());
    folder.write("model.safetensors", withHead(contentOf(folder.path() / "model.safetensors")));
    return load(folder.path());
  }

  // A safetensors file: the length of its header, the header, the numbers. With one tensor more.
  static std::string withHead(const std::string& weights) {
    std::uint64_t length = 0;
    std::memcpy(&length, weights.data(), sizeof length);
    Json header = Json::parse(weights.substr(sizeof length, length));
    const std::string numbers = weights.substr(sizeof length + length);
    Json tensor = header["model.embed_tokens.weight"];
    const std::size_t begin = tensor["data_offsets"][0], end = tensor["data_offsets"][1], rows = tensor["shape"][0];
    const std::size_t bytes = (end - begin) / rows;
    std::string head(end - begin, '\0');
    for (std::size_t row = 0; row < rows; ++row)
      head.replace((row * 5 + 7) % rows * bytes, bytes, numbers, begin + row * bytes, bytes);
    tensor["data_offsets"] = {numbers.size(), numbers.size() + head.size()};
    header["lm_head.weight"] = tensor;
    const std::string written = header.dump();
    length = written.size();
    return std::string(reinterpret_cast<const char*>(&length), sizeof length) + written + numbers + head;
  }

  // oneToken: whether the tokenizer puts the opening mark together, or only the model says it so.
  void renameMarks(Json& tokenizer, bool oneToken = true) const {
    Json& vocab = tokenizer["model"]["vocab"];
    const auto nameOf = [&](TokenId id) {
      for (const auto& [name, other] : vocab.items())
        if (other == id) return name;
      return std::string();
    };
    const std::string space = "\u0120", mark = "\"", first = nameOf(ids_[0]), closing = nameOf(ids_[closes_]);
    vocab.erase(first);
    vocab[space + mark] = ids_[0];
    vocab[closing] = kQuotationMark;
    vocab[mark] = ids_[closes_];
    Json merges = Json::array();
    if (oneToken) merges.push_back(Json::array({space, mark}));
    for (const Json& merge : tokenizer["model"]["merges"]) {
      const std::string whole = merge.is_array() ? "" : merge.get<std::string>();
      const std::string left = whole.empty() ? merge[0].get<std::string>() : whole.substr(0, whole.find(' '));
      const std::string right = whole.empty() ? merge[1].get<std::string>() : whole.substr(whole.find(' ') + 1);
      if (left != first && right != first && left + right != first) merges.push_back(Json::array({left, right}));
    }
    tokenizer["model"]["merges"] = merges;
  }

  std::shared_ptr<const Model> plain() const {
    return speaking([&](Json& tokenizer, Json&, Json&) { renameMarks(tokenizer); });
  }
  std::shared_ptr<const Model> inSteps(const std::function<void(Json& infini, Json& config)>& change) const {
    return speaking([&](Json& tokenizer, Json& infini, Json& config) {
      renameMarks(tokenizer);
      infini["answers_in_steps"] = true;
      change(infini, config);
    });
  }
  std::shared_ptr<const Model> inSteps() const {
    return inSteps([](Json&, Json&) {});
  }

  std::string text_;
  std::vector<TokenId> ids_;  // that the model says
  std::size_t closes_ = 0;    // place of the closing mark among them
  Question question_{"", {}, {}, {.maxTokens = 7}};
};

TEST_F(RecallTest, TheAnswerIsWhatStandsBehindTheSentence) {
  const auto named = plain(), model = inSteps();
  const BookMemory book = read(model);
  Question longer = question_;
  longer.sampling.maxTokens = static_cast<int>(closes_) + 1 + question_.sampling.maxTokens;
  const std::string whole = Generator(named).answer(&read(named).whole(), longer).text;
  const AnswerParts parts = partsOf(whole);
  ASSERT_FALSE(parts.recalled.empty()) << whole;

  Generator generator(model);
  const Generation made = generator.answer(&book.whole(), question_);
  EXPECT_EQ(made.recalled, parts.recalled);
  EXPECT_EQ(made.text, parts.said);
  EXPECT_EQ(made.generatedTokens, question_.sampling.maxTokens) << "the sentence takes no room from the answer";

  const std::vector<const CompressiveMemory*> sections{&book.whole()};
  const Generation chosen = generator.answer(sections, question_),
                   unchecked = Generator(named).answer(sections, question_);
  EXPECT_EQ(chosen.recalled, parts.recalled);
  EXPECT_EQ(chosen.text, parts.said);
  EXPECT_GT(chosen.doubt(), unchecked.doubt());
  EXPECT_LT(chosen.doubt(), 1);
  EXPECT_EQ(generator.choose(sections, question_).doubts, chosen.doubts) << "so a shelf chooses its book, too";
  EXPECT_EQ(generator.answerBy(sections, 0, question_).text, parts.said);
}

TEST_F(RecallTest, TheBiasAndAForcedAnswerCountBehindTheSentence) {
  const auto model = inSteps([](Json& infini, Json&) { infini["unknown_bias"] = -29; });  // for refusing
  const BookMemory book = read(model);
  Generator generator(model);
  const std::vector<const CompressiveMemory*> sections{&book.whole()};
  StreamDecoder decoder(model->tokenizer());
  std::string refusal = decoder.push(*unknownToken(model->config(), model->tokenizer()));
  refusal.erase(0, refusal.find_first_not_of(' '));
  Question forced = question_;
  forced.mustAnswer = true;
  for (const Generation& made : {generator.answer(sections, question_), generator.answer(&book.whole(), question_)}) {
    EXPECT_FALSE(made.recalled.empty());
    EXPECT_THAT(made.text, testing::StartsWith(refusal));
  }
  for (const Generation& made : {generator.answer(sections, forced), generator.answer(&book.whole(), forced)}) {
    EXPECT_FALSE(made.recalled.empty());
    EXPECT_THAT(made.text, testing::Not(testing::StartsWith(refusal)));
  }
}

TEST_F(RecallTest, AQuotationAloneIsTheAnswer) {
  const auto model = inSteps([&](Json&, Json& config) { config["eos_token_id"] = ids_[closes_ + 1]; });
  const Generation made = Generator(model).answer(&read(model).whole(), question_);
  EXPECT_EQ(made.recalled, "");
  EXPECT_THAT(made.text, testing::AllOf(testing::StartsWith("\""), testing::EndsWith("\"")));
  EXPECT_GT(made.text.size(), 2U);
}

TEST_F(RecallTest, ASentenceThatDoesNotEndIsNone) {
  const auto model = inSteps([&](Json&, Json& config) { config["eos_token_id"] = ids_[1]; });
  const BookMemory book = read(model);
  Generator generator(model);
  const std::vector<const CompressiveMemory*> sections{&book.whole()};
  const Generation made = generator.answer(sections, question_);
  EXPECT_EQ(made.recalled, "");
  EXPECT_THAT(made.text, testing::StartsWith("\""));
  EXPECT_EQ(made.doubt(), 0.5) << "it was not checked, so it is not sure";
  EXPECT_EQ(generator.answer(&book.whole(), question_).text, made.text);
}

TEST_F(RecallTest, WhereTheMarkIsNoTokenTheSentenceIsLeftAwayAllTheSame) {
  const auto model = speaking([&](Json& tokenizer, Json& infini, Json&) {
    renameMarks(tokenizer, false);
    infini["answers_in_steps"] = true;
  });
  const BookMemory book = read(model);
  const Generation made = Generator(model).answer(&book.whole(), question_);
  const Generation known = Generator(inSteps()).answer(&book.whole(), question_);
  EXPECT_FALSE(made.recalled.empty());
  EXPECT_EQ(made.recalled, known.recalled);
  EXPECT_FALSE(made.text.empty());
  EXPECT_THAT(known.text, testing::StartsWith(made.text)) << "the sentence took room from the answer here";
}

TEST_F(RecallTest, AStopTellsNoStepAsAnAnswer) {
  const auto model = inSteps();
  const BookMemory book = read(model);
  std::stop_source source;
  source.request_stop();
  const Generation made = Generator(model).answer(&book.whole(), question_, {}, source.get_token());
  EXPECT_EQ(made.end, Generation::End::Stopped);
  EXPECT_EQ(made.text, "");
  EXPECT_EQ(made.recalled, "");
}

TEST_F(RecallTest, NothingIsRecalledByAModelThatDoesNotAnswerInSteps) {
  const auto model = plain();
  const Generation made = Generator(model).answer(&read(model).whole(), question_);
  EXPECT_EQ(made.recalled, "");
  EXPECT_THAT(made.text, testing::StartsWith("\""));
}

}  // namespace
}  // namespace palimpsest::engine
