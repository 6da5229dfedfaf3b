// A GGUF file as Hugging Face tensors: names, formats, row orders, tokenizer metadata.
#include <map>

#include "model/arch/registry.h"
#include "model/files_state.h"
#include "model/gguf_family.h"
#include "quant/format.h"

namespace lorikeet {

namespace {

void add_tensor(const GgufTensor& t, const ExpectedTensor& e, const GgufPlace& place, float added,
                const std::string& file, std::vector<SourceTensor>& out) {
  const std::optional<WeightType> s = weight_type(t.type);
  if (!s)
    throw Error(ErrorKind::unsupported,
                fmt::format("tensor \"{}\" has type {}, which is not supported", t.name, name_of(t.type)),
                file, "supported: F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K, Q6_K");
  Weight w;
  w.format = s->format;
  w.dtype = s->dtype;
  w.rows = e.rows;
  w.cols = e.cols;
  const int64_t bytes = weight_bytes(s->format, s->dtype, e.rows, e.cols);
  if (t.bytes != static_cast<size_t>(bytes * place.parts))
    throw Error(
        ErrorKind::format,
        fmt::format("tensor \"{}\" has {} bytes, its shape needs {}", t.name, t.bytes, bytes * place.parts),
        file);
  const std::byte* data = t.data + bytes * place.part;
  w.data = data;
  out.push_back({e, t.name, file, w, {{data, static_cast<size_t>(bytes)}}, place.order, added});
}

}  // namespace

std::optional<int32_t> gguf_token_id(const GgufFile& f, const std::string& name) {
  const std::string key = "tokenizer.ggml." + name;
  if (!f.has(key)) return std::nullopt;
  const int64_t value = f.integer(key);
  // 2^32 - 1 is how some writers say "none".
  return value < 0 || value > INT32_MAX ? std::nullopt : std::optional(static_cast<int32_t>(value));
}

GgufTokenizerSource gguf_tokenizer_source(const GgufFile& f) {
  const std::string k = "tokenizer.ggml.";
  GgufTokenizerSource s;
  s.file = f.path();
  s.model = f.string(k + "model");
  if (f.has(k + "pre")) s.pre = f.string(k + "pre");
  for (const std::string_view token : f.strings(k + "tokens")) s.tokens.emplace_back(token);
  if (f.has(k + "token_type"))
    for (const int64_t type : f.integers(k + "token_type"))
      s.token_types.push_back(static_cast<int32_t>(type));
  if (f.has(k + "merges"))
    for (const std::string_view merge : f.strings(k + "merges")) s.merges.emplace_back(merge);
  if (f.has(k + "scores"))
    for (const double score : f.numbers(k + "scores")) s.scores.push_back(static_cast<float>(score));
  for (const auto& [key, member] : gguf_tokenizer_ids()) s.*member = gguf_token_id(f, key);
  for (const auto& [key, member] : gguf_tokenizer_flags())
    if (f.has(k + key)) s.*member = f.boolean(k + key);
  if (f.has("tokenizer.chat_template")) s.chat_template = f.string("tokenizer.chat_template");
  if (f.has("tokenizer.huggingface.json")) s.huggingface_json = f.string("tokenizer.huggingface.json");
  return s;
}

void open_gguf_model(const std::string& path, ModelFiles::State& state) {
  state.gguf = GgufFile::open(path);
  const GgufFile& f = *state.gguf;
  if (f.has("general.name")) state.name = f.string("general.name");
  state.config = gguf_config(f);
  state.spec = read_model_spec(state.config);
  state.eos = token_ids(state.config.json(), "eos_token_id", path);
  for (const char* key : {"bos_token_id", "eos_token_id", "pad_token_id"})
    if (const auto it = state.config.json().find(key); it != state.config.json().end())
      state.generation_config[key] = *it;

  const GgufFamily& family = gguf_family(f);
  const std::map<std::string, GgufPlace> names = gguf_places(state.spec, family);
  const std::vector<ExpectedTensor> expected = expected_tensors(state.spec);
  TensorComplaints complaints;
  std::map<std::string, bool> used;
  for (const ExpectedTensor& e : expected) {
    const auto place = names.find(e.name);
    const GgufTensor* t = place == names.end() ? nullptr : f.find(place->second.name);
    if (!t) {
      if (place == names.end())
        complaints.missing(e.name);
      else if (place->second.part == 0)
        complaints.missing(place->second.name);
      continue;
    }
    used[t->name] = true;
    const std::vector<int64_t> wanted = place->second.shape(e);
    if (t->shape == wanted)
      add_tensor(*t, e, place->second, family.added_to(e), path, state.tensors);
    else if (place->second.part == 0)
      complaints.wrong_shape(t->name, t->shape, wanted);
  }
  complaints.raise(path, expected.size());
  const std::map<std::string, std::vector<float>> rope = gguf_rope_tensors(state.spec.rope);
  for (const GgufTensor& t : f.tensors())
    if (!used.contains(t.name) && !rope.contains(t.name)) state.unexpected.push_back(t.name);
}

}  // namespace lorikeet
