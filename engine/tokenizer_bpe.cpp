#include "engine/tokenizer_bpe.h"

#include "engine/utf8.h"

namespace palimpsest::engine {

namespace {

class BpeTokenizer final : public Tokenizer {
 public:
  explicit BpeTokenizer(BpeDefinition definition);

  std::vector<TokenId> encode(std::string_view text) const override;
  std::string decode(std::span<const TokenId> ids) const override;
  std::string tokenBytes(TokenId id) const override;

  int vocabSize() const override { return static_cast<int>(definition_.entries.size()); }
  std::optional<TokenId> bosToken() const override { return definition_.bos; }
  std::optional<TokenId> eosToken() const override { return definition_.eos; }
  std::optional<TokenId> tokenId(std::string_view token) const override;
  bool dropsFirstSpace() const override { return definition_.dropsFirstSpace; }

 private:
  // One call's buffers, and the shared cache if no other thread holds it.
  struct Work {
    std::vector<TokenId> tokens;
    std::vector<TokenId> symbols;
    std::unique_lock<std::mutex> lock;
  };
  void encodeSection(std::string_view text, bool atBegin, Work& work) const;
  void encodePieces(std::string_view text, bool atBegin, Work& work) const;
  void encodePiece(std::string_view piece, Work& work) const;
  void encodeWords(std::string_view piece, Work& work) const;
  void symbolsOfBytes(std::string_view piece, std::vector<TokenId>& symbols) const;
  void symbolsOfCharacters(std::string_view piece, std::vector<TokenId>& symbols) const;

  BpeDefinition definition_;
  AddedTokenFinder raw_, normalized_;  // added tokens, not the special ones: found before and after the normalizers
  mutable std::mutex cacheMutex_;
  mutable PieceCache cache_;
};

BpeTokenizer::BpeTokenizer(BpeDefinition definition) : definition_(std::move(definition)) {
  for (AddedToken token : definition_.added) {
    if (token.special) continue;
    if (token.normalized) {
      for (const Normalizer& normalizer : definition_.normalizers) normalizer(token.content);
    }
    (token.normalized ? normalized_ : raw_).add(token);
  }
}

std::vector<TokenId> BpeTokenizer::encode(std::string_view text) const {
  std::string repaired;
  if (!isUtf8(text)) {
    repaired = repairUtf8(text);
    text = repaired;
  }
  Work work;
  work.lock = std::unique_lock(cacheMutex_, std::try_to_lock);
  work.tokens.reserve(text.size() / 4 + 4);
  raw_.split(
      text, [&](std::string_view part, bool atBegin) { encodeSection(part, atBegin, work); },
      [&](TokenId id) { work.tokens.push_back(id); });
  return std::move(work.tokens);
}

void BpeTokenizer::encodeSection(std::string_view text, bool atBegin, Work& work) const {
  std::string changed;
  if (!definition_.normalizers.empty()) {
    changed = text;
    for (const Normalizer& normalizer : definition_.normalizers) normalizer(changed);
    text = changed;
  }
  normalized_.split(
      text, [&](std::string_view part, bool first) { encodePieces(part, atBegin && first, work); },
      [&](TokenId id) { work.tokens.push_back(id); });
}

void BpeTokenizer::encodePieces(std::string_view text, bool atBegin, Work& work) const {
  if (definition_.preTokenizers.empty()) {
    encodeWords(text, work);
    return;
  }
  TextPieces pieces;
  pieces.list.push_back(text);
  pieces.atTextBegin = atBegin;
  for (const PreTokenizer& step : definition_.preTokenizers) step(pieces);
  for (const std::string_view piece : pieces.list) encodeWords(piece, work);
}

// Cuts before each word mark that follows another character, where that cannot change a merge, so that the cache works.
void BpeTokenizer::encodeWords(std::string_view piece, Work& work) const {
  const std::string& mark = definition_.wordMark;
  std::size_t begin = 0;
  std::size_t next = mark.empty() ? std::string_view::npos : piece.find(mark);
  while (next != std::string_view::npos) {
    const bool afterMark = next >= mark.size() && piece.substr(next - mark.size(), mark.size()) == mark;
    if (next > begin && !afterMark) {
      encodePiece(piece.substr(begin, next - begin), work);
      begin = next;
    }
    next = piece.find(mark, next + mark.size());
  }
  if (begin < piece.size()) encodePiece(piece.substr(begin), work);
}

void BpeTokenizer::encodePiece(std::string_view piece, Work& work) const {
  if (definition_.wholePieces) {
    const auto whole = definition_.pieces.find(piece);
    if (whole != definition_.pieces.end()) {
      work.tokens.push_back(whole->second);
      return;
    }
  }
  if (work.lock.owns_lock()) {
    if (const std::vector<TokenId>* known = cache_.find(piece)) {
      work.tokens.insert(work.tokens.end(), known->begin(), known->end());
      return;
    }
  }
  work.symbols.clear();
  if (definition_.alphabet == BpeDefinition::Alphabet::Bytes) {
    symbolsOfBytes(piece, work.symbols);
  } else {
    symbolsOfCharacters(piece, work.symbols);
  }
  applyMerges(definition_.merges, work.symbols);
  work.tokens.insert(work.tokens.end(), work.symbols.begin(), work.symbols.end());
  if (work.lock.owns_lock()) cache_.add(piece, work.symbols);
}

void BpeTokenizer::symbolsOfBytes(std::string_view piece, std::vector<TokenId>& symbols) const {
  for (const char c : piece) {
    const TokenId id = definition_.byteIds[static_cast<unsigned char>(c)];
    if (id >= 0) symbols.push_back(id);  // bytes that no text holds may have none
  }
}

void BpeTokenizer::symbolsOfCharacters(std::string_view piece, std::vector<TokenId>& symbols) const {
  bool unknownBefore = false;
  for (std::size_t i = 0; i < piece.size();) {
    const std::string_view character = piece.substr(i, utf8At(piece, i).length);
    i += character.size();
    const auto known = definition_.ids.find(character);
    bool bytesKnown = known == definition_.ids.end();
    for (const char c : character) bytesKnown = bytesKnown && definition_.byteIds[static_cast<unsigned char>(c)] >= 0;
    if (known != definition_.ids.end()) {
      symbols.push_back(known->second);
    } else if (bytesKnown) {
      for (const char c : character) symbols.push_back(definition_.byteIds[static_cast<unsigned char>(c)]);
    } else if (definition_.unknown && !(definition_.fuseUnknown && unknownBefore)) {
      symbols.push_back(*definition_.unknown);
    }
    unknownBefore = known == definition_.ids.end() && !bytesKnown;
  }
}

std::string BpeTokenizer::decode(std::span<const TokenId> ids) const {
  std::string bytes;
  for (const TokenId id : ids) bytes += tokenBytes(id);
  if (definition_.dropsFirstSpace && bytes.starts_with(' ')) bytes.erase(0, 1);
  return repairUtf8(bytes);
}

std::string BpeTokenizer::tokenBytes(TokenId id) const {
  if (id < 0 || static_cast<std::size_t>(id) >= definition_.bytes.size()) return "";
  return definition_.bytes[static_cast<std::size_t>(id)];
}

std::optional<TokenId> BpeTokenizer::tokenId(std::string_view token) const {
  const auto found = definition_.ids.find(token);
  return found == definition_.ids.end() ? std::nullopt : std::optional(found->second);
}

}  // namespace

std::unique_ptr<Tokenizer> makeBpeTokenizer(BpeDefinition definition) {
  return std::make_unique<BpeTokenizer>(std::move(definition));
}

}  // namespace palimpsest::engine
