// Bytes of unknown encoding -> UTF-8.
#pragma once

#include <string>
#include <string_view>

namespace palimpsest::documents {

// By byte order mark, then as UTF-8 if the bytes are valid (a few damaged ones among many good are forgiven), then as
// `declared` (an encoding name from the file itself, may be empty), then by statistics. Undecodable bytes become
// U+FFFD.
std::string decodeToUtf8(std::string_view bytes, std::string_view declared = {});

// What an XML declaration or an HTML meta element says about the encoding; empty if nothing.
std::string declaredMarkupEncoding(std::string_view bytes);

// True if the bytes can be text at all: no NUL and hardly any other control characters, or a UTF-16/32 pattern.
bool looksLikeText(std::string_view bytes);

}  // namespace palimpsest::documents
