// Finding a passage in the stored text of a book, and cutting out what a reader needs to see around it.
#pragma once

#include <QString>

namespace palimpsest::ui {

struct TextRange {
  qsizetype begin = -1, length = 0;  // UTF-16 units; begin < 0 = not found
  bool found() const { return begin >= 0; }
};

// Where `quote` stands. `byteOffset` counts UTF-8 bytes; when the quote does not stand exactly there (the text was
// stored anew, or the offset is another unit), its nearest occurrence is taken. A "…" at its end that is not the
// book's is where the quote was cut, and no part of the place.
TextRange locate(const QString& text, const QString& quote, qint64 byteOffset);

// A range of whole paragraphs ("\n\n" between them) around `middle`, about `around` units to each side.
TextRange paragraphsAround(const QString& text, TextRange middle, qsizetype around);

}  // namespace palimpsest::ui
