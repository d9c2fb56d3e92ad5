#include "documents/epub_navigation.h"

#include <pugixml.hpp>

#include "documents/entities.h"
#include "documents/text.h"
#include "documents/xml.h"

namespace palimpsest::documents {
namespace {

constexpr int kDeepestEntry = 16;  // tables of contents are read recursively

std::string labelOf(const pugi::xml_node& node) { return cleanText(decodeEntities(textOf(node)), LineBreaks::Join); }

void add(const std::string& base, std::string title, std::string_view href, int level,
         std::vector<NavigationEntry>& entries) {
  const std::string decoded = decodeEntities(href);
  if (const auto file = resolveHref(base, decoded))
    entries.push_back({std::move(title), level, *file, hrefFragment(decoded)});
}

pugi::xml_node childNamed(const pugi::xml_node& node, std::string_view name) {
  for (const auto& child : node.children())
    if (localNameOf(child.name()) == name) return child;
  return {};
}

// <ol><li><a href>Title</a> or <span>Title</span> <ol>...</ol></li></ol>
void readList(const std::string& base, const pugi::xml_node& list, int level, std::vector<NavigationEntry>& entries) {
  if (level > kDeepestEntry) return;
  for (const auto& item : list.children()) {
    if (localNameOf(item.name()) != "li") continue;
    const auto link = firstDescendant(item, "a");
    const auto inner = childNamed(item, "ol");
    // A plain heading above a list stands where its first entry does.
    const auto target = link ? link : firstDescendant(inner, "a");
    const auto label = childNamed(item, "a")      ? childNamed(item, "a")
                       : childNamed(item, "span") ? childNamed(item, "span")
                                                  : link;
    if (target) add(base, labelOf(label), target.attribute("href").value(), level, entries);
    if (inner) readList(base, inner, level + 1, entries);
  }
}

void readNav(const std::string& name, const std::string& bytes, EpubNavigation& navigation) {
  pugi::xml_document xml;
  if (!loadXml(xml, bytes)) return;
  for (const auto& nav : descendants(xml, "nav")) {
    const std::string_view types = nav.attribute("epub:type").value();
    const bool pages = hasWord(types, {"page-list"});
    if (!pages && !hasWord(types, {"toc"})) continue;
    if (const auto list = firstDescendant(nav, "ol"))
      readList(name, list, 0, pages ? navigation.pages : navigation.contents);
  }
}

void readPoints(const std::string& base, const pugi::xml_node& parent, int level,
                std::vector<NavigationEntry>& entries) {
  if (level > kDeepestEntry) return;
  for (const auto& point : parent.children()) {
    const std::string_view kind = localNameOf(point.name());
    if (kind != "navPoint" && kind != "pageTarget") continue;
    add(base, labelOf(childNamed(point, "navLabel")), childNamed(point, "content").attribute("src").value(), level,
        entries);
    readPoints(base, point, level + 1, entries);
  }
}

void readNcx(const std::string& name, const std::string& bytes, EpubNavigation& navigation) {
  pugi::xml_document xml;
  if (!loadXml(xml, bytes)) return;
  if (navigation.contents.empty()) readPoints(name, firstDescendant(xml, "navMap"), 0, navigation.contents);
  if (navigation.pages.empty()) readPoints(name, firstDescendant(xml, "pageList"), 0, navigation.pages);
}

}  // namespace

EpubNavigation readEpubNavigation(const EpubPackage& package, const ZipArchive& archive) {
  EpubNavigation navigation;
  if (const auto nav = archive.find(package.nav); nav && !package.nav.empty())
    readNav(package.nav, archive.read(*nav), navigation);
  if (const auto ncx = archive.find(package.ncx); ncx && !package.ncx.empty())
    readNcx(package.ncx, archive.read(*ncx), navigation);
  return navigation;
}

}  // namespace palimpsest::documents
