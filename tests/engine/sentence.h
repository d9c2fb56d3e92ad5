// What every error that a person may see looks like.
#pragma once

#include <gtest/gtest.h>

#include <cctype>
#include <string>

namespace palimpsest::engine {

inline std::string expectSentence(const std::string& text) {
  EXPECT_FALSE(text.empty());
  if (text.empty()) return text;
  EXPECT_TRUE(std::isupper(static_cast<unsigned char>(text.front()))) << text;
  EXPECT_TRUE(text.ends_with('.') && !text.ends_with("..")) << text;
  return text;
}

}  // namespace palimpsest::engine
