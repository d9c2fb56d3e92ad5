#include "documents/epub_package.h"

#include <algorithm>
#include <pugixml.hpp>
#include <set>

#include "documents/encoding.h"
#include "documents/entities.h"
#include "documents/text.h"
#include "documents/xml.h"

namespace palimpsest::documents {
namespace {

using Reason = ExtractionError::Reason;

[[noreturn]] void refuseEscape(const Source& source, std::string_view href) {
  source.fail(Reason::Broken, "names a file outside itself (" + cleanText(href.substr(0, 200), LineBreaks::Join) +
                                  ") and was not read. No sound book does that: do not trust where it came from.");
}

std::string packagePath(const Source& source, const ZipArchive& archive) {
  const auto container = archive.find("META-INF/container.xml");
  if (!container)
    source.fail(Reason::Broken, "is not a complete EPUB: META-INF/container.xml is missing. Fetch the file again.");
  pugi::xml_document xml;
  loadXml(xml, archive.read(*container));
  for (const auto& rootfile : descendants(xml, "rootfile")) {
    const std::string_view href = rootfile.attribute("full-path").value();
    const auto name = resolveHref("", href);
    if (!name) refuseEscape(source, href);
    if (archive.find(*name)) return *name;
  }
  source.fail(Reason::Broken,
              "is not a complete EPUB: the package file that it names is missing. Fetch the file again.");
}

// Fonts may be obfuscated; anything else that is encrypted is a lock.
void refuseLocks(const Source& source, const ZipArchive& archive, const EpubPackage& package) {
  const auto index = archive.find("META-INF/encryption.xml");
  if (!index) return;
  std::set<std::string> content;
  for (const auto& id : package.spine)
    if (const auto it = package.manifest.find(id); it != package.manifest.end()) content.insert(it->second.name);
  pugi::xml_document xml;
  loadXml(xml, archive.read(*index));
  for (const auto& data : descendants(xml, "EncryptedData")) {
    const auto method = firstDescendant(data, "EncryptionMethod");
    const std::string_view algorithm = method.attribute("Algorithm").value();
    if (algorithm == "http://www.idpf.org/2008/embedding" || algorithm == "http://ns.adobe.com/pdf/enc#RC") continue;
    const auto name = resolveHref("", firstDescendant(data, "CipherReference").attribute("URI").value());
    if (name && content.count(*name))
      source.fail(Reason::Locked,
                  "is locked by copy protection (DRM) and only opens in the shop's own reader. Ask the shop for a copy "
                  "without protection.");
  }
}

// EPUB 3 puts properties of an element into <meta refines="#id" property="...">, EPUB 2 into attributes.
std::string refinement(const pugi::xml_node& metadata, const pugi::xml_node& element, std::string_view property) {
  for (const auto& attribute : element.attributes())
    if (localNameOf(attribute.name()) == property) return attribute.value();
  const std::string id = element.attribute("id").value();
  if (id.empty()) return {};
  std::string target = "#";
  target += id;
  for (const auto& meta : metadata.children())
    if (std::string_view(meta.attribute("refines").value()) == target && meta.attribute("property").value() == property)
      return textOf(meta);
  return {};
}

bool isAuthor(const pugi::xml_node& metadata, const pugi::xml_node& creator) {
  const std::string role = refinement(metadata, creator, "role");
  return role.empty() || role == "aut" || role == "cre";
}

void readMetadata(const pugi::xml_node& metadata, EpubPackage& package) {
  std::vector<std::string> authors, others;
  std::string event;
  for (const auto& element : metadata.children()) {
    const std::string_view name = localNameOf(element.name());
    const std::string value = cleanText(textOf(element), LineBreaks::Join);
    if (value.empty()) continue;
    if (name == "title") {
      if (package.title.empty() || refinement(metadata, element, "title-type") == "main") package.title = value;
    } else if (name == "creator") {
      auto& list = isAuthor(metadata, element) ? authors : others;
      if (std::find(list.begin(), list.end(), value) == list.end()) list.push_back(value);
    } else if (name == "language" && package.language.empty()) {
      package.language = value;
    } else if (name == "date") {
      const std::string kind = refinement(metadata, element, "event");
      if (package.date.empty() || (kind == "publication" && event != kind)) package.date = value, event = kind;
    }
  }
  if (const auto time = package.date.find('T'); time != std::string::npos) package.date.resize(time);
  for (const auto& name : authors.empty() ? others : authors) {
    if (!package.author.empty()) package.author += ", ";
    package.author += name;
  }
}

void readManifest(const Source& source, const pugi::xml_node& root, EpubPackage& package) {
  for (const auto& item : descendants(root, "item")) {
    const std::string href = decodeEntities(item.attribute("href").value());
    const auto name = resolveHref(package.path, href);
    // A URL of another kind is a remote picture or sound, allowed and not fetched.
    if (!name && href.find(':') == std::string::npos) refuseEscape(source, href);
    package.manifest[item.attribute("id").value()] = {name.value_or(""), item.attribute("media-type").value(),
                                                      item.attribute("properties").value()};
    if (name && hasWord(item.attribute("properties").value(), {"nav"})) package.nav = *name;
  }
}

void findCover(const pugi::xml_node& root, EpubPackage& package) {
  for (const auto& [id, item] : package.manifest)
    if (hasWord(item.properties, {"cover-image"})) package.coverName = item.name;
  if (!package.coverName.empty()) return;
  for (const auto& meta : descendants(root, "meta")) {
    if (std::string_view(meta.attribute("name").value()) != "cover") continue;
    if (const auto it = package.manifest.find(meta.attribute("content").value()); it != package.manifest.end())
      package.coverName = it->second.name;
  }
  if (package.coverName.empty() && package.guide.count("cover")) package.coverName = package.guide["cover"];
  for (const auto& [id, item] : package.manifest)
    if (package.coverName.empty() && item.mediaType.rfind("image/", 0) == 0 &&
        (lowerCase(id).find("cover") != std::string::npos || lowerCase(item.name).find("cover") != std::string::npos))
      package.coverName = item.name;
}

bool isPicture(std::string_view bytes) {
  return bytes.substr(0, 4) == "\x89PNG" || bytes.substr(0, 3) == "\xFF\xD8\xFF";
}

std::string decodedBase64(std::string_view text) {
  std::string result;
  unsigned bits = 0;
  int count = 0;
  for (const char c : text) {
    int value = -1;
    if (c >= 'A' && c <= 'Z') value = c - 'A';
    if (c >= 'a' && c <= 'z') value = c - 'a' + 26;
    if (c >= '0' && c <= '9') value = c - '0' + 52;
    if (c == '+') value = 62;
    if (c == '/') value = 63;
    if (value < 0) continue;
    bits = (bits << 6 | static_cast<unsigned>(value)) & 0xFFFFFF;
    if ((count += 6) >= 8) result += static_cast<char>(bits >> (count -= 8) & 0xFF);
  }
  return result;
}

}  // namespace

EpubPackage readEpubPackage(const Source& source, const ZipArchive& archive) {
  EpubPackage package;
  package.path = packagePath(source, archive);
  pugi::xml_document xml;
  loadXml(xml, archive.read(*archive.find(package.path)));
  const auto root = firstDescendant(xml, "package");
  if (!root) source.fail(Reason::Broken, "has a damaged package file (" + package.path + "). Fetch the file again.");
  readMetadata(firstDescendant(root, "metadata"), package);
  readManifest(source, root, package);
  const auto spine = firstDescendant(root, "spine");
  for (const auto& itemref : spine.children())
    if (localNameOf(itemref.name()) == "itemref") package.spine.push_back(itemref.attribute("idref").value());
  if (package.spine.empty())
    source.fail(Reason::Broken,
                "has no list of its chapters (the spine of the package file is empty). Fetch the file again.");
  if (const auto it = package.manifest.find(spine.attribute("toc").value()); it != package.manifest.end())
    package.ncx = it->second.name;
  for (const auto& [id, item] : package.manifest)
    if (package.ncx.empty() && item.mediaType == "application/x-dtbncx+xml") package.ncx = item.name;
  for (const auto& reference : descendants(root, "reference")) {
    const std::string_view href = reference.attribute("href").value();
    if (const auto name = resolveHref(package.path, href); name && href.find('#') == std::string_view::npos)
      package.guide.emplace(lowerCase(reference.attribute("type").value()), *name);
  }
  findCover(root, package);
  refuseLocks(source, archive, package);
  return package;
}

std::vector<std::byte> readEpubCover(const EpubPackage& package, const ZipArchive& archive) {
  std::string name = package.coverName, bytes;
  // A page or a drawing wraps the picture: one or two steps lead to it.
  for (int step = 0; step < 3 && !name.empty(); ++step) {
    const auto index = archive.find(name);
    if (!index) return {};
    bytes = archive.read(*index);
    if (isPicture(bytes)) break;
    pugi::xml_document xml;
    if (!loadXml(xml, bytes)) return {};
    auto image = firstDescendant(xml, "image");
    if (!image) image = firstDescendant(xml, "img");
    std::string href;
    for (const auto& attribute : image.attributes())
      if (localNameOf(attribute.name()) == "href" || localNameOf(attribute.name()) == "src") href = attribute.value();
    if (href.rfind("data:image/", 0) == 0 && href.find(";base64,") < 40) {
      bytes = decodedBase64(std::string_view(href).substr(href.find(',') + 1));
      break;
    }
    name = resolveHref(name, decodeEntities(href)).value_or("");
  }
  if (!isPicture(bytes)) return {};
  const auto* data = reinterpret_cast<const std::byte*>(bytes.data());
  return {data, data + bytes.size()};
}

}  // namespace palimpsest::documents
