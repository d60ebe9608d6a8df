# make install: libraries, headers, a CMake package and a pkg-config file.
include(CMakePackageConfigHelpers)

set(raddle_cmake_dir "${CMAKE_INSTALL_LIBDIR}/cmake/raddle")

install(TARGETS raddle_static raddle_shared EXPORT raddle
  ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}"
  LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}")
set(without)
if(NOT RADDLE_CRITERION)
  set(without PATTERN "raddle/test.h" EXCLUDE)
endif()
install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
  FILES_MATCHING PATTERN "*.h" ${without})
install(EXPORT raddle NAMESPACE raddle:: FILE raddle-targets.cmake DESTINATION "${raddle_cmake_dir}")

if(RADDLE_CRITERION)
  install(TARGETS raddle_test EXPORT raddle-test ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}")
  install(EXPORT raddle-test NAMESPACE raddle:: FILE raddle-test-targets.cmake
    DESTINATION "${raddle_cmake_dir}")
endif()

configure_package_config_file("${CMAKE_CURRENT_LIST_DIR}/raddle-config.cmake.in"
  "${PROJECT_BINARY_DIR}/raddle-config.cmake" INSTALL_DESTINATION "${raddle_cmake_dir}")
# Until 1.0 a minor version may break its users.
write_basic_package_version_file("${PROJECT_BINARY_DIR}/raddle-config-version.cmake"
  COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/raddle-config.cmake"
              "${PROJECT_BINARY_DIR}/raddle-config-version.cmake"
  DESTINATION "${raddle_cmake_dir}")

# The pkg-config file finds its prefix from where it lies, unless a folder was given in full.
if(IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}" OR IS_ABSOLUTE "${CMAKE_INSTALL_INCLUDEDIR}")
  set(RADDLE_PC_PREFIX "${CMAKE_INSTALL_PREFIX}")
  set(RADDLE_PC_LIBDIR "${CMAKE_INSTALL_FULL_LIBDIR}")
  set(RADDLE_PC_INCLUDEDIR "${CMAKE_INSTALL_FULL_INCLUDEDIR}")
else()
  file(RELATIVE_PATH up "/prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/prefix")
  set(RADDLE_PC_PREFIX "\${pcfiledir}/${up}")
  set(RADDLE_PC_LIBDIR "\${prefix}/${CMAKE_INSTALL_LIBDIR}")
  set(RADDLE_PC_INCLUDEDIR "\${prefix}/${CMAKE_INSTALL_INCLUDEDIR}")
endif()
set(RADDLE_PC_REQUIRES_PRIVATE)
if(RADDLE_HAVE_URING)
  set(RADDLE_PC_REQUIRES_PRIVATE "liburing >= 2.3")
endif()
configure_file("${CMAKE_CURRENT_LIST_DIR}/raddle.pc.in" "${PROJECT_BINARY_DIR}/raddle.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/raddle.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
if(RADDLE_CRITERION)
  configure_file("${CMAKE_CURRENT_LIST_DIR}/raddle-test.pc.in" "${PROJECT_BINARY_DIR}/raddle-test.pc" @ONLY)
  install(FILES "${PROJECT_BINARY_DIR}/raddle-test.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
endif()
