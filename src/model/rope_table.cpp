#include "model/rope_table.h"

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

}  // namespace

std::vector<float> rope_inverse_frequencies(const RopeSpec& rope) {
  std::vector<float> frequencies;
  for (int64_t j = 0; j < rope.rotary_dim; j += 2) {
    const float exponent = static_cast<float>(j) / static_cast<float>(rope.rotary_dim);
    float f = 1.0f / std::pow(static_cast<float>(rope.theta), exponent);
    if (rope.scaling == RopeScaling::linear) f = static_cast<float>(static_cast<double>(f) / rope.factor);
    if (rope.scaling == RopeScaling::llama3) f = llama3_frequency(rope, f);
    frequencies.push_back(f);
  }
  return frequencies;
}

void make_rope_table(const RopeSpec& rope, int64_t positions, bool dry, Model& model) {
  const int64_t half = rope.rotary_dim / 2;
  const size_t bytes = static_cast<size_t>(positions * half) * sizeof(float);
  model.rope_memory = Buffer(2 * bytes, "rope tables", dry);
  model.rope_cos = TensorView(model.rope_memory.at(0), {positions, half}, DType::f32);
  model.rope_sin = TensorView(model.rope_memory.at(bytes), {positions, half}, DType::f32);
  if (dry) return;
  const std::vector<float> frequencies = rope_inverse_frequencies(rope);
  for (int64_t p = 0; p < positions; ++p)
    for (int64_t j = 0; j < half; ++j) {
      const float angle = static_cast<float>(p) * frequencies[static_cast<size_t>(j)];
      model.rope_cos.row<float>(p)[j] = std::cos(angle);
      model.rope_sin.row<float>(p)[j] = std::sin(angle);
    }
}

}  // namespace lorikeet
