#include "engine/tokenizer_steps.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "engine/errors.h"
#include "engine/tokenizer_regex.h"
#include "engine/utf8.h"

namespace palimpsest::engine {

namespace {

using Json = nlohmann::json;

// The pattern of GPT-2's encoder, which ByteLevel uses by default.
constexpr const char* kGpt2Pattern = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr std::size_t kMaxSteps = 64;

std::string textOf(const Json& json, const char* name, const std::string& source) {
  const auto found = json.find(name);
  if (found == json.end() || !found->is_string())
    throw unusable(source, std::string("\"") + name + "\" is missing where it should be a text");
  return found->get<std::string>();
}

bool flagOf(const Json& json, const char* name, bool ifMissing) {
  const auto found = json.find(name);
  return found != json.end() && found->is_boolean() ? found->get<bool>() : ifMissing;
}

std::string typeOf(const Json& json, const std::string& source) {
  if (!json.is_object()) throw unusable(source, "a step is not an object");
  return textOf(json, "type", source);
}

// {"String": "..."} or {"Regex": "..."}
std::string patternOf(const Json& json, const std::string& source) {
  const auto found = json.find("pattern");
  if (found != json.end() && found->is_object()) {
    if (found->contains("Regex")) return textOf(*found, "Regex", source);
    if (found->contains("String")) return Regex::escape(textOf(*found, "String", source));
  }
  throw unusable(source, "a step has no pattern");
}

// Calls visit(step) for the object itself or, for a Sequence, for each step in it.
void forEachStep(const Json& json, const char* listName, const std::string& source, std::size_t depth,
                 const std::function<void(const Json&)>& visit) {
  if (json.is_null()) return;
  if (depth > 8) throw unusable(source, "it has Sequences inside Sequences, too deep");
  if (typeOf(json, source) != "Sequence") return visit(json);
  const auto list = json.find(listName);
  if (list == json.end() || !list->is_array() || list->size() > kMaxSteps)
    throw unusable(source, "a Sequence has no list of at most 64 " + std::string(listName));
  for (const Json& step : *list) forEachStep(step, listName, source, depth + 1, visit);
}

// Characters that NFC leaves alone whatever stands beside them: a fast way out for most text.
bool inertUnderNfc(char32_t c) {
  return c < 0x300 || (c >= 0x400 && c <= 0x482) || (c >= 0x2002 && c <= 0x206F) || (c >= 0x3041 && c <= 0x3098) ||
         (c >= 0x30A0 && c <= 0x30FF) || (c >= 0x4E00 && c <= 0x9FFF);
}

bool isInertUnderNfc(const std::string& text) {
  for (std::size_t i = 0; i < text.size();) {
    if (static_cast<unsigned char>(text[i]) < 0x80) {
      ++i;
      continue;
    }
    const Utf8Step step = utf8At(text, i);
    if (!step.valid || !inertUnderNfc(step.codePoint)) return false;
    i += step.length;
  }
  return true;
}

Normalizer unicodeForm(utf8proc_option_t options) {
  const bool nfc = options == UTF8PROC_COMPOSE;
  return [options, nfc](std::string& text) {
    if (nfc && isInertUnderNfc(text)) return;
    utf8proc_uint8_t* made = nullptr;
    const utf8proc_ssize_t size =
        utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()), static_cast<utf8proc_ssize_t>(text.size()),
                     &made, static_cast<utf8proc_option_t>(options | UTF8PROC_STABLE));
    const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> holder(made, &std::free);
    if (size < 0)
      throw ModelError(std::string("The text cannot be normalised for the tokenizer: ") + utf8proc_errmsg(size) +
                       ". Save the file anew as UTF-8 text and add it again.");
    text.assign(reinterpret_cast<const char*>(made), static_cast<std::size_t>(size));
  };
}

// A run of Replace steps of single characters beyond ASCII by ASCII text: they cannot meet each other's results, so
// one pass does them all.
class CharacterReplacements {
 public:
  static bool suits(const std::string& pattern, const std::string& content) {
    if (pattern.empty() || static_cast<unsigned char>(pattern[0]) < 0x80) return false;
    const Utf8Step step = utf8At(pattern, 0);
    return step.valid && step.length == pattern.size() &&
           std::all_of(content.begin(), content.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
  }
  void add(const std::string& pattern, const std::string& content) {
    table_.emplace(utf8At(pattern, 0).codePoint, content);
  }
  void operator()(std::string& text) const {
    std::string made;
    std::size_t kept = 0;  // text up to here has been copied
    for (std::size_t i = 0; i < text.size();) {
      if (static_cast<unsigned char>(text[i]) < 0x80) {
        ++i;
        continue;
      }
      const Utf8Step step = utf8At(text, i);
      const auto found = step.valid ? table_.find(step.codePoint) : table_.end();
      if (found != table_.end()) {
        made.append(text, kept, i - kept).append(found->second);
        kept = i + step.length;
      }
      i += step.length;
    }
    if (kept == 0) return;
    made.append(text, kept, std::string::npos);
    text = std::move(made);
  }

 private:
  std::unordered_map<char32_t, std::string> table_;
};

Normalizer replace(const std::string& pattern, const std::string& content, const std::string& source) {
  return [regex = Regex(pattern, source), content](std::string& text) {
    std::string made;
    std::size_t kept = 0;
    bool changed = false;
    regex.forEachMatch(text, [&](std::size_t begin, std::size_t end) {
      made.append(text, kept, begin - kept).append(content);
      kept = end;
      changed = true;
    });
    if (!changed) return;
    made.append(text, kept, std::string::npos);
    text = std::move(made);
  };
}

PreTokenizer splitKeepingMatches(const std::string& pattern, const std::string& source, bool keepGaps) {
  return [regex = Regex(pattern, source), keepGaps](TextPieces& pieces) {
    std::vector<std::string_view> made;
    made.reserve(pieces.list.size() * 2);
    for (const std::string_view piece : pieces.list) {
      std::size_t kept = 0;
      regex.forEachMatch(piece, [&](std::size_t begin, std::size_t end) {
        if (keepGaps && begin > kept) made.push_back(piece.substr(kept, begin - kept));
        made.push_back(piece.substr(begin, end - begin));
        kept = end;
      });
      if (keepGaps && kept < piece.size()) made.push_back(piece.substr(kept));
    }
    pieces.list = std::move(made);
  };
}

PreTokenizer splitOf(const Json& json, const std::string& source) {
  const std::string pattern = patternOf(json, source);
  const std::string behavior = textOf(json, "behavior", source);
  const bool invert = flagOf(json, "invert", false);
  if (behavior == "Isolated") return splitKeepingMatches(pattern, source, true);
  if (behavior == "Removed" && invert) return splitKeepingMatches(pattern, source, false);
  throw unusable(source,
                 "the pre-tokenizer Split with behavior " + behavior + (invert ? ", inverted," : "") + " is not known");
}

PreTokenizer prefixSpace() {
  return [](TextPieces& pieces) {
    for (std::string_view& piece : pieces.list) {
      if (!piece.starts_with(' ')) piece = pieces.owned.emplace_back(std::string(1, ' ').append(piece));
    }
  };
}

PreTokenizer metaspaceOf(const Json& json, const std::string& source) {
  const std::string mark = textOf(json, "replacement", source);
  std::string scheme = flagOf(json, "add_prefix_space", true) ? "always" : "never";  // the field of older files
  if (json.contains("prepend_scheme")) scheme = textOf(json, "prepend_scheme", source);
  if (scheme != "always" && scheme != "first" && scheme != "never")
    throw unusable(source, "the Metaspace prepend_scheme " + scheme + " is not known");
  return [mark, scheme, split = flagOf(json, "split", true)](TextPieces& pieces) {
    std::vector<std::string_view> made;
    bool first = pieces.atTextBegin;
    for (const std::string_view piece : pieces.list) {
      std::string text;
      for (const char c : piece) {
        if (c == ' ') {
          text += mark;
        } else {
          text += c;
        }
      }
      const bool prepend = scheme == "always" || (scheme == "first" && first);
      if (prepend && !text.starts_with(mark)) text.insert(0, mark);
      first = false;
      const std::string_view whole = pieces.owned.emplace_back(std::move(text));
      std::size_t begin = 0;
      while (split && begin < whole.size()) {  // each mark opens a piece
        const std::size_t next = whole.find(mark, begin + 1);
        if (next == std::string_view::npos) break;
        made.push_back(whole.substr(begin, next - begin));
        begin = next;
      }
      if (begin < whole.size()) made.push_back(whole.substr(begin));
    }
    pieces.list = std::move(made);
  };
}

}  // namespace

PreTokenizer splitByPattern(const std::string& pattern, const std::string& sourceName) {
  return splitKeepingMatches(pattern, sourceName, true);
}

std::vector<Normalizer> parseNormalizers(const Json& json, const std::string& sourceName) {
  std::vector<Normalizer> steps;
  CharacterReplacements run;
  bool runOpen = false;
  const auto closeRun = [&] {
    if (runOpen) steps.emplace_back(std::move(run));
    run = {};
    runOpen = false;
  };
  forEachStep(json, "normalizers", sourceName, 0, [&](const Json& step) {
    const std::string type = typeOf(step, sourceName);
    if (type == "Replace") {
      const std::string content = textOf(step, "content", sourceName);
      const Json& pattern = step.contains("pattern") ? step["pattern"] : step;
      if (pattern.is_object() && pattern.contains("String") &&
          CharacterReplacements::suits(textOf(pattern, "String", sourceName), content)) {
        run.add(textOf(pattern, "String", sourceName), content);
        runOpen = true;
        return;
      }
    }
    closeRun();
    if (type == "NFC") {
      steps.push_back(unicodeForm(UTF8PROC_COMPOSE));
    } else if (type == "NFD") {
      steps.push_back(unicodeForm(UTF8PROC_DECOMPOSE));
    } else if (type == "NFKC") {
      steps.push_back(unicodeForm(static_cast<utf8proc_option_t>(UTF8PROC_COMPOSE | UTF8PROC_COMPAT)));
    } else if (type == "NFKD") {
      steps.push_back(unicodeForm(static_cast<utf8proc_option_t>(UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT)));
    } else if (type == "Prepend") {
      steps.emplace_back([prefix = textOf(step, "prepend", sourceName)](std::string& text) {
        if (!text.empty()) text.insert(0, prefix);
      });
    } else if (type == "Replace") {
      steps.push_back(replace(patternOf(step, sourceName), textOf(step, "content", sourceName), sourceName));
    } else {
      throw unusable(sourceName, "the normalizer " + type +
                                     " is not known (NFC, NFD, NFKC, NFKD, Prepend, Replace and Sequence are)");
    }
  });
  closeRun();
  return steps;
}

PreTokenizers parsePreTokenizers(const Json& json, const std::string& sourceName) {
  PreTokenizers parsed;
  forEachStep(json, "pretokenizers", sourceName, 0, [&](const Json& step) {
    const std::string type = typeOf(step, sourceName);
    if (parsed.byteLevel) throw unusable(sourceName, "a pre-tokenizer after ByteLevel is not known");
    if (type == "ByteLevel") {
      if (flagOf(step, "add_prefix_space", true)) parsed.steps.push_back(prefixSpace());
      if (flagOf(step, "use_regex", true)) parsed.steps.push_back(splitByPattern(kGpt2Pattern, sourceName));
      parsed.byteLevel = true;
    } else if (type == "Split") {
      parsed.steps.push_back(splitOf(step, sourceName));
    } else if (type == "Digits") {
      parsed.steps.push_back(
          splitByPattern(flagOf(step, "individual_digits", false) ? "\\p{N}" : "\\p{N}+", sourceName));
    } else if (type == "Metaspace") {
      parsed.steps.push_back(metaspaceOf(step, sourceName));
    } else {
      throw unusable(sourceName, "the pre-tokenizer " + type +
                                     " is not known (ByteLevel, Split, Digits, Metaspace and Sequence are)");
    }
  });
  return parsed;
}

}  // namespace palimpsest::engine
