// Text to token ids and back. Byte-level BPE (GPT-2, GPT-NeoX, Llama 3) and SentencePiece BPE.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace palimpsest::engine {

using TokenId = std::int32_t;

// Thread-safe: const after construction. Throws ModelError on a folder it cannot use.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  // tokenizer.json if there is one, else tokenizer.model (SentencePiece, or Llama 3's list of base64 and rank). Files
  // of other kinds (Unigram, WordPiece, ...) and steps that are not known are refused with a sentence that names them.
  static std::unique_ptr<Tokenizer> load(const std::filesystem::path& folder);
  static std::unique_ptr<Tokenizer> loadFile(const std::filesystem::path& file);

  // Plain text: no BOS/EOS added, and the names of special tokens stay text (a prompt takes theirs by tokenId()).
  virtual std::vector<TokenId> encode(std::string_view text) const = 0;
  // UTF-8 bytes of the ids; special tokens give nothing. Invalid sequences are replaced by U+FFFD.
  virtual std::string decode(std::span<const TokenId> ids) const = 0;
  // Raw bytes of one token (may be part of a character).
  virtual std::string tokenBytes(TokenId id) const = 0;

  virtual int vocabSize() const = 0;
  virtual std::optional<TokenId> bosToken() const = 0;  // set only if the tokenizer puts one before each text
  virtual std::optional<TokenId> eosToken() const = 0;
  virtual std::optional<TokenId> tokenId(std::string_view token) const = 0;  // by its exact vocabulary entry
  // SentencePiece puts a space before each text; decode() takes it away again.
  virtual bool dropsFirstSpace() const { return false; }
};

// Streaming decode: emits text as soon as whole UTF-8 characters are there.
class StreamDecoder {
 public:
  explicit StreamDecoder(const Tokenizer& tokenizer) : tokenizer_(&tokenizer) {}
  std::string push(TokenId id);  // the characters that became complete
  std::string finish();          // what is left, incomplete sequences as U+FFFD

 private:
  const Tokenizer* tokenizer_;
  std::string pending_;
  bool first_ = true;
};

}  // namespace palimpsest::engine
