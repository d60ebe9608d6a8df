# raddle::test, for tests of what uses raddle (raddle/test.h): a static library of its own, because the core knows
# nothing of Criterion. It goes with raddle::raddle, whichever library that is.
#
# Criterion aborts under the thread sanitizer, and has not been built for the memory one.
option(RADDLE_WITH_CRITERION "Build raddle::test where Criterion is found" ON)

set(RADDLE_CRITERION OFF)
if(RADDLE_WITH_CRITERION AND PkgConfig_FOUND AND NOT RADDLE_SANITIZE MATCHES "thread|memory")
  pkg_check_modules(CRITERION IMPORTED_TARGET "criterion>=2.4")
  if(CRITERION_FOUND)
    set(RADDLE_CRITERION ON)
  endif()
endif()

function(raddle_test_library)
  add_library(raddle_test STATIC
    runtime/test/open.c
    runtime/test/parts.c
    runtime/test/points.c
    runtime/test/test.c
    runtime/test/verdict.c
    runtime/test/watch.c)
  add_library(raddle::test ALIAS raddle_test)
  set_target_properties(raddle_test PROPERTIES
    C_STANDARD 11
    C_STANDARD_REQUIRED ON
    C_EXTENSIONS ON
    C_VISIBILITY_PRESET hidden
    POSITION_INDEPENDENT_CODE ON
    EXPORT_NAME test)
  if(NOT PROJECT_IS_TOP_LEVEL)
    set_target_properties(raddle_test PROPERTIES EXCLUDE_FROM_ALL ON)
  endif()
  target_include_directories(raddle_test PRIVATE "${PROJECT_SOURCE_DIR}")
  # What is installed gets raddle::raddle in raddle-config.cmake, when it is known which library that is.
  target_link_libraries(raddle_test PUBLIC "$<BUILD_INTERFACE:raddle::raddle>" PkgConfig::CRITERION)
  raddle_harden(raddle_test)
  if(PROJECT_IS_TOP_LEVEL)
    raddle_developer_flags(raddle_test)
  endif()
endfunction()

if(RADDLE_CRITERION)
  raddle_test_library()
endif()
