#pragma once
#include <cstdint>

#include "core/dtype.h"
#include "core/error.h"

namespace lorikeet {

struct Shape {
  int64_t rows = 0, cols = 0;
  int64_t count() const { return rows * cols; }
  bool operator==(const Shape&) const = default;
};

/// A matrix somebody else owns: pointer, shape, row stride (in elements) and element type. Copied freely.
/// A vector [C] is a matrix [1,C]. An empty view (no rows) means "absent" or "not wanted". On a dry run
/// (planning) `data` is null and only the shape counts.
struct TensorView {
  void* data = nullptr;
  int64_t rows = 0, cols = 0, stride = 0;
  DType dtype = DType::f32;

  TensorView() = default;
  TensorView(void* p, Shape s, DType d) : data(p), rows(s.rows), cols(s.cols), stride(s.cols), dtype(d) {}

  explicit operator bool() const { return rows != 0; }
  Shape shape() const { return {rows, cols}; }
  int64_t count() const { return rows * cols; }
  bool contiguous() const { return stride == cols || rows <= 1; }
  size_t size_bytes() const { return static_cast<size_t>(count()) * size_of(dtype); }

  /// Pointer to the elements, checked against the view's type.
  template <class T>
  T* as() const {
    LORIKEET_CHECK(DTypeOf<T>::value == dtype);
    return static_cast<T*>(data);
  }
  template <class T>
  T* row(int64_t r) const {
    return as<T>() + r * stride;
  }

  /// The columns [first, first + n) of every row, over the same memory.
  TensorView columns(int64_t first, int64_t n) const {
    TensorView v = *this;
    if (data) v.data = static_cast<char*>(data) + static_cast<size_t>(first) * size_of(dtype);
    v.cols = n;
    return v;
  }
  TensorView row_range(int64_t first, int64_t n) const {
    TensorView v = *this;
    if (data) v.data = static_cast<char*>(data) + static_cast<size_t>(first * stride) * size_of(dtype);
    v.rows = n;
    return v;
  }
  /// The same elements as [rows*cols / c, c]; only for contiguous views.
  TensorView reshaped(int64_t c) const {
    LORIKEET_CHECK(contiguous() && count() % c == 0);
    return TensorView(data, {count() / c, c}, dtype);
  }
};

}  // namespace lorikeet
