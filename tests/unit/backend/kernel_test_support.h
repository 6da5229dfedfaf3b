#pragma once
// Random operands and one-call runs of single kernel rows, for comparing them with the portable kernels.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string_view>
#include <vector>

#include "backend/args.h"
#include "backend/backend.h"
#include "backend/cpu/isa.h"
#include "quant/bnb_tables.h"
#include "quant/format.h"

namespace lorikeet::test {

inline double value_at(const TensorView& v, int64_t r, int64_t c) {
  switch (v.dtype) {
    case DType::f32:
      return v.row<float>(r)[c];
    case DType::bf16:
      return to_float(v.row<Bf16>(r)[c]);
    case DType::f16:
      return to_float(v.row<F16>(r)[c]);
    case DType::f64:
      return v.row<double>(r)[c];
    default:
      return std::numeric_limits<double>::quiet_NaN();
  }
}
inline void set_value(const TensorView& v, int64_t r, int64_t c, double x) {
  switch (v.dtype) {
    case DType::f32:
      v.row<float>(r)[c] = static_cast<float>(x);
      break;
    case DType::bf16:
      v.row<Bf16>(r)[c] = to_bf16(static_cast<float>(x));
      break;
    case DType::f16:
      v.row<F16>(r)[c] = to_f16(static_cast<float>(x));
      break;
    default:
      v.row<double>(r)[c] = x;
  }
}

/// A matrix with NaN between and after its rows: a kernel that reads too far shows it, one that writes too
/// far too.
class Matrix {
 public:
  Matrix(int64_t rows, int64_t cols, DType dtype, int64_t gap = 0)
      : stride_(cols + gap),
        rows_(rows),
        bytes_((static_cast<size_t>(rows * stride_) + 64) * size_of(dtype), 0xff) {
    view_ = TensorView(bytes_.data(), {rows, cols}, dtype);
    view_.stride = stride_;
  }
  Matrix(const Matrix& o) : stride_(o.stride_), rows_(o.rows_), bytes_(o.bytes_), view_(o.view_) {
    view_.data = bytes_.data();
  }
  static Matrix random(int64_t rows, int64_t cols, DType dtype, uint32_t seed, double scale = 1,
                       int64_t gap = 0) {
    Matrix m(rows, cols, dtype, gap);
    std::mt19937 g(seed);
    std::normal_distribution<double> normal(0, scale);
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t c = 0; c < cols; ++c) set_value(m.view_, r, c, normal(g));
    return m;
  }
  static Matrix filled(int64_t rows, int64_t cols, DType dtype, double x) {
    Matrix m(rows, cols, dtype);
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t c = 0; c < cols; ++c) set_value(m.view_, r, c, x);
    return m;
  }
  operator TensorView() const { return view_; }
  const TensorView& view() const { return view_; }
  double at(int64_t r, int64_t c) const { return value_at(view_, r, c); }
  bool same_bytes(const Matrix& o) const { return bytes_ == o.bytes_; }
  /// Whether the bytes between the rows still hold the initial pattern.
  bool gaps_untouched() const {
    const size_t size = size_of(view_.dtype);
    for (int64_t r = 0; r < rows_; ++r)
      for (size_t b = static_cast<size_t>(r * stride_ + view_.cols) * size;
           b < static_cast<size_t>((r + 1) * stride_) * size; ++b)
        if (bytes_[b] != 0xff) return false;
    for (size_t b = static_cast<size_t>(rows_ * stride_) * size; b < bytes_.size(); ++b)
      if (bytes_[b] != 0xff) return false;
    return true;
  }

 private:
  int64_t stride_, rows_;
  std::vector<uint8_t> bytes_;
  TensorView view_;
};

/// sum of squared differences / sum of squares.
inline double nmse(const TensorView& got, const TensorView& want) {
  double error = 0, power = 0;
  for (int64_t r = 0; r < want.rows; ++r)
    for (int64_t c = 0; c < want.cols; ++c) {
      const double w = value_at(want, r, c), d = value_at(got, r, c) - w;
      error += d * d;
      power += w * w;
    }
  return power > 0 ? error / power : error;
}

/// Bound for one product or normalisation of `dtype` elements: bf16 rounds each output and each decoded
/// weight to 8 bits (at most 2^-8 relative, squared 2.6e-6 on average, up to three roundings); f32 sums of a
/// few thousand terms stay near 1e-13.
inline double bound_of(DType dtype) { return dtype == DType::bf16 ? 2e-5 : 1e-11; }

struct WeightOptions {
  DType dtype = DType::f32;  // of dense
  int32_t blocksize = 64;
  bool nested = false;
  bool mapped_rows = false;
  int misaligned = 0;             // bytes before dense data
  int bits = 4, zero_offset = 0;  // of gptq and awq, as what follows
  int64_t group_size = 32;
  bool act_order = false;
  DType scale_type = DType::f16;
};

/// A random matrix in any storage format, with what it points to.
struct OwnedWeight {
  Weight w;
  std::vector<uint8_t> data, absmax_codes;
  std::vector<float> absmax, nested_absmax;
  std::vector<int32_t> row_map, group_of;
  std::vector<uint32_t> zeros;
  std::vector<uint8_t> scales;
};

inline void fill_grouped(OwnedWeight& x, const WeightOptions& o, std::mt19937& g) {
  const int64_t groups = (x.w.cols + o.group_size - 1) / o.group_size, rows = x.w.rows;
  const bool awq = x.w.format == WeightFormat::awq;
  x.data.resize(static_cast<size_t>(awq ? x.w.cols * rows / 2 : x.w.cols * o.bits / 8 * rows));
  for (uint8_t& v : x.data) v = static_cast<uint8_t>(g());
  x.zeros.resize(static_cast<size_t>(groups * ((rows * o.bits + 31) / 32)));
  for (uint32_t& v : x.zeros) v = static_cast<uint32_t>(g());
  x.scales.resize(static_cast<size_t>(groups * rows) * size_of(o.scale_type));
  const TensorView scales(x.scales.data(), {groups, rows}, o.scale_type);
  for (int64_t i = 0; i < groups; ++i)
    for (int64_t k = 0; k < rows; ++k) set_value(scales, i, k, 0.01 + 1e-4 * static_cast<double>(g() % 100));
  for (int64_t k = 0; k < x.w.cols; ++k) x.group_of.push_back(static_cast<int32_t>(k / o.group_size));
  std::shuffle(x.group_of.begin(), x.group_of.end(), g);
  x.w.data = x.data.data();
  x.w.grouped = {o.bits,         o.zero_offset,   o.group_size, o.act_order ? x.group_of.data() : nullptr,
                 x.zeros.data(), x.scales.data(), o.scale_type};
}

inline OwnedWeight random_weight(WeightFormat format, int64_t rows, int64_t cols, uint32_t seed,
                                 WeightOptions o = {}) {
  OwnedWeight x;
  std::mt19937 g(seed);
  x.w.format = format;
  x.w.rows = rows;
  x.w.cols = cols;
  x.w.dtype = o.dtype;
  const auto random_bytes = [&](size_t n) {
    std::vector<uint8_t> b(n);
    for (uint8_t& v : b) v = static_cast<uint8_t>(g());
    return b;
  };
  if (format == WeightFormat::dense) {
    const Matrix m = Matrix::random(rows, cols, o.dtype, seed, 0.1);
    const size_t bytes = m.view().size_bytes();
    x.data.resize(bytes + 16);
    std::memcpy(x.data.data() + o.misaligned, m.view().data, bytes);
    x.w.data = x.data.data() + o.misaligned;
  } else if (format == WeightFormat::bnb4) {
    x.data = random_bytes(static_cast<size_t>((rows * cols + 1) / 2));
    const int64_t blocks = (rows * cols + o.blocksize - 1) / o.blocksize;
    x.w.blocksize = o.blocksize;
    x.w.code = kNf4Code.data();
    if (o.nested) {
      x.absmax_codes = random_bytes(static_cast<size_t>(blocks));
      for (int64_t b = 0; b < (blocks + 255) / 256; ++b)
        x.nested_absmax.push_back(0.02f + static_cast<float>(g() % 100) * 1e-4f);
      x.w.absmax_codes = x.absmax_codes.data();
      x.w.nested_absmax = x.nested_absmax.data();
      x.w.nested_code = dynamic_map_signed().data();
      x.w.nested_offset = 0.05f;
    } else {
      for (int64_t b = 0; b < blocks; ++b) x.absmax.push_back(0.02f + static_cast<float>(g() % 1000) * 1e-4f);
      x.w.absmax = x.absmax.data();
    }
    x.w.data = x.data.data();
  } else if (x.w.by_columns()) {
    fill_grouped(x, o, g);
  } else {
    const FormatInfo& info = format_info(format);
    x.data = random_bytes(static_cast<size_t>(weight_bytes(format, DType::f32, rows, cols)));
    const bool second = format == WeightFormat::q4_1 || format == WeightFormat::q5_1 ||
                        format == WeightFormat::q4_k || format == WeightFormat::q5_k;
    for (size_t b = 0; b < x.data.size(); b += static_cast<size_t>(info.block_bytes)) {
      const auto put = [&](size_t at) {
        const F16 h = to_f16(0.001f + static_cast<float>(g() % 100) * 1e-4f);
        std::memcpy(x.data.data() + b + at, &h, 2);
      };
      put(format == WeightFormat::q6_k ? 208 : 0);
      if (second) put(2);
    }
    x.w.data = x.data.data();
  }
  if (o.mapped_rows) {
    for (int64_t r = 0; r < rows; ++r) x.row_map.push_back(static_cast<int32_t>(r));
    std::shuffle(x.row_map.begin(), x.row_map.end(), g);
    x.w.row_map = x.row_map.data();
  }
  return x;
}

inline const char* portable_name(DType compute) {
  return compute == DType::bf16 ? "portable bfloat16" : "portable float32";
}

template <class Args>
const Kernel<Args>& row_named(std::string_view name) {
  for (const Kernel<Args>& k : cpu_kernels<Args>())
    if (k.name == name) return k;
  throw std::runtime_error("no kernel row " + std::string(name));
}

/// Runs one row of the CPU list, whatever the process's instruction set, on a workspace full of NaN.
template <class Args>
void run_row(std::string_view name, const Args& args, int threads = 2) {
  const Kernel<Args>& k = row_named<Args>(name);
  ThreadPool pool(threads);
  const size_t bytes = k.workspace_bytes ? k.workspace_bytes(args, threads) : 0;
  std::vector<std::byte> memory(bytes + 128, std::byte{0xff});
  auto* at = reinterpret_cast<std::byte*>((reinterpret_cast<uintptr_t>(memory.data()) + 63) / 64 * 64);
  k.run(args, {pool, at});
  for (const std::byte* p = at + bytes; p < memory.data() + memory.size(); ++p)
    ASSERT_EQ(*p, std::byte{0xff}) << name << " wrote beyond its workspace";
}

/// The instruction sets this machine can run.
inline std::vector<Isa> simd_isas() {
  std::vector<Isa> list;
  for (const Isa isa : {Isa::avx2, Isa::avx512, Isa::avx512bf16})
    if (isa_available(isa)) list.push_back(isa);
  return list;
}
inline constexpr DType kComputeTypes[] = {DType::bf16, DType::f32};

}  // namespace lorikeet::test
