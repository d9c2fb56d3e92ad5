#include "engine/chat_template.h"

namespace palimpsest::engine {

namespace {

// The templates of Llama 3.1, 3.2 and 3.3 differ in whether they ask for today's date; where nobody tells them, all of
// them take this one.
constexpr std::string_view kLlamaDates = "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n";

constexpr std::string_view kSystemBegin = "<|im_start|>system";
constexpr std::string_view kEnd = "<|im_end|>";

// The text that stands in a template up to the end of its string literal (opened by `quote`) or, outside of any
// (`quote` 0), up to the next piece of Jinja.
std::string constantText(std::string_view source, char quote) {
  std::string text;
  while (!source.empty()) {
    const bool ends = quote != 0 ? source[0] == quote
                                 : source.starts_with("{{") || source.starts_with("{%") || source.starts_with("{#");
    if (ends) break;
    const bool escaped = quote != 0 && source[0] == '\\' && source.size() > 1;
    if (escaped) source.remove_prefix(1);
    text += escaped && source[0] == 'n' ? '\n' : source[0];
    source.remove_prefix(1);
  }
  return text;
}

// A system message that is built from the conversation's own, or from tools, does not end in one constant text.
std::string constantSystemMessage(std::string_view chatTemplate) {
  for (auto at = chatTemplate.find(kSystemBegin); at != std::string_view::npos;
       at = chatTemplate.find(kSystemBegin, at + 1)) {
    const char before = at > 0 ? chatTemplate[at - 1] : '\0';
    const bool literal = before == '\'' || before == '"';
    const std::string text = constantText(chatTemplate.substr(at + kSystemBegin.size()), literal ? before : '\0');
    const auto end = text.find(kEnd);
    if (text.starts_with('\n') && end != std::string::npos) return text.substr(1, end - 1);
  }
  return {};
}

}  // namespace

std::string ownSystemMessage(std::string_view chatTemplate) {
  const auto holds = [&](std::string_view words) { return chatTemplate.find(words) != std::string_view::npos; };
  if (holds("<|start_header_id|>"))
    return holds("Cutting Knowledge Date: December 2023") && holds("Today Date: ") ? std::string(kLlamaDates)
                                                                                   : std::string();
  return constantSystemMessage(chatTemplate);
}

}  // namespace palimpsest::engine
