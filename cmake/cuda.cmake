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
  # One rounding per written operation, as on the CPU.
  add_compile_options("$<$<COMPILE_LANGUAGE:CUDA>:--fmad=false;-Werror=all-warnings>")
  list(FILTER LORIKEET_CUDA_SOURCES EXCLUDE REGEX "/no_cuda\\.cpp$")
  set(LORIKEET_CUDA_LIBRARIES CUDA::cudart_static CUDA::cublasLt)
else()
  list(FILTER LORIKEET_CUDA_SOURCES INCLUDE REGEX "/(kernels|no_cuda)\\.cpp$")
endif()
