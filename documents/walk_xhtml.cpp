// Well-formed XHTML through pugixml, which knows no DTD and no external entity.
#include <deque>
#include <pugixml.hpp>

#include "documents/entities.h"
#include "documents/flow.h"
#include "documents/source.h"
#include "documents/text.h"

namespace palimpsest::documents {
namespace {

std::string_view localName(std::string_view name) {
  const auto colon = name.find(':');
  return colon == std::string_view::npos ? name : name.substr(colon + 1);
}

void openElement(const pugi::xml_node& node, FlowBuilder& builder) {
  std::deque<std::string> decoded;  // the views given out stay valid
  const Attribute attribute = [&](std::string_view name) -> std::string_view {
    for (const auto& candidate : node.attributes()) {
      if (name != candidate.name()) continue;
      const std::string_view value = candidate.value();
      if (value.find('&') == std::string_view::npos) return value;
      return decoded.emplace_back(decodeEntities(value));
    }
    return {};
  };
  builder.open(lowerCase(localName(node.name())), attribute);
}

}  // namespace

bool walkXhtml(const Source& source, const std::string& utf8, FlowBuilder& builder) {
  pugi::xml_document document;
  // Entities are decoded afterwards: pugixml would leave &nbsp; alone and then could not be told from &amp;nbsp;.
  constexpr unsigned kOptions = pugi::parse_cdata | pugi::parse_eol | pugi::parse_ws_pcdata;
  const auto result = document.load_buffer(utf8.data(), utf8.size(), kOptions, pugi::encoding_utf8);
  if (!result || !document.document_element()) return false;
  // Not recursive: the depth of the tree is the file's choice.
  int depth = 0;
  pugi::xml_node node = document.document_element();
  for (;;) {
    if (node.type() == pugi::node_element) {
      openElement(node, builder);
      if (const auto child = node.first_child()) {
        if (++depth > kMaxNesting)
          source.fail(ExtractionError::Reason::TooLarge, "is nested deeper than any book and was not read.");
        node = child;
        continue;
      }
      builder.close();
    } else if (node.type() == pugi::node_pcdata) {
      builder.text(decodeEntities(node.value()));
    } else if (node.type() == pugi::node_cdata) {
      builder.text(node.value());
    }
    while (depth > 0 && !node.next_sibling()) {
      node = node.parent();
      builder.close();
      --depth;
    }
    if (depth == 0) return true;
    node = node.next_sibling();
  }
}

}  // namespace palimpsest::documents
