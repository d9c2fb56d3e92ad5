#include "engine/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>
#include <thread>

#include "engine/errors.h"
#include "tests/engine/sentence.h"
#include "tests/engine/temporary_folder.h"

namespace palimpsest::engine {
namespace {

using Json = nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

const std::string kFolder = PALIMPSEST_TEST_DATA "/tokenizers/";

std::unique_ptr<Tokenizer> load(const std::string& kind) { return Tokenizer::loadFile(kFolder + kind + ".json"); }

std::string errorOf(const std::string& json) {
  const TemporaryFolder folder;
  folder.write("tokenizer.json", json);
  try {
    Tokenizer::load(folder.path());
  } catch (const ModelError& error) {
    EXPECT_THAT(error.what(), HasSubstr("tokenizer.json: "));
    return expectSentence(error.what());
  }
  return "no error";
}

// The file of one kind with one place of it changed.
std::string errorWith(const std::string& kind, const std::string& pointer, const Json& value) {
  Json json = Json::parse(contentOf(kFolder + kind + ".json"));
  json[Json::json_pointer(pointer)] = value;
  return errorOf(json.dump());
}

class TokenizerKinds : public testing::TestWithParam<const char*> {};

TEST_P(TokenizerKinds, GivesTheIdsOfTheTokenizersLibrary) {
  const auto tokenizer = load(GetParam());
  const Json cases = Json::parse(contentOf(kFolder + "cases.json"))[GetParam()];
  ASSERT_GT(cases.size(), 20U);
  for (const Json& item : cases) {
    const std::string text = item["text"];
    const auto expected = item["ids"].get<std::vector<TokenId>>();
    if (item["plain"].get<bool>()) {  // else there are names of special tokens in it, which stay text here
      EXPECT_EQ(tokenizer->encode(text), expected) << text;
    }
    EXPECT_EQ(tokenizer->decode(expected), item["decoded"].get<std::string>());
  }
}

TEST_P(TokenizerKinds, StreamedPiecesJoinToWhatDecodeGives) {
  const auto tokenizer = load(GetParam());
  const Json cases = Json::parse(contentOf(kFolder + "cases.json"))[GetParam()];
  for (const Json& item : cases) {
    const std::vector<TokenId> ids = tokenizer->encode(item["text"].get<std::string>());
    StreamDecoder decoder(*tokenizer);
    std::string joined;
    for (const TokenId id : ids) joined += decoder.push(id);
    joined += decoder.finish();
    EXPECT_EQ(joined, tokenizer->decode(ids)) << item["text"];
  }
}

TEST_P(TokenizerKinds, InvalidUtf8IsTakenAsReplacementCharacters) {
  const auto tokenizer = load(GetParam());
  EXPECT_EQ(tokenizer->encode("caf\xE9 \xFF"), tokenizer->encode("caf\xEF\xBF\xBD \xEF\xBF\xBD"));
}

TEST_P(TokenizerKinds, SeveralThreadsGetTheSameIds) {
  const auto tokenizer = load(GetParam());
  std::string text;
  for (int i = 0; i < 200; ++i) text += "word" + std::to_string(i) + " ";
  const std::vector<TokenId> expected = load(GetParam())->encode(text);
  std::vector<std::vector<TokenId>> got(4);
  {
    std::vector<std::jthread> threads;
    for (auto& ids : got) {
      threads.emplace_back([&] {
        for (int round = 0; round < 10; ++round) ids = tokenizer->encode(text);
      });
    }
  }
  EXPECT_THAT(got, testing::Each(expected));
}

INSTANTIATE_TEST_SUITE_P(Kinds, TokenizerKinds,
                         testing::Values("gpt2_style", "prefix_space", "llama3_style", "digits_and_replacements",
                                         "nfkc_digit_groups", "sentencepiece_style", "metaspace"),
                         [](const auto& kind) { return std::string(kind.param); });

TEST(Tokenizer, TinyModelsTokenizerTellsItsSpecialTokens) {
  const auto tokenizer = Tokenizer::load(PALIMPSEST_TEST_DATA "/tiny-model");
  EXPECT_EQ(tokenizer->vocabSize(), 512);
  EXPECT_EQ(tokenizer->bosToken(), 0);
  EXPECT_EQ(tokenizer->eosToken(), 1);
  EXPECT_EQ(tokenizer->tokenBytes(0), "") << "special tokens give nothing";
  EXPECT_EQ(tokenizer->tokenBytes(-1), "");
  EXPECT_EQ(tokenizer->tokenBytes(512), "");
  EXPECT_EQ(tokenizer->tokenId("no such token"), std::nullopt);
  EXPECT_EQ(tokenizer->tokenBytes(*tokenizer->tokenId("\xC4\xA0the")), " the");
}

// A real SentencePiece vocabulary, converted by training/convert_stories260k.py.
TEST(Tokenizer, Stories260KReadsStories) {
  const auto tokenizer =
      Tokenizer::load(std::filesystem::path(PALIMPSEST_SOURCE_DIR) / "tests" / "data" / "stories260K");
  EXPECT_EQ(tokenizer->vocabSize(), 512);
  EXPECT_EQ(tokenizer->bosToken(), 1);
  EXPECT_EQ(tokenizer->eosToken(), 2);
  EXPECT_THAT(tokenizer->encode("Once upon a time"), ElementsAre(403, 407, 261, 378));
  EXPECT_THAT(tokenizer->encode("\xE6\x99\x82"), ElementsAre(410, 0xE6 + 3, 0x99 + 3, 0x82 + 3))
      << "bytes stand in for a character it does not know";
  const std::string story = "Lily said, \"Hi!\"\n  She saw 2 caf\xC3\xA9s.";
  EXPECT_EQ(tokenizer->decode(tokenizer->encode(story)), story);
}

TEST(Tokenizer, DigitsStandAlone) {
  const auto tokenizer = Tokenizer::load(PALIMPSEST_TEST_DATA "/tiny-model");
  EXPECT_EQ(tokenizer->encode("1895").size(), 4U);
}

TEST(Tokenizer, SpecialNamesInABookStayText) {
  const auto tokenizer = Tokenizer::load(PALIMPSEST_TEST_DATA "/tiny-model");
  EXPECT_EQ(tokenizer->tokenId("</s>"), 1);
  const std::vector<TokenId> text = tokenizer->encode("<s></s>");
  EXPECT_GT(text.size(), 2U);
  EXPECT_EQ(tokenizer->decode(text), "<s></s>");
}

TEST(Tokenizer, OnlyATemplateMakesABos) {
  EXPECT_EQ(load("gpt2_style")->bosToken(), std::nullopt);
  EXPECT_EQ(load("llama3_style")->bosToken(), 1);
  EXPECT_EQ(load("metaspace")->bosToken(), std::nullopt);
}

TEST(Tokenizer, EndOfTextIsFoundBesideTheFileOrByItsUsualName) {
  EXPECT_EQ(load("gpt2_style")->eosToken(), 2) << "</s>";
  const TemporaryFolder folder;
  folder.write("tokenizer.json", contentOf(kFolder + "gpt2_style.json"));
  folder.write("tokenizer_config.json", R"({"eos_token": {"content": "<s>"}})");
  EXPECT_EQ(Tokenizer::load(folder.path())->eosToken(), 1);
  folder.write("tokenizer_config.json", R"({"eos_token": "<unk>"})");
  EXPECT_EQ(Tokenizer::load(folder.path())->eosToken(), 0);
}

TEST(Tokenizer, LongTextWithoutAnyBreakIsEncodedInTime) {
  const auto tokenizer = Tokenizer::load(PALIMPSEST_TEST_DATA "/tiny-model");
  const std::string text(1'000'000, 'e');
  EXPECT_EQ(tokenizer->decode(tokenizer->encode(text)), text);
  const auto marks = load("sentencepiece_style");
  EXPECT_EQ(marks->decode(marks->encode(text)), text);
}

TEST(Tokenizer, MissingFilesAreNamed) {
  const TemporaryFolder folder;
  try {
    Tokenizer::load(folder.path());
    FAIL();
  } catch (const ModelError& error) {
    EXPECT_THAT(expectSentence(error.what()), HasSubstr("has neither tokenizer.json nor tokenizer.model"));
  }
  EXPECT_THROW(Tokenizer::loadFile(folder.path() / "tokenizer.json"), ModelError);
}

TEST(Tokenizer, UnknownKindsAndStepsAreRefusedByName) {
  EXPECT_THAT(errorWith("gpt2_style", "/model/type", "Unigram"), HasSubstr("of the kind Unigram"));
  EXPECT_THAT(errorWith("gpt2_style", "/normalizer", {{"type", "Lowercase"}}), HasSubstr("the normalizer Lowercase"));
  EXPECT_THAT(errorWith("gpt2_style", "/pre_tokenizer", {{"type", "BertPreTokenizer"}}),
              HasSubstr("the pre-tokenizer BertPreTokenizer"));
  EXPECT_THAT(errorWith("gpt2_style", "/decoder", {{"type", "WordPiece"}}), HasSubstr("the decoder WordPiece"));
  EXPECT_THAT(errorWith("gpt2_style", "/post_processor", {{"type", "BertProcessing"}}),
              HasSubstr("the post-processor BertProcessing"));
  EXPECT_THAT(errorWith("gpt2_style", "/model/continuing_subword_prefix", "##"),
              HasSubstr("continuing_subword_prefix"));
  EXPECT_THAT(errorWith("gpt2_style", "/model/end_of_word_suffix", "</w>"), HasSubstr("end_of_word_suffix"));
  EXPECT_THAT(errorWith("gpt2_style", "/model/dropout", 0.1), HasSubstr("dropout"));
  EXPECT_THAT(errorWith("llama3_style", "/pre_tokenizer/pretokenizers/0/behavior", "MergedWithNext"),
              HasSubstr("Split with behavior MergedWithNext"));
  EXPECT_THAT(errorWith("metaspace", "/pre_tokenizer/prepend_scheme", "sometimes"),
              HasSubstr("prepend_scheme sometimes"));
  EXPECT_THAT(errorWith("gpt2_style", "/added_tokens/0/single_word", true), HasSubstr("single words only"));
  const Json after = {{"type", "Sequence"}, {"pretokenizers", {{{"type", "ByteLevel"}}, {{"type", "Digits"}}}}};
  EXPECT_THAT(errorWith("gpt2_style", "/pre_tokenizer", after), HasSubstr("after ByteLevel"));
}

TEST(Tokenizer, DamagedFilesAreRefusedWithTheReason) {
  EXPECT_THAT(errorOf("nonsense"), HasSubstr("is not valid JSON"));
  EXPECT_THAT(errorOf("[]"), HasSubstr("is not a JSON object"));
  EXPECT_THAT(errorOf("{}"), HasSubstr("has no \"model\""));
  EXPECT_THAT(errorWith("gpt2_style", "/model/vocab", Json::object()), HasSubstr("has no vocabulary"));
  EXPECT_THAT(errorWith("gpt2_style", "/model/vocab/a", -1), HasSubstr("impossible id"));
  EXPECT_THAT(errorWith("gpt2_style", "/model/vocab/a", 1e9), HasSubstr("impossible id"));
  EXPECT_THAT(errorWith("gpt2_style", "/model/vocab/newcomer", 50), HasSubstr("is given to two tokens"));
  EXPECT_THAT(errorWith("gpt2_style", "/model/merges", 7), HasSubstr("no list of merges"));
  EXPECT_THAT(errorWith("gpt2_style", "/model/merges/3", "one two three"), HasSubstr("merge 3 is not a pair"));
  EXPECT_THAT(errorWith("gpt2_style", "/model/merges/3", {"qqq", "a"}), HasSubstr("merge 3 needs the token \"qqq\""));
  EXPECT_THAT(errorWith("gpt2_style", "/added_tokens/0/content", ""), HasSubstr("no content"));
  EXPECT_THAT(errorWith("sentencepiece_style", "/model/unk_token", "<none>"),
              HasSubstr("the unknown token \"<none>\""));
  EXPECT_THAT(errorWith("llama3_style", "/pre_tokenizer/pretokenizers/0/pattern/Regex", "(unclosed"),
              HasSubstr("cannot be used"));
  EXPECT_THAT(errorWith("llama3_style", "/pre_tokenizer/pretokenizers/0/pattern", 7), HasSubstr("has no pattern"));
  EXPECT_THAT(errorWith("llama3_style", "/post_processor/processors/1/special_tokens", Json::object()),
              HasSubstr("that is put before each text is not known"));
  EXPECT_THAT(errorWith("llama3_style", "/post_processor/processors/1/single", 7), HasSubstr("no \"single\""));
  const Json twice = Json::array({{{"SpecialToken", {{"id", "<s>"}}}}, {{"SpecialToken", {{"id", "<s>"}}}}});
  EXPECT_THAT(errorWith("llama3_style", "/post_processor/processors/1/single", twice),
              HasSubstr("more than one token"));
  EXPECT_THAT(errorWith("gpt2_style", "/normalizer", {{"type", "Sequence"}, {"normalizers", 7}}),
              HasSubstr("has no list"));
  EXPECT_THAT(errorWith("gpt2_style", "/normalizer", 7), HasSubstr("a step is not an object"));
  EXPECT_THAT(errorWith("gpt2_style", "/normalizer", {{"type", "Prepend"}}), HasSubstr("\"prepend\" is missing"));
  Json deep = {{"type", "NFC"}};
  for (int i = 0; i < 12; ++i) deep = {{"type", "Sequence"}, {"normalizers", {deep}}};
  EXPECT_THAT(errorWith("gpt2_style", "/normalizer", deep), HasSubstr("too deep"));
}

TEST(Tokenizer, ByteWithoutATokenIsRefused) {
  Json json = Json::parse(contentOf(kFolder + "gpt2_style.json"));
  json["model"]["vocab"].erase("!");
  EXPECT_THAT(errorOf(json.dump()), HasSubstr("no token for the byte <0x21>"));
}

TEST(Tokenizer, APatternThatNeverEndsIsAnErrorNotAHang) {
  Json json = Json::parse(contentOf(kFolder + "llama3_style.json"));
  json["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = "(a+)+$";
  const TemporaryFolder folder;
  folder.write("tokenizer.json", json.dump());
  const auto tokenizer = Tokenizer::load(folder.path());
  EXPECT_THROW(tokenizer->encode(std::string(5000, 'a') + "b"), ModelError);
}

// Whatever is changed in a tokenizer file, it either works or is refused with a ModelError.
TEST(Tokenizer, NoChangedByteCrashesTheReader) {
  const TemporaryFolder folder;
  std::mt19937 random(7);
  int refused = 0;
  for (const char* kind : {"llama3_style", "sentencepiece_style", "digits_and_replacements"}) {
    const std::string whole = contentOf(kFolder + kind + ".json");
    for (int round = 0; round < 300; ++round) {
      std::string damaged = whole;
      for (int i = 0; i <= round % 4; ++i) {
        const std::size_t at = random() % (round % 2 == 0 ? damaged.size() : 1500);
        damaged[at] = round % 3 == 0 ? static_cast<char>(random()) : "0123456789\"{}[],:abcdefsnrt"[random() % 27];
      }
      folder.write("tokenizer.json", damaged);
      try {
        const auto tokenizer = Tokenizer::load(folder.path());
        tokenizer->decode(tokenizer->encode("The <s> Time\n\n 1895 na\xC3\xAFve \xF0\x9F\xA6\x80"));
      } catch (const ModelError&) {
        ++refused;
      }
    }
  }
  EXPECT_GT(refused, 200);
}

TEST(StreamDecoder, EmitsOnlyWholeCharacters) {
  const auto tokenizer = Tokenizer::load(PALIMPSEST_TEST_DATA "/tiny-model");
  const std::vector<TokenId> crab = tokenizer->encode("\xF0\x9F\xA6\x80");
  ASSERT_EQ(crab.size(), 4U) << "one token a byte";
  StreamDecoder decoder(*tokenizer);
  EXPECT_EQ(decoder.push(crab[0]), "");
  EXPECT_EQ(decoder.push(crab[1]), "");
  EXPECT_EQ(decoder.push(crab[2]), "");
  EXPECT_EQ(decoder.push(crab[3]), "\xF0\x9F\xA6\x80");
  EXPECT_EQ(decoder.push(crab[0]), "");
  EXPECT_EQ(decoder.finish(), "\xEF\xBF\xBD") << "what the answer broke off";
  EXPECT_EQ(decoder.finish(), "");
}

TEST(StreamDecoder, DropsTheSpaceThatSentencePiecePutsFirst) {
  const auto tokenizer = load("sentencepiece_style");
  const std::vector<TokenId> ids = tokenizer->encode("the time");
  StreamDecoder decoder(*tokenizer);
  std::string text;
  for (const TokenId id : ids) text += decoder.push(id);
  EXPECT_EQ(text + decoder.finish(), "the time");
}

TEST(SentencePieceModel, FilesThatAreNoneAreRefused) {
  const TemporaryFolder folder;
  folder.write("tokenizer.model", "\x0A\xFF\xFFrubbish");
  try {
    Tokenizer::load(folder.path());
    FAIL();
  } catch (const ModelError& error) {
    EXPECT_THAT(expectSentence(error.what()), HasSubstr("is not a SentencePiece model"));
  }
  folder.write("tokenizer.model", "");
  EXPECT_THROW(Tokenizer::load(folder.path()), ModelError);
}

TEST(TiktokenModel, FilesThatAreNotLlama3sAreRefused) {
  const TemporaryFolder folder;
  const auto error = [&](const std::string& text) {
    folder.write("tokenizer.model", text);
    try {
      Tokenizer::load(folder.path());
    } catch (const ModelError& caught) {
      return expectSentence(caught.what());
    }
    return std::string("no error");
  };
  EXPECT_THAT(error("IQ== 0\nIg== 1\n"), HasSubstr("has 2 tokens where Llama 3 has 128000"));
  EXPECT_THAT(error("IQ== 0\nIg== 0\n"), HasSubstr("line 2 is not one of a Llama 3 tokenizer"));
  EXPECT_THAT(error("IQ== 0\n!!!! 1\n"), HasSubstr("line 2"));
  EXPECT_THAT(error("IQ== 0\nIg== 999999999999999999999\n"), HasSubstr("line 2"));
  EXPECT_THAT(error("IQ== 0\nIg==\n"), HasSubstr("line 2"));
}

}  // namespace
}  // namespace palimpsest::engine
