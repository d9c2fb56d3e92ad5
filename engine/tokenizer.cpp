#include "engine/tokenizer.h"

#include <fstream>

#include "engine/errors.h"
#include "engine/tokenizer_bpe.h"
#include "engine/utf8.h"

namespace palimpsest::engine {

namespace {

namespace fs = std::filesystem;

// The first line of Llama 3's file is text, "IQ== 0"; a SentencePiece model is binary from its first byte on.
bool looksLikeTiktoken(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  std::string line(64, '\0');
  stream.read(line.data(), static_cast<std::streamsize>(line.size()));
  line.resize(static_cast<std::size_t>(stream.gcount()));
  line.resize(std::min(line.find('\n'), line.size()));
  const std::size_t space = line.find(' ');
  if (space == std::string::npos || space == 0 || space + 1 == line.size()) return false;
  return line.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=") == space &&
         line.find_first_not_of("0123456789", space + 1) == std::string::npos;
}

}  // namespace

std::unique_ptr<Tokenizer> Tokenizer::load(const fs::path& folder) {
  for (const char* name : {"tokenizer.json", "tokenizer.model"}) {
    if (fs::exists(folder / name)) return loadFile(folder / name);
  }
  throw unusable(folder.string(), "it has neither tokenizer.json nor tokenizer.model",
                 "Fetch one of them from where the model came from.");
}

std::unique_ptr<Tokenizer> Tokenizer::loadFile(const fs::path& file) {
  if (!fs::exists(file)) throw unusable(file.string(), "the file is missing");
  if (file.extension() == ".json") return loadTokenizerJson(file);
  return looksLikeTiktoken(file) ? loadTiktoken(file) : loadSentencePiece(file);
}

std::string StreamDecoder::push(TokenId id) {
  pending_ += tokenizer_->tokenBytes(id);
  if (first_ && !pending_.empty()) {
    if (tokenizer_->dropsFirstSpace() && pending_[0] == ' ') pending_.erase(0, 1);
    first_ = false;
  }
  std::size_t used = 0;
  std::string text = repairUtf8(pending_, /*keepTail=*/true, used);
  pending_.erase(0, used);
  return text;
}

std::string StreamDecoder::finish() {
  std::string text = repairUtf8(pending_);
  pending_.clear();
  first_ = true;
  return text;
}

}  // namespace palimpsest::engine
