#include "ui/stored_text.h"

#include <algorithm>

namespace palimpsest::ui {
namespace {

const QString kBreak = QStringLiteral("\n\n");

// The UTF-16 index of a UTF-8 byte offset; past the end gives the end.
qsizetype indexOfByte(const QString& text, qint64 byteOffset) {
  qint64 bytes = 0;
  qsizetype i = 0;
  for (; i < text.size() && bytes < byteOffset; ++i) {
    const char16_t unit = text[i].unicode();
    if (text[i].isHighSurrogate() && i + 1 < text.size()) {
      bytes += 4;
      ++i;
    } else {
      bytes += unit < 0x80 ? 1 : unit < 0x800 ? 2 : 3;
    }
  }
  return i;
}

TextRange nearest(const QString& text, const QString& words, qsizetype index) {
  if (words.isEmpty()) return {};
  if (QStringView(text).mid(index).startsWith(words)) return {index, words.size()};
  const qsizetype after = text.indexOf(words, index);
  const qsizetype before = index > 0 ? text.lastIndexOf(words, index) : -1;
  if (after < 0 && before < 0) return {};
  const bool takeAfter = before < 0 || (after >= 0 && after - index <= index - before);
  return {takeAfter ? after : before, words.size()};
}

}  // namespace

TextRange locate(const QString& text, const QString& quote, qint64 byteOffset) {
  const qsizetype index = indexOfByte(text, byteOffset);
  const TextRange whole = nearest(text, quote, index);
  return !whole.found() && quote.endsWith(QChar(0x2026)) ? nearest(text, quote.chopped(1), index) : whole;
}

TextRange paragraphsAround(const QString& text, TextRange middle, qsizetype around) {
  const qsizetype from = std::clamp<qsizetype>(middle.begin - around, 0, text.size());
  const qsizetype to = std::clamp<qsizetype>(middle.begin + middle.length + around, 0, text.size());
  qsizetype begin = from == 0 ? 0 : text.lastIndexOf(kBreak, from);
  begin = begin <= 0 ? 0 : begin + kBreak.size();
  // A single paragraph of megabytes is cut where it must be, not shown whole.
  if (from - begin > around) begin = from;
  qsizetype end = to >= text.size() ? text.size() : text.indexOf(kBreak, to);
  if (end < 0 || end - to > around) end = end < 0 && text.size() - to <= around ? text.size() : to;
  if (begin > 0 && text[begin].isLowSurrogate()) --begin;
  if (end < text.size() && text[end].isLowSurrogate()) ++end;
  return {begin, end - begin};
}

}  // namespace palimpsest::ui
