// tokenizer.model of SentencePiece (Llama 2, Mistral), through its library.
#include <sentencepiece_processor.h>

#include <mutex>

#include "engine/errors.h"
#include "engine/json_file.h"
#include "engine/tokenizer_bpe.h"
#include "engine/tokenizer_bytes.h"
#include "engine/utf8.h"

namespace palimpsest::engine {

namespace {

constexpr std::size_t kMaxFileBytes = 64 << 20;
constexpr std::string_view kWordMark = "\xE2\x96\x81";  // U+2581

// Whether a vocabulary entry has a word mark after another character.
bool joinsWords(std::string_view piece) {
  while (piece.starts_with(kWordMark)) piece.remove_prefix(kWordMark.size());
  return piece.find(kWordMark) != std::string_view::npos;
}

class SentencePieceTokenizer final : public Tokenizer {
 public:
  explicit SentencePieceTokenizer(const std::filesystem::path& file) {
    const auto status = processor_.LoadFromSerializedProto(readTextFile(file, kMaxFileBytes));
    if (!status.ok())
      throw unusable(file.string(), std::string("it is not a SentencePiece model (") + status.message() + ")");
    bool wordsJoin = false;  // some piece has a space inside, after another character
    for (int id = 0; id < processor_.GetPieceSize(); ++id) {
      const std::string& piece = processor_.IdToPiece(id);
      wordsJoin = wordsJoin || joinsWords(piece);
      bytes_.push_back(bytesOf(id, piece));
      ids_.emplace(piece, id);
    }
    if (processor_.bos_id() >= 0 && configFlagBeside(file, "add_bos_token", true)) bos_ = processor_.bos_id();
    if (processor_.eos_id() >= 0) eos_ = processor_.eos_id();
    // Whether it puts a space before a text, and keeps all spaces, is told by what it does.
    const std::vector<int> probe = processor_.EncodeAsIds("a");
    dropsFirstSpace_ = !probe.empty() && processor_.IdToPiece(probe.front()).starts_with(kWordMark);
    wordByWord_ = dropsFirstSpace_ && !wordsJoin && decode(processor_.EncodeAsIds("a   b ")) == "a   b ";
  }

  std::vector<TokenId> encode(std::string_view text) const override {
    const std::string repaired = isUtf8(text) ? std::string() : repairUtf8(text);
    if (!repaired.empty()) text = repaired;
    std::vector<TokenId> tokens;
    std::unique_lock lock(cacheMutex_, std::try_to_lock);
    for (std::size_t begin = 0; begin < text.size();) {
      const std::size_t end = wordEnd(text, begin);
      std::string_view word = text.substr(begin, end - begin);
      if (begin > 0) word.remove_prefix(1);  // the library puts it back
      appendWord(word, lock.owns_lock(), tokens);
      begin = end;
    }
    return tokens;
  }

  std::string decode(std::span<const TokenId> ids) const override {
    std::string bytes;
    for (const TokenId id : ids) bytes += tokenBytes(id);
    if (dropsFirstSpace_ && bytes.starts_with(' ')) bytes.erase(0, 1);
    return repairUtf8(bytes);
  }

  std::string tokenBytes(TokenId id) const override {
    return id < 0 || id >= vocabSize() ? "" : bytes_[static_cast<std::size_t>(id)];
  }
  int vocabSize() const override { return static_cast<int>(bytes_.size()); }
  std::optional<TokenId> bosToken() const override { return bos_; }
  std::optional<TokenId> eosToken() const override { return eos_; }
  std::optional<TokenId> tokenId(std::string_view token) const override {
    const auto found = ids_.find(token);
    return found == ids_.end() ? std::nullopt : std::optional(found->second);
  }
  bool dropsFirstSpace() const override { return dropsFirstSpace_; }

 private:
  // Where no piece of the vocabulary reaches across a space, words can be encoded one by one, and remembered: " word"
  // in a text has the tokens of "word" alone, since the library puts a space before it. A word ends before a space that
  // follows another character (unless the text ends with it: nothing would be left to encode).
  std::size_t wordEnd(std::string_view text, std::size_t begin) const {
    if (!wordByWord_) return text.size();
    std::size_t at = text.find_first_not_of(' ', begin);
    if (at == std::string_view::npos) return text.size();
    at = text.find(' ', at);
    return at == std::string_view::npos || at + 1 == text.size() ? text.size() : at;
  }

  void appendWord(std::string_view word, bool useCache, std::vector<TokenId>& tokens) const {
    const std::vector<TokenId>* known = useCache ? cache_.find(word) : nullptr;
    if (known != nullptr) {
      tokens.insert(tokens.end(), known->begin(), known->end());
      return;
    }
    const std::vector<int> ids = processor_.EncodeAsIds({word.data(), word.size()});
    tokens.insert(tokens.end(), ids.begin(), ids.end());
    if (useCache) cache_.add(word, ids);
  }

  std::string bytesOf(int id, const std::string& piece) const {
    if (processor_.IsControl(id)) return "";
    if (processor_.IsUnknown(id)) return std::string(kReplacementCharacter);
    if (processor_.IsByte(id)) {
      for (int byte = 0; byte < 256; ++byte) {
        if (piece == fallbackEntry(static_cast<unsigned char>(byte))) return std::string(1, static_cast<char>(byte));
      }
    }
    return replaceAll(piece, kWordMark, " ");
  }

  sentencepiece::SentencePieceProcessor processor_;
  std::vector<std::string> bytes_;
  StringMap<TokenId> ids_;
  std::optional<TokenId> bos_;
  std::optional<TokenId> eos_;
  bool dropsFirstSpace_ = false;
  bool wordByWord_ = false;
  mutable std::mutex cacheMutex_;
  mutable PieceCache cache_;
};

}  // namespace

std::unique_ptr<Tokenizer> loadSentencePiece(const std::filesystem::path& file) {
  return std::make_unique<SentencePieceTokenizer>(file);
}

}  // namespace palimpsest::engine
