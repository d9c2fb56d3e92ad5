// The small JSON and text files of a model folder, read with a limit on their size.
#pragma once

#include <cstddef>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace palimpsest::engine {

// The file's bytes. Throws ModelError naming the file: missing, a folder, longer than maxBytes, unreadable.
std::string readTextFile(const std::filesystem::path& file, std::size_t maxBytes);

// A JSON object. Throws ModelError as above, or when the text is no JSON object.
nlohmann::json readJsonFile(const std::filesystem::path& file, std::size_t maxBytes);
nlohmann::json parseJsonObject(const std::string& text, const std::string& sourceName);

// "eos_token_id" of the file `source`: one id or a list of ids, each below vocabSize. Throws ModelError.
std::vector<int> parseEosIds(const nlohmann::json& value, int vocabSize, const std::string& source);

}  // namespace palimpsest::engine
