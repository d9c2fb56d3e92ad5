// What an EPUB says about itself: container.xml, the package file (OPF), encryption.xml.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "documents/source.h"
#include "documents/zip_archive.h"

namespace palimpsest::documents {

struct ManifestItem {
  std::string name;  // in the archive, resolved; empty if the href leads nowhere useful
  std::string mediaType;
  std::string properties;
};

struct EpubPackage {
  std::string path;  // of the OPF, base of its hrefs
  std::string title, author, language, date;
  std::map<std::string, ManifestItem> manifest;  // by id
  std::vector<std::string> spine;                // ids, in reading order
  std::string ncx;                               // archive name, EPUB 2 navigation; empty if none
  std::string nav;                               // archive name, EPUB 3 navigation; empty if none
  std::map<std::string, std::string> guide;      // type -> href resolved without fragment (whole files only)
  std::string coverName;                         // archive name of a picture, or of a page that shows it
};

// Throws ExtractionError: Broken (no container, no package, nothing in the spine, hrefs that leave the archive),
// Locked (DRM: content documents are encrypted).
EpubPackage readEpubPackage(const Source& source, const ZipArchive& archive);

// The cover as PNG or JPEG bytes; empty if there is none in these formats.
std::vector<std::byte> readEpubCover(const EpubPackage& package, const ZipArchive& archive);

}  // namespace palimpsest::documents
