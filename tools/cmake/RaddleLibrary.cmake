# raddle_library(static|shared): libraddle.a or libraddle.so from the shared objects, with all that a
# user of it needs to know.
function(raddle_library kind)
  set(target raddle_${kind})
  string(TOUPPER ${kind} KIND)
  add_library(${target} ${KIND})
  add_library(raddle::${kind} ALIAS ${target})
  if(NOT PROJECT_IS_TOP_LEVEL)
    set_target_properties(${target} PROPERTIES EXCLUDE_FROM_ALL ON)
  endif()
  target_sources(${target} PRIVATE "$<TARGET_OBJECTS:raddle_objects>")
  set_target_properties(${target} PROPERTIES
    OUTPUT_NAME raddle
    EXPORT_NAME ${kind}
    LINKER_LANGUAGE C
    VERSION ${PROJECT_VERSION}
    SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR}) # the ABI may change until 1.0
  target_include_directories(${target} INTERFACE
    "$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>"
    "$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>")
  target_link_libraries(${target} PUBLIC Threads::Threads)
  if(RADDLE_HAVE_URING)
    target_link_libraries(${target} PRIVATE PkgConfig::LIBURING)
  endif()
  # A task's stack is small and has a guard below it. Code that runs on one must touch a big frame page
  # by page, or it may step over the guard.
  target_compile_options(${target} INTERFACE
    "$<$<COMPILE_LANG_AND_ID:C,GNU,Clang>:-fstack-clash-protection>"
    "$<$<COMPILE_LANG_AND_ID:CXX,GNU,Clang>:-fstack-clash-protection>")
  raddle_harden(${target})
  if(PROJECT_IS_TOP_LEVEL)
    raddle_developer_flags(${target})
  endif()
endfunction()
