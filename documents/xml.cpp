#include "documents/xml.h"

#include "documents/encoding.h"

namespace palimpsest::documents {
namespace {

// The node after `node` in document order within `root`; null at the end.
pugi::xml_node nextNode(const pugi::xml_node& root, pugi::xml_node node) {
  if (const auto child = node.first_child()) return child;
  while (node && node != root) {
    if (const auto sibling = node.next_sibling()) return sibling;
    node = node.parent();
  }
  return {};
}

}  // namespace

bool loadXml(pugi::xml_document& document, const std::string& bytes) {
  const std::string utf8 = decodeToUtf8(bytes, declaredMarkupEncoding(bytes));
  document.load_buffer(utf8.data(), utf8.size(), pugi::parse_default | pugi::parse_ws_pcdata_single,
                       pugi::encoding_utf8);
  return static_cast<bool>(document.document_element());
}

std::string_view localNameOf(std::string_view name) {
  const auto colon = name.find(':');
  return colon == std::string_view::npos ? name : name.substr(colon + 1);
}

std::string textOf(const pugi::xml_node& root) {
  std::string text;
  for (pugi::xml_node node = nextNode(root, root); node; node = nextNode(root, node))
    if (node.type() == pugi::node_pcdata || node.type() == pugi::node_cdata) text += node.value();
  return text;
}

std::vector<pugi::xml_node> descendants(const pugi::xml_node& root, std::string_view localName) {
  std::vector<pugi::xml_node> found;
  for (pugi::xml_node node = nextNode(root, root); node; node = nextNode(root, node))
    if (node.type() == pugi::node_element && localNameOf(node.name()) == localName) found.push_back(node);
  return found;
}

pugi::xml_node firstDescendant(const pugi::xml_node& root, std::string_view localName) {
  for (pugi::xml_node node = nextNode(root, root); node; node = nextNode(root, node))
    if (node.type() == pugi::node_element && localNameOf(node.name()) == localName) return node;
  return {};
}

}  // namespace palimpsest::documents
