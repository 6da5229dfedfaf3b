#include "train/adapter_start.h"

#include <algorithm>
#include <cmath>

#include "backend/args.h"
#include "backend/backend.h"
#include "backend/ref/common.h"
#include "core/error.h"
#include "core/philox.h"
#include "lora/decompose.h"
#include "lora/initial_values.h"
#include "quant/format.h"

namespace lorikeet {

namespace {

/// Runs an op outside a step, with workspace of its own.
template <class Args>
void run_alone(ThreadPool& threads, const Args& args) {
  Arena plan = Arena::dry();
  dispatch(Stream{Device::cpu, &threads, &plan}, args);
  Arena arena(plan.high_water());
  dispatch(Stream{Device::cpu, &threads, &arena}, args);
}

/// The columns of a matrix of doubles as the rows of an f32 tensor, and back.
struct Rows {
  explicit Rows(const Matrix& x)
      : values(x.values.begin(), x.values.end()), view(values.data(), {x.cols, x.rows}, DType::f32) {}
  Rows(int64_t rows, int64_t cols)
      : values(static_cast<size_t>(rows * cols)), view(values.data(), {rows, cols}, DType::f32) {}
  std::vector<float> values;
  TensorView view;
};

Matrix to_matrix(const Rows& rows) {
  Matrix m(rows.view.cols, rows.view.rows);
  std::copy(rows.values.begin(), rows.values.end(), m.values.begin());
  return m;
}

/// sum_i sign_i W_i for one or two weights, by the products that training uses.
class WeightSum {
 public:
  WeightSum(Weight plus, std::optional<Weight> minus, ThreadPool& threads)
      : plus_(plus), minus_(minus), threads_(threads) {}
  LinearOperator linear_operator() const {
    return {plus_.rows, plus_.cols, [this](const Matrix& x) { return times(x); },
            [this](const Matrix& x) { return transposed_times(x); }};
  }

 private:
  Matrix times(const Matrix& x) const {
    const Rows in(x);
    Rows out(x.cols, plus_.rows);
    run_alone(threads_, LinearArgs{out.view, in.view, &plus_, {}, {}, {}, {}});
    if (!minus_) return to_matrix(out);
    Rows rest(x.cols, plus_.rows);
    run_alone(threads_, LinearArgs{rest.view, in.view, &*minus_, {}, {}, {}, {}});
    return difference(out, rest);
  }
  Matrix transposed_times(const Matrix& x) const {
    const Rows in(x);
    Rows out(x.cols, plus_.cols);
    run_alone(threads_, LinearDxArgs{out.view, false, 1, {in.view}, {&plus_}, {}, {}});
    if (!minus_) return to_matrix(out);
    Rows rest(x.cols, plus_.cols);
    run_alone(threads_, LinearDxArgs{rest.view, false, 1, {in.view}, {&*minus_}, {}, {}});
    return difference(out, rest);
  }
  static Matrix difference(const Rows& a, const Rows& b) {
    Matrix m = to_matrix(a);
    for (size_t i = 0; i < m.values.size(); ++i) m.values[i] -= static_cast<double>(b.values[i]);
    return m;
  }

  Weight plus_;
  std::optional<Weight> minus_;
  ThreadPool& threads_;
};

struct Module {
  const Target& target;
  TensorView a, b;  ///< [r,in], [out,r]
};

/// B A = the r largest singular triples of the operator, over s; each factor takes the roots of the values.
void set_singular(const Module& m, const LinearOperator& w, uint64_t seed) {
  const Svd f = truncated_svd(w, m.target.r, seed ^ stable_hash(m.target.path));
  for (int64_t k = 0; k < m.target.r; ++k) {
    const double root = std::sqrt(f.s[static_cast<size_t>(k)] / m.target.scale);
    for (int64_t i = 0; i < m.a.cols; ++i) m.a.row<float>(k)[i] = static_cast<float>(root * f.v.at(i, k));
    for (int64_t i = 0; i < m.b.rows; ++i) m.b.row<float>(i)[k] = static_cast<float>(root * f.u.at(i, k));
  }
}

/// B = q of the first r columns of W, A = B^T W: the first r columns of q and rows of r of W = q r.
void set_orthonormal(const Module& m, const Weight& w, const LinearOperator& products) {
  Matrix first(w.rows, m.target.r);
  std::vector<float> row(static_cast<size_t>(m.target.r));
  for (int64_t i = 0; i < w.rows; ++i) {
    decode_rows(w, i, i + 1, 0, m.target.r, row.data(), m.target.r);
    for (int64_t k = 0; k < m.target.r; ++k)
      first.at(i, k) = static_cast<double>(row[static_cast<size_t>(k)]);
  }
  const Matrix q = qr(std::move(first)).q, a = products.transposed_times(q);
  for (int64_t k = 0; k < m.target.r; ++k) {
    for (int64_t i = 0; i < m.a.cols; ++i) m.a.row<float>(k)[i] = static_cast<float>(a.at(i, k));
    for (int64_t i = 0; i < m.b.rows; ++i) m.b.row<float>(i)[k] = static_cast<float>(q.at(i, k));
  }
}

/// A matrix as the file has it, in f32 and Hugging Face order: kernels read no file's own order of rows and
/// columns.
std::vector<float> file_values(const ModelFiles& files, const std::string& name) {
  const SourceTensor& t = files.at(name);
  std::vector<int32_t> map;
  const Weight w = stored_weight(t, files.spec(), map);
  std::vector<float> values(static_cast<size_t>(w.rows * w.cols));
  decode_rows(w, 0, w.rows, 0, w.cols, values.data(), w.cols);
  files.release(t);
  return values;
}

/// W -= s B A, in f32, rounded to the type of W.
void subtract(const Module& m, const TensorView& w, ThreadPool& threads) {
  threads.for_each(w.rows, [&](int64_t i, int) {
    for (int64_t k = 0; k < w.cols; ++k) {
      float sum = 0;
      for (int64_t r = 0; r < m.target.r; ++r) sum += m.b.row<float>(i)[r] * m.a.row<float>(r)[k];
      ref::write(w, i, k, ref::read<double>(w, i, k) - m.target.scale * static_cast<double>(sum));
    }
  });
}

}  // namespace

bool changes_base(LoraInit init) { return init == LoraInit::pissa || init == LoraInit::olora; }

void check_starts(const TrainableStore& store, const std::vector<Target>& targets, const ModelSpec& spec,
                  LoraInit init) {
  if (init == LoraInit::standard || init == LoraInit::gaussian) return;
  for (const Target& t : targets) {
    if (t.path == spec.names.embedding || t.path == spec.names.head)
      throw Error(ErrorKind::usage, fmt::format("module \"{}\" cannot start like this", t.path),
                  "init_lora_weights", "use default or gaussian, or leave embedding and head out");
    const int64_t in = store.find(t.path + ".lora_A.weight")->cols,
                  out = store.find(t.path + ".lora_B.weight")->rows;
    if (init == LoraInit::orthogonal && t.r % 2 != 0)
      throw Error(ErrorKind::usage, fmt::format("module \"{}\" has rank {}, which is odd", t.path, t.r),
                  "init_lora_weights", "orthogonal needs even ranks");
    if ((changes_base(init) || init == LoraInit::loftq) && t.r > std::min(in, out))
      throw Error(ErrorKind::usage,
                  fmt::format("module \"{}\" is [{},{}] and cannot have rank {}", t.path, out, in, t.r),
                  "init_lora_weights",
                  "lower lora_r or rank_pattern, or leave init_lora_weights at its default");
  }
}

void start_adapter(TrainableStore& store, const std::vector<Target>& targets, LoraInit init, uint64_t seed,
                   WeightStore& weights, ThreadPool& threads) {
  if (!changes_base(init) && init != LoraInit::loftq) {
    init_lora(store, seed, init);
    return;
  }
  for (const Target& t : targets) {
    const Module m{t, store.value_of(*store.find(t.path + ".lora_A.weight")),
                   store.value_of(*store.find(t.path + ".lora_B.weight"))};
    const std::string name = t.path + ".weight";
    const Weight w = weights.matrix(name, m.b.rows, m.a.cols);
    if (init == LoraInit::loftq) {
      std::vector<float> values = file_values(weights.files(), name);
      const TensorView whole(values.data(), {w.rows, w.cols}, DType::f32);
      set_singular(m, WeightSum(Weight::dense(whole), w, threads).linear_operator(), seed);
      continue;
    }
    const WeightSum sum(w, std::nullopt, threads);
    if (init == LoraInit::pissa)
      set_singular(m, sum.linear_operator(), seed);
    else
      set_orthonormal(m, w, sum.linear_operator());
    subtract(m, weights.writable(name), threads);
  }
  if (changes_base(init)) store.remember_start();
}

}  // namespace lorikeet
