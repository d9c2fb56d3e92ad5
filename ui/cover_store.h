// Small pictures of covers, decoded away from the UI thread.
#pragma once

#include <QByteArray>
#include <QHash>
#include <QImage>
#include <QObject>
#include <QSize>
#include <QThreadPool>

namespace palimpsest::ui {

// Decodes PNG or JPEG bytes to fit `boxPixels`. Anything else, or a broken picture, gives a null image.
// Covers come out of strangers' files: no other format's reader is let near them. Any thread.
QImage decodeCover(const QByteArray& bytes, QSize boxPixels);

// Lives on the UI thread. setCover() returns at once; coverReady() follows when a picture came of it.
class CoverStore : public QObject {
  Q_OBJECT
 public:
  explicit CoverStore(QSize boxPixels, QObject* parent = nullptr);
  ~CoverStore() override;

  void setCover(qint64 id, const QByteArray& bytes);  // nothing is decoded twice
  void forget(qint64 id);
  QImage cover(qint64 id) const { return entries_.value(id).image; }

 signals:
  void coverReady(qint64 id);

 private:
  struct Entry {
    QByteArray bytes;
    QImage image;
  };
  QSize box_;
  QHash<qint64, Entry> entries_;
  QThreadPool pool_;
};

}  // namespace palimpsest::ui
