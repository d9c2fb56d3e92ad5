# Files, tokenizers, segments, prompts, sampling: bytes and text, no arithmetic on tensors.
find_package(OpenSSL REQUIRED)
find_package(nlohmann_json REQUIRED)
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8)
pkg_check_modules(UTF8PROC REQUIRED IMPORTED_TARGET libutf8proc)
pkg_check_modules(SENTENCEPIECE REQUIRED IMPORTED_TARGET sentencepiece)

list(APPEND ENGINE_SOURCES
  book_card.cpp
  chat_template.cpp
  json_file.cpp
  model_config.cpp
  model_folder.cpp
  prompt.cpp
  safetensors.cpp
  sampler.cpp
  segment_cutter.cpp
  sha256.cpp
  tokenizer.cpp
  tokenizer_added.cpp
  tokenizer_bpe.cpp
  tokenizer_bytes.cpp
  tokenizer_json.cpp
  tokenizer_merges.cpp
  tokenizer_regex.cpp
  tokenizer_sentencepiece.cpp
  tokenizer_steps.cpp
  tokenizer_tiktoken.cpp
  utf8.cpp)
list(APPEND ENGINE_PRIVATE_LIBS
  OpenSSL::Crypto nlohmann_json::nlohmann_json PkgConfig::PCRE2 PkgConfig::UTF8PROC PkgConfig::SENTENCEPIECE)
# Fused multiply-adds would make the sampler's exponential differ between processors.
set_source_files_properties(${CMAKE_CURRENT_LIST_DIR}/sampler.cpp PROPERTIES COMPILE_OPTIONS -ffp-contract=off)
