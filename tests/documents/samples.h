// Files for the tests, made on the spot: PDFs written by hand, EPUBs with libzip, and folders that go away by
// themselves.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "documents/document.h"

namespace palimpsest::documents::tests {

namespace fs = std::filesystem;

class TempFolder {
 public:
  TempFolder();
  ~TempFolder();
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  const fs::path& path() const { return path_; }
  fs::path write(const std::string& name, std::string_view bytes) const;

 private:
  fs::path path_;
};

std::string readFile(const fs::path& file);

// Extracts bytes as a file of that name.
Document extractBytes(const std::string& name, std::string_view bytes, const ExtractionOptions& options = {});

// The error that extraction of the file throws; fails the test if it throws none.
ExtractionError extractionError(const fs::path& file, const ExtractionOptions& options = {});
ExtractionError extractionErrorOfBytes(const std::string& name, std::string_view bytes);

std::vector<std::string> texts(const Document& document);
std::vector<std::string> chapterTitles(const Document& document);
std::string allText(const Document& document);  // paragraphs joined by blank lines

// Every promise of document.h about the values: valid NFC, no control characters, chapters and pages in range, ...
void expectWellFormed(const Document& document);

using Entries = std::vector<std::pair<std::string, std::string>>;  // name, content
std::string makeZip(const Entries& entries);

// An EPUB 3 with these chapters (file name, XHTML body) in the spine and further entries as they are.
struct EpubParts {
  Entries chapters;
  Entries extra;    // further files, archive names
  std::string nav;  // body of nav.xhtml; empty = none
  std::string metadata = "<dc:title>The Book</dc:title><dc:creator>A. Writer</dc:creator><dc:language>en</dc:language>";
  std::string manifest;    // further items
  std::string spineExtra;  // further itemrefs
  std::string guide;
};
std::string makeEpub(const EpubParts& parts);
std::string xhtml(const std::string& body);

// A PDF of uncompressed pages. Courier is 0.6 em wide throughout, so that lines can be measured in the test.
class PdfWriter {
 public:
  enum Font { Regular = 1, Bold = 2 };
  void page(double width = 595, double height = 842);  // begins the next one
  void text(double x, double yFromTop, double size, const std::string& latin1, Font font = Regular);
  void sideways(double x, double yFromTop, double size, const std::string& latin1);  // reads upwards
  // Greedily wrapped lines at the given pitch; returns the place below the last one.
  double column(double x, double yFromTop, double size, std::size_t letters, const std::string& words,
                double pitch = 1.2, double firstIndent = 0);
  void picture();  // a grey square in the middle of the page
  void bookmark(const std::string& title, int page, double yFromTop);
  void info(const std::string& key, const std::string& latin1);
  void lock() { locked_ = true; }  // an encryption dictionary that no password fits
  std::string bytes() const;

 private:
  struct Page {
    double width = 0, height = 0;
    std::string content;
  };
  struct Bookmark {
    std::string title;
    int page = 0;
    double y = 0;
  };
  std::vector<Page> pages_;
  std::vector<Bookmark> bookmarks_;
  std::string info_;
  bool locked_ = false;
};

}  // namespace palimpsest::documents::tests
