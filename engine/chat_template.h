// What a chat template (Jinja) says by itself. The engine runs no Jinja: it knows the forms of a few families
// (prompt.h), and reads from the template only the words that differ from model to model.
#pragma once

#include <string>
#include <string_view>

namespace palimpsest::engine {

// The system message that the template puts first where the conversation brings none, as it stands between the frame's
// tokens; empty = it puts none. Known are the two dates of Llama 3.1 and later, always with the template's own default
// for today, so that the same question gets the same answer tomorrow; and a constant text in ChatML (Qwen, SmolLM2).
std::string ownSystemMessage(std::string_view chatTemplate);

}  // namespace palimpsest::engine
