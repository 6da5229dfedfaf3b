// Rotary embeddings as transformers' configurations describe them (modeling_rope_utils.py).
#include <algorithm>
#include <cmath>
#include <map>

#include "core/error.h"
#include "model/arch/families.h"

namespace lorikeet {

namespace {

/// The fields of one description.
class RopeFields {
 public:
  RopeFields(const Json& fields, std::string where) : fields_(fields), where_(std::move(where)) {
    static const char* const kKnown[] = {"type",
                                         "rope_type",
                                         "rope_theta",
                                         "factor",
                                         "partial_rotary_factor",
                                         "low_freq_factor",
                                         "high_freq_factor",
                                         "attention_factor",
                                         "original_max_position_embeddings",
                                         "beta_fast",
                                         "beta_slow",
                                         "mscale",
                                         "mscale_all_dim",
                                         "truncate",
                                         "short_factor",
                                         "long_factor",
                                         "finetuned"};
    for (const auto& [key, value] : fields.items())
      if (!value.is_null() && std::find(std::begin(kKnown), std::end(kKnown), key) == std::end(kKnown))
        throw Error(ErrorKind::unsupported,
                    fmt::format("rotary embeddings with \"{}\": {} are not supported", key, value.dump()),
                    where_);
  }
  double number(const char* name, double fallback) const {
    const Json* v = find(name);
    return v ? json_number(*v, where_ + "." + name) : fallback;
  }
  std::string type() const {
    std::string type = "default";
    for (const char* name : {"type", "rope_type"})
      if (const Json* v = find(name)) type = json_string(*v, where_ + "." + name);
    return type;
  }
  bool flag(const char* name, bool fallback) const {
    const Json* v = find(name);
    return v ? json_bool(*v, where_ + "." + name) : fallback;
  }
  std::vector<double> numbers(const char* name) const {
    const Json* v = find(name);
    if (!v || !v->is_array())
      throw Error(ErrorKind::format, fmt::format("\"{}\" must be a list of numbers", name), where_);
    std::vector<double> all;
    for (const Json& x : *v) all.push_back(json_number(x, where_ + "." + name));
    if (std::any_of(all.begin(), all.end(), [](double x) { return !(x > 0); }))
      throw Error(ErrorKind::format, fmt::format("\"{}\" holds a factor that is not positive", name), where_);
    return all;
  }
  const std::string& where() const { return where_; }

 private:
  const Json* find(const char* name) const {
    const auto it = fields_.find(name);
    return it == fields_.end() || it->is_null() ? nullptr : &*it;
  }
  const Json& fields_;
  std::string where_;
};

void read_llama3(const RopeFields& f, RopeSpec& r) {
  r.low_freq_factor = f.number("low_freq_factor", 1);
  r.high_freq_factor = f.number("high_freq_factor", 4);
  if (!(r.high_freq_factor > r.low_freq_factor))
    throw Error(ErrorKind::format, "rope scaling factors are out of order", f.where());
}

void read_yarn(const RopeFields& f, RopeSpec& r) {
  r.beta_fast = f.number("beta_fast", 32);
  r.beta_slow = f.number("beta_slow", 1);
  r.truncate = f.flag("truncate", true);
  const double mscale = f.number("mscale", 0), all = f.number("mscale_all_dim", 0);
  const double implied = mscale != 0 && all != 0
                             ? yarn_attention_factor(r.factor, mscale) / yarn_attention_factor(r.factor, all)
                             : yarn_attention_factor(r.factor);
  r.attention_factor = f.number("attention_factor", implied);
}

void read_longrope(const RopeFields& f, RopeSpec& r) {
  r.short_factor = f.numbers("short_factor");
  r.long_factor = f.numbers("long_factor");
  const double old = static_cast<double>(r.original_max_position_embeddings);
  const double implied = r.factor <= 1 ? 1 : std::sqrt(1 + std::log(r.factor) / std::log(old));
  r.attention_factor = f.number("attention_factor", implied);
}

RopeScaling scaling_of(const RopeFields& f) {
  static const std::map<std::string, RopeScaling> names = {
      {"default", RopeScaling::none}, {"linear", RopeScaling::linear},     {"dynamic", RopeScaling::dynamic},
      {"yarn", RopeScaling::yarn},    {"longrope", RopeScaling::longrope}, {"su", RopeScaling::longrope},
      {"llama3", RopeScaling::llama3}};
  const auto it = names.find(f.type());
  if (it == names.end())
    throw Error(ErrorKind::unsupported, fmt::format("rope scaling \"{}\" is not supported", f.type()),
                f.where(), "supported: default, linear, dynamic, yarn, longrope, llama3");
  return it->second;
}

}  // namespace

double yarn_attention_factor(double factor, double mscale) {
  return factor <= 1 ? 1 : 0.1 * mscale * std::log(factor) + 1;
}

RopeSpec read_rope_fields(const HfConfig& c, const Json& fields, const std::string& where, const ModelSpec& s,
                          const RopeDefaults& defaults) {
  const RopeFields f(fields, where);
  RopeSpec r;
  r.theta = f.number("rope_theta", defaults.theta);
  const double partial = f.number("partial_rotary_factor", defaults.partial_rotary_factor);
  if (!(r.theta > 0) || !(partial > 0) || partial > 1)
    throw Error(ErrorKind::format,
                fmt::format("rope_theta {} and partial_rotary_factor {} are impossible", r.theta, partial),
                where);
  r.rotary_dim = static_cast<int64_t>(static_cast<double>(sane(s.head_dim)) * partial);
  r.scaling = scaling_of(f);
  const auto longest = static_cast<double>(s.max_position_embeddings);
  const char* const key = "original_max_position_embeddings";
  const double old = c.has(key) ? c.number(key) : f.number(key, longest);
  if (r.scaling == RopeScaling::none) return r;
  if (!(old >= 1) || old > 1e9)
    throw Error(ErrorKind::format, fmt::format("{} {} is impossible", key, old), where);
  // The dynamic kind starts to scale where the model's own positions end.
  r.original_max_position_embeddings =
      r.scaling == RopeScaling::dynamic ? s.max_position_embeddings : static_cast<int64_t>(old);
  r.factor = f.number("factor", longest / old);
  if (!(r.factor >= 1) && r.scaling != RopeScaling::longrope)
    throw Error(ErrorKind::format, fmt::format("rope scaling factor {} is below 1", r.factor), where);
  if (r.scaling == RopeScaling::llama3) read_llama3(f, r);
  if (r.scaling == RopeScaling::yarn) read_yarn(f, r);
  if (r.scaling == RopeScaling::longrope) read_longrope(f, r);
  if (!(r.attention_factor > 0) || !std::isfinite(r.attention_factor))
    throw Error(ErrorKind::format, fmt::format("attention factor {} is impossible", r.attention_factor),
                where);
  return r;
}

void read_rope(const HfConfig& c, ModelSpec& s, const RopeDefaults& defaults) {
  const bool old = c.has("rope_scaling") || !c.has("rope_parameters");
  const std::string key = old ? "rope_scaling" : "rope_parameters";
  RopeDefaults d;
  d.theta = c.number_or("rope_theta", defaults.theta);
  d.partial_rotary_factor = c.number_or("partial_rotary_factor", defaults.partial_rotary_factor);
  const Json fields = c.object(key);
  const auto full = fields.find("full_attention"), sliding = fields.find("sliding_attention");
  if (full == fields.end() || sliding == fields.end()) {
    s.rope = read_rope_fields(c, fields, c.field(key), s, d);
    return;
  }
  s.rope = read_rope_fields(c, *full, c.field(key) + ".full_attention", s, d);
  s.window_rope = read_rope_fields(c, *sliding, c.field(key) + ".sliding_attention", s, {});
}

}  // namespace lorikeet
