#include "engine/utf8.h"

#include <cstdint>
#include <cstring>

namespace palimpsest::engine {

namespace {

constexpr std::uint64_t kHighBits = 0x8080808080808080ULL;

// Bytes from `position` on that are ASCII, eight at a time.
std::size_t skipAscii(std::string_view text, std::size_t position) {
  while (position + 8 <= text.size()) {
    std::uint64_t block = 0;
    std::memcpy(&block, text.data() + position, 8);
    if ((block & kHighBits) != 0) break;
    position += 8;
  }
  while (position < text.size() && static_cast<unsigned char>(text[position]) < 0x80) ++position;
  return position;
}

}  // namespace

Utf8Step utf8At(std::string_view text, std::size_t position) {
  const auto byteAt = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byteAt(position);
  if (lead < 0x80) return {lead, 1, true, false};
  std::size_t length = 0;
  unsigned char least = 0x80;  // bounds of the second byte: they keep out overlong forms, surrogates and > U+10FFFF
  unsigned char most = 0xBF;
  if (lead >= 0xC2 && lead <= 0xDF) {
    length = 2;
  } else if (lead >= 0xE0 && lead <= 0xEF) {
    length = 3;
    if (lead == 0xE0) least = 0xA0;
    if (lead == 0xED) most = 0x9F;
  } else if (lead >= 0xF0 && lead <= 0xF4) {
    length = 4;
    if (lead == 0xF0) least = 0x90;
    if (lead == 0xF4) most = 0x8F;
  } else {
    return {0, 1, false, false};
  }
  char32_t codePoint = lead & (0xFFU >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) {
    if (position + i >= text.size()) return {0, i, false, true};
    const unsigned char next = byteAt(position + i);
    if (next < least || next > most) return {0, i, false, false};
    least = 0x80;
    most = 0xBF;
    codePoint = (codePoint << 6) | (next & 0x3FU);
  }
  return {codePoint, length, true, false};
}

bool isUtf8(std::string_view text) {
  for (std::size_t i = skipAscii(text, 0); i < text.size(); i = skipAscii(text, i)) {
    const Utf8Step step = utf8At(text, i);
    if (!step.valid) return false;
    i += step.length;
  }
  return true;
}

void appendUtf8(std::string& text, char32_t codePoint) {
  const auto put = [&](char32_t byte) { text += static_cast<char>(static_cast<unsigned char>(byte)); };
  if (codePoint < 0x80) {
    put(codePoint);
  } else if (codePoint < 0x800) {
    put(0xC0 | (codePoint >> 6));
    put(0x80 | (codePoint & 0x3F));
  } else if (codePoint < 0x10000) {
    put(0xE0 | (codePoint >> 12));
    put(0x80 | ((codePoint >> 6) & 0x3F));
    put(0x80 | (codePoint & 0x3F));
  } else {
    put(0xF0 | (codePoint >> 18));
    put(0x80 | ((codePoint >> 12) & 0x3F));
    put(0x80 | ((codePoint >> 6) & 0x3F));
    put(0x80 | (codePoint & 0x3F));
  }
}

std::string repairUtf8(std::string_view text, bool keepTail, std::size_t& used) {
  std::string repaired;
  repaired.reserve(text.size());
  used = 0;
  while (used < text.size()) {
    const std::size_t ascii = skipAscii(text, used);
    repaired.append(text.substr(used, ascii - used));
    used = ascii;
    if (used == text.size()) break;
    const Utf8Step step = utf8At(text, used);
    if (step.truncated && keepTail) break;
    repaired.append(step.valid ? text.substr(used, step.length) : kReplacementCharacter);
    used += step.length;
  }
  return repaired;
}

std::string repairUtf8(std::string_view text) {
  std::size_t used = 0;
  return repairUtf8(text, /*keepTail=*/false, used);
}

}  // namespace palimpsest::engine
