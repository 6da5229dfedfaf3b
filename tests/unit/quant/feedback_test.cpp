#include <gmock/gmock.h>

#include <cmath>
#include <limits>

#include "core/philox.h"
#include "quant/bnb4_feedback.h"
#include "quant/format.h"
#include "unit/io/temp_folder.h"

namespace lorikeet::testing {
namespace {

std::vector<float> normal_values(int64_t n, uint64_t seed) {
  std::vector<float> v(static_cast<size_t>(n));
  const Philox random(seed, 0);
  for (size_t i = 0; i < v.size(); ++i) v[i] = static_cast<float>(random.normal(i));
  return v;
}

/// Square matrices of doubles.
struct Square {
  int64_t n;
  std::vector<double> v;
  explicit Square(int64_t n_) : n(n_), v(static_cast<size_t>(n_ * n_)) {}
  double& at(int64_t i, int64_t k) { return v[static_cast<size_t>(i * n + k)]; }
  double at(int64_t i, int64_t k) const { return v[static_cast<size_t>(i * n + k)]; }
};

/// X^T X of inputs that move together.
Square gram_of(int64_t k, uint64_t seed, int64_t tokens = 300) {
  std::vector<float> x = normal_values(tokens * k, seed);
  Square g(k);
  for (int64_t t = 0; t < tokens; ++t) {
    float* row = x.data() + t * k;
    for (int64_t i = 1; i < k; ++i) row[i] = 0.8f * row[i - 1] + 0.6f * row[i];
    for (int64_t i = 0; i < k; ++i)
      for (int64_t j = 0; j < k; ++j) g.at(i, j) += static_cast<double>(row[i]) * static_cast<double>(row[j]);
  }
  return g;
}

Square damped(Square g) {
  double trace = 0;
  for (int64_t i = 0; i < g.n; ++i) trace += g.at(i, i);
  for (int64_t i = 0; i < g.n; ++i) g.at(i, i) += 0.01 * trace / static_cast<double>(g.n);
  return g;
}

/// A factored copy of g.
struct Factored {
  std::vector<float> memory;
  ErrorFeedback feedback;
  Factored(const Square& g, ThreadPool& threads, int vector_bytes = widest_encoder())
      : memory(g.v.begin(), g.v.end()),
        feedback(TensorView(memory.data(), {g.n, g.n}, DType::f32), threads, vector_bytes) {}
};

class FeedbackTest : public ::testing::Test {
 protected:
  ThreadPool threads_{2};
};

TEST_F(FeedbackTest, TheFactorsMultiplyToTheDampedProduct) {
  for (const int64_t k : {1, 5, 64, 65, 130, 203}) {
    SCOPED_TRACE(k);
    const Square g = gram_of(k, 1), wanted = damped(g);
    const Factored f(g, threads_);
    const auto u = [&](int64_t j, int64_t m) {
      return j == m ? 1.0 : j < m ? static_cast<double>(f.feedback.weights(m)[j]) : 0.0;
    };
    for (int64_t i = 0; i < k; ++i)
      for (int64_t j = 0; j < k; ++j) {
        double sum = 0;
        for (int64_t m = 0; m < k; ++m) sum += u(i, m) * static_cast<double>(f.feedback.d(m)) * u(j, m);
        // G and the factors are held in f32: 2^-24 of each of a few terms as large as the diagonal.
        ASSERT_NEAR(sum, wanted.at(i, j), 1e-6 * wanted.at(i, i) + 1e-6 * wanted.at(j, j)) << i << " " << j;
      }
  }
}

TEST_F(FeedbackTest, InputsThatAreNeverThereGiveNoFeedback) {
  const Factored f(Square(70), threads_);
  for (int64_t k = 0; k < 70; ++k) {
    EXPECT_EQ(f.feedback.d(k), 1);
    for (int64_t j = 0; j < k; ++j) EXPECT_EQ(f.feedback.weights(k)[j], 0);
  }
}

TEST_F(FeedbackTest, InputsThatAreNotFiniteAreRefused) {
  Square g = gram_of(8, 1);
  g.at(3, 3) = std::numeric_limits<double>::infinity();
  expect_error([&] { Factored(g, threads_); }, ErrorKind::format, {"not finite on the calibration rows"});
}

struct Encoded {
  std::vector<uint8_t> codes;
  std::vector<float> absmax;
  OutputError error;
};

Encoded encode(const Weight& w, const Bnb4Options& o, const ErrorFeedback& f, ThreadPool& threads,
               DType round_to = DType::f32, int vector_bytes = widest_encoder()) {
  const int64_t n = w.rows * w.cols;
  Encoded e{std::vector<uint8_t>(static_cast<size_t>(n / 2)),
            std::vector<float>(static_cast<size_t>(n / o.blocksize)),
            {}};
  e.error = encode_bnb4_with_feedback(w, o, f, e.codes.data(), e.absmax.data(), "x", round_to, threads,
                                      vector_bytes);
  return e;
}

Encoded encode_nearest(const Weight& w, const Bnb4Options& o, DType round_to = DType::f32) {
  const int64_t n = w.rows * w.cols, blocks = n / o.blocksize;
  Encoded e{
      std::vector<uint8_t>(static_cast<size_t>(n / 2)), std::vector<float>(static_cast<size_t>(blocks)), {}};
  encode_bnb4(w, o, 0, blocks, e.codes.data(), e.absmax.data(), "x", round_to);
  return e;
}

double decoded(const Encoded& e, const Bnb4Options& o, int64_t flat) {
  const uint8_t byte = e.codes[static_cast<size_t>(flat / 2)];
  const float value = code_of(o.type)[flat % 2 ? byte & 15 : byte >> 4];
  return static_cast<double>(value * e.absmax[static_cast<size_t>(flat / o.blocksize)]);
}

/// The distance of x to the nearest code under a scale.
double distance(const Bnb4Options& o, double x, double scale) {
  double least = std::numeric_limits<double>::infinity();
  for (const float value : code_of(o.type))
    least = std::min(least, std::abs(x - static_cast<double>(value) * scale));
  return least;
}

/// sum over the rows e of the error of e G e^T.
double output_error(const Weight& w, const Encoded& e, const Bnb4Options& o, const Square& g) {
  double sum = 0;
  for (int64_t i = 0; i < w.rows; ++i) {
    std::vector<double> error;
    for (int64_t k = 0; k < w.cols; ++k)
      error.push_back(static_cast<double>(static_cast<const float*>(w.data)[i * w.cols + k]) -
                      decoded(e, o, i * w.cols + k));
    for (int64_t j = 0; j < w.cols; ++j)
      for (int64_t k = 0; k < w.cols; ++k)
        sum += error[static_cast<size_t>(j)] * g.at(j, k) * error[static_cast<size_t>(k)];
  }
  return sum;
}

const Bnb4Options kOptions[] = {
    {Bnb4Type::nf4, 64, false}, {Bnb4Type::fp4, 32, false}, {Bnb4Type::nf4, 128, false}};
constexpr int64_t kRows = 19, kCols = 128;

TEST_F(FeedbackTest, InputsThatMoveAloneGiveTheNearestCodesOfTheirScales) {
  const std::vector<float> values = normal_values(kRows * kCols, 2);
  const Weight w = Weight::dense(TensorView(const_cast<float*>(values.data()), {kRows, kCols}, DType::f32));
  Square g(kCols);
  for (int64_t k = 0; k < kCols; ++k) g.at(k, k) = 1 + static_cast<double>(k);
  const Factored f(g, threads_);
  for (const Bnb4Options& o : kOptions)
    for (const DType round_to : {DType::f32, DType::bf16}) {
      const Encoded found = encode(w, o, f.feedback, threads_, round_to),
                    nearest = encode_nearest(w, o, round_to);
      EXPECT_LT(found.error.square, found.error.square_plain);
      for (int64_t i = 0; i < w.rows * w.cols; ++i) {
        const auto block = static_cast<size_t>(i / o.blocksize);
        const float share = found.absmax[block] / nearest.absmax[block];
        ASSERT_GE(share, 0.6f - 1e-6f);
        ASSERT_LE(share, 1.0f);
        float x = values[static_cast<size_t>(i)];
        if (round_to == DType::bf16) x = to_float(to_bf16(x));
        const double least = distance(o, static_cast<double>(x), static_cast<double>(found.absmax[block]));
        // At a mid-point either neighbour is right, up to the rounding of x / absmax.
        ASSERT_NEAR(std::abs(static_cast<double>(x) - decoded(found, o, i)), least, 1e-6) << i;
      }
    }
}

TEST_F(FeedbackTest, TheErrorIsSmallerAndIsTheOneThatIsReported) {
  const std::vector<float> values = normal_values(kRows * kCols, 2);
  const Weight w = Weight::dense(TensorView(const_cast<float*>(values.data()), {kRows, kCols}, DType::f32));
  const Square g = gram_of(kCols, 3), with_damping = damped(g);
  const Factored f(g, threads_);
  for (const Bnb4Options& o : kOptions) {
    const Encoded found = encode(w, o, f.feedback, threads_), nearest = encode_nearest(w, o);
    // Sums of 2,432 products in f32.
    EXPECT_NEAR(found.error.square / output_error(w, found, o, with_damping), 1, 1e-4);
    EXPECT_NEAR(found.error.square_plain / output_error(w, nearest, o, with_damping), 1, 1e-4);
    EXPECT_LT(found.error.square, 0.5 * found.error.square_plain);  // of inputs that correlate by 0.8
  }
}

/// The inverse by Gauss and Jordan; g is positive definite.
Square inverse(Square g) {
  Square x(g.n);
  for (int64_t i = 0; i < g.n; ++i) x.at(i, i) = 1;
  for (int64_t p = 0; p < g.n; ++p) {
    const double pivot = g.at(p, p);
    for (int64_t k = 0; k < g.n; ++k) g.at(p, k) /= pivot, x.at(p, k) /= pivot;
    for (int64_t i = 0; i < g.n; ++i) {
      const double c = g.at(i, p);
      for (int64_t k = 0; i != p && k < g.n; ++k) g.at(i, k) -= c * g.at(p, k), x.at(i, k) -= c * x.at(p, k);
    }
  }
  return x;
}

/// D of the factors: what is left of G's inverse at each column, when those before it are taken out, is 1 /
/// D.
std::vector<double> pivots(Square left) {
  std::vector<double> d;
  for (int64_t k = 0; k < left.n; ++k) {
    d.push_back(1 / left.at(k, k));
    const Square before = left;
    for (int64_t i = k; i < left.n; ++i)
      for (int64_t j = k; j < left.n; ++j)
        left.at(i, j) -= before.at(i, k) * before.at(k, j) / before.at(k, k);
  }
  return d;
}

/// GPTQ as its paper has it, on one row: each error is spread over the columns behind it by the inverse of
/// what is left of G. `at_block(first, row)` and `at(k, value)` see the row as it then is; `rounded(k)` gives
/// what column k became.
template <class AtBlock, class At, class Rounded>
void spread_errors(std::vector<double> row, Square left, int64_t blocksize, const AtBlock& at_block,
                   const At& at, const Rounded& rounded) {
  for (int64_t k = 0; k < left.n; ++k) {
    if (k % blocksize == 0) at_block(k, row);
    at(k, row[static_cast<size_t>(k)]);
    const double error = (row[static_cast<size_t>(k)] - rounded(k)) / left.at(k, k);
    for (int64_t j = k + 1; j < left.n; ++j) row[static_cast<size_t>(j)] -= error * left.at(k, j);
    const Square before = left;
    for (int64_t i = k; i < left.n; ++i)
      for (int64_t j = k; j < left.n; ++j)
        left.at(i, j) -= before.at(i, k) * before.at(k, j) / before.at(k, k);
  }
}

TEST_F(FeedbackTest, CodesAreThoseOfTheInverseThatTheMethodSpreadsErrorsBy) {
  const std::vector<float> values = normal_values(3 * kCols, 4);
  const Weight w = Weight::dense(TensorView(const_cast<float*>(values.data()), {3, kCols}, DType::f32));
  const Square g = gram_of(kCols, 5), inverse_of_g = inverse(damped(g));
  const std::vector<double> d = pivots(inverse_of_g);
  const Factored f(g, threads_);
  for (const Bnb4Options& o : kOptions) {
    const Encoded e = encode(w, o, f.feedback, threads_);
    for (int64_t i = 0; i < w.rows; ++i) {
      const auto absmax = [&](int64_t k) {
        return static_cast<double>(e.absmax[static_cast<size_t>((i * kCols + k) / o.blocksize)]);
      };
      spread_errors(
          {values.begin() + i * kCols, values.begin() + (i + 1) * kCols}, inverse_of_g, o.blocksize,
          [&](int64_t first, const std::vector<double>& row) {
            double largest = 0;
            for (int64_t k = first; k < first + o.blocksize; ++k)
              largest = std::max(largest, std::abs(row[static_cast<size_t>(k)]));
            const auto error_at = [&](double scale) {
              double sum = 0;
              for (int64_t k = first; k < first + o.blocksize; ++k)
                sum +=
                    d[static_cast<size_t>(k)] * std::pow(distance(o, row[static_cast<size_t>(k)], scale), 2);
              return sum;
            };
            double least = std::numeric_limits<double>::infinity();
            for (int step = 0; step <= 16; ++step)
              least = std::min(least, error_at(largest * (1 - step / 40.0)));
            const double step = 40 * (1 - absmax(first) / largest);
            // Sums of up to 128 products in f32; two scales may be equally good up to that.
            EXPECT_NEAR(step, std::round(step), 1e-2) << i << " " << first;
            EXPECT_LE(error_at(absmax(first)), least * 1.001) << i << " " << first;
          },
          [&](int64_t k, double target) {
            EXPECT_NEAR(std::abs(target - decoded(e, o, i * kCols + k)), distance(o, target, absmax(k)), 1e-4)
                << i << " " << k;
          },
          [&](int64_t k) { return decoded(e, o, i * kCols + k); });
    }
  }
}

TEST_F(FeedbackTest, ThreadsChangeNoBit) {
  const std::vector<float> values = normal_values(50 * 192, 6);
  const Weight w = Weight::dense(TensorView(const_cast<float*>(values.data()), {50, 192}, DType::f32));
  const Square g = gram_of(192, 7);
  ThreadPool one(1), three(3);
  const Factored a(g, one), b(g, three);
  EXPECT_EQ(a.memory, b.memory);
  const Encoded x = encode(w, kOptions[0], a.feedback, one), y = encode(w, kOptions[0], b.feedback, three);
  EXPECT_EQ(x.codes, y.codes);
  EXPECT_EQ(x.absmax, y.absmax);
  EXPECT_EQ(x.error.square, y.error.square);
}

TEST_F(FeedbackTest, VectorsOfEveryWidthGiveTheSameBits) {
  const std::vector<float> values = normal_values(50 * 192, 6);
  const Weight w = Weight::dense(TensorView(const_cast<float*>(values.data()), {50, 192}, DType::f32));
  const Square g = gram_of(192, 7);
  const Factored narrow(g, threads_, 16);
  const Encoded x = encode(w, kOptions[0], narrow.feedback, threads_, DType::f32, 16);
  for (int bytes = 32; bytes <= widest_encoder(); bytes *= 2) {
    const Factored wide(g, threads_, bytes);
    EXPECT_EQ(narrow.memory, wide.memory);
    const Encoded y = encode(w, kOptions[0], wide.feedback, threads_, DType::f32, bytes);
    EXPECT_EQ(x.codes, y.codes);
    EXPECT_EQ(x.absmax, y.absmax);
  }
}

TEST_F(FeedbackTest, ElementsThatAreNotFiniteAreNamed) {
  std::vector<float> values = normal_values(kRows * kCols, 2);
  values[static_cast<size_t>(7 * kCols + 5)] = std::numeric_limits<float>::quiet_NaN();
  const Weight w = Weight::dense(TensorView(values.data(), {kRows, kCols}, DType::f32));
  const Factored f(gram_of(kCols, 3), threads_);
  expect_error([&] { encode(w, kOptions[0], f.feedback, threads_); }, ErrorKind::format,
               {"element [7,5] is nan", "tensor 'x'"});
}

TEST_F(FeedbackTest, SumsThatOverflowAreRefused) {
  std::vector<float> values(static_cast<size_t>(kCols), 3e38f);
  for (size_t k = 0; k < values.size(); k += 3) values[k] = -2e38f;
  const Weight w = Weight::dense(TensorView(values.data(), {1, kCols}, DType::f32));
  const Factored f(gram_of(kCols, 3), threads_);
  expect_error([&] { encode(w, kOptions[0], f.feedback, threads_); }, ErrorKind::format, {"overflow"});
}

}  // namespace
}  // namespace lorikeet::testing
