#include "engine/tokenizer_added.h"

#include <algorithm>

namespace palimpsest::engine {

namespace {

bool isSpace(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

}  // namespace

void AddedTokenFinder::add(const AddedToken& token) {
  if (token.content.empty()) return;
  std::vector<std::size_t>& bucket = byFirst_[static_cast<unsigned char>(token.content[0])];
  tokens_.push_back(token);
  const auto longerFirst = [&](std::size_t a, std::size_t b) {
    return tokens_[a].content.size() > tokens_[b].content.size();
  };
  bucket.insert(std::upper_bound(bucket.begin(), bucket.end(), tokens_.size() - 1, longerFirst), tokens_.size() - 1);
}

const AddedToken* AddedTokenFinder::at(std::string_view text, std::size_t position) const {
  for (const std::size_t place : byFirst_[static_cast<unsigned char>(text[position])]) {
    if (text.substr(position).starts_with(tokens_[place].content)) return &tokens_[place];
  }
  return nullptr;
}

void AddedTokenFinder::split(std::string_view text, const std::function<void(std::string_view, bool)>& onText,
                             const std::function<void(TokenId)>& onToken) const {
  std::size_t begin = 0;  // of the text not yet given away
  for (std::size_t i = 0; i < text.size() && !tokens_.empty();) {
    const AddedToken* token = at(text, i);
    if (token == nullptr) {
      ++i;
      continue;
    }
    std::size_t textEnd = i;
    while (token->stripLeft && textEnd > begin && isSpace(text[textEnd - 1])) --textEnd;
    if (textEnd > begin) onText(text.substr(begin, textEnd - begin), begin == 0);
    onToken(token->id);
    i += token->content.size();
    while (token->stripRight && i < text.size() && isSpace(text[i])) ++i;
    begin = i;
  }
  if (begin < text.size()) onText(text.substr(begin), begin == 0);
}

}  // namespace palimpsest::engine
