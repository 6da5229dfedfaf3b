#pragma once
// The decoder of each storage format (FormatInfo::decode), and the encoder of some: one file each, listed in
// registry.cpp.
#include <cstdint>

#include "quant/weight.h"

namespace lorikeet {

void decode_dense(const Weight& w, int64_t stored_row, int64_t first, int64_t last, float* out);
void decode_bnb4(const Weight& w, int64_t stored_row, int64_t first, int64_t last, float* out);
void decode_q4_0(const Weight& w, int64_t stored_row, int64_t first, int64_t last, float* out);
void decode_q4_1(const Weight& w, int64_t stored_row, int64_t first, int64_t last, float* out);
void decode_q5_0(const Weight& w, int64_t stored_row, int64_t first, int64_t last, float* out);
void decode_q5_1(const Weight& w, int64_t stored_row, int64_t first, int64_t last, float* out);
void decode_q8_0(const Weight& w, int64_t stored_row, int64_t first, int64_t last, float* out);
void decode_q4_k(const Weight& w, int64_t stored_row, int64_t first, int64_t last, float* out);
void decode_q5_k(const Weight& w, int64_t stored_row, int64_t first, int64_t last, float* out);
void decode_q6_k(const Weight& w, int64_t stored_row, int64_t first, int64_t last, float* out);
void decode_gptq(const Weight& w, int64_t stored_row, int64_t first, int64_t last, float* out);
void decode_awq(const Weight& w, int64_t stored_row, int64_t first, int64_t last, float* out);

void encode_q4_0(const float* in, int64_t count, uint8_t* out);
void encode_q8_0(const float* in, int64_t count, uint8_t* out);

}  // namespace lorikeet
