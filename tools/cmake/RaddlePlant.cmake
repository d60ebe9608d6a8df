# A build with a bug in it, to see that the tests catch it: see sched/planted.h and tests/plants.sh.
set(RADDLE_PLANT "" CACHE STRING "A bug to build in, which the tests must catch; never in a Release")
mark_as_advanced(RADDLE_PLANT)

set(raddle_plants
  FENCE=sched/deque.c
  WAKE=sched/rest.c
  LEAK=runtime/task.c
  JUMP=sched/guard.c
  REUSE=sched/fiber.c
  SHORT=io/stream.c
  INTERRUPT=io/op.c
  CLOEXEC=sched/sys.c
  ERRNO=sched/fiber.c
  ACCEPT=io/op.c
  POKE=sched/wait.c
  GRANT=runtime/waiter.c)

# raddle_plant(): gives the definition to the sources of targets of this folder.
function(raddle_plant)
  if(NOT RADDLE_PLANT)
    return()
  endif()
  if(CMAKE_CONFIGURATION_TYPES OR CMAKE_BUILD_TYPE MATCHES "^(Release|MinSizeRel)$" OR RADDLE_INSTALL)
    message(FATAL_ERROR "raddle: RADDLE_PLANT=${RADDLE_PLANT} is a bug: not in a Release, not to be installed "
      "(-DCMAKE_BUILD_TYPE=RelWithDebInfo -DRADDLE_INSTALL=OFF)")
  endif()
  list(FILTER raddle_plants INCLUDE REGEX "^${RADDLE_PLANT}=")
  list(LENGTH raddle_plants count)
  if(NOT count EQUAL 1)
    message(FATAL_ERROR "raddle: there is no bug RADDLE_PLANT=${RADDLE_PLANT}")
  endif()
  string(REPLACE "${RADDLE_PLANT}=" "" file "${raddle_plants}")
  set_source_files_properties("${PROJECT_SOURCE_DIR}/${file}" PROPERTIES
    COMPILE_DEFINITIONS "RDL_PLANT=${RADDLE_PLANT}")
endfunction()
