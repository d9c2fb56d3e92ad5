// Small helpers over pugixml for package files: local names, text, iteration without recursion. No DTD, no entities.
#pragma once

#include <pugixml.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace palimpsest::documents {

// Decodes the bytes (any encoding) and parses them. A damaged tail leaves what came before it; false if nothing did.
bool loadXml(pugi::xml_document& document, const std::string& bytes);

std::string_view localNameOf(std::string_view name);  // without namespace prefix
std::string textOf(const pugi::xml_node& node);       // of all descendants

std::vector<pugi::xml_node> descendants(const pugi::xml_node& root, std::string_view localName);  // document order
pugi::xml_node firstDescendant(const pugi::xml_node& root, std::string_view localName);           // null if none

}  // namespace palimpsest::documents
