#include "documents/pdf_info.h"

#include <poppler-document.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <pugixml.hpp>

#include "documents/poppler_text.h"
#include "documents/text.h"
#include "documents/xml.h"

namespace palimpsest::documents {
namespace {

constexpr std::string_view kMisreadMark = "ï»¿";

// PDFDocEncoding differs from Latin-1 here.
int docEncodingByte(char32_t c) {
  static constexpr std::array<char16_t, 8> kFrom18 = {0x2D8, 0x2C7, 0x2C6, 0x2D9, 0x2DD, 0x2DB, 0x2DA, 0x2DC};
  static constexpr std::array<char16_t, 33> kFrom80 = {
      0x2022, 0x2020, 0x2021, 0x2026, 0x2014, 0x2013, 0x192,  0x2044, 0x2039, 0x203A, 0x2212,
      0x2030, 0x201E, 0x201C, 0x201D, 0x2018, 0x2019, 0x201A, 0x2122, 0xFB01, 0xFB02, 0x141,
      0x152,  0x160,  0x178,  0x17D,  0x131,  0x142,  0x153,  0x161,  0x17E,  0,      0x20AC};
  if (const auto it = std::find(kFrom18.begin(), kFrom18.end(), c); it != kFrom18.end())
    return 0x18 + static_cast<int>(it - kFrom18.begin());
  if (const auto it = std::find(kFrom80.begin(), kFrom80.end(), c); it != kFrom80.end() && c != 0)
    return 0x80 + static_cast<int>(it - kFrom80.begin());
  return c > 0 && c < 0x100 && (c < 0x80 || c > 0xA0) ? static_cast<int>(c) : -1;
}

bool isJunkTitle(const std::string& title) {
  const std::string lower = lowerCase(title);
  if (lower.rfind("microsoft word - ", 0) == 0 || lower.rfind("microsoft powerpoint - ", 0) == 0 ||
      lower == "untitled" || lower == "title" || lower == "unknown" || lower.rfind("untitled-", 0) == 0 ||
      lower == "unbenannt")
    return true;
  static constexpr std::array<std::string_view, 9> kExtensions = {".doc", ".docx", ".tex", ".dvi", ".indd",
                                                                  ".qxd", ".qxp",  ".pdf", ".ps"};
  return lower.find(' ') == std::string::npos &&
         std::any_of(kExtensions.begin(), kExtensions.end(), [&](std::string_view end) {
           return lower.size() > end.size() && std::string_view(lower).substr(lower.size() - end.size()) == end;
         });
}

std::string xmpValue(const pugi::xml_document& xmp, std::string_view name) {
  std::string value;
  const auto element = firstDescendant(xmp, name);
  for (const auto& item : descendants(element, "li")) {
    if (!value.empty()) value += ", ";
    value += cleanText(textOf(item), LineBreaks::Join);
  }
  return value.empty() ? cleanText(textOf(element), LineBreaks::Join) : value;
}

std::string chosen(const std::string& info, const std::string& xmp) {
  const std::string value = cleanText(repairedPdfString(info), LineBreaks::Join);
  return value.empty() ? xmp : value;
}

std::string isoDate(std::time_t time) {
  if (time == static_cast<std::time_t>(-1) || time == 0) return {};
  std::tm parts{};
  if (!gmtime_r(&time, &parts)) return {};
  std::array<char, 32> text{};
  const auto length = std::strftime(text.data(), text.size(), "%Y-%m-%d", &parts);
  return {text.data(), length};
}

}  // namespace

std::string repairedPdfString(const std::string& text) {
  if (text.rfind(kMisreadMark, 0) != 0) return text;
  std::string bytes;
  for (std::size_t i = kMisreadMark.size(); i < text.size();) {
    const int byte = docEncodingByte(nextCodePoint(text, i));
    if (byte < 0) return {};
    bytes += static_cast<char>(byte);
  }
  for (std::size_t i = 0; i < bytes.size();)
    if (nextCodePoint(bytes, i) == 0xFFFD) return {};
  return bytes;
}

PdfInfo readInfo(const poppler::document& pdf) {
  pugi::xml_document xmp;
  loadXml(xmp, toUtf8(pdf.metadata()));
  PdfInfo info;
  info.title = chosen(toUtf8(pdf.get_title()), xmpValue(xmp, "title"));
  if (isJunkTitle(info.title)) info.title.clear();
  info.author = chosen(toUtf8(pdf.get_author()), xmpValue(xmp, "creator"));
  info.language = xmpValue(xmp, "language");
  info.date = isoDate(pdf.get_creation_date_t());
  return info;
}

}  // namespace palimpsest::documents
