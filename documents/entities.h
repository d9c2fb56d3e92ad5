#pragma once

#include <string>
#include <string_view>

namespace palimpsest::documents {

// &eacute; &#233; &#xE9; -> é; what is no reference stays as it is. Nothing is ever looked up in a DTD.
std::string decodeEntities(std::string_view text);

}  // namespace palimpsest::documents
