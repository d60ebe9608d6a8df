# Flags that make an attack or a stack overflow stop instead of go on. They are checked by
# tools/check_hardening.sh.
#
# Landing pads are marked for indirect branch tracking only (-fcf-protection=branch): the stack switch
# doesn't swap shadow stacks, and must not claim that it does.
include(CheckCCompilerFlag)
include(CheckPIESupported)
check_pie_supported(LANGUAGES C)

check_c_compiler_flag(-fstack-clash-protection RADDLE_CC_STACK_CLASH)
check_c_compiler_flag(-fstack-protector-strong RADDLE_CC_STACK_PROTECTOR)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  check_c_compiler_flag(-fcf-protection=branch RADDLE_CC_CF_BRANCH)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
  check_c_compiler_flag(-mbranch-protection=standard RADDLE_CC_BRANCH_PROTECTION)
endif()

function(raddle_harden target)
  set(c_and_asm)
  set(c_only)
  if(RADDLE_CC_CF_BRANCH)
    list(APPEND c_and_asm -fcf-protection=branch)
  endif()
  if(RADDLE_CC_BRANCH_PROTECTION)
    list(APPEND c_and_asm -mbranch-protection=standard)
  endif()
  if(RADDLE_CC_STACK_CLASH)
    list(APPEND c_only -fstack-clash-protection)
  endif()
  if(RADDLE_CC_STACK_PROTECTOR)
    list(APPEND c_only -fstack-protector-strong)
  endif()
  # Fortify needs an optimiser, and sanitizers see more without it.
  if(NOT RADDLE_SANITIZE)
    list(APPEND c_only "$<$<NOT:$<CONFIG:Debug>>:-U_FORTIFY_SOURCE;-D_FORTIFY_SOURCE=3>")
  endif()
  target_compile_options(${target} PRIVATE
    ${c_and_asm} "$<$<COMPILE_LANGUAGE:C>:${c_only}>")

  get_target_property(type ${target} TYPE)
  if(type MATCHES "EXECUTABLE|SHARED_LIBRARY")
    target_link_options(${target} PRIVATE
      LINKER:-z,relro LINKER:-z,now LINKER:-z,noexecstack LINKER:-z,separate-code)
  endif()
  # What is used is linked. A sanitizer's symbols come with the program.
  if(type STREQUAL "SHARED_LIBRARY" AND NOT RADDLE_SANITIZE)
    target_link_options(${target} PRIVATE LINKER:-z,defs)
  endif()
  if(type STREQUAL "EXECUTABLE")
    set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE ON)
  endif()
endfunction()
