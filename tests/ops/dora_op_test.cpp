#include <cmath>

#include "ops/dora.h"
#include "ops/linear.h"
#include "ops/op_test.h"

namespace lorikeet::testing {
namespace {

constexpr int64_t kTokens = 5, kIn = 6, kOut = 4, kRank = 2;

/// A layer with DoRA in double, and its output by definition.
struct DoraLayer {
  Matrix x{kTokens, kIn, 1}, w{kOut, kIn, 2}, bias{1, kOut, 3}, a{kRank, kIn, 4}, b{kOut, kRank, 5},
      m{1, kOut, 6}, scale = Matrix::zero(1, kOut), inverse_norm = Matrix::zero(1, kOut);
  Weight weight = Weight::dense(w.real());
  std::vector<int32_t> tokens = std::vector<int32_t>(kTokens), positions = {0, 1, 2, 0, 1};
  std::vector<RowSpan> rows = {{0, 3, 0, 3}, {3, 2, 3, 2}};
  std::vector<int64_t> ids = {17, 4};
  MicroBatch batch;
  Sequence seq;
  LinearGroup group;

  explicit DoraLayer(double dropout) {
    batch.tokens = tokens;
    batch.positions = positions;
    batch.rows = rows;
    batch.row_ids = ids;
    seq.batch = &batch;
    seq.dropout = {true, 3, 9};
    run_reference(DoraScaleArgs{inverse_norm.real(), scale.real(), m.real(), &weight, a.real(), b.real()});
    LinearSlot& s = group.slots[0];
    s.w = weight;
    s.bias = bias.real();
    s.lora_b = b.real();
    s.rank = kRank;
    s.dora = {scale.real(), inverse_norm.real(), {}};
    group.lora_a = a.real();
    group.dropout = dropout;
  }

  /// PEFT's DoraLinearLayer.forward: base(x) + (m / norm - 1) * W d + m / norm * B A d with d = dropout(x).
  std::vector<double> expected() {
    Matrix d = x;
    if (group.dropout > 0) {
      const uint64_t stream = seq.dropout.stream(group.slots[0].dropout_stream);
      run_reference(DropoutArgs{d.real(), x.real(), group.dropout, seq.dropout.seed, stream, &batch});
    }
    const auto product = [](Matrix& u, int64_t n, Matrix& v, int64_t o, int64_t inner) {
      double sum = 0;
      for (int64_t k = 0; k < inner; ++k)
        sum += u[static_cast<size_t>(n * inner + k)] * v[static_cast<size_t>(o * inner + k)];
      return sum;
    };
    std::vector<double> y;
    for (int64_t n = 0; n < kTokens; ++n)
      for (int64_t o = 0; o < kOut; ++o) {
        double squares = 0, low = 0;
        for (int64_t k = 0; k < kIn; ++k) {
          double v = w[static_cast<size_t>(o * kIn + k)];
          for (int64_t r = 0; r < kRank; ++r)
            v += b[static_cast<size_t>(o * kRank + r)] * a[static_cast<size_t>(r * kIn + k)];
          squares += v * v;
        }
        for (int64_t r = 0; r < kRank; ++r)
          low += b[static_cast<size_t>(o * kRank + r)] * product(d, n, a, r, kIn);
        const double g = m[static_cast<size_t>(o)] / std::sqrt(squares);
        y.push_back(product(x, n, w, o, kIn) + bias[static_cast<size_t>(o)] +
                    (g - 1) * product(d, n, w, o, kIn) + g * low);
      }
    return y;
  }

  std::vector<double> output() {
    Arena arena(size_t{1} << 22);
    ThreadPool threads(2);
    Tape tape({Device::reference, &threads, &arena}, DType::f64, 16);
    const Tape::HalfBlock scope(tape);
    const TensorView y = tape.value(linear_group(tape, group, tape.stored(x.real(), true), seq)[0]);
    return {y.as<double>(), y.as<double>() + y.count()};
  }
};

TEST(Dora, ScalesBaseAndAdapterTogether) {
  DoraLayer layer(0);
  const std::vector<double> found = layer.output(), expected = layer.expected();
  for (size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(found[i], expected[i], 1e-14) << i;
}

TEST(Dora, PassesDroppedInputsThroughTheBaseAlone) {
  DoraLayer layer(0.4);
  const std::vector<double> found = layer.output(), expected = layer.expected();
  for (size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(found[i], expected[i], 1e-14) << i;
  EXPECT_NE(found, DoraLayer(0).output());
}

}  // namespace
}  // namespace lorikeet::testing
