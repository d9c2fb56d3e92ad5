// Real prose for texts that a test makes: the paragraphs of the bundled book, one after another.
#pragma once

#include <QByteArray>
#include <vector>

#include "documents/document.h"

namespace palimpsest::app {

class BundledProse {
 public:
  // Whole paragraphs, `bytes` or a little more, each with an empty line behind it; the next call goes on after them.
  QByteArray next(qsizetype bytes) {
    QByteArray text;
    for (; text.size() < bytes; ++next_) text += QByteArray::fromStdString(paragraphs_.at(next_).text) + "\n\n";
    return text;
  }

 private:
  const std::vector<documents::Paragraph> paragraphs_ =
      documents::extractDocument(PALIMPSEST_SOURCE_DIR "/resources/books/se_the-time-machine.epub").paragraphs;
  std::size_t next_ = 0;
};

}  // namespace palimpsest::app
