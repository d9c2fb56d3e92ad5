// A ZIP archive in memory, read entry by entry. Nothing is unpacked to disk and no name leads outside.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "documents/source.h"

struct zip;

namespace palimpsest::documents {

class ZipArchive {
 public:
  // The source must outlive the archive. Throws ExtractionError: Broken (cut off or damaged), TooLarge (a zip bomb:
  // more entries, bytes or compression than a book has).
  explicit ZipArchive(const Source& source);
  ~ZipArchive();
  ZipArchive(const ZipArchive&) = delete;
  ZipArchive& operator=(const ZipArchive&) = delete;

  const std::vector<std::string>& names() const { return names_; }

  // Looks the name up in the archive's own table: as it is, else in NFC, else ignoring case (sloppy books).
  std::optional<std::uint64_t> find(std::string_view name) const;
  // The unpacked bytes. Throws ExtractionError: Broken, Locked (password), TooLarge.
  std::string read(std::uint64_t index) const;

 private:
  void checkLimits() const;

  const Source& source_;
  struct Close {
    void operator()(zip* archive) const;
  };
  std::unique_ptr<zip, Close> archive_;
  std::vector<std::string> names_;
  std::unordered_map<std::string, std::uint64_t> exact_, folded_;
  mutable std::uint64_t bytesRead_ = 0;
};

// `href` as written in the file at `base` (both inside the archive) -> a name in the archive, percent-decoded, without
// fragment and with . and .. resolved. nullopt if it leads out of the archive or is a URL of another kind.
std::optional<std::string> resolveHref(std::string_view base, std::string_view href);
// The part after '#', percent-decoded; empty if none.
std::string hrefFragment(std::string_view href);

}  // namespace palimpsest::documents
