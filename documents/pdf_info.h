#pragma once

#include <string>

namespace poppler {
class document;
}

namespace palimpsest::documents {

struct PdfInfo {
  std::string title, author, language;
  std::string date;  // of creation, YYYY-MM-DD
};

// PDF 2.0 allows UTF-8 in its strings; this poppler reads those bytes as PDFDocEncoding and shows "ï»¿...". Gives the
// text that was meant, or nothing if a byte was lost on the way. Other strings come back as they are.
std::string repairedPdfString(const std::string& text);

// From the information dictionary, else from the XMP packet. Titles that are only a file name of the program that made
// the PDF ("Microsoft Word - draft3.doc", "untitled") are none.
PdfInfo readInfo(const poppler::document& pdf);

}  // namespace palimpsest::documents
