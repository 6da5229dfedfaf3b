#pragma once
// Writes a tiny random model as a Hugging Face folder or as a GGUF file, both with the same numbers.
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "engine/tiny_model.h"
#include "io/gguf_writer.h"
#include "io/json.h"
#include "io/safetensors_writer.h"
#include "model/arch/registry.h"
#include "model/files.h"
#include "quant/format.h"

namespace lorikeet::testing {

inline Json tiny_config() {
  return {{"architectures", {"LlamaForCausalLM"}},
          {"model_type", "llama"},
          {"vocab_size", 43},
          {"hidden_size", 36},
          {"intermediate_size", 52},
          {"num_hidden_layers", 2},
          {"num_attention_heads", 6},
          {"num_key_value_heads", 2},
          {"head_dim", 6},
          {"max_position_embeddings", 64},
          {"rms_norm_eps", 1e-5},
          {"rope_theta", 10000.0},
          {"tie_word_embeddings", false},
          {"torch_dtype", "float32"},
          {"eos_token_id", {3, 5}}};
}

inline ModelSpec spec_of(const Json& config) { return read_model_spec(HfConfig(config, "config.json")); }

/// Numbers of a tensor, the same for every writer.
inline std::vector<float> tensor_values(const ExpectedTensor& t) {
  RandomSource source(DType::f32, false);
  const TensorView v = t.role == TensorRole::vector ? source.vector(t.name, t.cols)
                                                    : source.matrix(t.name, t.rows, t.cols).dense_view();
  return {v.as<float>(), v.as<float>() + v.count()};
}

inline std::vector<std::byte> bytes_in(const std::vector<float>& values, DType dtype) {
  std::vector<std::byte> out(values.size() * size_of(dtype));
  const TensorView v(out.data(), {1, static_cast<int64_t>(values.size())}, dtype);
  for (size_t i = 0; i < values.size(); ++i) {
    if (dtype == DType::f16)
      v.as<F16>()[i] = to_f16(values[i]);
    else
      set_element(v, 0, static_cast<int64_t>(i), values[i]);
  }
  return out;
}

struct OnDisk {
  Json config = tiny_config();
  DType dtype = DType::f32;
  std::function<void(std::vector<ExpectedTensor>&)> change_list = {};  ///< leave out or reshape tensors
  std::function<void(const std::string&, std::vector<float>&)> change_values = {};
  std::vector<float> rope_factors = {};  ///< GGUF only: the divisors of Llama 3.1's rope scaling
  std::string rope_factors_name = "rope_freqs.weight";
};

inline std::vector<int64_t> file_shape(const ExpectedTensor& t) {
  return t.role == TensorRole::vector ? std::vector{t.cols} : std::vector{t.rows, t.cols};
}

inline void write_hf_folder(const std::string& folder, const OnDisk& m = {}) {
  std::filesystem::create_directories(folder);
  write_file_atomic(folder + "/config.json", to_text(m.config, 2));
  std::vector<ExpectedTensor> list = expected_tensors(spec_of(m.config));
  if (m.change_list) m.change_list(list);
  std::vector<SafetensorsEntry> entries;
  for (const ExpectedTensor& t : list)
    entries.push_back({t.name, to_safetensors_type(m.dtype), file_shape(t)});
  SafetensorsWriter writer(folder + "/model.safetensors", entries);
  for (const ExpectedTensor& t : list) {
    std::vector<float> values = tensor_values(t);
    if (m.change_values) m.change_values(t.name, values);
    writer.write(t.name, std::span<const std::byte>(bytes_in(values, m.dtype)));
  }
  writer.commit();
}

/// Name in a GGUF file, and the row order.
inline std::string gguf_name(const std::string& hf) {
  const std::map<std::string, std::string> fixed = {{"model.embed_tokens.weight", "token_embd.weight"},
                                                    {"model.norm.weight", "output_norm.weight"},
                                                    {"lm_head.weight", "output.weight"}};
  if (const auto it = fixed.find(hf); it != fixed.end()) return it->second;
  const std::map<std::string, std::string> parts = {
      {"input_layernorm", "attn_norm"}, {"post_attention_layernorm", "ffn_norm"},
      {"self_attn.q_proj", "attn_q"},   {"self_attn.k_proj", "attn_k"},
      {"self_attn.v_proj", "attn_v"},   {"self_attn.o_proj", "attn_output"},
      {"mlp.gate_proj", "ffn_gate"},    {"mlp.up_proj", "ffn_up"},
      {"mlp.down_proj", "ffn_down"}};
  const size_t layer_end = hf.find('.', 13), suffix = hf.rfind('.');
  return "blk." + hf.substr(13, layer_end - 13) + "." +
         parts.at(hf.substr(layer_end + 1, suffix - layer_end - 1)) + hf.substr(suffix);
}

/// As llama.cpp's converter writes it: q and k rows permuted. Elements f32, f16 or bf16; matrices as `blocks`
/// of Q8_0 where the width allows it and `q8` is set.
inline void write_gguf(const std::string& path, const OnDisk& m = {}, bool q8 = false,
                       const std::function<void(GgufWriter&)>& more = {}) {
  const ModelSpec spec = spec_of(m.config);
  GgufWriter w(path);
  w.add_string("general.architecture", "llama");
  w.add_string("general.name", "tiny");
  const auto number = [&](const char* key, const char* from) {
    w.add_uint32(std::string("llama.") + key, m.config[from].get<uint32_t>());
  };
  number("context_length", "max_position_embeddings");
  number("embedding_length", "hidden_size");
  number("block_count", "num_hidden_layers");
  number("feed_forward_length", "intermediate_size");
  number("attention.head_count", "num_attention_heads");
  number("attention.head_count_kv", "num_key_value_heads");
  number("rope.dimension_count", "head_dim");
  w.add_float32("llama.rope.freq_base", m.config["rope_theta"].get<float>());
  w.add_float32("llama.attention.layer_norm_rms_epsilon", m.config["rms_norm_eps"].get<float>());
  w.add_uint32("tokenizer.ggml.eos_token_id", 3);
  w.add_uint32("tokenizer.ggml.eot_token_id", 5);
  if (more) more(w);
  std::vector<ExpectedTensor> list = expected_tensors(spec);
  if (m.change_list) m.change_list(list);
  const auto blocked = [&](const ExpectedTensor& t) {
    return q8 && t.role != TensorRole::vector && t.cols % 32 == 0;
  };
  const GgufType plain = m.dtype == DType::f32   ? GgufType::f32
                         : m.dtype == DType::f16 ? GgufType::f16
                                                 : GgufType::bf16;
  for (const ExpectedTensor& t : list)
    w.add_tensor(gguf_name(t.name), blocked(t) ? GgufType::q8_0 : plain, file_shape(t));
  if (!m.rope_factors.empty())
    w.add_tensor(m.rope_factors_name, GgufType::f32, {static_cast<int64_t>(m.rope_factors.size())});
  w.begin();
  if (!m.rope_factors.empty()) w.write(m.rope_factors_name, std::span<const float>(m.rope_factors));
  for (const ExpectedTensor& t : list) {
    std::vector<float> values = tensor_values(t);
    if (m.change_values) m.change_values(t.name, values);
    const bool q = t.name.find("q_proj.weight") != std::string::npos,
               k = t.name.find("k_proj.weight") != std::string::npos;
    if (q || k) {
      const std::vector<int32_t> map =
          gguf_rope_row_map(q ? spec.num_attention_heads : spec.num_key_value_heads, spec.head_dim);
      std::vector<float> stored(values.size());
      for (int64_t i = 0; i < t.rows; ++i)
        std::copy_n(values.begin() + i * t.cols, t.cols,
                    stored.begin() + map[static_cast<size_t>(i)] * t.cols);
      values = stored;
    }
    if (!blocked(t)) {
      w.write(gguf_name(t.name), std::span<const std::byte>(bytes_in(values, m.dtype)));
      continue;
    }
    std::vector<std::byte> out(values.size() / 32 * 34);
    for (size_t b = 0; b < values.size() / 32; ++b) {
      float largest = 0;
      for (size_t i = 0; i < 32; ++i) largest = std::max(largest, std::abs(values[b * 32 + i]));
      const F16 d = to_f16(largest / 127);
      std::memcpy(&out[b * 34], &d, 2);
      for (size_t i = 0; i < 32; ++i) {
        const auto code = static_cast<int8_t>(std::lround(values[b * 32 + i] / to_float(d)));
        std::memcpy(&out[b * 34 + 2 + i], &code, 1);
      }
    }
    w.write(gguf_name(t.name), std::span<const std::byte>(out));
  }
  w.commit();
}

/// A configuration whose widths Q8_0 blocks divide.
inline Json blocked_config() {
  Json c = tiny_config();
  c["hidden_size"] = 64;
  c["intermediate_size"] = 96;
  c["num_attention_heads"] = 4;
  c["num_key_value_heads"] = 2;
  c["head_dim"] = 16;
  return c;
}

/// All elements of a weight as floats.
inline std::vector<float> elements(const Weight& w) {
  std::vector<float> out(static_cast<size_t>(w.rows * w.cols));
  decode_rows(w, 0, w.rows, 0, w.cols, out.data(), w.cols);
  return out;
}

}  // namespace lorikeet::testing
