// The regular expressions of tokenizer.json, over PCRE2 (Unicode properties on). Text must be valid UTF-8.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace palimpsest::engine {

// Const after construction and thread-safe. Throws ModelError: a pattern that does not compile, or one that takes more
// steps on a text than any sane pattern would.
class Regex {
 public:
  Regex(const std::string& pattern, const std::string& sourceName);

  // Calls onMatch(begin, end) for each match from left to right; matches are never empty.
  void forEachMatch(std::string_view text, const std::function<void(std::size_t, std::size_t)>& onMatch) const;

  static std::string escape(std::string_view literal);  // a pattern that matches just this text

 private:
  struct Code;
  bool match(std::string_view text, std::size_t from, std::size_t& begin, std::size_t& end) const;

  std::shared_ptr<const Code> code_;
  std::string sourceName_;
};

}  // namespace palimpsest::engine
