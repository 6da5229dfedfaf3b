# Tests of what a user runs first: the installed C++ package and the quick start, both with a tiny model.
# The fixture's tokenizer knows single characters only, so its copy here gets more positions.
set(fixture ${PROJECT_SOURCE_DIR}/tests/fixtures/models/llama)
set(tiny ${PROJECT_BINARY_DIR}/tiny-llama)
if(EXISTS ${fixture}/config.json)
  foreach(name chat_template.jinja generation_config.json model.safetensors tokenizer.json tokenizer_config.json)
    configure_file(${fixture}/${name} ${tiny}/${name} COPYONLY)
  endforeach()
  file(READ ${fixture}/config.json config)
  string(REGEX REPLACE "(\"max_position_embeddings\": )[0-9]+" "\\12048" config "${config}")
  file(WRITE ${tiny}/config.json "${config}")
endif()

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
if(TARGET lorikeet AND EXISTS ${tiny})
  add_test(NAME docs.commands COMMAND ${PROJECT_SOURCE_DIR}/tests/docs/run_commands.sh
    ${PROJECT_SOURCE_DIR} $<TARGET_FILE:lorikeet> ${tiny} ${PROJECT_BINARY_DIR}/docs-test)
  set_tests_properties(docs.commands PROPERTIES TIMEOUT 300 PASS_REGULAR_EXPRESSION "ran [0-9]+ commands")
endif()
