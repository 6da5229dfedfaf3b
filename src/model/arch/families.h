#pragma once
// One function per file of this folder.
#include <algorithm>
#include <functional>

#include "model/arch/hf_config.h"

namespace lorikeet {

ModelSpec cohere_spec(const HfConfig& c);
ModelSpec falcon_spec(const HfConfig& c);
ModelSpec gemma_spec(const HfConfig& c);
ModelSpec gemma2_spec(const HfConfig& c);
ModelSpec gemma3_spec(const HfConfig& c);
ModelSpec gpt2_spec(const HfConfig& c);
ModelSpec gpt_neox_spec(const HfConfig& c);
ModelSpec granite_spec(const HfConfig& c);
ModelSpec llama_spec(const HfConfig& c);
ModelSpec mistral_spec(const HfConfig& c);
ModelSpec mixtral_spec(const HfConfig& c);
ModelSpec olmo2_spec(const HfConfig& c);
ModelSpec opt_spec(const HfConfig& c);
ModelSpec phi_spec(const HfConfig& c);
ModelSpec phi3_spec(const HfConfig& c);
ModelSpec qwen2_spec(const HfConfig& c);
ModelSpec qwen3_spec(const HfConfig& c);
ModelSpec qwen3_moe_spec(const HfConfig& c);
ModelSpec smollm3_spec(const HfConfig& c);
ModelSpec stablelm_spec(const HfConfig& c);
ModelSpec starcoder2_spec(const HfConfig& c);

// Shared by the families.

Activation read_activation(const HfConfig& c, const std::string& key, const std::string& fallback);

/// What a family's rotary embedding is where its configuration says nothing.
struct RopeDefaults {
  double theta = 10000, partial_rotary_factor = 1;
};
/// Reads s.rope (and s.window_rope, where layers of two types turn differently) from rope_parameters
/// (transformers 5) or rope_theta and rope_scaling (before); the sizes of `s` must be set.
void read_rope(const HfConfig& c, ModelSpec& s, const RopeDefaults& defaults = {});
/// One rotary embedding from the fields of an object; `where` names it in errors.
RopeSpec read_rope_fields(const HfConfig& c, const Json& fields, const std::string& where, const ModelSpec& s,
                          const RopeDefaults& defaults);
/// What YaRN multiplies cosine and sine by where nothing else is said. Source:
/// https://arxiv.org/abs/2309.00071
double yarn_attention_factor(double factor, double mscale = 1);

/// Sizes are validated after a family has read them. Until then arithmetic uses sane(size), which no valid
/// size exceeds, and nothing is allocated by a number of layers but layers_of(s): 0 where validate() will
/// refuse it.
inline int64_t sane(int64_t size) { return std::min(size, int64_t{1} << 40); }
inline int64_t layers_of(const ModelSpec& s) { return s.num_hidden_layers > 4096 ? 0 : s.num_hidden_layers; }

/// Refuses the auxiliary loss that balances the experts, which transformers adds where output_router_logits
/// is true.
void expect_no_router_loss(const HfConfig& c);

/// Sets s.padding_idx from pad_token_id, `missing` if the field is not there, as torch's nn.Embedding takes
/// it: negative numbers count from the end.
void read_padding(const HfConfig& c, ModelSpec& s, int64_t missing);

/// sliding_window: 0 for null, `missing` if the field is not there.
int64_t read_window(const HfConfig& c, int64_t missing);
/// The window of every layer: `window` where layer_types says sliding_attention; without that field, where
/// `slides` says so.
std::vector<int64_t> read_windows(const HfConfig& c, const ModelSpec& s, int64_t window,
                                  const std::function<bool(int64_t layer)>& slides);

}  // namespace lorikeet
