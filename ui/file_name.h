// Names of files are bytes, and not all of them are UTF-8: old archives have Latin-1 names. Needs Qt Core alone.
#pragma once

#include <QByteArray>
#include <QString>
#include <QUrl>

namespace palimpsest::ui {

// A byte that is no UTF-8 becomes a lone surrogate, U+DC80 to U+DCFF, which no text holds: bytesOfName() brings it
// back. Qt's own decoding would lose it, and with it the file.
inline QString nameOfBytes(const QByteArray& bytes) {
  const QString whole = QString::fromUtf8(bytes);
  if (whole.toUtf8() == bytes) return whole;
  QString name;
  for (qsizetype i = 0; i < bytes.size();) {
    qsizetype length = 1;
    QByteArray character = bytes.mid(i, length);
    while (length < 4 && QString::fromUtf8(character).toUtf8() != character) character = bytes.mid(i, ++length);
    const QString text = QString::fromUtf8(character);
    const bool valid = text.toUtf8() == character;
    valid ? name += text : name += QChar(0xDC00 + static_cast<uchar>(bytes[i]));
    i += valid ? character.size() : 1;
  }
  return name;
}

inline bool isNameInUtf8(const QString& name) { return name.isValidUtf16(); }

inline QByteArray bytesOfName(const QString& name) {
  if (isNameInUtf8(name)) return name.toUtf8();
  QByteArray bytes;
  for (qsizetype i = 0; i < name.size(); ++i) {
    const bool pair = name[i].isHighSurrogate() && i + 1 < name.size() && name[i + 1].isLowSurrogate();
    if (name[i].isLowSurrogate())
      bytes += static_cast<char>(name[i].unicode() & 0xFF);
    else
      bytes += name.mid(i, pair ? 2 : 1).toUtf8();
    i += pair ? 1 : 0;
  }
  return bytes;
}

// The path of a file on this computer; empty for other addresses.
inline QString nameOfUrl(const QUrl& url) {
  const QString path = url.toLocalFile();
  if (!path.contains(QChar::ReplacementCharacter)) return path;
  return nameOfBytes(QByteArray::fromPercentEncoding(url.path(QUrl::FullyEncoded).toLatin1()));
}

}  // namespace palimpsest::ui
