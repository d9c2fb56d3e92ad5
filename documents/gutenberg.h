#pragma once

#include <string_view>

#include "documents/document.h"

namespace palimpsest::documents {

// Project Gutenberg wraps its texts in a header and a licence. Returns what lies between, and fills title, author,
// language and date from the header. A text of any other origin comes back as it is.
std::string_view stripGutenberg(std::string_view text, Document& document);

// Its plain text writes _italics_ between lines.
void dropItalicMarks(Document& document);

// The same as the first for the paragraphs and chapters of any other format; metadata that the file itself has stays.
void stripGutenberg(Document& document);

}  // namespace palimpsest::documents
