#include "backend/cuda/dequantize.h"

#include <bit>

#include "backend/cuda/dequantize_kernel.h"
#include "backend/cuda/status.h"
#include "quant/bnb4_encode.h"

namespace lorikeet::cuda {

const char* reject_bnb4(const Weight& w) {
  if (w.format != WeightFormat::bnb4) return "weights must be dense or bnb4";
  if (w.row_map) return "bnb4 weights with a row map are not supported";
  if (!is_bnb4_blocksize(w.blocksize)) return "the block size must be a power of two from 32 to 4096";
  // The kernel numbers groups, and the threads that take them, in 32 bits.
  if (w.rows * w.cols > int64_t{kBnb4Group} << 31) return "the matrix has more than 2^34 elements";
  return nullptr;
}

void dequantize_bnb4(const Weight& w, int64_t first_row, TensorView out, cudaStream_t queue) {
  LORIKEET_CHECK(!reject_bnb4(w) && out.cols == w.cols && first_row >= 0 && first_row + out.rows <= w.rows);
  LORIKEET_CHECK(out.dtype == DType::bf16 || out.dtype == DType::f32);
  if (out.rows == 0) return;
  const Bnb4Source source = {static_cast<const uint8_t*>(w.data),
                             w.code,
                             w.absmax,
                             w.absmax_codes,
                             w.nested_absmax,
                             w.nested_code,
                             w.nested_offset,
                             static_cast<uint32_t>(w.nested_blocksize),
                             std::countr_zero(static_cast<uint32_t>(w.blocksize))};
  const Bnb4Range range = {static_cast<uint64_t>(first_row * w.cols), static_cast<uint64_t>(out.count()),
                           static_cast<uint64_t>(w.cols), out.contiguous() ? w.cols : out.stride};
  check(start_dequantize_bnb4(source, range, out.data, out.dtype == DType::f32, queue), "dequantize_bnb4");
}

}  // namespace lorikeet::cuda
