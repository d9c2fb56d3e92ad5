// Which format a file has, told by its bytes.
#pragma once

#include "documents/source.h"

namespace palimpsest::documents {

enum class FileKind { Pdf, Epub, Html, Markdown, Text };

// Throws ExtractionError: Empty, Unsupported (the sentence names the format if it is a known one), Broken.
FileKind detectKind(const Source& source);

}  // namespace palimpsest::documents
