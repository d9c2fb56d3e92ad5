#include "documents/zip_archive.h"

#include <zip.h>

#include <algorithm>

#include "documents/text.h"

namespace palimpsest::documents {
namespace {

using Reason = ExtractionError::Reason;

// The largest real books known have some thousand entries and, with their pictures, a few hundred MiB.
constexpr std::uint64_t kMaxEntries = 20'000;
constexpr std::uint64_t kMaxTotalBytes = std::uint64_t{2} << 30;
constexpr std::uint64_t kMaxEntryBytes = std::uint64_t{64} << 20;
constexpr std::uint64_t kMaxReadBytes = std::uint64_t{256} << 20;
constexpr std::uint64_t kMaxRatio = 200;  // text packs 3:1, the most repetitive real markup 50:1
constexpr std::uint64_t kRatioMatters = std::uint64_t{4} << 20;

constexpr std::string_view kCutOff =
    "is cut off or damaged: the directory at the end of the archive is missing or wrong. Fetch the file again.";
constexpr std::string_view kBomb =
    "unpacks to far more than a book can hold (a \"zip bomb\") and was not read. Do not trust where it came from.";

int hexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::string percentDecoded(std::string_view text) {
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && hexValue(text[i + 1]) >= 0 && hexValue(text[i + 2]) >= 0) {
      result += static_cast<char>(hexValue(text[i + 1]) * 16 + hexValue(text[i + 2]));
      i += 2;
    } else {
      result += text[i];
    }
  }
  return result;
}

bool hasScheme(std::string_view href) {
  const auto colon = href.find(':');
  return colon != std::string_view::npos && colon < href.find_first_of("/?#");
}

struct CloseFile {
  void operator()(zip_file_t* file) const { zip_fclose(file); }
};

}  // namespace

void ZipArchive::Close::operator()(zip* archive) const { zip_discard(archive); }

ZipArchive::ZipArchive(const Source& source) : source_(source) {
  zip_error_t error;
  zip_error_init(&error);
  zip_source_t* bytes = zip_source_buffer_create(source.bytes.data(), source.bytes.size(), 0, &error);
  if (bytes) archive_.reset(zip_open_from_source(bytes, ZIP_RDONLY, &error));
  if (!archive_ && bytes) zip_source_free(bytes);
  zip_error_fini(&error);
  if (!archive_) source_.fail(Reason::Broken, kCutOff);
  checkLimits();
  const auto count = zip_get_num_entries(archive_.get(), 0);
  for (zip_int64_t i = 0; i < count; ++i) {
    const char* name = zip_get_name(archive_.get(), static_cast<zip_uint64_t>(i), ZIP_FL_ENC_GUESS);
    names_.emplace_back(name ? name : "");
    // The first of two entries with one name counts, as for other readers.
    exact_.emplace(names_.back(), static_cast<std::uint64_t>(i));
    folded_.emplace(lowerCase(cleanText(names_.back(), LineBreaks::Join)), static_cast<std::uint64_t>(i));
  }
}

ZipArchive::~ZipArchive() = default;

void ZipArchive::checkLimits() const {
  const auto count = static_cast<std::uint64_t>(zip_get_num_entries(archive_.get(), 0));
  if (count > kMaxEntries) source_.fail(Reason::TooLarge, kBomb);
  std::uint64_t total = 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    zip_stat_t stat;
    zip_stat_init(&stat);
    if (zip_stat_index(archive_.get(), i, 0, &stat) != 0) source_.fail(Reason::Broken, kCutOff);
    if (!(stat.valid & ZIP_STAT_SIZE) || stat.size > kMaxTotalBytes) source_.fail(Reason::TooLarge, kBomb);
    total += stat.size;
    if (total > kMaxTotalBytes) source_.fail(Reason::TooLarge, kBomb);
  }
  if (total > 16 * kRatioMatters && total / kMaxRatio > source_.bytes.size()) source_.fail(Reason::TooLarge, kBomb);
}

std::optional<std::uint64_t> ZipArchive::find(std::string_view name) const {
  if (const auto it = exact_.find(std::string(name)); it != exact_.end()) return it->second;
  if (const auto it = folded_.find(lowerCase(cleanText(name, LineBreaks::Join))); it != folded_.end())
    return it->second;
  return std::nullopt;
}

std::string ZipArchive::read(std::uint64_t index) const {
  zip_stat_t stat;
  zip_stat_init(&stat);
  if (zip_stat_index(archive_.get(), index, 0, &stat) != 0) source_.fail(Reason::Broken, kCutOff);
  if (stat.encryption_method != ZIP_EM_NONE)
    source_.fail(Reason::Locked, "is an archive with a password. Unpack it with the password and add the book inside.");
  bytesRead_ += stat.size;
  if (stat.size > kMaxEntryBytes || bytesRead_ > kMaxReadBytes ||
      (stat.size > kRatioMatters && stat.size / kMaxRatio > stat.comp_size))
    source_.fail(Reason::TooLarge, kBomb);
  const std::unique_ptr<zip_file_t, CloseFile> file(zip_fopen_index(archive_.get(), index, 0));
  std::string bytes(static_cast<std::size_t>(stat.size), '\0');
  std::size_t done = 0;
  // The declared size bounds what is unpacked; libzip checks the checksum when the end is reached.
  for (zip_int64_t got = 1; file && got > 0 && done < bytes.size(); done += static_cast<std::size_t>(got))
    if ((got = zip_fread(file.get(), bytes.data() + done, bytes.size() - done)) < 0) break;
  char more = 0;
  if (!file || done != bytes.size() || zip_fread(file.get(), &more, 1) != 0)
    source_.fail(Reason::Broken, "is damaged: “" + cleanText(names_[index], LineBreaks::Join) +
                                     "” inside it cannot be unpacked. Fetch the file again.");
  return bytes;
}

std::optional<std::string> resolveHref(std::string_view base, std::string_view href) {
  href = href.substr(0, href.find('#'));
  href = trimmed(href.substr(0, href.find('?')));
  if (hasScheme(href)) return std::nullopt;
  if (href.empty()) return std::string(base);
  std::vector<std::string> parts;
  const auto walk = [&](std::string_view path) {
    for (std::size_t start = 0; start <= path.size();) {
      const auto end = std::min(path.find('/', start), path.size());
      const std::string part(path.substr(start, end - start));
      start = end + 1;
      if (part.empty() || part == ".") continue;
      if (part != "..") {
        parts.push_back(part);
      } else if (parts.empty()) {
        return false;
      } else {
        parts.pop_back();
      }
    }
    return true;
  };
  const auto folder = base.rfind('/');
  if (href.front() != '/' && folder != std::string_view::npos && !walk(base.substr(0, folder))) return std::nullopt;
  if (!walk(percentDecoded(href))) return std::nullopt;
  std::string result;
  for (const auto& part : parts) {
    if (!result.empty()) result += '/';
    result += part;
  }
  return result;
}

std::string hrefFragment(std::string_view href) {
  const auto hash = href.find('#');
  return hash == std::string_view::npos ? std::string() : percentDecoded(href.substr(hash + 1));
}

}  // namespace palimpsest::documents
