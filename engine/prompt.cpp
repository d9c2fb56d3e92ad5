#include "engine/prompt.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <span>

#include "engine/chat_template.h"
#include "engine/errors.h"

namespace palimpsest::engine {

namespace {

struct DefaultPrompt {
  std::string_view key;
  std::string_view text;
};
constexpr std::array<DefaultPrompt, 5> kDefaults{{{"question", "Question: {question}\nAnswer:"},
                                                  {"turn", "Question: {question}\nAnswer: {answer}\n\n"},
                                                  {"passages", "{passages}\n\n"},
                                                  {"summary", "Book card:\n"},
                                                  {"unknown", "The book does not say."}}};

// What an instruct model is asked where a base model has its trained summary prompt.
constexpr const char* kSummaryRequest = "List the people, the places and the keywords of the book.";
constexpr const char* kPassagesRequest = "Passages of the book:\n\n";

using Places = std::vector<std::pair<std::string_view, std::string_view>>;  // {"{question}", "Who is Weena?"}, ...

// All places at once, so that a question which itself holds "{answer}" stays as it is.
std::string fillIn(std::string_view pattern, const Places& places) {
  std::string text;
  while (!pattern.empty()) {
    const auto here =
        std::find_if(places.begin(), places.end(), [&](const auto& place) { return pattern.starts_with(place.first); });
    if (here != places.end()) {
      text += here->second;
      pattern.remove_prefix(here->first.size());
    } else {
      text += pattern[0];
      pattern.remove_prefix(1);
    }
  }
  return text;
}

std::string joined(std::span<const std::string> passages) {
  std::string text;
  for (const std::string& passage : passages) text += (text.empty() ? "" : "\n\n") + passage;
  return text;
}

void append(std::vector<TokenId>& tokens, const std::vector<TokenId>& more) {
  tokens.insert(tokens.end(), more.begin(), more.end());
}

std::vector<TokenId> withBos(const Tokenizer& tokenizer, const std::string& text) {
  std::vector<TokenId> tokens;
  if (tokenizer.bosToken()) tokens.push_back(*tokenizer.bosToken());
  append(tokens, tokenizer.encode(text));
  return tokens;
}

// White space at the ends taken off, as the templates do with each message.
std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  return first == std::string_view::npos ? std::string_view()
                                         : text.substr(first, text.find_last_not_of(" \t\r\n") + 1 - first);
}

// The tokens of a chat in one of the known forms. A name of a special token must not be read as one where it stands in
// a book or a question: the frame's special tokens are written as ids, everything else is encoded as plain text.
class ChatWriter {
 public:
  ChatWriter(ChatFormat format, const ModelConfig& config, const Tokenizer& tokenizer)
      : format_(format), config_(config), tokenizer_(tokenizer) {
    if (tokenizer.bosToken()) tokens_.push_back(*tokenizer.bosToken());
    // As it stands: Llama's dates end in an empty line. Mistral's form has no place for it.
    const std::string system = ownSystemMessage(config.chatTemplate);
    if (format != ChatFormat::Mistral && !system.empty()) put("system", system);
  }

  void user(std::string_view text) {
    if (format_ != ChatFormat::Mistral) return message("user", text);
    if (tokenizer_.tokenId("[INST]")) {
      special("[INST]");
      plain(std::string(trimmed(text)));
      special("[/INST]");
    } else {  // the first Mistral models have no tokens for it: ordinary text
      plain("[INST] " + std::string(trimmed(text)) + " [/INST]");
    }
  }

  void assistant(std::string_view text) {
    if (format_ != ChatFormat::Mistral) return message("assistant", text);
    plain(std::string(trimmed(text)));
    special("</s>");
  }

  std::vector<TokenId> finish() {  // the answer follows
    if (format_ != ChatFormat::Mistral) header("assistant", "");
    return std::move(tokens_);
  }

 private:
  void header(const std::string& role, std::string_view text) {
    if (format_ == ChatFormat::Llama3) {
      special("<|start_header_id|>");
      plain(role);
      special("<|end_header_id|>");
      plain("\n\n" + std::string(text));
    } else {
      special("<|im_start|>");
      plain(role + "\n" + std::string(text));
    }
  }
  void message(const std::string& role, std::string_view text) { put(role, trimmed(text)); }
  void put(const std::string& role, std::string_view text) {
    header(role, text);
    special(format_ == ChatFormat::Llama3 ? "<|eot_id|>" : "<|im_end|>");
    if (format_ == ChatFormat::ChatML) plain("\n");
  }
  void plain(const std::string& text) { append(tokens_, tokenizer_.encode(text)); }
  void special(const char* name) {
    const auto id = tokenizer_.tokenId(name);
    if (!id)
      throw ModelError("The chat template of the model " + config_.name + " needs the token " + name +
                       ", which its tokenizer does not have. Get both from the same place.");
    tokens_.push_back(*id);
  }

  ChatFormat format_;
  const ModelConfig& config_;
  const Tokenizer& tokenizer_;
  std::vector<TokenId> tokens_;
};

std::vector<TokenId> baseTokens(const ModelConfig& config, const Tokenizer& tokenizer,
                                std::span<const std::string> passages, std::span<const Turn> turns,
                                const std::string& question) {
  std::string text;
  if (!passages.empty()) text += fillIn(promptText(config, "passages"), {{"{passages}", joined(passages)}});
  for (const Turn& turn : turns)
    text += fillIn(promptText(config, "turn"), {{"{question}", turn.question}, {"{answer}", turn.answer}});
  text += fillIn(promptText(config, "question"), {{"{question}", question}});
  return withBos(tokenizer, text);
}

std::vector<TokenId> chatTokens(ChatFormat format, const ModelConfig& config, const Tokenizer& tokenizer,
                                std::span<const std::string> passages, std::span<const Turn> turns,
                                const std::string& question) {
  // The passages stand before the first message, whichever that is: two user messages in a row fit no template.
  std::string before = passages.empty() ? "" : kPassagesRequest + joined(passages) + "\n\n";
  ChatWriter writer(format, config, tokenizer);
  for (const Turn& turn : turns) {
    writer.user(before + turn.question);
    writer.assistant(turn.answer);
    before.clear();
  }
  writer.user(before + question);
  return writer.finish();
}

// Lower case, single spaces, no white space or full stop at the ends.
std::string simplified(std::string_view text) {
  std::string simple;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80 && std::isspace(byte) != 0) {
      if (!simple.empty() && simple.back() != ' ') simple += ' ';
    } else {
      simple += byte < 0x80 ? static_cast<char>(std::tolower(byte)) : c;
    }
  }
  while (!simple.empty() && (simple.back() == ' ' || simple.back() == '.')) simple.pop_back();
  return simple;
}

}  // namespace

ChatFormat chatFormat(const ModelConfig& config) {
  const std::string& text = config.chatTemplate;
  const auto holds = [&](const char* marker) { return text.find(marker) != std::string::npos; };
  if (text.empty()) return ChatFormat::None;
  if (holds("<|start_header_id|>") && holds("<|eot_id|>")) return ChatFormat::Llama3;
  if (holds("<|im_start|>") && holds("<|im_end|>")) return ChatFormat::ChatML;
  // Llama 2 shares [INST], but not what stands around it.
  if (holds("[INST]") && holds("[/INST]") && !holds("<<SYS>>")) return ChatFormat::Mistral;
  throw ModelError("The chat template of the model " + config.name +
                   " is of a kind that is not known: only those of Llama 3, Mistral ([INST]) and ChatML (<|im_start|>) "
                   "are. Choose a model with one of these, or a base model, which needs none.");
}

void checkPrompts(const ModelConfig& config, const Tokenizer& tokenizer) {
  const ChatFormat format = chatFormat(config);
  const Turn turn{"?", "."};
  if (format != ChatFormat::None) chatTokens(format, config, tokenizer, {}, std::span(&turn, 1), "?");
}

std::string promptText(const ModelConfig& config, std::string_view key) {
  if (config.infiniAttention) {
    const auto found = config.infiniAttention->prompts.find(std::string(key));
    if (found != config.infiniAttention->prompts.end()) return found->second;
  }
  for (const DefaultPrompt& prompt : kDefaults) {
    if (prompt.key == key) return std::string(prompt.text);
  }
  throw ModelError("The model " + config.name + " has no prompt \"" + std::string(key) +
                   "\". Give it one in \"infini_attention.prompts\" of its config.json.");
}

Prompt questionPrompt(const ModelConfig& config, const Tokenizer& tokenizer, const PromptParts& parts, int maxTokens) {
  const ChatFormat format = chatFormat(config);
  const std::span<const Turn> turns(parts.earlierTurns);
  const std::span<const std::string> passages(parts.passages);
  const auto room = static_cast<std::size_t>(std::max(maxTokens, 0));
  // With `kept` of the parts: first the best passages, then the latest turns.
  const auto build = [&](std::size_t kept) {
    const std::span<const std::string> best = passages.first(std::min(kept, passages.size()));
    const std::span<const Turn> latest = turns.last(kept - best.size());
    return Prompt{format == ChatFormat::None ? baseTokens(config, tokenizer, best, latest, parts.question)
                                             : chatTokens(format, config, tokenizer, best, latest, parts.question),
                  static_cast<int>(latest.size()), static_cast<int>(best.size())};
  };
  Prompt prompt = build(turns.size() + passages.size());
  if (prompt.tokens.size() <= room) return prompt;
  prompt = build(0);
  if (prompt.tokens.size() > room) {
    throw ModelError("The question is too long: it has " + std::to_string(prompt.tokens.size()) + " tokens, and only " +
                     std::to_string(room) + " fit before the answer. Ask a shorter one.");
  }
  std::size_t fitting = 0;
  std::size_t tooMany = turns.size() + passages.size();
  while (fitting + 1 < tooMany) {
    const std::size_t middle = (fitting + tooMany) / 2;
    Prompt tried = build(middle);
    if (tried.tokens.size() <= room) {
      fitting = middle;
      prompt = std::move(tried);
    } else {
      tooMany = middle;
    }
  }
  return prompt;
}

std::vector<TokenId> summaryPrompt(const ModelConfig& config, const Tokenizer& tokenizer) {
  const ChatFormat format = chatFormat(config);
  if (format != ChatFormat::None) return chatTokens(format, config, tokenizer, {}, {}, kSummaryRequest);
  return withBos(tokenizer, promptText(config, "summary"));
}

std::vector<TokenId> stopTokens(const ModelConfig& config, const Tokenizer& tokenizer) {
  std::vector<TokenId> stops(config.eosTokenIds.begin(), config.eosTokenIds.end());
  const auto add = [&](std::optional<TokenId> id) {
    if (id && std::find(stops.begin(), stops.end(), *id) == stops.end()) stops.push_back(*id);
  };
  if (stops.empty()) add(tokenizer.eosToken());
  const ChatFormat format = chatFormat(config);
  if (format == ChatFormat::Llama3) add(tokenizer.tokenId("<|eot_id|>"));
  if (format == ChatFormat::ChatML) add(tokenizer.tokenId("<|im_end|>"));
  return stops;
}

std::vector<TokenId> answerTokens(const ModelConfig& config, const Tokenizer& tokenizer, std::string_view answer) {
  std::string text = chatFormat(config) == ChatFormat::None ? " " : "";
  const std::string_view words = trimmed(answer);
  text += words;
  return words.empty() ? std::vector<TokenId>() : tokenizer.encode(text);
}

std::optional<TokenId> unknownToken(const ModelConfig& config, const Tokenizer& tokenizer) {
  if (!config.infiniAttention) return std::nullopt;
  const std::string unknown = promptText(config, "unknown");
  if (unknown.empty()) return std::nullopt;
  const std::vector<TokenId> tokens = tokenizer.encode(" " + unknown);  // answers open with a space
  return tokens.empty() ? std::nullopt : std::optional(tokens.front());
}

bool isUnknownAnswer(const ModelConfig& config, std::string_view answer) {
  const std::string wanted = simplified(promptText(config, "unknown"));
  return !wanted.empty() && simplified(answer) == wanted;
}

}  // namespace palimpsest::engine
