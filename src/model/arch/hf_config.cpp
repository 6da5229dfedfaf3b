#include "model/arch/hf_config.h"

#include "core/error.h"

namespace lorikeet {

HfConfig::HfConfig(Json json, std::string where) : json_(std::move(json)), where_(std::move(where)) {
  if (!json_.is_object())
    throw Error(ErrorKind::format, "a model configuration must be a JSON object", where_);
}

namespace {

/// Fields of transformers' configurations that do not change what a model computes, or only how it was
/// trained, is generated from, or is sharded.
bool is_harmless(const std::string& key) {
  static const std::set<std::string> names = {"architectures",
                                              "attention_softmax_in_fp32",
                                              "scale_attention_softmax_in_fp32",
                                              "model_max_length",
                                              "auto_map",
                                              "cache_implementation",
                                              "chunk_size_feed_forward",
                                              "decoder_start_token_id",
                                              "do_sample",
                                              "dtype",
                                              "finetuning_task",
                                              "forced_bos_token_id",
                                              "forced_eos_token_id",
                                              "gradient_checkpointing",
                                              "id2label",
                                              "initializer_range",
                                              "init_std",
                                              "is_decoder",
                                              "is_llama_config",
                                              "keys_to_ignore_at_inference",
                                              "label2id",
                                              "max_length",
                                              "model_type",
                                              "no_repeat_ngram_size",
                                              "num_beams",
                                              "num_return_sequences",
                                              "pad_token",
                                              "prefix",
                                              "problem_type",
                                              "quantization_config",
                                              "repetition_penalty",
                                              "return_dict",
                                              "return_dict_in_generate",
                                              "router_aux_loss_coef",
                                              "sep_token_id",
                                              "suppress_tokens",
                                              "summary_activation",
                                              "summary_first_dropout",
                                              "summary_proj_to_labels",
                                              "summary_type",
                                              "summary_use_proj",
                                              "task_specific_params",
                                              "temperature",
                                              "tokenizer_class",
                                              "top_k",
                                              "top_p",
                                              "torch_dtype",
                                              "transformers.js_config",
                                              "transformers_version",
                                              "use_cache",
                                              "reorder_and_upcast_attn",
                                              "use_bfloat16",
                                              "length_penalty",
                                              "typical_p",
                                              "diversity_penalty",
                                              "encoder_no_repeat_ngram_size",
                                              "min_length",
                                              "early_stopping",
                                              "num_beam_groups"};
  if (names.contains(key) || key.starts_with("_") || key.starts_with("unsloth_")) return true;
  for (const char* end : {"_token_id", "dropout", "_pdrop", "_dropout_prob", "layerdrop"})
    if (key.ends_with(end)) return true;
  return false;
}

bool says_nothing(const Json& v) {
  return v.is_null() || v == Json(false) || (v.is_number() && v.get<double>() == 0) ||
         ((v.is_array() || v.is_object() || v.is_string()) && v.empty()) || v == Json("");
}

}  // namespace

void HfConfig::refuse_unread() const {
  for (const auto& [key, value] : json_.items())
    if (!read_.contains(key) && !is_harmless(key) && !says_nothing(value))
      throw Error(
          ErrorKind::unsupported,
          fmt::format("the configuration says \"{}\": {}, which was never tested with this architecture", key,
                      value.dump().substr(0, 80)),
          field(key), "remove the field if the model computes the same without it");
}

const Json* HfConfig::array(const std::string& key) const {
  const Json* v = find(key);
  if (v && !v->is_array())
    throw Error(ErrorKind::format, fmt::format("\"{}\" must be a list", key), field(key));
  return v;
}

std::vector<double> HfConfig::numbers(const std::string& key) const {
  std::vector<double> all;
  if (const Json* v = array(key))
    for (const Json& x : *v) all.push_back(json_number(x, field(key)));
  return all;
}

std::vector<std::string> HfConfig::strings(const std::string& key) const {
  std::vector<std::string> all;
  if (const Json* v = array(key))
    for (const Json& x : *v) all.push_back(json_string(x, field(key)));
  return all;
}

const Json* HfConfig::find(const std::string& key) const {
  read_.insert(key);
  const auto it = json_.find(key);
  return it == json_.end() || it->is_null() ? nullptr : &*it;
}

std::string HfConfig::field(const std::string& key) const {
  return fmt::format("{}, field \"{}\"", where_, key);
}

bool HfConfig::has(const std::string& key) const { return find(key) != nullptr; }

int64_t HfConfig::integer(const std::string& key) const {
  const Json* v = find(key);
  if (!v) throw Error(ErrorKind::format, fmt::format("the model configuration lacks \"{}\"", key), where_);
  return json_int(*v, field(key));
}

int64_t HfConfig::integer_or(const std::string& key, int64_t fallback) const {
  return has(key) ? integer(key) : fallback;
}

double HfConfig::number(const std::string& key) const {
  const Json* v = find(key);
  if (!v) throw Error(ErrorKind::format, fmt::format("the model configuration lacks \"{}\"", key), where_);
  return json_number(*v, field(key));
}

double HfConfig::number_or(const std::string& key, double fallback) const {
  return has(key) ? number(key) : fallback;
}

bool HfConfig::boolean_or(const std::string& key, bool fallback) const {
  const Json* v = find(key);
  return v ? json_bool(*v, field(key)) : fallback;
}

std::string HfConfig::string_or(const std::string& key, const std::string& fallback) const {
  const Json* v = find(key);
  return v ? json_string(*v, field(key)) : fallback;
}

Json HfConfig::object(const std::string& key) const {
  const Json* v = find(key);
  if (!v) return Json::object();
  if (!v->is_object())
    throw Error(ErrorKind::format, fmt::format("\"{}\" must be an object", key), field(key));
  return *v;
}

void HfConfig::expect(const std::string& key, const Json& only) const {
  const Json* v = find(key);
  if (v && *v != only)
    throw Error(ErrorKind::unsupported,
                fmt::format("{} = {} is not supported, only {}", key, v->dump(), only.dump()), field(key));
}

std::string HfConfig::architecture() const {
  const Json* v = find("architectures");
  if (v && v->is_array() && v->size() == 1 && v->front().is_string()) return v->front().get<std::string>();
  throw Error(ErrorKind::format, "the model configuration names no architecture", field("architectures"));
}

}  // namespace lorikeet
