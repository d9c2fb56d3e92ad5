// Tokenizers of real models against the ids that their own implementations give. Needs PALIMPSEST_SHARED.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <sstream>

#include "engine/segment_cutter.h"
#include "engine/tokenizer.h"
#include "tests/engine/gguf_vocabulary.h"
#include "tests/engine/temporary_folder.h"

namespace palimpsest::engine {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using Ids = std::vector<TokenId>;

class RealTokenizers : public testing::Test {
 protected:
  void SetUp() override {
    const char* shared = std::getenv("PALIMPSEST_SHARED");
    if (shared == nullptr) GTEST_SKIP() << "PALIMPSEST_SHARED is not set";
    folder_ = fs::path(shared) / "data/tokenizers";
  }
  fs::path expected(const std::string& name) const { return folder_ / "expected" / name; }
  std::unique_ptr<Tokenizer> llama2() const {
    const TemporaryFolder made;
    made.write("tokenizer.json",
               GgufVocabulary(folder_ / "gguf/ggml-vocab-llama-spm.gguf").sentencePieceTokenizer().dump());
    return Tokenizer::load(made.path());
  }
  // Strings and ids of llama.cpp's vocabulary tests: one line of ids for each string, without BOS.
  void checkPairs(const Tokenizer& tokenizer, const std::string& name) const {
    const std::string input = contentOf(expected(name + ".inp"));
    std::istringstream lines(contentOf(expected(name + ".out")));
    const std::string separator = "\n__ggml_vocab_test__\n";
    int count = 0;
    for (std::size_t begin = 0; begin < input.size(); ++count) {
      const std::size_t end = std::min(input.find(separator, begin), input.size());
      const std::string text = input.substr(begin, end - begin);
      begin = end + separator.size();
      std::string line;
      ASSERT_TRUE(std::getline(lines, line));
      std::istringstream numbers(line);
      Ids ids;
      for (TokenId id = 0; numbers >> id;) ids.push_back(id);
      EXPECT_EQ(tokenizer.encode(text), ids) << name << ": " << text;
    }
    EXPECT_GT(count, 30);
  }
  void checkArticle(const Tokenizer& tokenizer, const std::string& name, int bosTokens) const {
    const Json json = Json::parse(contentOf(expected(name)));
    Ids ids = json["token_ids"].get<Ids>();
    ids.erase(ids.begin(), ids.begin() + bosTokens);
    EXPECT_EQ(tokenizer.encode(json["text"].get<std::string>()), ids);
    EXPECT_EQ(tokenizer.decode(ids), json["text"].get<std::string>());
  }
  void checkHub(const Tokenizer& tokenizer, const std::string& name) const {
    const Json cases = Json::parse(contentOf(expected("tokenizer_tests.json")))[name];
    int compared = 0;
    for (const Json& item : cases) {
      Ids ids = item["encoded"]["input_ids"].get<Ids>();
      if (tokenizer.bosToken() && !ids.empty() && ids.front() == *tokenizer.bosToken()) ids.erase(ids.begin());
      // Names of special tokens (they have no bytes) stay text here.
      if (std::any_of(ids.begin(), ids.end(), [&](TokenId id) { return tokenizer.tokenBytes(id).empty(); })) continue;
      EXPECT_EQ(tokenizer.encode(item["input"].get<std::string>()), ids) << name << ": " << item["input"];
      ++compared;
    }
    EXPECT_GT(compared, 10);
  }
  fs::path folder_;
};

TEST_F(RealTokenizers, Gpt2) {
  const auto tokenizer = Tokenizer::loadFile(folder_ / "gpt2/tokenizer.json");
  checkPairs(*tokenizer, "ggml-vocab-gpt-2.gguf");
  checkArticle(*tokenizer, "gpt2_encoded_tokens.json", 0);
  checkHub(*tokenizer, "distilgpt2");
}

TEST_F(RealTokenizers, Llama3) {
  const auto tokenizer = Tokenizer::loadFile(folder_ / "llama3/tokenizer.model");
  EXPECT_EQ(tokenizer->vocabSize(), 128256);
  EXPECT_EQ(tokenizer->bosToken(), 128000);
  EXPECT_EQ(tokenizer->tokenId("<|eot_id|>"), 128009);
  checkPairs(*tokenizer, "ggml-vocab-llama-bpe.gguf");
  checkArticle(*tokenizer, "llama_3.2_encoded.json", 1);
  checkHub(*tokenizer, "pcuenq/Llama-3.2-1B-Instruct-tokenizer");
}

TEST_F(RealTokenizers, Llama2) {
  const auto tokenizer = llama2();
  checkPairs(*tokenizer, "ggml-vocab-llama-spm.gguf");
  checkArticle(*tokenizer, "llama_encoded.json", 1);
  const Json cases = Json::parse(contentOf(expected("tokenizer_tests.json")))["coreml-projects/Llama-2-7b-chat-coreml"];
  for (const Json& item : cases) {
    Ids ids = item["encoded"]["input_ids"].get<Ids>();
    ids.erase(ids.begin());
    EXPECT_EQ(tokenizer->encode(item["input"].get<std::string>()), ids) << item["input"];
  }
}

TEST_F(RealTokenizers, MistralSentencePieceModels) {
  for (const char* name : {"tokenizer.model.v1", "mistral_instruct_tokenizer_240323.model.v3"}) {
    const auto tokenizer = Tokenizer::loadFile(folder_ / "mistral" / name);
    EXPECT_EQ(tokenizer->bosToken(), 1) << name;
    EXPECT_EQ(tokenizer->eosToken(), 2) << name;
    const std::string text = contentOf(expected("botchan.txt"));
    EXPECT_EQ(tokenizer->decode(tokenizer->encode(text)), text) << name;
    EXPECT_GT(tokenizer->encode("[INST]").size(), 1U) << name << ": a special name in a book stays text";
    StreamDecoder decoder(*tokenizer);
    std::string streamed;
    for (const TokenId id : tokenizer->encode("Hello \xF0\x9F\xA6\x80 world")) streamed += decoder.push(id);
    EXPECT_EQ(streamed, "Hello \xF0\x9F\xA6\x80 world");
  }
  const auto v3 = Tokenizer::loadFile(folder_ / "mistral/mistral_instruct_tokenizer_240323.model.v3");
  EXPECT_EQ(v3->tokenId("[INST]"), 3);
  EXPECT_EQ(v3->tokenId("[/INST]"), 4);
}

// Words are encoded one by one and remembered; long texts must come out as short ones joined.
TEST_F(RealTokenizers, MistralWordByWordGivesWhatTheLibraryGivesAtOnce) {
  const auto tokenizer = Tokenizer::loadFile(folder_ / "mistral/tokenizer.model.v1");
  const Ids hello = tokenizer->encode("Hello  world \n  end ");
  EXPECT_THAT(hello, testing::ElementsAre(22557, 28705, 1526, 28705, 13, 28705, 948, 28705))
      << tokenizer->decode(hello);
}

TEST_F(RealTokenizers, GptNeoxReadsItsSpacesAndBack) {
  const auto tokenizer = Tokenizer::loadFile(folder_ / "gpt-neox/20B_tokenizer.json");
  const std::string text = contentOf(expected("botchan.txt"));
  EXPECT_EQ(tokenizer->decode(tokenizer->encode(text)), text);
  EXPECT_THAT(tokenizer->encode("a    b"), testing::ElementsAre(66, 50274, 67)) << "four spaces are one added token";
  EXPECT_THAT(tokenizer->encode("Hello world"), testing::ElementsAre(12092, 1533));
}

TEST_F(RealTokenizers, EnglishIsReadFasterThanAnyModelNeedsIt) {
  std::string text;
  while (text.size() < 4'000'000) text += contentOf(expected("botchan.txt"));
  const auto megabytesPerSecond = [&](const auto& work) {
    const auto begin = std::chrono::steady_clock::now();
    work();
    return static_cast<double>(text.size()) / 1e6 /
           std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  };
  const auto tokenizer = Tokenizer::loadFile(folder_ / "gpt2/tokenizer.json");
  const double encoding = megabytesPerSecond([&] { tokenizer->encode(text); });
  const double cutting = megabytesPerSecond([&] {
    SegmentCutter cutter(*tokenizer, 256);
    std::int64_t position = 0;
    while (const auto segment = cutter.next(text, position)) position = segment->end;
  });
  RecordProperty("encoding_MB_per_s", std::to_string(encoding));
  RecordProperty("cutting_MB_per_s", std::to_string(cutting));
  EXPECT_GT(encoding, 0.2) << "on an idle machine it is above 5; this bound holds on a busy one with sanitizers";
  EXPECT_GT(cutting, 0.2) << "on an idle machine it is above 10";
}

}  // namespace
}  // namespace palimpsest::engine
