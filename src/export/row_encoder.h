#pragma once
// Rows of f32 values on their way into a file: read a part at a time, rounded to the written type, checked.
#include <functional>
#include <span>

#include "core/thread_pool.h"
#include "model/files.h"
#include "quant/encode.h"

namespace lorikeet {

/// Gives rows [first, last) of a tensor of the model (a vector is one row) as f32, cols values each. Called
/// from several threads at once.
using RowReader = std::function<void(const ExpectedTensor& tensor, int64_t first, int64_t last, float* out)>;

/// Encodes the `n` values of a row. Throws Error(unsupported) naming tensor and value if a value is NaN,
/// infinite or beyond what the type's float16 numbers hold.
void encode_row(const ExpectedTensor& tensor, int64_t row, const float* in, int64_t n, WeightType type,
                std::byte* out);

/// What reading the encoded row back gives, in place.
void round_row(const ExpectedTensor& tensor, int64_t row, float* values, int64_t n, WeightType type);

/// Encodes `count` rows of `width` values, a part in memory at a time. `read` fills rows [first, first + n)
/// as the file has them; `write` takes the bytes, in order.
void encode_rows(const ExpectedTensor& tensor, int64_t count, int64_t width, WeightType type,
                 ThreadPool& threads, const std::function<void(int64_t first, int64_t n, float* out)>& read,
                 const std::function<void(std::span<const std::byte>)>& write);

/// Calls `rows` for [first, first + n) from all threads.
void read_in_parallel(const RowReader& rows, const ExpectedTensor& tensor, int64_t first, int64_t n,
                      ThreadPool& threads, float* out);

}  // namespace lorikeet
