#include "documents/png_writer.h"

#include <png.h>

namespace palimpsest::documents {

std::vector<std::byte> encodePng(const std::vector<unsigned char>& rgb, unsigned width, unsigned height) {
  if (width == 0 || height == 0 || rgb.size() != std::size_t{3} * width * height) return {};
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = width;
  image.height = height;
  image.format = PNG_FORMAT_RGB;
  png_alloc_size_t size = 0;
  if (!png_image_write_to_memory(&image, nullptr, &size, 0, rgb.data(), 0, nullptr)) return {};
  std::vector<std::byte> bytes(size);
  if (!png_image_write_to_memory(&image, bytes.data(), &size, 0, rgb.data(), 0, nullptr)) return {};
  bytes.resize(size);
  return bytes;
}

}  // namespace palimpsest::documents
