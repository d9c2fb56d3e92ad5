// A real pretrained Llama without memory, stories260K (training/convert_stories260k.py), tells the story it is known
// for.
#include <gtest/gtest.h>

#include <algorithm>

#include "engine/answer_writer.h"
#include "engine/backend.h"
#include "engine/errors.h"
#include "tests/engine/generator_fixture.h"

namespace palimpsest::engine {
namespace {

std::filesystem::path storyFolder() {
  return std::filesystem::path(PALIMPSEST_SOURCE_DIR) / "tests" / "data" / "stories260K";
}

// What it says by itself after the BOS, always the likeliest token next.
std::string story(Precision precision, int tokens) {
  const auto model = load(storyFolder(), precision);
  const auto workspace = model->transformer().makeWorkspace();
  AnswerWriter writer(*model, *workspace, nullptr);
  StreamDecoder decoder(model->tokenizer());
  TokenId token = *model->tokenizer().bosToken();
  std::string text;
  for (int i = 0; i < tokens; ++i) {
    const std::span<const float> logits = writer.put(std::span(&token, 1), {});
    token = static_cast<TokenId>(std::ranges::max_element(logits) - logits.begin());
    text += decoder.push(token);
  }
  return text + decoder.finish();
}

// llama2.c's own test expects the same words of this model.
TEST(Stories260K, TellsAStory) {
  const std::string expected =
      "Once upon a time, there was a little girl named Lily. She loved to play outside in the park. One day, she saw a "
      "big, red ball. She wanted to play with it, but it was too high.\nLily's mom said, \"Lily, let's go to the "
      "park.\" Lily was sad and didn't know what to do. She said, \"I want to play with your ball, but";
  EXPECT_EQ(story(Precision::Float32, 120).substr(0, expected.size()), expected);
}

TEST(Stories260K, TellsItInBFloat16) {
  if (!cpuMultipliesBFloat16()) GTEST_SKIP() << "this CPU has no bf16";
  EXPECT_TRUE(story(Precision::BFloat16, 20).starts_with("Once upon a time, there was a little"));
}

TEST(Stories260K, HasNoMemoryAndSaysSo) {
  const auto model = load(storyFolder());
  EXPECT_FALSE(model->hasMemory());
  Generator generator(model);
  CompressiveMemory memory = model->emptyMemory();
  EXPECT_THROW(generator.read(memory, "Once upon a time.", {}), ModelError);
}

}  // namespace
}  // namespace palimpsest::engine
