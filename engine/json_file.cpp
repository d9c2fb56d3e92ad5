#include "engine/json_file.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/errors.h"

namespace palimpsest::engine {

std::string readTextFile(const std::filesystem::path& file, std::size_t maxBytes) {
  std::error_code error;
  if (!std::filesystem::exists(file, error)) throw unusable(file.string(), "the file is missing");
  if (!std::filesystem::is_regular_file(file, error)) throw unusable(file.string(), "it is not a file");
  std::ifstream stream(file, std::ios::binary);
  if (!stream)
    throw unusable(file.string(), std::string("it cannot be opened: ") + std::strerror(errno),
                   "See to it that the file may be read.");
  std::string text;
  char block[65536];
  while (stream.read(block, sizeof block), stream.gcount() > 0) {
    text.append(block, static_cast<std::size_t>(stream.gcount()));
    if (text.size() > maxBytes)
      throw unusable(file.string(),
                     "it is larger than " + std::to_string(maxBytes) + " bytes, too large for what it should be");
  }
  if (stream.bad()) throw unusable(file.string(), "it cannot be read to its end");
  return text;
}

nlohmann::json parseJsonObject(const std::string& text, const std::string& sourceName) {
  try {
    nlohmann::json json = nlohmann::json::parse(text);
    if (!json.is_object()) throw unusable(sourceName, "it is not a JSON object");
    return json;
  } catch (const nlohmann::json::exception& error) {
    throw unusable(sourceName, std::string("it is not valid JSON (") + error.what() + ")");
  }
}

nlohmann::json readJsonFile(const std::filesystem::path& file, std::size_t maxBytes) {
  return parseJsonObject(readTextFile(file, maxBytes), file.string());
}

std::vector<int> parseEosIds(const nlohmann::json& value, int vocabSize, const std::string& source) {
  std::vector<int> ids;
  for (const nlohmann::json& id : value.is_array() ? value : nlohmann::json::array({value})) {
    if (!id.is_number_integer() || id.get<std::int64_t>() < 0 || id.get<std::int64_t>() >= vocabSize) {
      throw unusable(source, "\"eos_token_id\" must hold ids of the vocabulary (0 to " + std::to_string(vocabSize - 1) +
                                 "), not " +
                                 id.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace).substr(0, 60));
    }
    ids.push_back(id.get<int>());
  }
  return ids;
}

}  // namespace palimpsest::engine
