# What `cmake --install` puts where: the command, and the library with its public headers and a CMake
# package: find_package(lorikeet) gives lorikeet::lorikeet.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

# The layers of src/, the command line excepted, as one archive.
get_property(targets DIRECTORY ${PROJECT_SOURCE_DIR} PROPERTY BUILDSYSTEM_TARGETS)
set(objects)
foreach(target ${targets})
  get_target_property(type ${target} TYPE)
  if(type STREQUAL STATIC_LIBRARY AND target MATCHES "^lorikeet_" AND NOT target STREQUAL lorikeet_cli)
    list(APPEND objects $<TARGET_OBJECTS:${target}>)
  endif()
endforeach()
add_library(lorikeet_library STATIC ${objects})
set_target_properties(lorikeet_library PROPERTIES OUTPUT_NAME lorikeet EXPORT_NAME lorikeet LINKER_LANGUAGE CXX)
target_compile_features(lorikeet_library INTERFACE cxx_std_20)
target_include_directories(lorikeet_library INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
# By library name: a user of the package needs no third-party headers and no further find_package.
target_link_libraries(lorikeet_library INTERFACE -lyaml-cpp -lsimdjson -lpcre2-8 -lutf8proc Threads::Threads)
if(LORIKEET_CUDA)
  target_link_libraries(lorikeet_library INTERFACE -L${CUDAToolkit_LIBRARY_DIR} -lcublasLt -lcudart
                        ${CUDNN_LIBRARY})
endif()

install(TARGETS lorikeet_library EXPORT lorikeet ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
        COMPONENT library)
install(DIRECTORY include/lorikeet DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT library)
install(EXPORT lorikeet NAMESPACE lorikeet:: FILE lorikeet-targets.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/lorikeet COMPONENT library)
configure_package_config_file(cmake/lorikeet-config.cmake.in ${PROJECT_BINARY_DIR}/lorikeet-config.cmake
  INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/lorikeet)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/lorikeet-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/lorikeet-config.cmake ${PROJECT_BINARY_DIR}/lorikeet-config-version.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/lorikeet COMPONENT library)

if(TARGET lorikeet)
  install(TARGETS lorikeet RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT command)
  install(FILES LICENSE README.md CHANGELOG.md DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT command)
  install(FILES examples/tool_calls/train.jsonl examples/tool_calls/test.jsonl
          DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples COMPONENT command)
endif()

# Packages: Debian's static libraries where it has them (simdjson has none), and the compiler's own.
if(LORIKEET_STATIC AND TARGET lorikeet)
  foreach(library yaml-cpp pcre2-8 utf8proc)
    find_library(LORIKEET_STATIC_${library} lib${library}.a REQUIRED)
  endforeach()
  set_target_properties(yaml-cpp PROPERTIES IMPORTED_LOCATION ${LORIKEET_STATIC_yaml-cpp}
                        IMPORTED_LOCATION_NONE ${LORIKEET_STATIC_yaml-cpp})
  set_target_properties(PkgConfig::PCRE2 PROPERTIES INTERFACE_LINK_LIBRARIES ${LORIKEET_STATIC_pcre2-8})
  set_target_properties(PkgConfig::UTF8PROC PROPERTIES INTERFACE_LINK_LIBRARIES ${LORIKEET_STATIC_utf8proc})
  target_link_options(lorikeet PRIVATE -static-libstdc++ -static-libgcc -s)
  set_target_properties(lorikeet PROPERTIES INSTALL_RPATH "$ORIGIN/../lib")
endif()

if(LORIKEET_BUILD_TESTS)
  include(cmake/script_tests.cmake)
endif()
