# How tests are registered: always through these functions, never with a bare add_test.
#
#   raddle_test(NAME SOURCE...)        Criterion. Not in thread-sanitizer builds, where Criterion aborts.
#   raddle_io_test(NAME [ALONE] SOURCE...)
#                                      Criterion, run once per driver and number of loops, with tasks that
#                                      move at every suspension, and with io_uring denied. ALONE: those with
#                                      several loops take two processors, as raddle_race()'s do.
#   raddle_test_simulated(NAME...)     Those programs of raddle_io_test() once more, as simulated runs; with
#                                      RADDLE_TEST_DEEP through 20 seeds.
#   raddle_user_suite(NAME [SCRIPT] SOURCE...)
#                                      Criterion, of raddle::test, as a user has it: run per driver and number of
#                                      loops, simulated too. With SCRIPT that is run with the program instead.
#   raddle_race(NAME [PER_DRIVER] SOURCE...)
#                                      A plain program, in every build: exit 0, 1, or 77 for "not here".
#                                      PER_DRIVER runs it as raddle_io_test() does.
#   raddle_deep(NAME SECONDS [BESIDE | SIMULATED] ARGUMENT...)
#                                      A plain program once more, with arguments that make it take many minutes,
#                                      per driver and on 1, 2 and 4 loops: six times, so that what is asked for in
#                                      all is shared by six. BESIDE: once per driver, on 2 loops, both at the same
#                                      time. SIMULATED: once, as the program chooses its worlds itself. Only with
#                                      RADDLE_TEST_DEEP.
#   raddle_soak(NAME SECONDS SOURCE...)
#                                      A plain program that takes --seconds, once per driver.
#   raddle_script(NAME COMMAND...)     A check by a script: 0, 1, or 77.
#
# Entries that differ little from others of the same program, or don't depend on how raddle was built, have the label
# "once": tools/check runs them in gcc-release, with --deep in the other usual builds, too.
#
# PROCESSORS counts halves of one: CTest is to have twice as many slots (-j) as there are processors, so that tests
# which mostly wait take place beside those that compute: raddle_waits(). raddle_early(): those that take longest begin
# first.
#
# A test links the static library, so it reaches what is hidden in the shared one. A sanitizer's report
# fails a test whatever its exit status says: Criterion calls a test passed before the leak check runs.

option(RADDLE_TEST_DEEP "Register the tests that take many minutes each, too" OFF)

set(raddle_test_report "Sanitizer: ;: runtime error: ")
# With a sanitizer all takes longer.
set(raddle_test_patience 1)
if(RADDLE_SANITIZE)
  set(raddle_test_patience 3)
endif()

# What every entry gets. max_uar_stack_size_log: ASan looks for uses after return in a second stack for each stack, and
# makes it as large as the first, of which it touches all in turn. The least size remembers fewer frames, and takes a
# third of the page faults away. RADDLE_TEST_PATIENCE: how many times as long a Criterion test or one of cli.sh's looks
# at a benchmark may take.
function(raddle_test_entry name seconds processors)
  math(EXPR slots "${processors} * 2")
  math(EXPR seconds "${seconds} * ${raddle_test_patience}")
  set_tests_properties(${name} PROPERTIES
    TIMEOUT ${seconds}
    PROCESSORS ${slots}
    SKIP_RETURN_CODE 77
    FAIL_REGULAR_EXPRESSION "${raddle_test_report}"
    LABELS "${ARGN}"
    ENVIRONMENT "\
RADDLE_TEST_PATIENCE=${raddle_test_patience};\
ASAN_OPTIONS=detect_stack_use_after_return=1:max_uar_stack_size_log=16:detect_leaks=1;\
UBSAN_OPTIONS=print_stacktrace=1;\
TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1")
endfunction()

function(raddle_waits)
  set_tests_properties(${ARGN} PROPERTIES PROCESSORS 1)
endfunction()

function(raddle_early)
  set_tests_properties(${ARGN} PROPERTIES COST 1000)
endfunction()

function(raddle_once)
  set_property(TEST ${ARGN} APPEND PROPERTY LABELS once)
endfunction()

# Flags, includes and libraries of a test, or of what tests share.
function(raddle_test_target name)
  set_target_properties(${name} PROPERTIES C_STANDARD 11 C_STANDARD_REQUIRED ON C_EXTENSIONS ON)
  target_include_directories(${name} PRIVATE "${PROJECT_SOURCE_DIR}")
  target_compile_definitions(${name} PRIVATE RADDLE_HAVE_URING=$<BOOL:${RADDLE_HAVE_URING}>)
  target_link_libraries(${name} PRIVATE raddle::static raddle_dependencies m)
  raddle_harden(${name})
  raddle_developer_flags(${name} TEST)
endfunction()

function(raddle_test_program name)
  add_executable(${name} ${ARGN})
  target_link_libraries(${name} PRIVATE raddle_test_support)
  raddle_test_target(${name})
endfunction()

# One program, once per driver and number of loops, of which those with several take PROCESSORS. Denied: no policy is
# asked for, io_uring's system calls fail, and the program must go on with epoll.
function(raddle_test_per_driver name seconds processors)
  foreach(driver IN ITEMS uring epoll)
    foreach(loops IN ITEMS 1 4)
      set(entry ${name}.${driver}.${loops})
      add_test(NAME ${entry} COMMAND ${name})
      set(taken ${processors})
      if(loops EQUAL 1)
        set(taken 1)
      endif()
      raddle_test_entry(${entry} ${seconds} ${taken} ${ARGN} ${driver})
      set_property(TEST ${entry} APPEND PROPERTY ENVIRONMENT
        "RADDLE_POLICY=${driver};RADDLE_TEST_LOOPS=${loops}")
    endforeach()
  endforeach()
  # Every task may move, and does at every suspension: what is kept over one shows.
  foreach(driver IN ITEMS uring epoll)
    set(entry ${name}.${driver}.4.moved)
    add_test(NAME ${entry} COMMAND ${name})
    raddle_test_entry(${entry} ${seconds} ${processors} ${ARGN} ${driver} moved)
    set_property(TEST ${entry} APPEND PROPERTY ENVIRONMENT
      "RADDLE_POLICY=${driver};RADDLE_TEST_LOOPS=4;RADDLE_DEBUG=move;RADDLE_TEST_MOBILITY=migratable")
  endforeach()
  foreach(error IN ITEMS EPERM ENOSYS)
    set(entry ${name}.denied.${error})
    add_test(NAME ${entry} COMMAND deny_uring ${error} $<TARGET_FILE:${name}>)
    raddle_test_entry(${entry} ${seconds} ${processors} ${ARGN} denied)
    set_property(TEST ${entry} APPEND PROPERTY ENVIRONMENT "RADDLE_TEST_LOOPS=4")
    set_property(TEST ${entry} PROPERTY ENVIRONMENT_MODIFICATION "RADDLE_POLICY=unset:")
  endforeach()
  if(RADDLE_HAVE_URING)
    raddle_once(${name}.epoll.1 ${name}.epoll.4.moved ${name}.denied.EPERM ${name}.denied.ENOSYS)
  endif()
endfunction()

# The same in a simulated world. Of those programs that can live in one, but for a few tests that say why not
# (test_left_out()): without signals to the process, the kernel's descriptors, threads whose time counts, and jobs
# that wait for tasks.
function(raddle_test_simulated)
  if(NOT RADDLE_CRITERION)
    return()
  endif()
  foreach(name IN LISTS ARGN)
    foreach(loops IN ITEMS 1 4)
      set(entry ${name}.sim.${loops})
      add_test(NAME ${entry} COMMAND ${name})
      raddle_test_entry(${entry} 120 1 io sim)
      set_property(TEST ${entry} APPEND PROPERTY ENVIRONMENT
        "RADDLE_POLICY=sim:seed=1;RADDLE_TEST_LOOPS=${loops}")
    endforeach()
    raddle_once(${name}.sim.1)
    if(RADDLE_TEST_DEEP)
      add_test(NAME ${name}.sim.deep
        COMMAND "${PROJECT_SOURCE_DIR}/tests/conformance/seeds.sh" 20 $<TARGET_FILE:${name}>)
      raddle_test_entry(${name}.sim.deep 3600 1 deep sim)
    endif()
  endforeach()
endfunction()

function(raddle_test name)
  if(NOT RADDLE_CRITERION)
    return()
  endif()
  raddle_test_program(${name} ${ARGN} "${PROJECT_SOURCE_DIR}/tests/support/criterion_main.c")
  target_link_libraries(${name} PRIVATE PkgConfig::CRITERION)
  add_test(NAME ${name} COMMAND ${name})
  raddle_test_entry(${name} 60 1 unit)
endfunction()

function(raddle_io_test name)
  if(NOT RADDLE_CRITERION)
    return()
  endif()
  cmake_parse_arguments(PARSE_ARGV 1 arg "ALONE" "" "")
  raddle_test_program(${name} ${arg_UNPARSED_ARGUMENTS} "${PROJECT_SOURCE_DIR}/tests/support/criterion_main.c")
  target_link_libraries(${name} PRIVATE PkgConfig::CRITERION)
  set(processors 1)
  if(arg_ALONE)
    set(processors 2)
  endif()
  raddle_test_per_driver(${name} 120 ${processors} io)
endfunction()

function(raddle_user_suite name)
  if(NOT RADDLE_CRITERION)
    return()
  endif()
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "SCRIPT" "")
  add_executable(${name} ${arg_UNPARSED_ARGUMENTS})
  set_target_properties(${name} PROPERTIES C_STANDARD 11 C_STANDARD_REQUIRED ON C_EXTENSIONS ON)
  target_link_libraries(${name} PRIVATE raddle::test)
  raddle_harden(${name})
  raddle_developer_flags(${name} TEST)
  foreach(driver IN ITEMS uring epoll sim:seed=1)
    foreach(loops IN ITEMS 1 4)
      string(REGEX REPLACE ":.*" "" entry "${driver}")
      set(entry ${name}.${entry}.${loops})
      add_test(NAME ${entry} COMMAND ${arg_SCRIPT} $<TARGET_FILE:${name}>)
      raddle_test_entry(${entry} 300 1 io)
      set_property(TEST ${entry} APPEND PROPERTY ENVIRONMENT
        "RADDLE_POLICY=${driver};RADDLE_TEST_LOOPS=${loops}")
    endforeach()
  endforeach()
  raddle_once(${name}.sim.1)
  if(RADDLE_HAVE_URING)
    raddle_once(${name}.epoll.1)
  endif()
endfunction()

function(raddle_race name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "PER_DRIVER" "" "")
  raddle_test_program(${name} ${arg_UNPARSED_ARGUMENTS})
  if(arg_PER_DRIVER)
    raddle_test_per_driver(${name} 120 2 race io)
  else()
    add_test(NAME ${name} COMMAND ${name})
    raddle_test_entry(${name} 120 2 race)
  endif()
endfunction()

function(raddle_soak name seconds)
  raddle_test_program(${name} ${ARGN})
  foreach(driver IN ITEMS uring epoll)
    add_test(NAME ${name}.${driver} COMMAND ${name} --seconds ${seconds})
    raddle_test_entry(${name}.${driver} 300 2 soak io ${driver})
    set_property(TEST ${name}.${driver} APPEND PROPERTY ENVIRONMENT
      "RADDLE_POLICY=${driver};RADDLE_TEST_LOOPS=2")
  endforeach()
endfunction()

function(raddle_deep name seconds)
  if(NOT RADDLE_TEST_DEEP)
    return()
  endif()
  cmake_parse_arguments(PARSE_ARGV 2 arg "BESIDE;SIMULATED" "" "")
  if(arg_SIMULATED)
    add_test(NAME ${name}.deep COMMAND ${name} ${arg_UNPARSED_ARGUMENTS})
    raddle_test_entry(${name}.deep ${seconds} 1 deep sim)
    return()
  endif()
  set(teams 1 2 4)
  if(arg_BESIDE)
    set(teams 2)
  endif()
  foreach(driver IN ITEMS uring epoll)
    foreach(loops IN LISTS teams)
      set(entry ${name}.deep.${driver}.${loops})
      add_test(NAME ${entry} COMMAND ${name} ${arg_UNPARSED_ARGUMENTS})
      set(processors 2)
      if(loops EQUAL 1 OR arg_BESIDE)
        set(processors 1)
      endif()
      raddle_test_entry(${entry} ${seconds} ${processors} deep ${driver})
      set_property(TEST ${entry} APPEND PROPERTY ENVIRONMENT
        "RADDLE_POLICY=${driver};RADDLE_TEST_LOOPS=${loops}")
    endforeach()
  endforeach()
endfunction()

function(raddle_script name)
  add_test(NAME ${name} COMMAND ${ARGN} COMMAND_EXPAND_LISTS
    WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}")
  raddle_test_entry(${name} 120 1 script)
endfunction()
