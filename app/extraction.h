// A file's text as the rows that the library stores.
#pragma once

#include <QStringList>
#include <filesystem>
#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "storage/records.h"

namespace palimpsest::app {

struct Extraction {
  storage::DocumentRecord metadata;
  std::vector<storage::ChapterRecord> chapters;
  std::vector<storage::PassageRecord> passages;
  std::vector<std::byte> cover;
  bool cancelled = false;
  std::string problem;      // a sentence; empty = all went well
  std::string failureKind;  // "locked": Retry asks for the password; "content": the same bytes would fail again
};

// Blocking; any thread; throws nothing. `contentHash` is what the file must still be: another file in the same place is
// not this document.
Extraction extract(const std::filesystem::path& file, const std::string& contentHash, const std::string& password,
                   std::function<void(double share)> progress, std::stop_token stop);

// File name patterns of the formats that can be read: "*.epub" and so on.
QStringList bookPatterns();

}  // namespace palimpsest::app
