// What is put before the model when a person asks: the config's prompts for base models, the chat template's form for
// instruct models.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/model_config.h"
#include "engine/tokenizer.h"

namespace palimpsest::engine {

struct Turn {  // an earlier exchange of the conversation, put before the question as ordinary local text
  std::string question;
  std::string answer;
};

struct PromptParts {
  std::string question;
  std::vector<Turn> earlierTurns;     // oldest first; the oldest are dropped first when the context is full
  std::vector<std::string> passages;  // best first; dropped from the end when there are no turns left to drop
};

struct Prompt {
  std::vector<TokenId> tokens;  // BOS first where the tokenizer adds one
  int turnsUsed = 0;
  int passagesUsed = 0;
};

// The kinds of chat template that are known. None = a base model, prompted with the config's prompts.
enum class ChatFormat { None, Llama3, Mistral, ChatML };

// Told by the markers in config.chatTemplate. Throws ModelError, naming what is supported, on any other template.
ChatFormat chatFormat(const ModelConfig& config);

// Throws ModelError where no question could be asked: chatFormat() refuses the template, or the tokenizer lacks a token
// of the template. For loading, so that nobody reads a book first.
void checkPrompts(const ModelConfig& config, const Tokenizer& tokenizer);

// infini_attention.prompts[key] of the config, or its default. Keys:
//   "question"  holds {question}                      "Question: {question}\nAnswer:"
//   "turn"      holds {question} and {answer}         "Question: {question}\nAnswer: {answer}\n\n"
//   "passages"  holds {passages}                      "{passages}\n\n"
//   "summary"   what the book card follows            "Book card:\n"
//   "unknown"   the answer of a model that found none "The book does not say."
std::string promptText(const ModelConfig& config, std::string_view key);

// The prompt, at most maxTokens long (the caller has put the answer's budget aside): passages, turns, question.
// Throws ModelError when the question alone is longer, or the chat template is of an unknown kind.
Prompt questionPrompt(const ModelConfig& config, const Tokenizer& tokenizer, const PromptParts& parts, int maxTokens);
std::vector<TokenId> summaryPrompt(const ModelConfig& config, const Tokenizer& tokenizer);

// Every token that ends an answer: the config's eos ids, and the end-of-turn token of the chat format.
std::vector<TokenId> stopTokens(const ModelConfig& config, const Tokenizer& tokenizer);

// An answer as the model writes it after the question: a base model opens it with a space, a chat model does not.
std::vector<TokenId> answerTokens(const ModelConfig& config, const Tokenizer& tokenizer, std::string_view answer);

// The token with which prompts["unknown"] begins after a question: its probability is the model's doubt that the book
// says it. How readily a model says that the book does not say depends on what it was trained with; unknown_bias (nats,
// taken from this token's logit) sets the threshold apart from the weights. None where the config has no memory or an
// empty "unknown".
std::optional<TokenId> unknownToken(const ModelConfig& config, const Tokenizer& tokenizer);

// Whether an answer is the one that means "the book does not say" (prompts["unknown"]); case, white space and the
// final full stop do not matter.
bool isUnknownAnswer(const ModelConfig& config, std::string_view answer);

}  // namespace palimpsest::engine
