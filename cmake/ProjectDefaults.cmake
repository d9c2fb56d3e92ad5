# One place for the language standard, the warnings and the sanitizers of every target.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()
find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE_PROGRAM})
endif()

add_library(palimpsest_defaults INTERFACE)
target_compile_options(palimpsest_defaults INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-Wpedantic;-Wshadow;-Wconversion;-Wno-sign-conversion>)
target_include_directories(palimpsest_defaults INTERFACE ${PROJECT_SOURCE_DIR})
if(PALIMPSEST_SANITIZE)
  target_compile_options(palimpsest_defaults INTERFACE
    "$<$<COMPILE_LANGUAGE:CXX>:-fsanitize=address,undefined;-fno-omit-frame-pointer;-fno-sanitize-recover=undefined>")
  target_link_options(palimpsest_defaults INTERFACE -fsanitize=address,undefined)
endif()

# palimpsest_library(NAME SOURCES ... [LINK public libs] [PRIVATE private libs])
# A static library of one folder; its link line is its place in the dependency diagram.
function(palimpsest_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK;PRIVATE" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_link_libraries(${name} PUBLIC palimpsest_defaults ${ARG_LINK} PRIVATE ${ARG_PRIVATE})
endfunction()

# palimpsest_test(NAME SOURCES ... LINK ...): one GoogleTest executable, its cases listed to ctest one by one. They see no
# graphics card: what they expect of models that choose their device is the CPU's.
function(palimpsest_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK;ENVIRONMENT" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_LINK} GTest::gmock GTest::gtest_main)
  target_compile_definitions(${name} PRIVATE
    PALIMPSEST_TEST_DATA="${PROJECT_SOURCE_DIR}/tests/data"
    PALIMPSEST_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  gtest_discover_tests(${name} DISCOVERY_TIMEOUT 60 PROPERTIES TIMEOUT 300 ENVIRONMENT "${ARG_ENVIRONMENT}"
                       ENVIRONMENT_MODIFICATION "CUDA_VISIBLE_DEVICES=set:")
endfunction()
