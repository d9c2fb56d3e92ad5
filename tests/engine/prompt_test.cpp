#include "engine/prompt.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>

#include "engine/errors.h"
#include "tests/engine/sentence.h"
#include "tests/engine/temporary_folder.h"

namespace palimpsest::engine {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

constexpr const char* kLlama3Template =
    "{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>{{ m.content | trim }}<|eot_id|>{% endfor "
    "%}";
constexpr const char* kMistralTemplate =
    "{{ bos_token }}{% for m in messages %}[INST] {{ m.content }} [/INST]{% endfor %}";
constexpr const char* kChatMlTemplate =
    "{% for m in messages %}<|im_start|>{{ m.role }}{{ m.content }}<|im_end|>{% endfor %}";

// As in the models' own templates, what puts a system message where the conversation has none.
constexpr const char* kLlama31Template =
    "{%- if not date_string is defined %}{%- set date_string = \"26 Jul 2024\" %}{%- endif %}"
    "{{- \"<|start_header_id|>system<|end_header_id|>\\n\\n\" }}{{- \"Cutting Knowledge Date: December 2023\\n\" }}"
    "{{- \"Today Date: \" + date_string + \"\\n\\n\" }}{{- system_message }}{{- \"<|eot_id|>\" }}";
constexpr const char* kQwen25Template =
    "{%- if tools %}{{- '<|im_start|>system\\n' }}{{- 'You are Qwen.' }}{{- \"# Tools<|im_end|>\\n\" }}{%- else %}"
    "{%- if messages[0]['role'] == 'system' %}{{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}"
    "{%- else %}{{- '<|im_start|>system\\nYou are Qwen, created by Alibaba Cloud. You are a helpful "
    "assistant.<|im_end|>\\n' }}{%- endif %}{%- endif %}";
constexpr const char* kSmolLm2Template =
    "{% for m in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nYou are a "
    "helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' }}{% endif %}{% endfor %}";

// The tiny tokenizer or another one, with more special tokens in its file where a test wants them.
std::unique_ptr<Tokenizer> tokenizerWith(const std::vector<std::string>& special,
                                         const std::string& file = "/tiny-model/tokenizer.json") {
  nlohmann::json json = nlohmann::json::parse(contentOf(PALIMPSEST_TEST_DATA + file));
  int id = static_cast<int>(json["model"]["vocab"].size());
  for (const std::string& name : special)
    json["added_tokens"].push_back({{"id", id++}, {"content", name}, {"special", true}});
  const TemporaryFolder folder;
  folder.write("tokenizer.json", json.dump());
  return Tokenizer::load(folder.path());
}

const std::unique_ptr<Tokenizer>& tiny() {
  static const std::unique_ptr<Tokenizer> tokenizer = tokenizerWith({});
  return tokenizer;
}

ModelConfig withTemplate(const std::string& text) {
  ModelConfig config;
  config.name = "chatty";
  config.chatTemplate = text;
  return config;
}

// Text of the prompt with special tokens written out.
std::string shown(const Tokenizer& tokenizer, const std::vector<TokenId>& tokens) {
  std::string text;
  for (const TokenId id : tokens) {
    std::string bytes = tokenizer.tokenBytes(id);
    for (const char* name : {"<s>", "</s>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|im_start|>",
                             "<|im_end|>", "[INST]", "[/INST]"}) {
      if (tokenizer.tokenId(name) == id) bytes = name;
    }
    text += bytes;
  }
  return text;
}

const PromptParts kParts{
    "Who is Weena?", {{"What is it?", "A machine."}, {"Whose?", "His."}}, {"First passage.", "Second passage."}};

TEST(Prompt, BaseModelGetsPassagesThenTurnsThenTheQuestion) {
  const Prompt prompt = questionPrompt({}, *tiny(), kParts, 1000);
  EXPECT_EQ(shown(*tiny(), prompt.tokens),
            "<s>First passage.\n\nSecond passage.\n\nQuestion: What is it?\nAnswer: A machine.\n\nQuestion: "
            "Whose?\nAnswer: His.\n\nQuestion: Who is Weena?\nAnswer:");
  EXPECT_EQ(prompt.turnsUsed, 2);
  EXPECT_EQ(prompt.passagesUsed, 2);
}

TEST(Prompt, ConfigsOwnPromptsAreUsed) {
  ModelConfig config;
  config.infiniAttention.emplace();
  config.infiniAttention->prompts = {{"question", "Q {question} A"},
                                     {"turn", "({question}|{answer})"},
                                     {"passages", "<{passages}>"},
                                     {"summary", "Sum:"}};
  EXPECT_EQ(shown(*tiny(), questionPrompt(config, *tiny(), kParts, 1000).tokens),
            "<s><First passage.\n\nSecond passage.>(What is it?|A machine.)(Whose?|His.)Q Who is Weena? A");
  EXPECT_EQ(shown(*tiny(), summaryPrompt(config, *tiny())), "<s>Sum:");
  EXPECT_EQ(shown(*tiny(), summaryPrompt({}, *tiny())), "<s>Book card:\n");
  EXPECT_EQ(promptText(config, "unknown"), "The book does not say.");
  EXPECT_THROW(promptText(config, "other"), ModelError);
}

TEST(Prompt, PlacesAndSpecialNamesInsideAQuestionStayText) {
  PromptParts parts;
  parts.question = "What is {answer}, </s> or {question}?";
  parts.earlierTurns = {{"{answer}", "{question}"}};
  EXPECT_EQ(shown(*tiny(), questionPrompt({}, *tiny(), parts, 1000).tokens),
            "<s>Question: {answer}\nAnswer: {question}\n\nQuestion: What is {answer}, </s> or {question}?\nAnswer:");
  const std::vector<TokenId> tokens = questionPrompt({}, *tiny(), parts, 1000).tokens;
  EXPECT_EQ(std::count(tokens.begin(), tokens.end(), *tiny()->tokenId("</s>")), 0);
}

TEST(Prompt, OldestTurnsThenLastPassagesAreDroppedUntilItFits) {
  const auto sizeOf = [&](std::vector<Turn> turns, std::vector<std::string> passages) {
    return static_cast<int>(
        questionPrompt({}, *tiny(), {kParts.question, std::move(turns), std::move(passages)}, 100000).tokens.size());
  };
  const auto& turns = kParts.earlierTurns;
  const auto& passages = kParts.passages;
  struct Case {
    int size, turns, passages;
  };
  for (const Case& expected :
       {Case{sizeOf(turns, passages), 2, 2}, Case{sizeOf({turns[1]}, passages), 1, 2}, Case{sizeOf({}, passages), 0, 2},
        Case{sizeOf({}, {passages[0]}), 0, 1}, Case{sizeOf({}, {}), 0, 0}}) {
    for (const int slack : {0, 1}) {  // one token more makes no difference yet
      const Prompt prompt = questionPrompt({}, *tiny(), kParts, expected.size + slack);
      EXPECT_EQ(prompt.turnsUsed, expected.turns);
      EXPECT_EQ(prompt.passagesUsed, expected.passages);
      EXPECT_EQ(static_cast<int>(prompt.tokens.size()), expected.size);
    }
  }
  const Prompt one = questionPrompt({}, *tiny(), kParts, sizeOf({turns[1]}, passages));
  EXPECT_THAT(shown(*tiny(), one.tokens), AllOf(HasSubstr("Whose?"), testing::Not(HasSubstr("What is it?"))));
}

TEST(Prompt, QuestionThatCannotFitIsRefused) {
  try {
    questionPrompt({}, *tiny(), kParts, 5);
    FAIL();
  } catch (const ModelError& error) {
    EXPECT_THAT(expectSentence(error.what()), AllOf(HasSubstr("The question is too long"), HasSubstr("only 5 fit")));
  }
  EXPECT_THROW(questionPrompt({}, *tiny(), kParts, -1), ModelError);
}

TEST(Prompt, ChatTemplatesAreToldByTheirMarkers) {
  EXPECT_EQ(chatFormat(withTemplate("")), ChatFormat::None);
  EXPECT_EQ(chatFormat(withTemplate(kLlama3Template)), ChatFormat::Llama3);
  EXPECT_EQ(chatFormat(withTemplate(kMistralTemplate)), ChatFormat::Mistral);
  EXPECT_EQ(chatFormat(withTemplate(kChatMlTemplate)), ChatFormat::ChatML);
}

TEST(Prompt, UnknownChatTemplatesAreRefusedWithWhatIsKnown) {
  for (const char* unknown :
       {"{{ messages }}", "<start_of_turn>user", "[INST] <<SYS>>\n{{ system }}<</SYS>> [/INST]"}) {
    try {
      questionPrompt(withTemplate(unknown), *tiny(), kParts, 1000);
      FAIL() << unknown;
    } catch (const ModelError& error) {
      EXPECT_THAT(expectSentence(error.what()),
                  AllOf(HasSubstr("chatty"), HasSubstr("Llama 3, Mistral"), HasSubstr("ChatML")));
    }
    EXPECT_THROW(summaryPrompt(withTemplate(unknown), *tiny()), ModelError);
    EXPECT_THROW(checkPrompts(withTemplate(unknown), *tiny()), ModelError);
  }
}

TEST(Prompt, Llama3Chat) {
  const auto tokenizer = tokenizerWith({"<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"});
  const Prompt prompt =
      questionPrompt(withTemplate(kLlama3Template), *tokenizer, {" Who? <|eot_id|> ", {{"A?", " B. "}}, {"P."}}, 1000);
  EXPECT_EQ(shown(*tokenizer, prompt.tokens),
            "<s><|start_header_id|>user<|end_header_id|>\n\nPassages of the "
            "book:\n\nP.\n\nA?<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\nB.<|eot_id|>"
            "<|start_header_id|>user<|end_header_id|>\n\nWho? "
            "<|eot_id|><|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n");
  EXPECT_EQ(std::count(prompt.tokens.begin(), prompt.tokens.end(), *tokenizer->tokenId("<|eot_id|>")), 3)
      << "the one in the question is text";
}

TEST(Prompt, ChatMl) {
  const auto tokenizer = tokenizerWith({"<|im_start|>", "<|im_end|>"});
  const Prompt prompt = questionPrompt(withTemplate(kChatMlTemplate), *tokenizer, {"Who?", {{"A?", "B."}}, {}}, 1000);
  EXPECT_EQ(shown(*tokenizer, prompt.tokens),
            "<s><|im_start|>user\nA?<|im_end|>\n<|im_start|>assistant\nB.<|im_end|>\n<|im_start|>user\nWho?<|im_end|>"
            "\n<|im_start|>assistant\n");
}

TEST(Prompt, MistralWithAndWithoutItsOwnTokens) {
  const PromptParts parts{"Who?", {{"A?", "B."}}, {}};
  const auto tokenizer = tokenizerWith({"[INST]", "[/INST]"});
  EXPECT_EQ(shown(*tokenizer, questionPrompt(withTemplate(kMistralTemplate), *tokenizer, parts, 1000).tokens),
            "<s>[INST]A?[/INST]B.</s>[INST]Who?[/INST]");
  EXPECT_EQ(shown(*tiny(), questionPrompt(withTemplate(kMistralTemplate), *tiny(), parts, 1000).tokens),
            "<s>[INST] A? [/INST]B.</s>[INST] Who? [/INST]");
}

// Texts made by training/make_chat_cases.py with the models' own templates.
TEST(Prompt, ChatsAreWhatTheTemplatesOfTheModelsMakeOfThem) {
  const nlohmann::json cases = nlohmann::json::parse(contentOf(PALIMPSEST_TEST_DATA "/chat_cases.json"));
  ASSERT_GT(cases.size(), 20U);
  const std::map<std::string, const char*> templates = {{"llama3", kLlama3Template},   {"llama3.1", kLlama31Template},
                                                        {"mistral", kMistralTemplate}, {"chatml", kChatMlTemplate},
                                                        {"qwen2.5", kQwen25Template},  {"smollm2", kSmolLm2Template}};
  for (const nlohmann::json& item : cases) {
    const auto tokenizer = tokenizerWith(
        item["special"], item["leading_space"] ? "/tokenizers/sentencepiece_style.json" : "/tiny-model/tokenizer.json");
    PromptParts parts{item["question"], {}, {}};
    for (const nlohmann::json& turn : item["turns"]) parts.earlierTurns.push_back({turn[0], turn[1]});
    const ModelConfig config = withTemplate(templates.at(item["form"]));
    std::string text = shown(*tokenizer, questionPrompt(config, *tokenizer, parts, 10000).tokens);
    // ChatML's template leaves the BOS to the tokenizer.
    const std::string expected = item["text"];
    if (!expected.starts_with("<s>")) text.erase(0, 3);
    EXPECT_EQ(text, expected) << item["template"];
  }
}

TEST(Prompt, ChatTemplateWithoutItsTokensIsRefused) {
  try {
    questionPrompt(withTemplate(kChatMlTemplate), *tiny(), kParts, 1000);
    FAIL();
  } catch (const ModelError& error) {
    EXPECT_THAT(expectSentence(error.what()), HasSubstr("needs the token <|im_start|>"));
  }
}

TEST(Prompt, WhatNoQuestionCouldBeAskedWithIsToldBeforeAnyIs) {
  EXPECT_THROW(checkPrompts(withTemplate(kChatMlTemplate), *tiny()), ModelError);
  EXPECT_THROW(checkPrompts(withTemplate(kLlama3Template), *tiny()), ModelError);
  EXPECT_NO_THROW(checkPrompts(withTemplate(""), *tiny()));
  EXPECT_NO_THROW(checkPrompts(withTemplate(kMistralTemplate), *tiny())) << "[INST] may be ordinary text";
  EXPECT_NO_THROW(checkPrompts(withTemplate(kChatMlTemplate), *tokenizerWith({"<|im_start|>", "<|im_end|>"})));
}

TEST(Prompt, SummaryOfAChatModelIsARequest) {
  const auto tokenizer = tokenizerWith({"<|im_start|>", "<|im_end|>"});
  const std::string text = shown(*tokenizer, summaryPrompt(withTemplate(kChatMlTemplate), *tokenizer));
  EXPECT_THAT(text,
              AllOf(StartsWith("<s><|im_start|>user\n"), HasSubstr("people"), EndsWith("<|im_start|>assistant\n")));
}

TEST(Prompt, TheTemplatesOwnSystemMessageStandsBeforeASummaryAsWell) {
  const auto tokenizer = tokenizerWith({"<|im_start|>", "<|im_end|>"});
  EXPECT_THAT(shown(*tokenizer, summaryPrompt(withTemplate(kQwen25Template), *tokenizer)),
              StartsWith("<s><|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful "
                         "assistant.<|im_end|>\n<|im_start|>user\n"));
}

TEST(Prompt, EveryEndOfTextStops) {
  const auto tokenizer = tokenizerWith({"<|im_start|>", "<|im_end|>"});
  ModelConfig config = withTemplate(kChatMlTemplate);
  EXPECT_THAT(stopTokens(config, *tokenizer),
              ElementsAre(*tokenizer->tokenId("</s>"), *tokenizer->tokenId("<|im_end|>")));
  config.eosTokenIds = {7, *tokenizer->tokenId("<|im_end|>")};
  EXPECT_THAT(stopTokens(config, *tokenizer), ElementsAre(7, *tokenizer->tokenId("<|im_end|>")));
}

TEST(Prompt, UnknownAnswerIsToldWhateverItsCaseAndStop) {
  EXPECT_TRUE(isUnknownAnswer({}, "The book does not say."));
  EXPECT_TRUE(isUnknownAnswer({}, "  the book\ndoes not say "));
  EXPECT_FALSE(isUnknownAnswer({}, "The book does not say that he slept."));
  EXPECT_FALSE(isUnknownAnswer({}, ""));
  ModelConfig config;
  config.infiniAttention.emplace();
  config.infiniAttention->prompts["unknown"] = "";
  EXPECT_FALSE(isUnknownAnswer(config, "")) << "a model without such an answer never gives it";
}

}  // namespace
}  // namespace palimpsest::engine
