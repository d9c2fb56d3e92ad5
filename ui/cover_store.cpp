#include "ui/cover_store.h"

#include <QBuffer>
#include <QImageReader>

namespace palimpsest::ui {
namespace {

constexpr int kMostPixels = 60'000'000;  // a cover larger than this is no cover

QByteArray formatOf(const QByteArray& bytes) {
  if (bytes.startsWith("\x89PNG\r\n\x1a\n")) return "png";
  if (bytes.startsWith("\xff\xd8\xff")) return "jpeg";
  return {};
}

}  // namespace

QImage decodeCover(const QByteArray& bytes, QSize boxPixels) {
  const QByteArray format = formatOf(bytes);
  if (format.isEmpty()) return {};
  QBuffer buffer;
  buffer.setData(bytes);
  if (!buffer.open(QIODevice::ReadOnly)) return {};
  QImageReader reader(&buffer, format);
  const QSize size = reader.size();
  if (!size.isValid() || qint64{size.width()} * size.height() > kMostPixels) return {};
  reader.setScaledSize(size.scaled(boxPixels, Qt::KeepAspectRatio).expandedTo({1, 1}));
  reader.setAutoTransform(true);
  return reader.read();
}

CoverStore::CoverStore(QSize boxPixels, QObject* parent) : QObject(parent), box_(boxPixels) {
  pool_.setMaxThreadCount(1);
}

CoverStore::~CoverStore() {
  pool_.clear();
  pool_.waitForDone();
}

void CoverStore::setCover(qint64 id, const QByteArray& bytes) {
  Entry& entry = entries_[id];
  if (entry.bytes == bytes) return;
  entry = {bytes, {}};
  if (bytes.isEmpty()) return;
  pool_.start([this, id, bytes, box = box_] {
    const QImage image = decodeCover(bytes, box);
    QMetaObject::invokeMethod(
        this,
        [this, id, bytes, image] {
          const auto found = entries_.find(id);
          if (image.isNull() || found == entries_.end() || found->bytes != bytes) return;
          found->image = image;
          emit coverReady(id);
        },
        Qt::QueuedConnection);
  });
}

void CoverStore::forget(qint64 id) { entries_.remove(id); }

}  // namespace palimpsest::ui
