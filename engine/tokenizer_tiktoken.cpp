// Llama 3's own tokenizer.model: lines of "base64-of-the-token rank" (tiktoken's format).
#include <algorithm>
#include <charconv>
#include <vector>

#include "engine/errors.h"
#include "engine/json_file.h"
#include "engine/tokenizer_bpe.h"
#include "engine/tokenizer_bytes.h"

namespace palimpsest::engine {

namespace {

constexpr std::size_t kMaxFileBytes = 64 << 20;
constexpr std::size_t kLlama3Ranks = 128000;
constexpr std::size_t kLlama3Special = 256;
constexpr std::size_t kMaxTokenBytes = 256;

// Llama 3's split pattern, as its reference code and its tokenizer.json give it.
constexpr const char* kLlama3Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

// The special tokens after the ranks that have names; the others are reserved.
std::string specialName(std::size_t number, std::size_t& reserved) {
  switch (number) {
    case 0:
      return "<|begin_of_text|>";
    case 1:
      return "<|end_of_text|>";
    case 4:
      return "<|finetune_right_pad_id|>";
    case 6:
      return "<|start_header_id|>";
    case 7:
      return "<|end_header_id|>";
    case 8:
      return "<|eom_id|>";
    case 9:
      return "<|eot_id|>";
    case 10:
      return "<|python_tag|>";
    default:
      return "<|reserved_special_token_" + std::to_string(reserved++) + "|>";
  }
}

int base64Value(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  return c == '+' ? 62 : c == '/' ? 63 : -1;
}

// Empty when the text is no base64.
std::string fromBase64(std::string_view text) {
  std::string bytes;
  unsigned int bits = 0;
  int count = 0;
  while (text.ends_with('=')) text.remove_suffix(1);
  for (const char c : text) {
    const int value = base64Value(c);
    if (value < 0) return "";
    bits = (bits << 6) | static_cast<unsigned int>(value);
    count += 6;
    if (count >= 8) bytes += static_cast<char>((bits >> (count -= 8)) & 0xFFU);
  }
  return bytes;
}

// tiktoken merges the neighbours whose concatenation has the lowest rank: every way to cut a token into two tokens is a
// merge of that token's rank.
void addMerges(BpeDefinition& definition) {
  for (std::size_t id = 0; id < kLlama3Ranks; ++id) {
    const std::string_view token = definition.bytes[id];
    for (std::size_t cut = 1; cut < token.size(); ++cut) {
      const auto left = definition.pieces.find(token.substr(0, cut));
      if (left == definition.pieces.end()) continue;
      const auto right = definition.pieces.find(token.substr(cut));
      if (right != definition.pieces.end())
        definition.merges.add(left->second, right->second, static_cast<std::int32_t>(id), static_cast<TokenId>(id));
    }
  }
}

}  // namespace

std::unique_ptr<Tokenizer> loadTiktoken(const std::filesystem::path& file) {
  const std::string content = readTextFile(file, kMaxFileBytes);
  BpeDefinition definition;
  definition.bytes.resize(kLlama3Ranks);
  std::size_t lines = 0;
  for (std::size_t begin = 0; begin < content.size();) {
    const std::size_t end = std::min(content.find('\n', begin), content.size());
    const std::string_view line = std::string_view(content).substr(begin, end - begin);
    begin = end + 1;
    if (line.empty()) continue;
    ++lines;
    const std::size_t space = line.find(' ');
    const std::string token = fromBase64(line.substr(0, std::min(space, line.size())));
    std::size_t rank = kLlama3Ranks;
    if (space != std::string_view::npos) std::from_chars(line.data() + space + 1, line.data() + line.size(), rank);
    if (token.empty() || token.size() > kMaxTokenBytes || rank >= kLlama3Ranks || !definition.bytes[rank].empty()) {
      throw unusable(file.string(), "line " + std::to_string(lines) +
                                        " is not one of a Llama 3 tokenizer (a token in base64 and its rank)");
    }
    definition.bytes[rank] = token;
    definition.pieces.emplace(token, static_cast<TokenId>(rank));
  }
  if (lines != kLlama3Ranks)
    throw unusable(file.string(), "it has " + std::to_string(lines) + " tokens where Llama 3 has 128000",
                   "Other models need a tokenizer.json: fetch it from where the model came from.");

  definition.byteIds.fill(-1);
  for (int byte = 0; byte < 256; ++byte) {
    const auto found = definition.pieces.find(std::string(1, static_cast<char>(byte)));
    if (found == definition.pieces.end())
      throw unusable(file.string(), "it has no token for the byte " + fallbackEntry(static_cast<unsigned char>(byte)));
    definition.byteIds[static_cast<std::size_t>(byte)] = found->second;
  }
  addMerges(definition);
  for (const std::string& token : definition.bytes) {
    std::string entry;
    for (const char c : token) entry += entryOfByte(static_cast<unsigned char>(c));
    definition.ids.emplace(entry, static_cast<TokenId>(definition.entries.size()));
    definition.entries.push_back(std::move(entry));
  }
  std::size_t reserved = 0;
  for (std::size_t number = 0; number < kLlama3Special; ++number) {
    const auto id = static_cast<TokenId>(kLlama3Ranks + number);
    const std::string name = specialName(number, reserved);
    definition.added.push_back({.id = id, .content = name, .special = true});
    definition.ids.emplace(name, id);
    definition.entries.push_back(name);
    definition.bytes.emplace_back();
  }
  definition.wholePieces = true;
  definition.preTokenizers.push_back(splitByPattern(kLlama3Pattern, file.string()));
  definition.bos = static_cast<TokenId>(kLlama3Ranks);
  definition.eos = static_cast<TokenId>(kLlama3Ranks + 1);
  return makeBpeTokenizer(std::move(definition));
}

}  // namespace palimpsest::engine
