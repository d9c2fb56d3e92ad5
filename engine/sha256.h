// SHA-256 (FIPS 180-4), over OpenSSL.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace palimpsest::engine {

// Feed it with update(), then ask once for the digest. Not thread-safe.
class Sha256 {
 public:
  using Digest = std::array<std::uint8_t, 32>;

  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  void update(std::span<const std::byte> bytes);
  void update(std::string_view text);
  Digest finish();  // ends the computation; the object must not be used afterwards

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

Sha256::Digest sha256(std::span<const std::byte> bytes);
std::string hex(const Sha256::Digest& digest);  // 64 lower-case digits

}  // namespace palimpsest::engine
