#include "app/content_hash.h"

#include <fcntl.h>

#include <QCryptographicHash>
#include <QFile>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "app/words.h"

namespace palimpsest::app {

namespace {

constexpr qint64 kBlock = 1 << 20;

// White space alone; a zero byte is half of what UTF-16 makes of it.
bool isBlank(const QByteArray& block) {
  constexpr std::string_view kBlank("\0 \t\n\v\f\r", 7);
  return std::string_view(block.constData(), static_cast<std::size_t>(block.size())).find_first_not_of(kBlank) ==
         kBlank.npos;
}

QByteArray withoutByteOrderMark(const QByteArray& block) {
  for (const char* mark : {"\xef\xbb\xbf", "\xff\xfe", "\xfe\xff"})
    if (block.startsWith(mark)) return block.mid(qstrlen(mark));
  return block;
}

[[noreturn]] void refuse(const QString& sentence) { throw FileError(sentence.toStdString()); }

}  // namespace

std::string contentHash(const std::filesystem::path& path, std::stop_token stop) {
  const QString name = fromPath(path);
  std::error_code unknown;
  const auto kind = std::filesystem::status(path, unknown).type();
  using Kind = std::filesystem::file_type;
  if (kind == Kind::not_found) refuse(Words::tr("There is no file “%1”. Was it moved or renamed?").arg(name));
  if (kind == Kind::directory) refuse(Words::tr("“%1” is a folder. Choose the books in it one by one.").arg(name));
  if (kind != Kind::regular && kind != Kind::none)
    refuse(Words::tr("“%1” is not an ordinary file, so there is no book in it to read.").arg(name));
  QFile file;  // by its descriptor: Qt cannot name every file
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0 || !file.open(descriptor, QIODevice::ReadOnly, QFileDevice::AutoCloseHandle))
    refuse(Words::tr("“%1” cannot be opened: %2. Check that you may read it.")
               .arg(name, QString::fromLocal8Bit(std::strerror(errno))));
  if (file.size() == 0) refuse(Words::tr("“%1” is empty: there is nothing in it to read.").arg(name));
  QCryptographicHash hash(QCryptographicHash::Sha256);
  bool blank = true;
  for (bool first = true; !file.atEnd(); first = false) {
    if (stop.stop_requested()) refuse(QStringLiteral("stopped"));
    const QByteArray block = file.read(kBlock);
    if (block.isEmpty())
      refuse(Words::tr("“%1” could not be read to its end: %2. Try again when its disk is back.")
                 .arg(name, file.errorString()));
    hash.addData(block);
    blank = blank && isBlank(first ? withoutByteOrderMark(block) : block);
  }
  if (blank) refuse(Words::tr("“%1” holds only blank lines: there is nothing in it to read.").arg(name));
  return hash.result().toHex().toStdString();
}

}  // namespace palimpsest::app
