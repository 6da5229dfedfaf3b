#include <map>

#include "core/error.h"
#include "model/arch/families.h"

namespace lorikeet {

Activation read_activation(const HfConfig& c, const std::string& key, const std::string& fallback) {
  static const std::map<std::string, Activation> names = {{"silu", Activation::silu},
                                                          {"swish", Activation::silu},
                                                          {"gelu", Activation::gelu},
                                                          {"gelu_new", Activation::gelu_tanh},
                                                          {"gelu_fast", Activation::gelu_tanh},
                                                          {"gelu_pytorch_tanh", Activation::gelu_tanh},
                                                          {"relu", Activation::relu}};
  const std::string name = c.string_or(key, fallback);
  const auto it = names.find(name);
  if (it == names.end())
    throw Error(ErrorKind::unsupported, fmt::format("activation \"{}\" is not supported", name),
                c.field(key));
  return it->second;
}

void expect_no_router_loss(const HfConfig& c) {
  c.expect("output_router_logits", false);
  c.number_or("router_aux_loss_coef", 0);  // its factor
}

void read_padding(const HfConfig& c, ModelSpec& s, int64_t missing) {
  const std::string key = "pad_token_id";
  s.padding_idx = -1;
  if (!c.has(key) && (c.json().contains(key) || missing < 0)) return;
  const int64_t given = c.integer_or(key, missing), id = given < 0 ? given + s.vocab_size : given;
  if (id >= 0 && id < s.vocab_size) s.padding_idx = id;
}

int64_t read_window(const HfConfig& c, int64_t missing) {
  const std::string key = "sliding_window";
  if (c.has(key)) return c.integer(key);
  return c.json().contains(key) ? 0 : missing;
}

std::vector<int64_t> read_windows(const HfConfig& c, const ModelSpec& s, int64_t window,
                                  const std::function<bool(int64_t layer)>& slides) {
  const std::string key = "layer_types";
  const std::vector<std::string> types = c.strings(key);
  if (c.has(key) && static_cast<int64_t>(types.size()) != s.num_hidden_layers)
    throw Error(ErrorKind::format,
                fmt::format("{} layer types for {} layers", types.size(), s.num_hidden_layers), c.field(key));
  for (const std::string& type : types)
    if (type != "full_attention" && type != "sliding_attention")
      throw Error(ErrorKind::unsupported, fmt::format("layer type \"{}\" is not supported", type),
                  c.field(key));
  std::vector<int64_t> windows;
  for (int64_t i = 0; i < layers_of(s); ++i) {
    const bool slide = types.empty() ? slides(i) : types[static_cast<size_t>(i)] == "sliding_attention";
    windows.push_back(slide ? window : 0);
  }
  return windows;
}

}  // namespace lorikeet
