# Tests of what a user runs first: the installed C++ package and the quick start, both with a tiny model.
set(tiny ${PROJECT_SOURCE_DIR}/tests/fixtures/tiny_llama_chat)
if(EXISTS ${PROJECT_SOURCE_DIR}/examples/embed/CMakeLists.txt)
  add_test(NAME install.embed_example COMMAND ${CMAKE_COMMAND}
    -DBINARY_DIR=${PROJECT_BINARY_DIR} -DSOURCE_DIR=${PROJECT_SOURCE_DIR} -DMODEL=${tiny}
    -DCOMPILER=${CMAKE_CXX_COMPILER} "-DFLAGS=${CMAKE_CXX_FLAGS}" -DSANITIZE=${LORIKEET_SANITIZE}
    -P ${PROJECT_SOURCE_DIR}/cmake/test_install.cmake)
  set_tests_properties(install.embed_example PROPERTIES TIMEOUT 300)
endif()
if(TARGET lorikeet AND EXISTS ${tiny})
  add_test(NAME quickstart.tiny_model COMMAND ${CMAKE_COMMAND} -E env
    LORIKEET_BINARY=$<TARGET_FILE:lorikeet> LORIKEET_QUICKSTART_MODEL=${tiny} LORIKEET_QUICKSTART_STEPS=3
    LORIKEET_QUICKSTART_ROWS=8 LORIKEET_QUICKSTART_OUTPUT=${PROJECT_BINARY_DIR}/quickstart-test
    ${PROJECT_SOURCE_DIR}/scripts/quickstart)
  set_tests_properties(quickstart.tiny_model PROPERTIES TIMEOUT 300
    PASS_REGULAR_EXPRESSION "exact match  [0-9.]+ % before, [0-9.]+ % after, on 8 held-out rows")
endif()
