#pragma once

#include <cstddef>
#include <vector>

namespace palimpsest::documents {

// 8-bit RGB pixels, rows top to bottom without gaps, as the bytes of a PNG file; empty if libpng refuses.
std::vector<std::byte> encodePng(const std::vector<unsigned char>& rgb, unsigned width, unsigned height);

}  // namespace palimpsest::documents
