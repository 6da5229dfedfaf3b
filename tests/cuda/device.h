#pragma once
// Operands in device memory and one-call runs of the CUDA backend's kernels.
#include <cuda_runtime_api.h>

#include <memory>

#include "backend/cuda/kernels.h"
#include "unit/backend/kernel_test_support.h"

namespace lorikeet::test {

inline void expect_success(cudaError_t status) {
  ASSERT_EQ(status, cudaSuccess) << cudaGetErrorString(status);
}

/// Skips every test where there is no GPU.
class OnDevice : public ::testing::Test {
 protected:
  void SetUp() override {
    int devices = 0;
    if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0)
      GTEST_SKIP() << "there is no CUDA device";
  }
};

/// Device memory, all bytes 0xff (NaN) or a copy of host memory.
class DeviceBytes {
 public:
  explicit DeviceBytes(size_t bytes) {
    void* p = nullptr;
    expect_success(cudaMalloc(&p, bytes + 1));
    memory_.reset(p);
    expect_success(cudaMemset(p, 0xff, bytes + 1));
  }
  DeviceBytes(const void* from, size_t bytes) : DeviceBytes(bytes) {
    expect_success(cudaMemcpy(memory_.get(), from, bytes, cudaMemcpyHostToDevice));
  }
  void* data() const { return memory_.get(); }

 private:
  struct Free {
    void operator()(void* p) const { cudaFree(p); }
  };
  std::unique_ptr<void, Free> memory_;
};

inline size_t bytes_of(const Matrix& m) {
  return (static_cast<size_t>(m.view().rows * m.view().stride) + 64) * size_of(m.view().dtype);
}

/// A copy of a matrix in device memory, with its stride and the pattern between its rows.
class DeviceMatrix {
 public:
  explicit DeviceMatrix(const Matrix& m) : host_(m), bytes_(m.view().data, bytes_of(m)), view_(m.view()) {
    view_.data = bytes_.data();
  }
  operator TensorView() const { return view_; }
  const TensorView& view() const { return view_; }
  Matrix download() const {
    Matrix m = host_;
    expect_success(cudaMemcpy(m.view().data, bytes_.data(), bytes_of(m), cudaMemcpyDeviceToHost));
    return m;
  }

 private:
  Matrix host_;
  DeviceBytes bytes_;
  TensorView view_;
};

/// Numbers in device memory.
template <class T>
class DeviceArray {
 public:
  explicit DeviceArray(const std::vector<T>& from)
      : count_(from.size()), bytes_(from.data(), count_ * sizeof(T)) {}
  T* data() const { return static_cast<T*>(bytes_.data()); }
  std::vector<T> download() const {
    std::vector<T> to(count_);
    expect_success(cudaMemcpy(to.data(), bytes_.data(), count_ * sizeof(T), cudaMemcpyDeviceToHost));
    return to;
  }

 private:
  size_t count_;
  DeviceBytes bytes_;
};

/// A dense or bnb4 weight in device memory, tables included.
class DeviceWeight {
 public:
  explicit DeviceWeight(const OwnedWeight& from) : w_(from.w) {
    w_.data = copy(from.data.data(), from.data.size());
    if (w_.format != WeightFormat::bnb4) return;
    w_.code = copy(w_.code, 16);
    if (w_.absmax) {
      w_.absmax = copy(from.absmax.data(), from.absmax.size());
      return;
    }
    w_.absmax_codes = copy(from.absmax_codes.data(), from.absmax_codes.size());
    w_.nested_absmax = copy(from.nested_absmax.data(), from.nested_absmax.size());
    w_.nested_code = copy(w_.nested_code, 256);
  }
  const Weight& operator*() const { return w_; }

 private:
  template <class T>
  const T* copy(const T* from, size_t count) {
    parts_.push_back(std::make_unique<DeviceBytes>(from, count * sizeof(T)));
    return static_cast<const T*>(parts_.back()->data());
  }
  Weight w_;
  std::vector<std::unique_ptr<DeviceBytes>> parts_;
};

/// Runs the first kernel of the CUDA backend that takes these arguments, on workspace full of NaN, to its
/// end.
template <class Args>
void run_on_device(const Args& args) {
  for (const Kernel<Args>& k : cuda_kernels<Args>()) {
    if (const char* why = k.reject(args)) {
      ADD_FAILURE() << k.name << ": " << why;
      continue;
    }
    const DeviceBytes workspace(k.workspace_bytes ? k.workspace_bytes(args, 1) : 0);
    ThreadPool threads(1);
    k.run(args, {threads, workspace.data()});
    expect_success(cudaDeviceSynchronize());
    return;
  }
}

/// Runs the reference backend on operands in host memory.
template <class Args>
void run_reference(const Args& args) {
  ThreadPool threads(1);
  Arena arena(size_t{1} << 22);
  dispatch(Stream{Device::reference, &threads, &arena}, args);
}

/// The values of a matrix as doubles.
inline Matrix wide(const TensorView& v) {
  Matrix m(v.rows, v.cols, DType::f64);
  for (int64_t r = 0; r < v.rows; ++r)
    for (int64_t c = 0; c < v.cols; ++c) set_value(m.view(), r, c, value_at(v, r, c));
  return m;
}

/// Shapes of ops that go over elements or rows: one row, rows of one warp and of a block, whole groups of 16
/// bytes and not, more rows than a block of a column sum takes.
inline constexpr Shape kRowShapes[] = {{1, 1},    {1, 576},  {3, 577},  {37, 128}, {9, 1024},
                                       {2, 1025}, {5, 4096}, {3, 5001}, {300, 72}, {1300, 37}};
/// Elements between rows: none, and some that keep rows on 16 bytes or do not.
inline constexpr int64_t kGaps[] = {0, 8, 3};

/// f(type, shape, gap) for every compute type, shape and gap.
template <class F>
void for_each_row_case(const F& f) {
  for (const DType type : kComputeTypes)
    for (const Shape& s : kRowShapes)
      for (const int64_t gap : kGaps) {
        SCOPED_TRACE(fmt::format("{} {}x{}, gap {}", name_of(type), s.rows, s.cols, gap));
        f(type, s, gap);
      }
}

/// Of a result that is computed in f32 and rounded once: bf16 numbers are at most 2^-8 off, 2^-16 squared; a
/// few roundings and functions of f32 stay near 1e-14.
inline double one_rounding(DType type) { return type == DType::bf16 ? 1.6e-5 : 1e-12; }

/// A weight as the CPU decodes it, rounded to `dtype`.
inline Matrix decoded(const Weight& w, DType dtype) {
  std::vector<float> row(static_cast<size_t>(w.cols));
  Matrix m(w.rows, w.cols, dtype);
  for (int64_t r = 0; r < w.rows; ++r) {
    decode_rows(w, r, r + 1, 0, w.cols, row.data(), w.cols);
    for (int64_t c = 0; c < w.cols; ++c) set_value(m.view(), r, c, row[static_cast<size_t>(c)]);
  }
  return m;
}

}  // namespace lorikeet::test
