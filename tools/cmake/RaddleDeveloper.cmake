# How we build our own targets: strict warnings, assertions wherever there are tests, sanitizers. Never
# forced on a parent project.
if(PROJECT_IS_TOP_LEVEL)
  option(RADDLE_WERROR "A warning stops the build" OFF)
  set(RADDLE_SANITIZE "" CACHE STRING "address,undefined or thread: what to build with")
else()
  set(RADDLE_SANITIZE "")
endif()

set(raddle_warnings
  -Wall -Wextra -Wshadow -Wconversion -Wsign-conversion -Wundef -Wpointer-arith -Wcast-qual -Wvla
  -Wwrite-strings)
set(raddle_warnings_not_in_tests -Wstrict-prototypes -Wmissing-prototypes)

# raddle_developer_flags(TARGET [TEST])
function(raddle_developer_flags target)
  cmake_parse_arguments(PARSE_ARGV 1 arg "TEST" "" "")
  set(flags ${raddle_warnings})
  if(NOT arg_TEST)
    list(APPEND flags ${raddle_warnings_not_in_tests})
  endif()
  if(RADDLE_WERROR)
    list(APPEND flags -Werror)
  endif()
  if(RADDLE_BUILD_TESTS)
    list(APPEND flags -UNDEBUG)
  endif()
  target_compile_options(${target} PRIVATE "$<$<COMPILE_LANGUAGE:C>:${flags}>")

  if(RADDLE_SANITIZE)
    set(sanitize -fsanitize=${RADDLE_SANITIZE} -fno-sanitize-recover=all)
    target_compile_options(${target} PRIVATE -g
      "$<$<COMPILE_LANGUAGE:C>:${sanitize};-fno-omit-frame-pointer;-fno-optimize-sibling-calls>")
    target_link_options(${target} PRIVATE ${sanitize})
  endif()
endfunction()
