// The vocabulary of a GGUF file as a tokenizer.json, so that tokenizers kept only there can be tested.
// Format: ggml's docs/gguf.md. For tests: it trusts the file.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <vector>

#include "tests/engine/temporary_folder.h"

namespace palimpsest::engine {

class GgufVocabulary {
 public:
  explicit GgufVocabulary(const std::filesystem::path& file) : data_(contentOf(file)) {
    at_ = 8;  // magic and version
    number<std::uint64_t>();
    const auto count = number<std::uint64_t>();
    for (std::uint64_t i = 0; i < count; ++i) {
      const std::string key = text();
      const auto type = number<std::uint32_t>();
      readValue(key, type);
    }
  }

  // SentencePiece-style BPE: the neighbours whose joined entry has the best score merge first.
  nlohmann::json sentencePieceTokenizer() const {
    std::unordered_map<std::string, int> ids;
    nlohmann::json vocabulary = nlohmann::json::object();
    for (std::size_t i = 0; i < tokens_.size(); ++i) {
      ids.emplace(tokens_[i], static_cast<int>(i));
      vocabulary[tokens_[i]] = i;
    }
    struct Merge {
      double score;
      int left, right;
    };
    std::vector<Merge> merges;
    for (std::size_t i = 0; i < tokens_.size(); ++i) {
      if (types_[i] != 1) continue;  // normal tokens only
      for (std::size_t cut = 1; cut < tokens_[i].size(); ++cut) {
        const auto left = ids.find(tokens_[i].substr(0, cut));
        const auto right = ids.find(tokens_[i].substr(cut));
        if (left != ids.end() && right != ids.end()) merges.push_back({scores_[i], left->second, right->second});
      }
    }
    std::stable_sort(merges.begin(), merges.end(), [](const Merge& a, const Merge& b) { return a.score > b.score; });
    nlohmann::json list = nlohmann::json::array();
    for (const Merge& merge : merges)
      list.push_back({tokens_[static_cast<std::size_t>(merge.left)], tokens_[static_cast<std::size_t>(merge.right)]});

    nlohmann::json json = nlohmann::json::parse(R"({
      "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "\u2581"},
                     {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}]},
      "decoder": {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "},
                  {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
      "added_tokens": [{"id": 1, "content": "<s>", "special": true}, {"id": 2, "content": "</s>", "special": true}],
      "model": {"type": "BPE", "unk_token": "<unk>", "fuse_unk": true, "byte_fallback": true}})");
    json["model"]["vocab"] = std::move(vocabulary);
    json["model"]["merges"] = std::move(list);
    return json;
  }

 private:
  template <typename Number>
  Number number() {
    if (at_ + sizeof(Number) > data_.size()) throw std::runtime_error("the GGUF file ends too early");
    Number value;
    std::memcpy(&value, data_.data() + at_, sizeof value);
    at_ += sizeof value;
    return value;
  }
  std::string text() {
    const auto size = number<std::uint64_t>();
    const std::string value = data_.substr(at_, size);
    at_ += size;
    return value;
  }
  void readValue(const std::string& key, std::uint32_t type) {
    constexpr std::uint32_t kString = 8;
    constexpr std::uint32_t kArray = 9;
    static const std::map<std::uint32_t, std::size_t> kSizes{{0, 1}, {1, 1}, {2, 2},  {3, 2},  {4, 4}, {5, 4},
                                                             {6, 4}, {7, 1}, {10, 8}, {11, 8}, {12, 8}};
    if (type == kString) {
      text();
    } else if (type == kArray) {
      const auto itemType = number<std::uint32_t>();
      const auto count = number<std::uint64_t>();
      for (std::uint64_t i = 0; i < count; ++i) {
        if (key == "tokenizer.ggml.tokens") {
          tokens_.push_back(text());
        } else if (key == "tokenizer.ggml.scores") {
          scores_.push_back(number<float>());
        } else if (key == "tokenizer.ggml.token_type") {
          types_.push_back(number<std::int32_t>());
        } else {
          readValue("", itemType);
        }
      }
    } else {
      at_ += kSizes.at(type);
    }
  }

  std::string data_;
  std::size_t at_ = 0;
  std::vector<std::string> tokens_;
  std::vector<float> scores_;
  std::vector<std::int32_t> types_;
};

}  // namespace palimpsest::engine
