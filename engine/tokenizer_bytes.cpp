#include "engine/tokenizer_bytes.h"

#include <array>
#include <nlohmann/json.hpp>

#include "engine/json_file.h"
#include "engine/utf8.h"

namespace palimpsest::engine {

namespace {

constexpr std::size_t kMaxConfigBytes = 4 << 20;

struct ByteAlphabet {
  std::array<char32_t, 256> characters{};
  std::array<int, 512> bytes{};  // by character; -1 = none

  ByteAlphabet() {
    bytes.fill(-1);
    char32_t next = 0x100;
    for (int byte = 0; byte < 256; ++byte) {
      const bool printable = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
      const char32_t character = printable ? static_cast<char32_t>(byte) : next++;
      characters[static_cast<std::size_t>(byte)] = character;
      bytes[character] = byte;
    }
  }
};

const ByteAlphabet& alphabet() {
  static const ByteAlphabet made;
  return made;
}

nlohmann::json configBeside(const std::filesystem::path& file) {
  const std::filesystem::path config = file.parent_path() / "tokenizer_config.json";
  return std::filesystem::exists(config) ? readJsonFile(config, kMaxConfigBytes) : nlohmann::json::object();
}

}  // namespace

std::string entryOfByte(unsigned char byte) {
  std::string entry;
  appendUtf8(entry, alphabet().characters[byte]);
  return entry;
}

std::string bytesOfEntry(std::string_view entry) {
  std::string bytes;
  for (std::size_t i = 0; i < entry.size();) {
    const Utf8Step step = utf8At(entry, i);
    const int byte = step.valid && step.codePoint < 512 ? alphabet().bytes[step.codePoint] : -1;
    if (byte >= 0) {
      bytes += static_cast<char>(byte);
    } else {
      bytes += entry.substr(i, step.length);
    }
    i += step.length;
  }
  return bytes;
}

std::string fallbackEntry(unsigned char byte) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  return std::string("<0x") + kDigits[byte >> 4] + kDigits[byte & 15] + ">";
}

std::string replaceAll(std::string_view text, std::string_view from, std::string_view to) {
  std::string made;
  std::size_t kept = 0;
  for (std::size_t at = text.find(from); at != std::string_view::npos; at = text.find(from, kept)) {
    made.append(text.substr(kept, at - kept)).append(to);
    kept = at + from.size();
  }
  return made.append(text.substr(kept));
}

std::optional<TokenId> eosBeside(const std::filesystem::path& file, const StringMap<TokenId>& ids) {
  const nlohmann::json config = configBeside(file);
  const auto idOf = [&](const nlohmann::json& name) -> std::optional<TokenId> {
    if (!name.is_string()) return std::nullopt;
    const auto found = ids.find(name.get<std::string>());
    return found == ids.end() ? std::nullopt : std::optional(found->second);
  };
  const auto named = config.find("eos_token");  // "</s>" or {"content": "</s>", ...}
  if (named != config.end()) {
    const auto id = idOf(named->is_object() && named->contains("content") ? (*named)["content"] : *named);
    if (id) return id;
  }
  for (const char* usual : {"</s>", "<|end_of_text|>", "<|endoftext|>", "<|im_end|>"}) {
    if (const auto id = idOf(usual)) return id;
  }
  return std::nullopt;
}

bool configFlagBeside(const std::filesystem::path& file, const char* name, bool ifMissing) {
  const nlohmann::json config = configBeside(file);
  const auto found = config.find(name);
  return found != config.end() && found->is_boolean() ? found->get<bool>() : ifMissing;
}

}  // namespace palimpsest::engine
