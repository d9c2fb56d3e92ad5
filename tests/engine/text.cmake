find_package(OpenSSL REQUIRED)
find_package(nlohmann_json REQUIRED)
list(APPEND ENGINE_TEST_SOURCES
  book_card_test.cpp
  chat_template_test.cpp
  model_config_test.cpp
  model_folder_test.cpp
  prompt_test.cpp
  real_tokenizers_test.cpp
  safetensors_test.cpp
  sampler_test.cpp
  segment_cutter_test.cpp
  sha256_test.cpp
  tokenizer_test.cpp
  utf8_test.cpp)
list(APPEND ENGINE_TEST_LIBS OpenSSL::Crypto nlohmann_json::nlohmann_json)
