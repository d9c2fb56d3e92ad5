// A document's identity: the SHA-256 of its file's bytes.
#pragma once

#include <filesystem>
#include <stdexcept>
#include <stop_token>
#include <string>

namespace palimpsest::app {

// A file that cannot be taken in at all; what() is the sentence.
class FileError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Hex. Blocking; any thread. Throws FileError: missing, a folder, unreadable, empty or blank; "stopped" when `stop` is
// requested.
std::string contentHash(const std::filesystem::path& file, std::stop_token stop = {});

}  // namespace palimpsest::app
