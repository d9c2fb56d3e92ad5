#include "engine/segment_cutter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>
#include <sstream>
#include <stdexcept>

#include "engine/errors.h"
#include "tests/engine/temporary_folder.h"

namespace palimpsest::engine {
namespace {

const std::unique_ptr<Tokenizer>& tiny() {
  static const std::unique_ptr<Tokenizer> tokenizer = Tokenizer::load(PALIMPSEST_TEST_DATA "/tiny-model");
  return tokenizer;
}

// A tokenizer whose counts a test decides, and which notes how much it was asked to encode.
class CountingTokenizer : public Tokenizer {
 public:
  explicit CountingTokenizer(std::function<std::size_t(std::string_view)> count) : count_(std::move(count)) {}
  std::vector<TokenId> encode(std::string_view text) const override {
    bytesAsked += text.size();
    return std::vector<TokenId>(count_(text));
  }
  std::string decode(std::span<const TokenId>) const override { return ""; }
  std::string tokenBytes(TokenId) const override { return ""; }
  int vocabSize() const override { return 1; }
  std::optional<TokenId> bosToken() const override { return std::nullopt; }
  std::optional<TokenId> eosToken() const override { return std::nullopt; }
  std::optional<TokenId> tokenId(std::string_view) const override { return std::nullopt; }
  mutable std::size_t bytesAsked = 0;

 private:
  std::function<std::size_t(std::string_view)> count_;
};

CountingTokenizer oneTokenPerByte() {
  return CountingTokenizer([](std::string_view text) { return text.size(); });
}

using Cuts = std::vector<std::pair<std::int64_t, std::int64_t>>;

Cuts cutsOf(SegmentCutter& cutter, std::string_view text) {
  Cuts cuts;
  std::int64_t position = 0;
  while (const auto segment = cutter.next(text, position)) {
    cuts.emplace_back(segment->begin, segment->end);
    position = segment->end;
  }
  return cuts;
}

TEST(SegmentCutter, CutsWhereTheReferenceDoes) {
  const nlohmann::json cases = nlohmann::json::parse(contentOf(PALIMPSEST_TEST_DATA "/cutter_cases.json"));
  ASSERT_GT(cases.size(), 50U);
  for (std::size_t i = 0; i < cases.size(); ++i) {
    SegmentCutter cutter(*tiny(), cases[i]["segment_length"]);
    EXPECT_EQ(cutsOf(cutter, cases[i]["text"].get<std::string>()), cases[i]["cuts"].get<Cuts>()) << "case " << i;
  }
}

// The evaluation in PyTorch reads the same segments (training/make_cases.py has written where they end).
TEST(SegmentCutter, CutsTheCasesOfTheEvaluationAsPyTorchDoes) {
  const std::filesystem::path model = PALIMPSEST_SOURCE_DIR "/resources/models/palimpsest-mini";
  const auto tokenizer = Tokenizer::load(model);
  const nlohmann::json config = nlohmann::json::parse(contentOf(model / "config.json"));
  std::istringstream file(contentOf(PALIMPSEST_TEST_DATA "/cases.jsonl"));
  std::string line;
  std::getline(file, line);
  const nlohmann::json expected = nlohmann::json::parse(line).at("reference").at("segments");
  ASSERT_GT(expected.size(), 4U);
  for (const nlohmann::json& segments : expected) {
    ASSERT_TRUE(std::getline(file, line));
    const nlohmann::json document = nlohmann::json::parse(line);
    std::string text;
    for (const nlohmann::json& paragraph : document.at("paragraphs"))
      text += (text.empty() ? "" : "\n\n") + paragraph.get<std::string>();
    SegmentCutter cutter(*tokenizer, config.at("infini_attention").at("segment_length"));
    nlohmann::json found = nlohmann::json::array();
    std::int64_t position = 0;
    while (const auto segment = cutter.next(text, position)) {
      found.push_back({segment->end, segment->tokens.size()});
      position = segment->end;
    }
    EXPECT_EQ(found, segments) << text.substr(0, 60);
  }
}

TEST(SegmentCutter, SegmentsFollowEachOtherAndHoldTheirOwnTokens) {
  const nlohmann::json cases = nlohmann::json::parse(contentOf(PALIMPSEST_TEST_DATA "/cutter_cases.json"));
  const std::string text = cases.at(57)["text"];
  SegmentCutter cutter(*tiny(), 64);
  std::int64_t position = 0;
  while (const auto segment = cutter.next(text, position)) {
    EXPECT_EQ(segment->begin, position);
    EXPECT_GT(segment->end, segment->begin);
    EXPECT_FALSE(segment->tokens.empty());
    EXPECT_LE(segment->tokens.size(), 64U);
    EXPECT_EQ(segment->tokens, tiny()->encode(std::string_view(text).substr(position, segment->end - position)));
    position = segment->end;
  }
  EXPECT_EQ(text.find_first_not_of(" \t\r\n", position), std::string::npos) << "only white space is left over";
}

TEST(SegmentCutter, ACutDoesNotDependOnWhatWasAskedBefore) {
  const nlohmann::json cases = nlohmann::json::parse(contentOf(PALIMPSEST_TEST_DATA "/cutter_cases.json"));
  const std::string text = cases.at(57)["text"];
  SegmentCutter one(*tiny(), 64);
  for (const auto& [begin, end] : cutsOf(one, text)) {
    SegmentCutter fresh(*tiny(), 64);
    EXPECT_EQ(fresh.next(text, begin)->end, end);
  }
}

TEST(SegmentCutter, NothingIsLeftInWhiteSpaceOrBeyondTheEnd) {
  SegmentCutter cutter(*tiny(), 32);
  EXPECT_FALSE(cutter.next("", 0));
  EXPECT_FALSE(cutter.next(" \n\t\r ", 0));
  EXPECT_FALSE(cutter.next("word \n", 4));
  EXPECT_FALSE(cutter.next("word", 100));
  EXPECT_FALSE(cutter.next("word", -1));
}

TEST(SegmentCutter, AWordThatDoesNotFitIsCutBetweenCharacters) {
  const CountingTokenizer tokenizer = oneTokenPerByte();
  SegmentCutter cutter(tokenizer, 10);
  const std::string text =
      "\xE6\x99\x82\xE9\x96\x93\xE6\x97\x85\xE8\xA1\x8C\xE8\x80\x85";  // five characters of three bytes
  EXPECT_THAT(cutsOf(cutter, text), testing::ElementsAre(std::pair(0, 9), std::pair(9, 15)));
}

TEST(SegmentCutter, InvalidBytesAreCutThroughWithoutHarm) {
  SegmentCutter cutter(*tiny(), 16);
  const std::string text(1000, '\xFF');
  const Cuts cuts = cutsOf(cutter, text);
  ASSERT_FALSE(cuts.empty());
  EXPECT_EQ(cuts.back().second, 1000);
}

TEST(SegmentCutter, PiecesAreDroppedWhereTheWholeHasMoreTokensThanItsParts) {
  // Three words and more take two tokens extra when they stand together.
  const CountingTokenizer tokenizer([](std::string_view text) {
    const auto words = static_cast<std::size_t>(std::count(text.begin(), text.end(), ' '));
    return words * 4 + (words >= 3 ? 2 : 0);
  });
  SegmentCutter cutter(tokenizer, 12);
  const Cuts cuts = cutsOf(cutter, " aa bb cc dd ee");
  EXPECT_THAT(cuts, testing::ElementsAre(std::pair(0, 6), std::pair(6, 12), std::pair(12, 15)));
}

TEST(SegmentCutter, TextOfWhichTheTokenizerLeavesNothingIsSkipped) {
  const CountingTokenizer tokenizer(
      [](std::string_view text) { return static_cast<std::size_t>(std::count(text.begin(), text.end(), 'x')); });
  SegmentCutter cutter(tokenizer, 8);
  EXPECT_TRUE(cutsOf(cutter, "a b c").empty());
  const std::string text = std::string(600, 'a') + std::string(600, 'a') + " xx";
  const Cuts cuts = cutsOf(cutter, text);
  ASSERT_EQ(cuts.size(), 1U);
  EXPECT_EQ(cuts[0].second, 1203);
  EXPECT_TRUE(cutsOf(cutter, std::string(20'000'000, 'a')).empty()) << "however long it is";
}

TEST(SegmentCutter, ACharacterOfMoreTokensThanASegmentIsAnError) {
  const CountingTokenizer tokenizer([](std::string_view text) { return text.size() * 100; });
  SegmentCutter cutter(tokenizer, 16);
  EXPECT_THROW(cutter.next("a", 0), ModelError);
}

TEST(SegmentCutter, ImpossibleSettingsAreRefused) {
  EXPECT_THROW(SegmentCutter(*tiny(), 7), std::invalid_argument);
  EXPECT_THROW(SegmentCutter(*tiny(), 32, 2), std::invalid_argument);
}

// What is asked of the tokenizer must grow with the text, not with its square, also where nothing can be cut nicely.
TEST(SegmentCutter, WorkIsInProportionToTheText) {
  const auto bytesAsked = [](const std::string& text) {
    const CountingTokenizer tokenizer = oneTokenPerByte();
    SegmentCutter cutter(tokenizer, 256);
    EXPECT_FALSE(cutsOf(cutter, text).empty());
    return static_cast<double>(tokenizer.bytesAsked) / static_cast<double>(text.size());
  };
  std::string prose;
  for (int i = 0; i < 100000; ++i) prose += "word" + std::to_string(i) + (i % 9 == 0 ? ". " : " ");
  EXPECT_LT(bytesAsked(prose), 4.0);
  EXPECT_LT(bytesAsked(std::string(2'000'000, 'x')), 40.0);
  EXPECT_LT(bytesAsked("x" + std::string(2'000'000, ' ') + "x"), 40.0);
  EXPECT_LT(bytesAsked(std::string(2'000'000, '\n') + "x"), 40.0);
}

TEST(SegmentCutter, TwentyMegabytesWithoutWhiteSpaceAreReadFromTheStartAtOnce) {
  const std::string text(20'000'000, 'q');
  SegmentCutter cutter(*tiny(), 256);
  std::int64_t position = 0;
  for (int i = 0; i < 50; ++i) position = cutter.next(text, position)->end;
  EXPECT_LT(position, 1'000'000);
  EXPECT_EQ(cutter.next(text, 19'999'990)->end, 20'000'000);
}

}  // namespace
}  // namespace palimpsest::engine
