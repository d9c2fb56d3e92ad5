list(APPEND ENGINE_TEST_SOURCES
  golden_test.cpp
  transformer_test.cpp)
