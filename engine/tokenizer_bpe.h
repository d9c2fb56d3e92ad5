// The byte-pair tokenizer itself, whatever file it came from: a definition, and what encodes and decodes with it.
#pragma once

#include <array>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "engine/tokenizer.h"
#include "engine/tokenizer_added.h"
#include "engine/tokenizer_merges.h"
#include "engine/tokenizer_steps.h"

namespace palimpsest::engine {

// What a tokenizer file says.
struct BpeDefinition {
  // Alphabet of the merges. Bytes: a piece's bytes are its first symbols (GPT-2, Llama 3). Characters: its characters
  // are, with "<0x41>" entries or `unknown` for those that the vocabulary lacks (SentencePiece style).
  enum class Alphabet { Bytes, Characters };
  Alphabet alphabet = Alphabet::Bytes;

  std::vector<std::string> entries;  // by id, as written in the file; ids without one are empty
  StringMap<TokenId> ids;            // the other way round
  std::vector<std::string> bytes;    // by id: what decoding gives; special tokens: empty
  StringMap<TokenId> pieces;         // Bytes alphabet, with wholePieces: a piece's bytes -> its id
  bool wholePieces = false;          // a piece that is an entry is that entry ("ignore_merges")
  MergeTable merges;
  std::array<TokenId, 256> byteIds{};  // the symbol of each byte, -1 = none ("<0x41>" in the Characters alphabet)
  std::optional<TokenId> unknown;
  bool fuseUnknown = false;
  std::vector<Normalizer> normalizers;
  std::vector<PreTokenizer> preTokenizers;
  std::string wordMark;  // Characters: pieces may be cut before this mark without changing any merge
  std::vector<AddedToken> added;
  std::optional<TokenId> bos;
  std::optional<TokenId> eos;
  bool dropsFirstSpace = false;
};

std::unique_ptr<Tokenizer> makeBpeTokenizer(BpeDefinition definition);

// The readers of the three kinds of file; see tokenizer.h for what they refuse.
std::unique_ptr<Tokenizer> loadTokenizerJson(const std::filesystem::path& file);
std::unique_ptr<Tokenizer> loadTiktoken(const std::filesystem::path& file);
std::unique_ptr<Tokenizer> loadSentencePiece(const std::filesystem::path& file);

}  // namespace palimpsest::engine
