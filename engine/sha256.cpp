#include "engine/sha256.h"

#include <openssl/evp.h>

#include <new>
#include <stdexcept>

namespace palimpsest::engine {

struct Sha256::Context {
  EVP_MD_CTX* handle = EVP_MD_CTX_new();
  Context() = default;
  ~Context() { EVP_MD_CTX_free(handle); }
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
};

namespace {
void require(int result, const char* step) {
  if (result != 1) throw std::runtime_error(std::string("SHA-256 is not available: OpenSSL failed in ") + step);
}
}  // namespace

Sha256::Sha256() : context_(std::make_unique<Context>()) {
  if (context_->handle == nullptr) throw std::bad_alloc();
  require(EVP_DigestInit_ex(context_->handle, EVP_sha256(), nullptr), "EVP_DigestInit_ex");
}

Sha256::~Sha256() = default;

void Sha256::update(std::span<const std::byte> bytes) {
  require(EVP_DigestUpdate(context_->handle, bytes.data(), bytes.size()), "EVP_DigestUpdate");
}

void Sha256::update(std::string_view text) { update(std::as_bytes(std::span(text))); }

Sha256::Digest Sha256::finish() {
  Digest digest{};
  unsigned int size = 0;
  require(EVP_DigestFinal_ex(context_->handle, digest.data(), &size), "EVP_DigestFinal_ex");
  return digest;
}

Sha256::Digest sha256(std::span<const std::byte> bytes) {
  Sha256 hash;
  hash.update(bytes);
  return hash.finish();
}

std::string hex(const Sha256::Digest& digest) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  text.reserve(2 * digest.size());
  for (const std::uint8_t byte : digest) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

}  // namespace palimpsest::engine
