#pragma once
#include "model/model.h"

namespace lorikeet {

/// Inverse frequencies [rotary_dim/2], in f32 and in the order of operations of transformers'
/// modeling_rope_utils.
std::vector<float> rope_inverse_frequencies(const RopeSpec& rope);

/// Fills model.rope_cos and rope_sin for positions [0, positions); dry: sizes only.
void make_rope_table(const RopeSpec& rope, int64_t positions, bool dry, Model& model);

}  // namespace lorikeet
