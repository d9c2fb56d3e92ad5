#define PCRE2_CODE_UNIT_WIDTH 8
#include "engine/tokenizer_regex.h"

#include <pcre2.h>

#include <new>

#include "engine/errors.h"
#include "engine/utf8.h"

namespace palimpsest::engine {

namespace {

constexpr std::uint32_t kMatchLimit = 50'000'000;

struct MatchData {
  pcre2_match_data* handle = pcre2_match_data_create(1, nullptr);
  MatchData() {
    if (handle == nullptr) throw std::bad_alloc();
  }
  ~MatchData() { pcre2_match_data_free(handle); }
  MatchData(const MatchData&) = delete;
  MatchData& operator=(const MatchData&) = delete;
};

std::string messageOf(int code) {
  PCRE2_UCHAR text[200];
  return pcre2_get_error_message(code, text, sizeof text) < 0 ? "error " + std::to_string(code)
                                                              : std::string(reinterpret_cast<const char*>(text));
}

}  // namespace

struct Regex::Code {
  pcre2_code* handle = nullptr;
  pcre2_match_context* context = pcre2_match_context_create(nullptr);
  Code() {
    if (context == nullptr) throw std::bad_alloc();
    pcre2_set_match_limit(context, kMatchLimit);
  }
  ~Code() {
    pcre2_code_free(handle);
    pcre2_match_context_free(context);
  }
  Code(const Code&) = delete;
  Code& operator=(const Code&) = delete;
};

Regex::Regex(const std::string& pattern, const std::string& sourceName) : sourceName_(sourceName) {
  auto code = std::make_shared<Code>();
  int error = 0;
  PCRE2_SIZE at = 0;
  const std::uint32_t options = PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C;
  code->handle =
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(), options, &error, &at, nullptr);
  if (code->handle == nullptr)
    throw unusable(sourceName,
                   "the pattern \"" + repairUtf8(pattern.substr(0, 80)) + "\" cannot be used: " + messageOf(error));
  pcre2_jit_compile(code->handle, PCRE2_JIT_COMPLETE);  // without it matching is slower, not different
  code_ = std::move(code);
}

bool Regex::match(std::string_view text, std::size_t from, std::size_t& begin, std::size_t& end) const {
  thread_local MatchData data;
  const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  int result = pcre2_match(code_->handle, subject, text.size(), from, PCRE2_NO_UTF_CHECK, data.handle, code_->context);
  if (result == PCRE2_ERROR_JIT_STACKLIMIT) {
    result = pcre2_match(code_->handle, subject, text.size(), from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, data.handle,
                         code_->context);
  }
  if (result == PCRE2_ERROR_NOMATCH) return false;
  if (result < 0) throw unusable(sourceName_, "its pattern cannot split this text: " + messageOf(result));
  const PCRE2_SIZE* places = pcre2_get_ovector_pointer(data.handle);
  begin = places[0];
  end = places[1];
  return true;
}

void Regex::forEachMatch(std::string_view text, const std::function<void(std::size_t, std::size_t)>& onMatch) const {
  std::size_t from = 0;
  while (from < text.size()) {
    std::size_t begin = 0;
    std::size_t end = 0;
    if (!match(text, from, begin, end)) return;
    if (end > begin && begin >= from) {
      onMatch(begin, end);
      from = end;
    } else {  // an empty match: go on one character later
      const std::size_t at = begin > from ? begin : from;
      if (at >= text.size()) return;
      from = at + utf8At(text, at).length;
    }
  }
}

std::string Regex::escape(std::string_view literal) {
  std::string pattern;
  for (const char c : literal) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain =
        byte >= 0x80 || (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z');
    if (!plain && byte > ' ' && byte < 0x7F) pattern += '\\';
    pattern += c;
  }
  return pattern;
}

}  // namespace palimpsest::engine
