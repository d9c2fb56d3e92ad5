#include "app/content_hash.h"

#include <QCryptographicHash>
#include <QFile>
#include <QFileInfo>

#include "app/words.h"

namespace palimpsest::app {

namespace {

constexpr qint64 kBlock = 1 << 20;

[[noreturn]] void refuse(const QString& sentence) { throw FileError(sentence.toStdString()); }

}  // namespace

std::string contentHash(const std::filesystem::path& path, std::stop_token stop) {
  const QString name = fromPath(path);
  const QFileInfo info(name);
  if (!info.exists()) refuse(Words::tr("There is no file “%1”. Was it moved or renamed?").arg(name));
  if (info.isDir()) refuse(Words::tr("“%1” is a folder. Choose the books in it one by one.").arg(name));
  if (!info.isFile()) refuse(Words::tr("“%1” is not an ordinary file, so there is no book in it to read.").arg(name));
  QFile file(name);
  if (!file.open(QIODevice::ReadOnly))
    refuse(Words::tr("“%1” cannot be opened: %2. Check that you may read it.").arg(name, file.errorString()));
  if (file.size() == 0) refuse(Words::tr("“%1” is empty: there is nothing in it to read.").arg(name));
  QCryptographicHash hash(QCryptographicHash::Sha256);
  while (!file.atEnd()) {
    if (stop.stop_requested()) refuse(QStringLiteral("stopped"));
    const QByteArray block = file.read(kBlock);
    if (block.isEmpty())
      refuse(Words::tr("“%1” could not be read to its end: %2. Try again when its disk is back.")
                 .arg(name, file.errorString()));
    hash.addData(block);
  }
  return hash.result().toHex().toStdString();
}

}  // namespace palimpsest::app
