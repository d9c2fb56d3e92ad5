#include "engine/json_file.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/errors.h"

namespace palimpsest::engine {

std::string readTextFile(const std::filesystem::path& file, std::size_t maxBytes) {
  std::error_code error;
  if (!std::filesystem::exists(file, error)) throw ModelError(file.string() + ": the file is missing");
  if (!std::filesystem::is_regular_file(file, error)) throw ModelError(file.string() + ": is not a file");
  std::ifstream stream(file, std::ios::binary);
  if (!stream) throw ModelError(file.string() + ": cannot be opened: " + std::strerror(errno));
  std::string text;
  char block[65536];
  while (stream.read(block, sizeof block), stream.gcount() > 0) {
    text.append(block, static_cast<std::size_t>(stream.gcount()));
    if (text.size() > maxBytes)
      throw ModelError(file.string() + ": is larger than " + std::to_string(maxBytes) +
                       " bytes, too large for what it should be");
  }
  if (stream.bad()) throw ModelError(file.string() + ": cannot be read");
  return text;
}

nlohmann::json parseJsonObject(const std::string& text, const std::string& sourceName) {
  try {
    nlohmann::json json = nlohmann::json::parse(text);
    if (!json.is_object()) throw ModelError(sourceName + ": is not a JSON object");
    return json;
  } catch (const nlohmann::json::exception& error) {
    throw ModelError(sourceName + ": is not valid JSON (" + error.what() + ")");
  }
}

nlohmann::json readJsonFile(const std::filesystem::path& file, std::size_t maxBytes) {
  return parseJsonObject(readTextFile(file, maxBytes), file.string());
}

std::vector<int> parseTokenIds(const nlohmann::json& value, int vocabSize, const std::string& what) {
  std::vector<int> ids;
  for (const nlohmann::json& id : value.is_array() ? value : nlohmann::json::array({value})) {
    if (!id.is_number_integer() || id.get<std::int64_t>() < 0 || id.get<std::int64_t>() >= vocabSize) {
      throw ModelError(what + ": expected ids of the vocabulary (0 to " + std::to_string(vocabSize - 1) + "), found " +
                       id.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace).substr(0, 60));
    }
    ids.push_back(id.get<int>());
  }
  return ids;
}

}  // namespace palimpsest::engine
