#include <map>

#include "core/error.h"
#include "model/arch/families.h"

namespace lorikeet {

Activation read_activation(const HfConfig& c, const std::string& key) {
  static const std::map<std::string, Activation> names = {{"silu", Activation::silu},
                                                          {"swish", Activation::silu}};
  const std::string name = c.string_or(key, "silu");
  const auto it = names.find(name);
  if (it == names.end())
    throw Error(ErrorKind::unsupported, fmt::format("activation \"{}\" is not supported", name),
                c.field(key));
  return it->second;
}

void read_rope(const HfConfig& c, ModelSpec& s) {
  // transformers 5 writes "rope_parameters" (theta inside), earlier versions "rope_theta" and "rope_scaling".
  const bool nested = c.has("rope_parameters");
  const std::string key = nested ? "rope_parameters" : "rope_scaling";
  const Json scaling = c.object(key);
  const auto number = [&](const char* name, double fallback) {
    const auto it = scaling.find(name);
    return it == scaling.end() || it->is_null() ? fallback : json_number(*it, c.field(key) + "." + name);
  };
  s.rope.theta = nested ? number("rope_theta", 10000) : c.number_or("rope_theta", 10000);
  s.rope.rotary_dim = s.head_dim;
  std::string type = "default";
  for (const char* name : {"type", "rope_type"})
    if (const auto it = scaling.find(name); it != scaling.end() && !it->is_null())
      type = json_string(*it, c.field(key) + "." + name);
  if (type == "default") return;
  s.rope.factor = number("factor", 1);
  if (!(s.rope.factor >= 1))
    throw Error(ErrorKind::format, fmt::format("rope scaling factor {} is below 1", s.rope.factor),
                c.field(key));
  if (type == "linear") {
    s.rope.scaling = RopeScaling::linear;
  } else if (type == "llama3") {
    s.rope.scaling = RopeScaling::llama3;
    s.rope.low_freq_factor = number("low_freq_factor", 1);
    s.rope.high_freq_factor = number("high_freq_factor", 4);
    s.rope.original_max_position_embeddings = static_cast<int64_t>(
        number("original_max_position_embeddings", static_cast<double>(s.max_position_embeddings)));
    if (!(s.rope.high_freq_factor > s.rope.low_freq_factor) || s.rope.original_max_position_embeddings < 1)
      throw Error(ErrorKind::format, "rope scaling factors are out of order", c.field(key));
  } else {
    throw Error(ErrorKind::unsupported, fmt::format("rope scaling \"{}\" is not supported", type),
                c.field(key), "supported: default, linear, llama3");
  }
}

}  // namespace lorikeet
