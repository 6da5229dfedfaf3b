# The CUDA backend: its kernels with LORIKEET_CUDA, else the file that refuses. Nothing outside
# src/backend/cuda sees a CUDA header.
file(GLOB LORIKEET_CUDA_SOURCES CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/backend/cuda/*.cpp
     ${PROJECT_SOURCE_DIR}/src/backend/cuda/*.cu)
if(LORIKEET_CUDA)
  # Machine code for Ampere and Ada (8.0), Hopper (9.0), and PTX for what comes after.
  if(NOT CMAKE_CUDA_ARCHITECTURES)
    set(CMAKE_CUDA_ARCHITECTURES 80-real 90)
  endif()
  set(CMAKE_CUDA_HOST_COMPILER ${CMAKE_CXX_COMPILER})
  enable_language(CUDA)
  # CMake 3.25 does not know that nvcc compiles C++20.
  if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)
    set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION "-std=c++20")
    set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION "-std=c++20")
  endif()
  set(CMAKE_CUDA_STANDARD 20)
  find_package(CUDAToolkit 13 REQUIRED)
  find_path(CUDNN_INCLUDE_DIR cudnn_graph.h HINTS ${CUDAToolkit_INCLUDE_DIRS})
  find_library(CUDNN_LIBRARY NAMES cudnn libcudnn.so.9 HINTS ${CUDAToolkit_LIBRARY_DIR})
  if(NOT CUDNN_INCLUDE_DIR OR NOT CUDNN_LIBRARY)
    message(FATAL_ERROR "LORIKEET_CUDA needs cuDNN 9: set CUDNN_INCLUDE_DIR to the folder of cudnn_graph.h "
                        "and CUDNN_LIBRARY to libcudnn.so")
  endif()
  add_library(cudnn::cudnn UNKNOWN IMPORTED)
  set_target_properties(cudnn::cudnn PROPERTIES IMPORTED_LOCATION ${CUDNN_LIBRARY}
                        INTERFACE_INCLUDE_DIRECTORIES ${CUDNN_INCLUDE_DIR})
  # One rounding per written operation, as on the CPU.
  add_compile_options("$<$<COMPILE_LANGUAGE:CUDA>:--fmad=false;-Werror=all-warnings;-DFMT_USE_CONSTEXPR=1>")
  list(FILTER LORIKEET_CUDA_SOURCES EXCLUDE REGEX "/no_cuda\\.cpp$")
  set(LORIKEET_CUDA_LIBRARIES CUDA::cudart_static CUDA::cublasLt cudnn::cudnn)
else()
  list(FILTER LORIKEET_CUDA_SOURCES INCLUDE REGEX "/(kernels|no_cuda)\\.cpp$")
endif()
