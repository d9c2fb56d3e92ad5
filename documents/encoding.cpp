#include "documents/encoding.h"

#include <iconv.h>
#include <uchardet/uchardet.h>
#include <utf8proc.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <memory>

#include "documents/text.h"

namespace palimpsest::documents {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";
constexpr std::size_t kSample = 256 * 1024;

struct Utf8Count {
  std::size_t good = 0;  // multi-byte sequences
  std::size_t bad = 0;   // bytes that belong to none
};

Utf8Count countUtf8(std::string_view bytes) {
  Utf8Count count;
  for (std::size_t i = 0; i < bytes.size();) {
    if (static_cast<unsigned char>(bytes[i]) < 0x80) {
      ++i;
      continue;
    }
    utf8proc_int32_t codePoint = 0;
    const auto length = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(bytes.data()) + i,
                                         static_cast<utf8proc_ssize_t>(bytes.size() - i), &codePoint);
    ++(length > 0 ? count.good : count.bad);
    i += length > 0 ? static_cast<std::size_t>(length) : 1;
  }
  return count;
}

std::string repairedUtf8(std::string_view bytes) {
  std::string result;
  result.reserve(bytes.size());
  for (std::size_t i = 0; i < bytes.size();) appendCodePoint(result, nextCodePoint(bytes, i));
  return result;
}

class Converter {
 public:
  explicit Converter(const std::string& encoding) : handle_(iconv_open("UTF-8", encoding.c_str())) {}
  ~Converter() {
    if (valid()) iconv_close(handle_);
  }
  Converter(const Converter&) = delete;
  Converter& operator=(const Converter&) = delete;
  bool valid() const { return handle_ != reinterpret_cast<iconv_t>(-1); }

  std::string convert(std::string_view bytes) {
    std::string result, chunk(64 * 1024, '\0');
    char* in = const_cast<char*>(bytes.data());
    std::size_t inLeft = bytes.size();
    while (inLeft > 0) {
      char* out = chunk.data();
      std::size_t outLeft = chunk.size();
      const auto rc = iconv(handle_, &in, &inLeft, &out, &outLeft);
      result.append(chunk.data(), chunk.size() - outLeft);
      if (rc != static_cast<std::size_t>(-1) || errno == E2BIG) continue;
      result += kReplacement;
      if (errno == EINVAL) break;  // cut off in the middle of a character
      ++in;
      --inLeft;
    }
    return result;
  }

 private:
  iconv_t handle_;
};

std::string detectedEncoding(std::string_view bytes) {
  const std::unique_ptr<uchardet, decltype(&uchardet_delete)> detector(uchardet_new(), &uchardet_delete);
  // The statistics need the foreign characters: begin shortly before the first.
  const auto first =
      std::find_if(bytes.begin(), bytes.end(), [](char c) { return static_cast<unsigned char>(c) >= 0x80; });
  const auto start = static_cast<std::size_t>(first - bytes.begin());
  const std::string_view sample = bytes.substr(start > kSample / 4 ? start - kSample / 4 : 0, kSample);
  if (uchardet_handle_data(detector.get(), sample.data(), sample.size()) != 0) return {};
  uchardet_data_end(detector.get());
  return uchardet_get_charset(detector.get());
}

// What browsers do: the name Latin-1 or ASCII on a file means Windows' superset of it.
std::string usualName(std::string name) {
  std::transform(name.begin(), name.end(), name.begin(),
                 [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; });
  if (name == "ISO-8859-1" || name == "LATIN1" || name == "ISO8859-1" || name == "ASCII" || name == "US-ASCII")
    return "WINDOWS-1252";
  if (name == "SHIFT_JIS" || name == "SHIFT-JIS" || name == "SJIS") return "CP932";
  if (name == "GB2312" || name == "GBK") return "GB18030";
  return name;
}

// UTF-16 or 32 without a mark: every second (or three of four) bytes of Western text are zero.
std::string wideEncoding(std::string_view bytes) {
  const std::size_t length = std::min<std::size_t>(bytes.size(), 4096) / 4 * 4;
  if (length < 4) return {};
  std::size_t zeros[4] = {};
  for (std::size_t i = 0; i < length; ++i) zeros[i % 4] += bytes[i] == '\0';
  const std::size_t quads = length / 4;
  const auto most = [&](int i) { return zeros[i] * 10 >= quads * 7; };
  const auto few = [&](int i) { return zeros[i] * 10 <= quads; };
  if (most(1) && most(2) && most(3) && few(0)) return "UTF-32LE";
  if (most(0) && most(1) && most(2) && few(3)) return "UTF-32BE";
  if (most(1) && most(3) && few(0) && few(2)) return "UTF-16LE";
  if (most(0) && most(2) && few(1) && few(3)) return "UTF-16BE";
  return {};
}

struct ByteOrderMark {
  std::string_view bytes, encoding;
};

std::string encodingByMark(std::string_view bytes, std::size_t& skip) {
  using namespace std::string_view_literals;
  static constexpr ByteOrderMark kMarks[] = {{"\xEF\xBB\xBF"sv, "UTF-8"sv},
                                             {"\xFF\xFE\0\0"sv, "UTF-32LE"sv},
                                             {"\0\0\xFE\xFF"sv, "UTF-32BE"sv},
                                             {"\xFF\xFE"sv, "UTF-16LE"sv},
                                             {"\xFE\xFF"sv, "UTF-16BE"sv}};
  for (const auto& mark : kMarks) {
    if (bytes.substr(0, mark.bytes.size()) != mark.bytes) continue;
    skip = mark.bytes.size();
    return std::string(mark.encoding);
  }
  return {};
}

}  // namespace

std::string decodeToUtf8(std::string_view bytes, std::string_view declared) {
  std::size_t skip = 0;
  std::string encoding = encodingByMark(bytes, skip);
  bytes.remove_prefix(skip);
  if (encoding.empty()) encoding = wideEncoding(bytes);
  if (encoding.empty() || encoding == "UTF-8") {
    const Utf8Count count = countUtf8(bytes);
    if (count.bad == 0) return std::string(bytes);
    if (encoding == "UTF-8" || count.good >= 20 * count.bad) return repairedUtf8(bytes);
    encoding = usualName(std::string(declared));
  }
  if (!encoding.empty() && encoding != "UTF-8")
    if (Converter converter(encoding); converter.valid()) return converter.convert(bytes);
  if (Converter converter(usualName(detectedEncoding(bytes))); converter.valid()) return converter.convert(bytes);
  Converter fallback("WINDOWS-1252");
  return fallback.valid() ? fallback.convert(bytes) : repairedUtf8(bytes);
}

std::string declaredMarkupEncoding(std::string_view bytes) {
  std::string head(bytes.substr(0, 2048));
  std::transform(head.begin(), head.end(), head.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  const bool xml = head.substr(0, 5) == "<?xml";
  const std::string_view key = xml ? "encoding" : "charset";
  auto at = head.find(key);
  if (at == std::string::npos || (xml && at > head.find("?>"))) return {};
  at = head.find_first_not_of(" \t=\"'", at + key.size());
  if (at == std::string::npos) return {};
  return head.substr(at, head.find_first_of(" \t\"';?/>", at) - at);
}

bool looksLikeText(std::string_view bytes) {
  std::size_t skip = 0;
  if (const auto mark = encodingByMark(bytes, skip); !mark.empty() || !wideEncoding(bytes).empty()) return true;
  const std::string_view sample = bytes.substr(0, kSample);
  if (sample.find('\0') != std::string_view::npos) return false;
  const auto controls = std::count_if(sample.begin(), sample.end(), [](char c) {
    const auto u = static_cast<unsigned char>(c);
    return u < 0x20 && u != '\t' && u != '\n' && u != '\r' && u != '\f' && u != 0x1B && u != 0x1A;
  });
  return static_cast<std::size_t>(controls) * 200 <= sample.size();
}

}  // namespace palimpsest::documents
