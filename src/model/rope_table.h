#pragma once
#include "model/model.h"

namespace lorikeet {

/// Inverse frequencies [rotary_dim/2] of a row of `length` tokens, in f32 and in the order of operations of
/// transformers' modeling_rope_utils.
std::vector<float> rope_inverse_frequencies(const RopeSpec& rope, int64_t length);

/// Makes the tables of all positions [0, model.positions); dry: sizes only.
void make_rope_tables(bool dry, Model& model);

/// For frequencies that depend on the length: one table row per token of the batch, by the length of its row
/// so far. `table` [N, rotary_dim/2].
void fill_rope_table(const RopeSpec& rope, const MicroBatch& batch, ThreadPool& threads,
                     const RopeTable& table);

}  // namespace lorikeet
