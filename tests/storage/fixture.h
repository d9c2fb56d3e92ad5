// A library in a folder of its own, removed afterwards, and small helpers to fill it.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "storage/database.h"
#include "storage/library.h"
#include "storage/records.h"

namespace palimpsest::storage {

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "palimpsest-test-XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

class StorageTest : public testing::Test {
 protected:
  std::filesystem::path file() const { return folder_.path() / "library.db"; }

  static DocumentRecord book(const std::string& hash, const std::string& title = {}) {
    DocumentRecord document;
    document.contentHash = hash;
    document.path = "/books/" + hash + ".epub";
    document.title = title;
    return document;
  }

  static std::vector<PassageRecord> passages(const std::vector<std::string>& texts) {
    std::vector<PassageRecord> result;
    for (const std::string& text : texts) {
      result.emplace_back().text = text;
      result.back().page = static_cast<int>(result.size());
      result.back().chapter = 0;
    }
    return result;
  }

  static std::vector<std::byte> bytes(const std::string& text) {
    std::vector<std::byte> result(text.size());
    if (!text.empty()) std::memcpy(result.data(), text.data(), text.size());
    return result;
  }

  // The reason of the DatabaseError that `work` throws; its sentence goes to `sentence`.
  template <typename Work>
  static DatabaseError::Reason reasonOf(Work&& work, std::string* sentence = nullptr) {
    try {
      work();
    } catch (const DatabaseError& error) {
      if (sentence) *sentence = error.what();
      return error.reason();
    }
    ADD_FAILURE() << "no DatabaseError was thrown";
    return DatabaseError::Reason::Other;
  }

 private:
  TemporaryFolder folder_;
};

}  // namespace palimpsest::storage
