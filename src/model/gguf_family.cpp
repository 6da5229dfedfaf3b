#include "model/gguf_family.h"

#include <algorithm>

#include "model/rope_table.h"

namespace lorikeet {

namespace {

constexpr GgufTokenizerKey<int32_t> kTokenizerIds[] = {
    {"bos_token_id", &GgufTokenizerSource::bos_id},     {"eos_token_id", &GgufTokenizerSource::eos_id},
    {"padding_token_id", &GgufTokenizerSource::pad_id}, {"unknown_token_id", &GgufTokenizerSource::unk_id},
    {"eot_token_id", &GgufTokenizerSource::eot_id},
};
constexpr GgufTokenizerKey<bool> kTokenizerFlags[] = {
    {"add_bos_token", &GgufTokenizerSource::add_bos},
    {"add_eos_token", &GgufTokenizerSource::add_eos},
    {"add_space_prefix", &GgufTokenizerSource::add_space_prefix},
};

constexpr GgufTensorName kTensors[] = {
    {"token_embd", &ModuleNames::embedding},
    {"position_embd", &ModuleNames::positions},
    {"output_norm", &ModuleNames::final_norm},
    {"output", &ModuleNames::head},
    {"blk.{}.attn_norm", &ModuleNames::input_norm},
    {"blk.{}.post_attention_norm", &ModuleNames::attention_out_norm},
    {"blk.{}.ffn_norm", &ModuleNames::mlp_norm},
    {"blk.{}.post_ffw_norm", &ModuleNames::mlp_out_norm},
    {"blk.{}.attn_q_norm", &ModuleNames::q_norm},
    {"blk.{}.attn_k_norm", &ModuleNames::k_norm},
    {"blk.{}.attn_q", &ModuleNames::q, RowOrder::rope_q},
    {"blk.{}.attn_k", &ModuleNames::k, RowOrder::rope_k},
    {"blk.{}.attn_v", &ModuleNames::v},
    {"blk.{}.attn_qkv", &ModuleNames::qkv, RowOrder::fused},
    {"blk.{}.attn_output", &ModuleNames::o},
    {"blk.{}.ffn_gate", &ModuleNames::gate},
    {"blk.{}.ffn_up", &ModuleNames::up},
    {"blk.{}.ffn_up", &ModuleNames::gate_up},
    {"blk.{}.ffn_down", &ModuleNames::down},
    {"blk.{}.ffn_gate_inp", &ModuleNames::router},
    {"blk.{}.ffn_gate_exps", &ModuleNames::expert_gate},
    {"blk.{}.ffn_up_exps", &ModuleNames::expert_up},
    {"blk.{}.ffn_down_exps", &ModuleNames::expert_down},
};

RowOrder order_in(RowOrder order, const ModelSpec& spec, const GgufFamily& family) {
  const bool differs = order == RowOrder::fused
                           ? spec.qkv == QkvLayout::per_head || spec.qkv == QkvLayout::per_group
                           : family.permuted;
  return differs ? order : RowOrder::as_is;
}

struct TypeRow {
  GgufType gguf;
  WeightType type;
};
constexpr TypeRow kTypes[] = {
    {GgufType::f32, DType::f32},          {GgufType::f16, DType::f16},
    {GgufType::bf16, DType::bf16},        {GgufType::q4_0, WeightFormat::q4_0},
    {GgufType::q4_1, WeightFormat::q4_1}, {GgufType::q5_0, WeightFormat::q5_0},
    {GgufType::q5_1, WeightFormat::q5_1}, {GgufType::q8_0, WeightFormat::q8_0},
    {GgufType::q4_k, WeightFormat::q4_k}, {GgufType::q5_k, WeightFormat::q5_k},
    {GgufType::q6_k, WeightFormat::q6_k},
};

}  // namespace

std::span<const GgufTokenizerKey<int32_t>> gguf_tokenizer_ids() { return kTokenizerIds; }
std::span<const GgufTokenizerKey<bool>> gguf_tokenizer_flags() { return kTokenizerFlags; }

std::string_view gguf_architecture(std::string_view architecture) {
  const GgufFamily* family = gguf_family_of(architecture);
  return family ? family->gguf : "";
}

const GgufFamily* gguf_family_of(std::string_view architecture) {
  for (const GgufFamily& family : gguf_families())
    if (architecture == family.architecture) return &family;
  return nullptr;
}

const GgufFamily& gguf_family(const GgufFile& f) {
  const std::string_view name = f.string("general.architecture");
  const int64_t experts = f.integer_or(std::string(name) + ".expert_count", 0);
  std::string known;
  std::string_view last;
  for (const GgufFamily& family : gguf_families()) {
    if (family.experts != (experts > 0)) continue;
    if (name == family.gguf) return family;
    if (last != family.gguf) known += (known.empty() ? "" : ", ") + std::string(family.gguf);
    last = family.gguf;
  }
  throw Error(ErrorKind::unsupported,
              fmt::format("GGUF architecture \"{}\"{} is not supported", name,
                          experts > 0 ? fmt::format(" with {} experts", experts) : ""),
              f.path() + ", key \"general.architecture\"", "supported: " + known);
}

std::map<std::string, GgufPlace> gguf_places(const ModelSpec& spec, const GgufFamily& family) {
  std::map<std::string, GgufPlace> table;
  const auto has = [&](const GgufTensorName& n) { return !(spec.names.*n.module).empty(); };
  const auto add = [&](const GgufTensorName& n) {
    if (!has(n)) return;
    const std::string_view gguf = n.gguf;
    const int64_t layers = gguf.find("{}") == std::string_view::npos ? 1 : spec.num_hidden_layers,
                  experts = gguf.ends_with("_exps") ? spec.num_local_experts : 1;
    for (int64_t i = 0; i < layers; ++i)
      for (int64_t e = 0; e < experts; ++e)
        for (const char* suffix : {".weight", ".bias"})
          table.emplace(
              expert_path(spec.names.*n.module, i, e) + suffix,
              GgufPlace{layer_path(n.gguf, i) + suffix, order_in(n.order, spec, family), e, experts});
  };
  if (std::ranges::all_of(family.names, has)) std::ranges::for_each(family.names, add);
  std::ranges::for_each(kTensors, add);
  return table;
}

bool gguf_has_tokenizer(const GgufFile& file) {
  constexpr const char* kKey = "tokenizer.ggml.model";
  return file.has(kKey) && file.string(kKey) != kGgufNoTokenizer;
}

std::optional<WeightType> weight_type(GgufType type) {
  for (const TypeRow& row : kTypes)
    if (row.gguf == type) return row.type;
  return std::nullopt;
}

std::optional<GgufType> gguf_type(WeightType type) {
  for (const TypeRow& row : kTypes)
    if (row.type == type) return row.gguf;
  return std::nullopt;
}

std::vector<float> gguf_rope_divisors(const RopeSpec& rope) {
  RopeSpec plain;
  plain.theta = rope.theta;
  plain.rotary_dim = rope.rotary_dim;
  std::vector<float> divisors = rope_inverse_frequencies(plain, 1);
  const std::vector<float> turned = rope_inverse_frequencies(rope, 1);
  for (size_t i = 0; i < divisors.size(); ++i) divisors[i] /= turned[i];
  return divisors;
}

std::map<std::string, std::vector<float>> gguf_rope_tensors(const RopeSpec& rope) {
  const auto floats = [](const std::vector<double>& v) { return std::vector<float>(v.begin(), v.end()); };
  if (rope.scaling == RopeScaling::llama3) return {{kGgufRopeDivisors, gguf_rope_divisors(rope)}};
  if (rope.scaling == RopeScaling::longrope)
    return {{kGgufLongDivisors, floats(rope.long_factor)}, {kGgufShortDivisors, floats(rope.short_factor)}};
  return {};
}

}  // namespace lorikeet
