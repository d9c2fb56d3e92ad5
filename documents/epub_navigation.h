// The table of contents and the list of printed pages of an EPUB: nav document (EPUB 3) or NCX (EPUB 2).
#pragma once

#include <string>
#include <vector>

#include "documents/epub_package.h"

namespace palimpsest::documents {

struct NavigationEntry {
  std::string title;
  int level = 0;
  std::string file;      // archive name
  std::string fragment;  // id within it; empty = its beginning
};

struct EpubNavigation {
  std::vector<NavigationEntry> contents;  // in the order of the table
  std::vector<NavigationEntry> pages;     // title = page label
};

EpubNavigation readEpubNavigation(const EpubPackage& package, const ZipArchive& archive);

}  // namespace palimpsest::documents
