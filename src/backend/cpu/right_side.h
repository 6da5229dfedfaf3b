#pragma once
#include "backend/cpu/simd/table.h"
#include "core/tensor.h"
#include "quant/weight.h"

namespace lorikeet::cpu {

/// The right factor of a product, any storage format, packed panel by panel as the micro-kernel reads it.
///
/// GPTQ and AWQ store W transposed: their rows_ and cols_ are those of what is stored, and the axis is the
/// other one.
///
/// A product sums over `sums()` positions into `outputs()` columns. Of a weight W [out, in], Y = X W^T sums
/// along the columns of W (Axis::columns), dX = dY W along its rows (Axis::rows). One storage serves both.
class RightSide {
 public:
  enum class Axis : uint8_t { columns, rows };

  RightSide() = default;
  RightSide(const Weight& w, Axis axis, const simd::PanelOps& ops);
  RightSide(TensorView dense, Axis axis, const simd::PanelOps& ops);

  int64_t outputs() const { return axis_ == Axis::columns ? rows_ : cols_; }
  int64_t sums() const { return axis_ == Axis::columns ? cols_ : rows_; }

  /// Bytes of scratch that pack() needs.
  static constexpr size_t kScratchBytes = 16 * 256 * 4;

  /// Packs sums [first_sum, first_sum + sums) of outputs [first, first + outputs): the panel has
  /// ceil(sums / unit) units of 16 * vectors columns; columns beyond `outputs` are zero up to a multiple
  /// of 16. first is a multiple of 64, first_sum of 64.
  void pack(int64_t first, int outputs, int64_t first_sum, int64_t sums, int vectors, char* panel,
            char* scratch) const;

  /// Whether multiply_few() can take its place for a product of `rows` rows.
  bool has_few(int64_t rows) const {
    return rows <= simd::kFewRows && ops_->few_dense && axis_ == Axis::columns && cols_ % ops_->unit == 0;
  }
  /// c[i][0:16] (+)= row i of a times the outputs [first, first + n), n <= 16, without a panel. Meanwhile the
  /// cache is asked for the outputs `ahead` further on.
  void multiply_few(int64_t first, int n, const char* a, int64_t a_stride, int rows, float* c, bool add,
                    int64_t ahead, char* scratch) const;

  /// Whether multiply_lone() can take the place of multiply_few() for a single row.
  bool has_lone() const { return has_few(1) && code_ops_ && code_ops_->lone; }
  void order(const char* a, const simd::OrderedRow& out) const { code_ops_->order(a, cols_, out); }
  void multiply_lone(int64_t first, int n, const simd::OrderedRow& row, float* c, bool add,
                     int64_t ahead) const;

  /// Asks the cache for what a later pack() will read, unless that one asks while it reads.
  void prefetch_panel(int64_t first, int64_t outputs, int64_t first_sum, int64_t sums) const {
    if (axis_ == Axis::columns) prefetch(first, outputs, first_sum, sums);
  }

  /// One row of the storage: in place, or decoded into scratch of cols elements.
  const char* decoded_row(int64_t row, char* scratch) const;

 private:
  enum class Access : uint8_t { direct, convert, decode, grouped, slow };

  int64_t stored(int64_t row) const { return row_map_ ? row_map_[row] : row; }
  const char* dense_row(int64_t row, int64_t col) const {
    return dense_ + (stored(row) * stride_ + col) * static_cast<int64_t>(size_of(dtype_));
  }
  const char* elements(int64_t row, int64_t first, int64_t n, char* scratch) const;
  void elements_of_rows(int64_t row0, int n, int64_t first, int64_t width, int64_t stride, char* scratch,
                        const char** rows) const;
  struct Bytes {
    const char* first;
    int64_t size;
  };
  Bytes stored_bytes(int64_t row, int64_t col, int64_t n) const;
  void prefetch(int64_t first, int64_t outputs, int64_t first_sum, int64_t sums) const;
  int64_t ahead_bytes(int64_t ahead) const;
  void choose_decoder(const Weight& w);
  void pack_columns(int64_t first, int outputs, int64_t first_sum, int64_t sums, int vectors, char* panel,
                    char* scratch) const;
  void pack_rows(int64_t first, int outputs, int64_t first_sum, int64_t sums, int vectors, char* panel,
                 char* scratch) const;

  const simd::PanelOps* ops_ = nullptr;
  Axis axis_ = Axis::columns;
  Access access_ = Access::direct;
  DType dtype_ = DType::f32;
  int64_t rows_ = 0, cols_ = 0, stride_ = 0;
  const char* dense_ = nullptr;
  const int32_t* row_map_ = nullptr;
  const Weight* weight_ = nullptr;
  simd::Codes codes_{};
  simd::Decoder decode_ = nullptr;
  const simd::CodeOps* code_ops_ = nullptr;
};

simd::Element element_of(DType d);

}  // namespace lorikeet::cpu
