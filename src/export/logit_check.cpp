#include "export/logit_check.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "core/philox.h"
#include "model/decoder.h"

namespace lorikeet {

namespace {

/// Logits [T,V] of one row.
std::vector<float> logits_of(const Model& model, const std::vector<int32_t>& ids, ThreadPool& threads) {
  const auto n = static_cast<int32_t>(ids.size());
  std::vector<int32_t> positions(ids.size());
  std::iota(positions.begin(), positions.end(), 0);
  const RowSpan span{0, n, 0, n};
  MicroBatch batch;
  batch.tokens = ids;
  batch.positions = positions;
  batch.rows = {&span, 1};
  const Shape shape{n, model.head.vocab_size()};
  Arena plan = Arena::dry();
  Decoder(model, Stream{Device::cpu, &threads, &plan})
      .logits(batch, {}, {}, positions, TensorView(nullptr, shape, DType::f32));
  Arena arena(plan.high_water());
  std::vector<float> out(static_cast<size_t>(shape.count()));
  Decoder(model, Stream{Device::cpu, &threads, &arena})
      .logits(batch, {}, {}, positions, TensorView(out.data(), shape, DType::f32));
  return out;
}

double log_sum_exp(std::span<const float> x) {
  const double largest = static_cast<double>(*std::max_element(x.begin(), x.end()));
  double sum = 0;
  for (const float v : x) sum += std::exp(static_cast<double>(v) - largest);
  return largest + std::log(sum);
}

struct Sums {
  double largest = 0, absolute = 0, square = 0, reference_square = 0, kl = 0;
  bool finite = true;

  /// One token.
  void add(std::span<const float> a, std::span<const float> b) {
    const double norm_a = log_sum_exp(a), norm_b = log_sum_exp(b);
    const double mean = std::accumulate(a.begin(), a.end(), 0.0) / static_cast<double>(a.size());
    for (size_t i = 0; i < a.size(); ++i) {
      const auto x = static_cast<double>(a[i]), y = static_cast<double>(b[i]), d = x - y;
      largest = std::max(largest, std::abs(d));
      absolute += std::abs(d);
      square += d * d;
      reference_square += (x - mean) * (x - mean);
      kl += std::exp(x - norm_a) * ((x - norm_a) - (y - norm_b));
    }
    finite = finite && std::isfinite(norm_a) && std::isfinite(norm_b) && std::isfinite(square);
  }
};

}  // namespace

LogitDifference compare_logits(const Model& reference, const Model& other,
                               const std::vector<std::vector<int32_t>>& rows, ThreadPool& threads) {
  LORIKEET_CHECK(reference.spec.vocab_size == other.spec.vocab_size);
  Sums sums;
  LogitDifference d;
  const auto vocab = static_cast<size_t>(reference.spec.vocab_size);
  for (const std::vector<int32_t>& ids : rows) {
    const std::vector<float> a = logits_of(reference, ids, threads), b = logits_of(other, ids, threads);
    for (size_t t = 0; t < ids.size(); ++t)
      sums.add(std::span(a).subspan(t * vocab, vocab), std::span(b).subspan(t * vocab, vocab));
    d.tokens += static_cast<int64_t>(ids.size());
  }
  const double count = static_cast<double>(d.tokens) * static_cast<double>(vocab);
  d.largest = sums.largest;
  d.mean = sums.absolute / count;
  d.kl = std::max(0.0, sums.kl / static_cast<double>(d.tokens));  // rounding can make it a hair negative
  d.relative = std::sqrt(sums.square / sums.reference_square);
  if (!sums.finite) d.largest = d.mean = d.kl = d.relative = std::numeric_limits<double>::infinity();
  return d;
}

std::vector<std::vector<int32_t>> sample_rows(const ModelFiles& files) {
  const int64_t longest = std::min<int64_t>(64, files.spec().max_position_embeddings);
  std::vector<std::vector<int32_t>> rows;
  try {
    const Tokenizer tokenizer = files.tokenizer();
    for (const char* text :
         {"The capital of France is Paris, and the capital of Italy is", "def add(a, b):\n    return a + b\n",
          "Question: what is 12 times 7?\nAnswer: 84. Remind me to call Anna at 7:30 tomorrow."}) {
      std::vector<int32_t> ids = tokenizer.encode(text, true);
      std::erase_if(ids, [&](int32_t id) { return id >= files.spec().vocab_size; });
      ids.resize(std::min(ids.size(), static_cast<size_t>(longest)));
      if (!ids.empty()) rows.push_back(std::move(ids));
    }
  } catch (const Error&) {
    // A folder without a tokenizer is fine here: the random rows below are enough.
  }
  const Philox random(1, stable_hash("sample rows"));
  for (const int64_t length : {int64_t{7}, longest}) {
    std::vector<int32_t> ids;
    for (int64_t i = 0; i < std::min(length, longest); ++i)
      ids.push_back(static_cast<int32_t>(random.below(static_cast<uint64_t>(length * 1000 + i),
                                                      static_cast<uint64_t>(files.spec().vocab_size))));
    rows.push_back(std::move(ids));
  }
  return rows;
}

}  // namespace lorikeet
