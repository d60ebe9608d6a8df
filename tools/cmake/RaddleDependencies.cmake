# What the core links: threads, and liburing unless it is missing or not wanted.
set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)
find_package(PkgConfig)

set(RADDLE_HAVE_URING OFF)
if(RADDLE_WITH_URING AND PkgConfig_FOUND)
  pkg_check_modules(LIBURING IMPORTED_TARGET "liburing>=2.3")
  if(LIBURING_FOUND)
    set(RADDLE_HAVE_URING ON)
  endif()
endif()
if(NOT RADDLE_HAVE_URING)
  message(STATUS "raddle: built without io_uring, epoll is the only driver")
endif()

# For our own targets. The libraries name the same things in RaddleLibrary.cmake, for their users.
add_library(raddle_dependencies INTERFACE)
target_link_libraries(raddle_dependencies INTERFACE Threads::Threads)
if(RADDLE_HAVE_URING)
  target_link_libraries(raddle_dependencies INTERFACE PkgConfig::LIBURING)
endif()
