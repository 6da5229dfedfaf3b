#include "export/adapter_options.h"

#include <algorithm>
#include <cmath>

#include "model/adapter_targets.h"
#include "model/loader.h"
#include "model/saved_modules.h"
#include "quant/decode.h"

namespace lorikeet {

namespace {

constexpr const char* kTokensKey = "trainable_token_indices";
constexpr std::string_view kBaseCopy = ".base_layer.weight";

bool is_embedding(const ModelSpec& spec, const std::string& path) {
  const std::vector<std::string> paths = embedding_module_paths(spec);
  return std::find(paths.begin(), paths.end(), path) != paths.end();
}

void check_target(const AdapterConfig& c, const ModelSpec& spec, const Target& t) {
  if (!is_embedding(spec, t.path)) return;
  if (c.use_dora)
    throw Error(ErrorKind::unsupported, fmt::format("DoRA on \"{}\" is not supported", t.path), "use_dora",
                "leave that module out, or use LoRA without use_dora");
  if (c.lora_bias && t.path == spec.names.embedding)
    throw Error(ErrorKind::usage, fmt::format("\"{}\" is an embedding and takes no lora_bias", t.path),
                "lora_bias", "leave that module out, or lora_bias");
}

/// The module that an entry of trainable_token_indices names: the embedding ("" is PEFT's plain list), or the
/// head.
const std::string& token_module(const ModelSpec& spec, const std::string& name) {
  if (name.empty() || matches_suffix(spec.names.embedding, name)) return spec.names.embedding;
  if (matches_suffix(spec.names.head, name)) return spec.names.head;
  throw Error(ErrorKind::usage, fmt::format("\"{}\" is neither the embedding nor the head", name), kTokensKey,
              fmt::format("name {} or {}", spec.names.embedding, spec.names.head));
}

std::vector<int32_t> checked_ids(const std::vector<int64_t>& ids, int64_t vocab) {
  std::set<int64_t> seen;
  for (const int64_t id : ids) {
    if (id < 0 || id >= vocab)
      throw Error(ErrorKind::usage, fmt::format("token {} is not among the model's {}", id, vocab),
                  kTokensKey);
    if (!seen.insert(id).second)
      throw Error(ErrorKind::usage, fmt::format("token {} is listed twice", id), kTokensKey);
  }
  return {ids.begin(), ids.end()};
}

void add_token_rows(const AdapterConfig& c, const ModelSpec& spec, ModelOptions& o) {
  for (const auto& [name, ids] : c.trainable_token_indices) {
    if (ids.empty()) continue;
    const std::string& path = token_module(spec, name);
    o.token_rows[path] = checked_ids(ids, spec.vocab_size);
    if (o.modules_to_save.contains(path) || o.adapters.contains(path))
      throw Error(ErrorKind::usage,
                  fmt::format("\"{}\" learns as a whole already, single tokens of it cannot be chosen", path),
                  kTokensKey, "leave the tokens out, or the module");
  }
  const auto head = o.token_rows.find(spec.names.head);
  if (!spec.tie_word_embeddings || o.token_rows.empty()) return;
  if (head != o.token_rows.end()) {
    const auto table = o.token_rows.find(spec.names.embedding);
    if (table == o.token_rows.end() || table->second != head->second)
      throw Error(ErrorKind::unsupported,
                  "head and embedding of this model are tied and learn the same tokens", kTokensKey,
                  fmt::format("name the tokens of {} alone", spec.names.embedding));
    o.token_rows.erase(head);
  }
  if (o.modules_to_save.contains(spec.names.head))
    throw Error(ErrorKind::unsupported, "head and embedding of this model are tied, so tokens learn in both",
                kTokensKey, "leave the head out of lora_modules_to_save");
}

/// PEFT copies embeddings in the type in which it holds the base.
bool same_values(const std::vector<float>& copy, const std::vector<float>& base) {
  constexpr float kRounding = 0x1p-8f;  // of bfloat16
  return std::equal(copy.begin(), copy.end(), base.begin(), base.end(),
                    [](float a, float b) { return std::abs(a - b) <= kRounding * std::abs(b); });
}

/// True for the model's own embedding or head; throws for another one.
bool is_base_copy(const ModelFiles& files, const AdapterTensor& t, const std::string& folder) {
  if (!t.name.ends_with(kBaseCopy)) return false;
  const ModelSpec& spec = files.spec();
  std::string path = t.name.substr(0, t.name.size() - kBaseCopy.size());
  if (!is_embedding(spec, path)) return false;
  if (path == spec.names.head && spec.tie_word_embeddings) path = spec.names.embedding;
  const SourceTensor& source = files.at(path + ".weight");
  std::vector<int32_t> map;
  const Weight w = stored_weight(source, spec, map);
  std::vector<float> values(static_cast<size_t>(w.rows * w.cols));
  decode_rows(w, 0, w.rows, 0, w.cols, values.data(), w.cols);
  files.release(source);
  if (t.shape == std::vector{w.rows, w.cols} && same_values(t.values, values)) return true;
  throw Error(ErrorKind::unsupported,
              fmt::format("the adapter brings a \"{}\" of its own, which differs from the model's", path),
              folder, "use the base that it was trained on, with its resized embeddings");
}

}  // namespace

std::vector<Target> apply_adapter(const AdapterConfig& c, const ModelSpec& spec, ModelOptions& o) {
  if (c.use_dora && c.lora_bias)
    throw Error(ErrorKind::usage, "use_dora and lora_bias exclude each other", "lora_bias", "leave one out");
  o.lora_dropout = c.lora_dropout;
  o.modules_to_save = select_saved_modules(spec, c.modules_to_save);
  std::vector<Target> targets = adapter_targets(spec, c.targets);
  std::erase_if(targets, [&](const Target& t) { return o.modules_to_save.contains(t.path); });
  if (targets.empty())
    throw Error(ErrorKind::usage, "no module gets an adapter: those that are targeted are trained in full",
                "lora_modules_to_save", "target others, or leave some out of lora_modules_to_save");
  for (const Target& t : targets) {
    check_target(c, spec, t);
    o.adapters[t.path] = {t.r, t.scale, c.use_dora, c.lora_bias};
  }
  add_token_rows(c, spec, o);
  if (c.ensure_weight_tying && unties(spec, o))
    throw Error(ErrorKind::unsupported, "ensure_weight_tying is not supported where embedding or head learn",
                "adapter_config.json", "train with ensure_weight_tying false: both then learn by themselves");
  return targets;
}

std::set<std::string> changed_tensors(const ModelOptions& options) {
  std::set<std::string> names;
  for (const auto& [path, ids] : options.token_rows) names.insert(path + ".weight");
  return names;
}

std::vector<AdapterTensor> read_adapter_for(const ModelFiles& files, const std::string& folder) {
  std::vector<AdapterTensor> tensors = read_adapter_tensors(folder);
  std::erase_if(tensors, [&](const AdapterTensor& t) { return is_base_copy(files, t, folder); });
  return tensors;
}

}  // namespace lorikeet
