// What the tests of the verbs share: the tiny model, as it is or changed, and books for it to read.
#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>

#include "engine/generator.h"
#include "tests/engine/transformer_fixture.h"

namespace palimpsest::engine {

inline std::shared_ptr<const Model> load(const std::filesystem::path& folder,
                                         Precision precision = Precision::Float32) {
  return Model::load(folder, {.threads = 2, .precision = precision, .progress = {}});
}

// Sentences and paragraphs of plain words, several passes long.
inline std::string bookText(std::size_t words, unsigned seed = 11) {
  static const char* const kWords[] = {"the",    "old", "clock", "stood", "behind", "Weena", "and",
                                       "nobody", "saw", "how",   "it",    "turned", "1895"};
  std::mt19937 random(seed);
  std::string text;
  for (std::size_t i = 1; i <= words; ++i) {
    text += kWords[random() % std::size(kWords)];
    text += i % 90 == 0 ? ".\n\n" : i % 13 == 0 ? ". " : " ";
  }
  return text;
}

inline void readAll(Generator& generator, CompressiveMemory& memory, std::string_view text,
                    ReadingPosition reading = {}) {
  while (!reading.complete) reading = generator.read(memory, text, reading);
}

using Json = nlohmann::json;

// The tiny model with one of its JSON files changed.
class ChangedModel {
 public:
  ChangedModel(const std::string& file, const std::function<void(Json&)>& change) {
    for (const auto& entry : std::filesystem::directory_iterator(tinyFolder())) {
      if (entry.path().filename() != file)
        std::filesystem::copy(entry.path(), folder_.path() / entry.path().filename());
    }
    Json json = Json::parse(contentOf(tinyFolder() / file));
    change(json);
    folder_.write(file, json.dump());
  }
  const std::filesystem::path& path() const { return folder_.path(); }

 private:
  TemporaryFolder folder_;
};

// A copy of the tiny model without its memory heads, into a folder that the test keeps.
inline std::shared_ptr<const Model> loadWithoutMemory(const TemporaryFolder& folder) {
  for (const auto& entry : std::filesystem::directory_iterator(tinyFolder())) {
    if (entry.path().filename() != "memory_heads.safetensors")
      std::filesystem::copy(entry.path(), folder.path() / entry.path().filename());
  }
  return load(folder.path());
}

}  // namespace palimpsest::engine
