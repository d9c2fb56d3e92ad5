#include "engine/sha256.h"

#include <gtest/gtest.h>

#include <string>

namespace palimpsest::engine {
namespace {

std::string hexOf(std::string_view text) { return hex(sha256(std::as_bytes(std::span(text)))); }

// The published example values of FIPS 180-4.
TEST(Sha256, GivesTheStandardsExampleValues) {
  EXPECT_EQ(hexOf(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(hexOf("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(hexOf(std::string(1000000, 'a')), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, DoesNotDependOnHowTheInputIsSliced) {
  const std::string text = "a page written over and over that still holds what was there before";
  Sha256 hash;
  for (const char c : text) hash.update(std::string_view(&c, 1));
  EXPECT_EQ(hex(hash.finish()), hexOf(text));
}

}  // namespace
}  // namespace palimpsest::engine
