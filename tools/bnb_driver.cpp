// C entry points for tools/check_bnb.py, which loads this as a shared library. Not part of the program.
#include <cstring>
#include <string>

#include "core/error.h"
#include "quant/bnb4_encode.h"
#include "quant/format.h"

using namespace lorikeet;

namespace {

Weight matrix(const void* data, int dtype, int64_t rows, int64_t cols) {
  return Weight::dense(TensorView(const_cast<void*>(data), {rows, cols}, static_cast<DType>(dtype)));
}

}  // namespace

extern "C" {

/// dtype: 0 f32, 1 bf16, 2 f16. Blocks [first, last).
void driver_encode(const void* data, int dtype, int64_t rows, int64_t cols, int fp4, int blocksize,
                   int64_t first, int64_t last, uint8_t* codes, float* absmax) {
  const Bnb4Options options{fp4 ? Bnb4Type::fp4 : Bnb4Type::nf4, blocksize, false};
  encode_bnb4(matrix(data, dtype, rows, cols), options, first, last, codes, absmax, "driver");
}

float driver_offset(const float* absmax, int64_t n) {
  return nested_offset_of({absmax, static_cast<size_t>(n)});
}

void driver_nested(const float* absmax, int64_t n, float offset, uint8_t* codes, float* nested_absmax) {
  encode_absmax({absmax, static_cast<size_t>(n)}, offset, codes, nested_absmax);
}

void driver_map(int is_signed, float* map) {
  std::memcpy(map, (is_signed ? dynamic_map_signed() : dynamic_map_unsigned()).data(), 256 * 4);
}

/// Decodes everything; nested_absmax null: absmax holds f32, else 8-bit codes.
void driver_decode(const uint8_t* codes, const void* absmax, const float* nested_absmax, float offset,
                   int fp4, int blocksize, int64_t rows, int64_t cols, float* out) {
  Weight w;
  w.format = WeightFormat::bnb4;
  w.rows = rows;
  w.cols = cols;
  w.data = codes;
  w.blocksize = blocksize;
  w.code = code_of(fp4 ? Bnb4Type::fp4 : Bnb4Type::nf4).data();
  if (nested_absmax) {
    w.absmax_codes = static_cast<const uint8_t*>(absmax);
    w.nested_absmax = nested_absmax;
    w.nested_code = dynamic_map_signed().data();
    w.nested_offset = offset;
  } else {
    w.absmax = static_cast<const float*>(absmax);
  }
  decode_rows(w, 0, rows, 0, cols, out, cols);
}
}
