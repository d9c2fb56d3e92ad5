// Small helpers that the readers of tokenizer files share.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "engine/tokenizer_merges.h"

namespace palimpsest::engine {

// Byte-level vocabularies write each byte as a printable character: itself where it is one, else U+0100 and on
// (Radford et al. 2019, encoder.py).
std::string entryOfByte(unsigned char byte);
std::string bytesOfEntry(std::string_view entry);  // characters outside that alphabet stay as they are

std::string fallbackEntry(unsigned char byte);  // "<0x0A>"
std::string replaceAll(std::string_view text, std::string_view from, std::string_view to);

// "eos_token" of the tokenizer_config.json beside a tokenizer file, else the first of the usual names that is there.
std::optional<TokenId> eosBeside(const std::filesystem::path& file, const StringMap<TokenId>& ids);
// A true or false of that tokenizer_config.json.
bool configFlagBeside(const std::filesystem::path& file, const char* name, bool ifMissing);

}  // namespace palimpsest::engine
