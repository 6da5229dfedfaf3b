#include "model/rope_table.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace lorikeet {

namespace {

/// Llama 3.1's scaling: low frequencies divided by `factor`, high ones kept, a linear blend between.
float llama3_frequency(const RopeSpec& r, float f) {
  const auto old_length = static_cast<double>(r.original_max_position_embeddings);
  const double wavelength = 2 * std::numbers::pi / static_cast<double>(f);
  if (wavelength > old_length / r.low_freq_factor)
    return static_cast<float>(static_cast<double>(f) / r.factor);
  if (wavelength < old_length / r.high_freq_factor) return f;
  const double smooth =
      (old_length / wavelength - r.low_freq_factor) / (r.high_freq_factor - r.low_freq_factor);
  return static_cast<float>((1 - smooth) * static_cast<double>(f) / r.factor +
                            smooth * static_cast<double>(f));
}

/// NTK scaling raises the base with the length of the row. Source:
/// https://github.com/jquesnelle/yarn (dynamic NTK)
double dynamic_theta(const RopeSpec& r, int64_t length) {
  const auto longest = static_cast<double>(r.original_max_position_embeddings),
             dim = static_cast<double>(r.rotary_dim);
  const double stretch = r.factor * std::max(static_cast<double>(length), longest) / longest - (r.factor - 1);
  return r.theta * std::pow(stretch, dim / (dim - 2));
}

/// Where YaRN stops keeping frequencies and starts to divide them. Source: https://arxiv.org/abs/2309.00071
struct YarnRamp {
  float low, high;
  explicit YarnRamp(const RopeSpec& r) {
    const auto dim = static_cast<double>(r.rotary_dim);
    const auto turning_at = [&](double rotations) {
      return dim *
             std::log(static_cast<double>(r.original_max_position_embeddings) /
                      (rotations * 2 * std::numbers::pi)) /
             (2 * std::log(r.theta));
    };
    double first = turning_at(r.beta_fast), last = turning_at(r.beta_slow);
    if (r.truncate) {
      first = std::floor(first);
      last = std::ceil(last);
    }
    first = std::max(first, 0.0);
    last = std::min(last, dim - 1);
    if (first == last) last += 0.001;
    low = static_cast<float>(first);
    high = static_cast<float>(last);
  }
  /// 0: kept, 1: divided.
  float at(int64_t j) const { return std::clamp((static_cast<float>(j) - low) / (high - low), 0.0f, 1.0f); }
};

/// The inverse frequencies of one row length, without memory of its own: it runs in every training step.
class Frequencies {
 public:
  Frequencies(const RopeSpec& rope, int64_t length)
      : r_(rope),
        theta_(static_cast<float>(rope.scaling == RopeScaling::dynamic ? dynamic_theta(rope, length)
                                                                       : rope.theta)),
        long_(length > rope.original_max_position_embeddings),
        ramp_(rope) {}
  int64_t count() const { return r_.rotary_dim / 2; }
  float operator[](int64_t j) const {
    const float turn = std::pow(theta_, static_cast<float>(2 * j) / static_cast<float>(r_.rotary_dim));
    const float f = 1.0f / turn;
    switch (r_.scaling) {
      case RopeScaling::none:
      case RopeScaling::dynamic:
        return f;
      case RopeScaling::linear:
        return static_cast<float>(static_cast<double>(f) / r_.factor);
      case RopeScaling::llama3:
        return llama3_frequency(r_, f);
      case RopeScaling::longrope:
        return 1.0f /
               (static_cast<float>((long_ ? r_.long_factor : r_.short_factor)[static_cast<size_t>(j)]) *
                turn);
      case RopeScaling::yarn: {
        const float part = ramp_.at(j);
        return 1.0f / (static_cast<float>(r_.factor) * turn) * part + f * (1 - part);
      }
    }
    return f;
  }

 private:
  const RopeSpec& r_;
  float theta_;
  bool long_;
  YarnRamp ramp_;
};

/// Rows [first, first + count) of a table for consecutive positions from `position` on.
void fill_rows(const RopeTable& table, int64_t first, int64_t count, int64_t position,
               const Frequencies& frequencies, double attention_factor) {
  const auto factor = static_cast<float>(attention_factor);
  for (int64_t j = 0; j < frequencies.count(); ++j) {
    const float f = frequencies[j];
    for (int64_t i = 0; i < count; ++i) {
      const float angle = static_cast<float>(position + i) * f;
      table.cos.row<float>(first + i)[j] = std::cos(angle) * factor;
      table.sin.row<float>(first + i)[j] = std::sin(angle) * factor;
    }
  }
}

}  // namespace

std::vector<float> rope_inverse_frequencies(const RopeSpec& rope, int64_t length) {
  const Frequencies frequencies(rope, length);
  std::vector<float> all;
  for (int64_t j = 0; j < frequencies.count(); ++j) all.push_back(frequencies[j]);
  return all;
}

void make_rope_tables(bool dry, Model& model) {
  const RopeSpec* specs[kRopes] = {&model.spec.rope,
                                   model.spec.window_rope ? &*model.spec.window_rope : nullptr};
  size_t bytes = 0;
  const auto table_bytes = [&](const RopeSpec& r) {
    return static_cast<size_t>(model.positions * (r.rotary_dim / 2)) * sizeof(float);
  };
  const auto wanted = [](const RopeSpec* r) { return r && r->rotary_dim > 0 && !r->by_length(); };
  for (const RopeSpec* r : specs)
    if (wanted(r)) bytes += 2 * table_bytes(*r);
  model.rope_memory = Buffer(bytes, "rope tables", dry);
  size_t at = 0;
  for (size_t i = 0; i < kRopes; ++i) {
    if (!wanted(specs[i])) continue;
    const Shape shape{model.positions, specs[i]->rotary_dim / 2};
    RopeTable& table = model.rope[i];
    table.cos = TensorView(model.rope_memory.at(at), shape, DType::f32);
    table.sin = TensorView(model.rope_memory.at(at + table_bytes(*specs[i])), shape, DType::f32);
    at += 2 * table_bytes(*specs[i]);
    if (dry) continue;
    fill_rows(table, 0, model.positions, 0, Frequencies(*specs[i], model.positions),
              specs[i]->attention_factor);
  }
}

void fill_rope_table(const RopeSpec& rope, const MicroBatch& batch, ThreadPool& threads,
                     const RopeTable& table) {
  threads.for_each(static_cast<int64_t>(batch.rows.size()), [&](int64_t i, int) {
    const RowSpan& row = batch.rows[static_cast<size_t>(i)];
    const int32_t length =
        batch.rope_lengths.empty() ? row.k_count : batch.rope_lengths[static_cast<size_t>(i)];
    fill_rows(table, row.q_begin, row.q_count, row.k_count - row.q_count, Frequencies(rope, length),
              rope.attention_factor);
  });
}

}  // namespace lorikeet
