// Added tokens: vocabulary entries that are found in a text by their exact name, before any merging.
#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/tokenizer.h"

namespace palimpsest::engine {

struct AddedToken {
  TokenId id = 0;
  std::string content;
  bool special = false;     // never found in plain text, gives nothing when decoded
  bool normalized = false;  // looked for after the normalizers, not before
  bool stripLeft = false;   // takes the white space before it along
  bool stripRight = false;  // and after it
};

// Finds the leftmost and, there, the longest of a set of names.
class AddedTokenFinder {
 public:
  void add(const AddedToken& token);
  bool empty() const { return tokens_.empty(); }

  // Calls onText(part, atBegin) for what lies between tokens (never empty) and onToken(id) for each token, in order.
  void split(std::string_view text, const std::function<void(std::string_view, bool)>& onText,
             const std::function<void(TokenId)>& onToken) const;

 private:
  const AddedToken* at(std::string_view text, std::size_t position) const;

  std::vector<AddedToken> tokens_;                     // longest first
  std::array<std::vector<std::size_t>, 256> byFirst_;  // places in tokens_, by first byte
};

}  // namespace palimpsest::engine
