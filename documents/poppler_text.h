#pragma once

#include <poppler-global.h>

#include <string>

#include "documents/text.h"

namespace palimpsest::documents {

// Poppler's own conversion trips over characters outside the first plane.
inline std::string toUtf8(const poppler::ustring& text) {
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    char32_t c = text[i];
    if (c >= 0xD800 && c < 0xDC00 && i + 1 < text.size() && text[i + 1] >= 0xDC00 && text[i + 1] < 0xE000) {
      const char32_t low = text[++i];
      c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
    }
    appendCodePoint(result, c);
  }
  return result;
}

}  // namespace palimpsest::documents
