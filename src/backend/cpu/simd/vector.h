#pragma once
// The vector type V of the instruction set that the including file is compiled for.
#if defined(__AVX512F__)
#include "backend/cpu/simd/avx512_basics.h"
#else
#include "backend/cpu/simd/avx2_basics.h"
#endif
