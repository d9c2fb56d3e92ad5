// tokenizer.json of the Hugging Face "tokenizers" library: byte-pair models, byte-level or in SentencePiece's style.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "engine/errors.h"
#include "engine/json_file.h"
#include "engine/tokenizer_bpe.h"
#include "engine/tokenizer_bytes.h"
#include "engine/utf8.h"

namespace palimpsest::engine {

namespace {

using Json = nlohmann::json;
using Alphabet = BpeDefinition::Alphabet;

constexpr std::size_t kMaxFileBytes = 256 << 20;
constexpr std::int64_t kMaxTokens = 1 << 21;
constexpr std::string_view kWordMark = "\xE2\x96\x81";  // U+2581, SentencePiece's space

const Json& member(const Json& json, const char* name) {
  static const Json kNull;
  if (!json.is_object()) return kNull;
  const auto found = json.find(name);
  return found == json.end() ? kNull : *found;
}

bool flag(const Json& json, const char* name, bool ifMissing = false) {
  const Json& value = member(json, name);
  return value.is_boolean() ? value.get<bool>() : ifMissing;
}

std::string text(const Json& json, const char* name) {
  const Json& value = member(json, name);
  return value.is_string() ? value.get<std::string>() : "";
}

// How ids become bytes again.
struct Decoder {
  bool byteLevel = false;
  bool byteFallback = false;
  std::string mark;  // stands for a space
  bool dropsFirstSpace = false;
};

void readDecoder(const Json& json, const std::string& source, int depth, Decoder& decoder) {
  if (json.is_null()) return;
  const std::string type = text(json, "type");
  if (type == "Sequence" && depth < 8) {
    for (const Json& step : member(json, "decoders")) readDecoder(step, source, depth + 1, decoder);
  } else if (type == "ByteLevel") {
    decoder.byteLevel = true;
  } else if (type == "ByteFallback") {
    decoder.byteFallback = true;
  } else if (type == "Metaspace") {
    decoder.mark = text(json, "replacement");
    const std::string scheme = text(json, "prepend_scheme");
    decoder.dropsFirstSpace = scheme.empty() ? flag(json, "add_prefix_space", true) : scheme != "never";
  } else if (type == "Replace" && text(json, "content") == " ") {
    decoder.mark = text(member(json, "pattern"), "String");
  } else if (type == "Strip" && text(json, "content") == " ") {
    decoder.dropsFirstSpace = member(json, "start") == 1;
  } else if (type != "Fuse") {
    throw unusable(source,
                   "the decoder " + type +
                       " is not known (ByteLevel, ByteFallback, Metaspace, Replace, Strip, Fuse and Sequence are)");
  }
}

class Reader {
 public:
  Reader(const Json& json, std::string source) : json_(json), source_(std::move(source)) {}

  BpeDefinition read() {
    const Json& model = member(json_, "model");
    checkModel(model);
    definition_.normalizers = parseNormalizers(member(json_, "normalizer"), source_);
    PreTokenizers preTokenizers = parsePreTokenizers(member(json_, "pre_tokenizer"), source_);
    definition_.preTokenizers = std::move(preTokenizers.steps);
    definition_.alphabet = preTokenizers.byteLevel ? Alphabet::Bytes : Alphabet::Characters;
    readDecoder(member(json_, "decoder"), source_, 0, decoder_);
    readVocabulary(model);
    readMerges(model);
    readAddedTokens();
    readPostProcessor(member(json_, "post_processor"), 0);
    fillBytes(model);
    chooseWordMark();
    definition_.dropsFirstSpace = decoder_.dropsFirstSpace;
    return std::move(definition_);
  }

 private:
  [[noreturn]] void fail(const std::string& why) const { throw unusable(source_, why); }

  void checkModel(const Json& model) const {
    if (!model.is_object()) fail("it has no \"model\"");
    const std::string type = model.contains("type") ? text(model, "type") : "BPE";
    if (type != "BPE") fail("the tokenizer is of the kind " + type + "; only BPE can be used");
    for (const char* affix : {"continuing_subword_prefix", "end_of_word_suffix"}) {
      if (!text(model, affix).empty()) fail(std::string("\"") + affix + "\" is set; such tokenizers cannot be used");
    }
    if (!member(model, "dropout").is_null() && member(model, "dropout") != 0)
      fail("\"dropout\" is set; such tokenizers cannot be used");
  }

  void addEntry(const std::string& entry, const Json& id) {
    if (!id.is_number_integer() || id.get<std::int64_t>() < 0 || id.get<std::int64_t>() >= kMaxTokens)
      fail("the token \"" + entry + "\" has an impossible id");
    const auto at = id.get<std::size_t>();
    if (at >= definition_.entries.size()) definition_.entries.resize(at + 1);
    if (!definition_.entries[at].empty() && definition_.entries[at] != entry)
      fail("the id " + std::to_string(at) + " is given to two tokens");
    definition_.entries[at] = entry;
    definition_.ids.insert_or_assign(entry, static_cast<TokenId>(at));
  }

  void readVocabulary(const Json& model) {
    const Json& vocabulary = member(model, "vocab");
    if (!vocabulary.is_object() || vocabulary.empty()) fail("it has no vocabulary");
    definition_.ids.reserve(vocabulary.size());
    for (const auto& [entry, id] : vocabulary.items()) addEntry(entry, id);
    definition_.wholePieces = flag(model, "ignore_merges");
    if (definition_.wholePieces) {
      for (const auto& [entry, id] : definition_.ids)
        definition_.pieces.emplace(definition_.alphabet == Alphabet::Bytes ? bytesOfEntry(entry) : entry, id);
    }
    definition_.fuseUnknown = flag(model, "fuse_unk");
    const std::string unknown = text(model, "unk_token");
    if (unknown.empty()) return;
    const auto found = definition_.ids.find(unknown);
    if (found == definition_.ids.end()) fail("the unknown token \"" + unknown + "\" is not in the vocabulary");
    definition_.unknown = found->second;
  }

  TokenId idOf(const std::string& entry, std::size_t merge) const {
    const auto found = definition_.ids.find(entry);
    if (found == definition_.ids.end())
      fail("merge " + std::to_string(merge) + " needs the token \"" + entry + "\", which is not in the vocabulary");
    return found->second;
  }

  // "a b" in older files, ["a", "b"] in newer ones.
  std::pair<std::string, std::string> partsOf(const Json& merge, std::size_t number) const {
    if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string())
      return {merge[0], merge[1]};
    if (merge.is_string()) {
      const auto& both = merge.get_ref<const std::string&>();
      const std::size_t space = both.find(' ');
      if (space != std::string::npos && both.find(' ', space + 1) == std::string::npos)
        return {both.substr(0, space), both.substr(space + 1)};
    }
    fail("merge " + std::to_string(number) + " is not a pair of tokens");
  }

  void readMerges(const Json& model) {
    const Json& merges = member(model, "merges");
    if (!merges.is_array()) fail("it has no list of merges");
    definition_.merges.reserve(merges.size());
    for (std::size_t i = 0; i < merges.size(); ++i) {
      const auto [left, right] = partsOf(merges[i], i);
      const TokenId leftId = idOf(left, i);
      const TokenId rightId = idOf(right, i);
      definition_.merges.add(leftId, rightId, static_cast<std::int32_t>(i), idOf(left + right, i));
      const bool inside = right.starts_with(kWordMark) && !left.ends_with(kWordMark);
      mergesAcrossWords_ = mergesAcrossWords_ || inside;
    }
  }

  void readAddedTokens() {
    for (const Json& token : member(json_, "added_tokens")) {
      AddedToken added;
      added.content = text(token, "content");
      if (added.content.empty()) fail("an added token has no content");
      if (flag(token, "single_word"))
        fail("the added token \"" + added.content + "\" is to match single words only; such tokenizers cannot be used");
      addEntry(added.content, member(token, "id"));
      added.id = member(token, "id").get<TokenId>();
      added.special = flag(token, "special");
      added.normalized = flag(token, "normalized", !added.special);
      added.stripLeft = flag(token, "lstrip");
      added.stripRight = flag(token, "rstrip");
      definition_.added.push_back(std::move(added));
    }
  }

  // Only what stands before a text matters: one token, the BOS.
  void readPostProcessor(const Json& json, int depth) {
    if (json.is_null()) return;
    const std::string type = text(json, "type");
    if (type == "Sequence" && depth < 8) {
      for (const Json& step : member(json, "processors")) readPostProcessor(step, depth + 1);
    } else if (type == "TemplateProcessing") {
      const Json& parts = member(json, "single");
      if (!parts.is_array()) fail("the TemplateProcessing has no \"single\"");
      for (const Json& part : parts) {
        if (part.contains("Sequence")) break;
        if (definition_.bos) fail("more than one token is put before each text; such tokenizers cannot be used");
        const std::string name = text(member(part, "SpecialToken"), "id");
        const Json& ids = member(member(member(json, "special_tokens"), name.c_str()), "ids");
        if (!ids.is_array() || ids.size() != 1 || !ids[0].is_number_integer() || ids[0] < 0 ||
            ids[0] >= definition_.entries.size()) {
          fail("the token \"" + name + "\" that is put before each text is not known");
        }
        definition_.bos = ids[0].get<TokenId>();
      }
    } else if (type != "ByteLevel") {
      fail("the post-processor " + type + " is not known (TemplateProcessing, ByteLevel and Sequence are)");
    }
  }

  void fillBytes(const Json& model) {
    definition_.byteIds.fill(-1);
    for (int byte = 0; byte < 256; ++byte) {
      const auto value = static_cast<unsigned char>(byte);
      if (definition_.alphabet == Alphabet::Characters && !flag(model, "byte_fallback")) break;
      const auto found =
          definition_.ids.find(definition_.alphabet == Alphabet::Bytes ? entryOfByte(value) : fallbackEntry(value));
      if (found != definition_.ids.end()) definition_.byteIds[value] = found->second;
      const bool needed = definition_.alphabet == Alphabet::Bytes && byte != 0xC0 && byte != 0xC1 &&
                          byte < 0xF5;  // the others occur in no text
      if (needed && found == definition_.ids.end())
        fail("the vocabulary has no token for the byte " + fallbackEntry(value));
    }
    for (const std::string& entry : definition_.entries) definition_.bytes.push_back(decoded(entry));
    for (const AddedToken& token : definition_.added)
      definition_.bytes[static_cast<std::size_t>(token.id)] = token.special ? "" : token.content;
  }

  std::string decoded(const std::string& entry) const {
    if (decoder_.byteLevel) return bytesOfEntry(entry);
    if (decoder_.byteFallback && entry.size() == 6) {
      for (int byte = 0; byte < 256; ++byte) {
        if (entry == fallbackEntry(static_cast<unsigned char>(byte))) return std::string(1, static_cast<char>(byte));
      }
    }
    return decoder_.mark.empty() ? entry : replaceAll(entry, decoder_.mark, " ");
  }

  void chooseWordMark() {
    const bool possible =
        definition_.alphabet == Alphabet::Characters && definition_.ids.contains(kWordMark) && !definition_.wholePieces;
    if (possible && !mergesAcrossWords_) definition_.wordMark = kWordMark;
  }

  const Json& json_;
  std::string source_;
  Decoder decoder_;
  bool mergesAcrossWords_ = false;  // some merge has a word mark inside, after another character
  BpeDefinition definition_;
};

}  // namespace

std::unique_ptr<Tokenizer> loadTokenizerJson(const std::filesystem::path& file) {
  const Json json = readJsonFile(file, kMaxFileBytes);
  BpeDefinition definition = Reader(json, file.string()).read();
  definition.eos = eosBeside(file, definition.ids);
  return makeBpeTokenizer(std::move(definition));
}

}  // namespace palimpsest::engine
