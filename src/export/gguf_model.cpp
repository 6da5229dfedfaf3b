#include "export/gguf_model.h"

#include <algorithm>
#include <cmath>

#include "export/gguf_tokenizer.h"
#include "model/arch/families.h"
#include "model/gguf_family.h"
#include "model/spec_difference.h"
#include "quant/format.h"

namespace lorikeet {

namespace {

constexpr const char* kInstead = "write a Hugging Face folder (--format safetensors)";

/// ggml's number for the type of most tensors (enum llama_ftype).
uint32_t file_type(WeightType type) {
  if (type == WeightType(DType::f16)) return 1;
  if (type == WeightType(WeightFormat::q4_0)) return 2;
  if (type == WeightType(WeightFormat::q8_0)) return 7;
  if (type == WeightType(DType::bf16)) return 32;
  return 0;
}

const GgufFamily& family_of(const ModelFiles& files) {
  if (const GgufFamily* family = gguf_family_of(files.spec().architecture)) return *family;
  throw Error(ErrorKind::unsupported, fmt::format("{} has no GGUF form here", files.spec().architecture),
              files.path(), kInstead);
}

/// The scalings that are said by numbers, and the numbers beside the tensors of longrope.
void add_rope_scaling(const RopeSpec& r, const std::string& prefix, GgufWriter& file) {
  const bool yarn = r.scaling == RopeScaling::yarn, longrope = r.scaling == RopeScaling::longrope;
  const auto add = [&](const char* key, double value) {
    file.add_float32(prefix + key, static_cast<float>(value));
  };
  if (yarn || r.scaling == RopeScaling::linear) {
    file.add_string(prefix + "type", yarn ? "yarn" : "linear");
    add("factor", r.factor);
  }
  if (!yarn && !longrope) return;
  file.add_uint32(prefix + "original_context_length",
                  static_cast<uint32_t>(r.original_max_position_embeddings));
  if (yarn) {
    add("yarn_beta_fast", r.beta_fast);
    add("yarn_beta_slow", r.beta_slow);
  }
  const double implied = yarn ? yarn_attention_factor(r.factor) : 1;
  if (r.attention_factor != implied) add("attn_factor", r.attention_factor / implied);
}

void add_fields(const ModelSpec& spec, const GgufFamily& family, GgufWriter& file) {
  for (const std::span<const GgufField> fields : {gguf_common_fields(), family.fields})
    for (const GgufField& field : fields) {
      const std::optional<double> value = field.of(spec);
      if (!value) continue;
      const std::string key = fmt::format("{}.{}", family.gguf, field.key);
      if (field.kind == GgufField::Kind::integer)
        file.add_uint32(key, static_cast<uint32_t>(*value));
      else if (field.kind == GgufField::Kind::choice)
        file.add_bool(key, *value != 0);
      else
        file.add_float32(key, static_cast<float>(*value));
    }
  add_rope_scaling(spec.rope, std::string(family.gguf) + ".rope.scaling.", file);
}

/// Keys that are about the bytes of the file they stand in.
bool is_of_the_file(std::string_view key) {
  return key == "general.alignment" || key == "general.file_type" || key == "general.quantization_version" ||
         key.starts_with("split.") || key.starts_with("quantize.");
}

void add_metadata(GgufWriter& file, const ModelFiles& like, const GgufFamily& family, WeightType type) {
  if (like.is_gguf()) {
    const GgufFile from = GgufFile::open(like.path());
    for (const std::string_view key : from.keys())
      if (!is_of_the_file(key)) file.copy(from, key);
  } else {
    file.add_string("general.architecture", family.gguf);
    file.add_string("general.type", "model");
    file.add_string("general.name", like.name());
    add_fields(like.spec(), family, file);
    write_gguf_tokenizer(gguf_tokenizer_of(like), file);
  }
  file.add_uint32("general.file_type", file_type(type));
  constexpr uint32_t kQuantizationVersion = 2;  // GGML_QNT_VERSION
  file.add_uint32("general.quantization_version", kQuantizationVersion);
}

/// Place in Hugging Face's order of each stored row (or element of a vector); empty where it is the same.
std::vector<int32_t> stored_order(RowOrder order, const ModelSpec& spec) {
  const std::vector<int32_t> stored = stored_rows(order, spec);
  std::vector<int32_t> places(stored.size());
  for (size_t i = 0; i < stored.size(); ++i) places[static_cast<size_t>(stored[i])] = static_cast<int32_t>(i);
  return places;
}

void write_tensor(GgufWriter& file, const ExpectedTensor& t, const GgufPlace& place, float added,
                  const ModelSpec& spec, WeightType type, const RowReader& rows, ThreadPool& threads) {
  const std::vector<int32_t> order = stored_order(place.order, spec);
  const bool vector = t.role == TensorRole::vector;
  const auto read = [&](int64_t first, int64_t n, float* out) {
    if (order.empty() || vector) {
      read_in_parallel(rows, t, first, n, threads, out);
    } else {
      threads.for_each(n, [&](int64_t i, int) {
        const int64_t row = order[static_cast<size_t>(first + i)];
        rows(t, row, row + 1, out + i * t.cols);
      });
    }
    if (!vector) return;
    const std::vector<float> plain(out, out + t.cols);
    for (int64_t i = 0; i < t.cols; ++i)
      out[i] = plain[static_cast<size_t>(order.empty() ? i : order[static_cast<size_t>(i)])] + added;
  };
  encode_rows(t, t.rows, t.cols, type, threads, read,
              [&](std::span<const std::byte> bytes) { file.write(place.name, bytes); });
}

/// A [r,in] and B [out,r] of one module.
void write_factors(GgufWriter& file, const std::string& path, const AdapterSum::Factors& f,
                   const std::map<std::string, GgufPlace>& places, const ModelSpec& spec, DType dtype,
                   ThreadPool& threads) {
  const GgufPlace& place = places.at(path + ".weight");
  const std::vector<int32_t> order = stored_order(place.order, spec);
  const auto write = [&](const char* suffix, int64_t rows, int64_t cols, const auto& element) {
    ExpectedTensor t;
    t.name = path + suffix;
    const auto read = [&](int64_t first, int64_t n, float* out) {
      for (int64_t i = 0; i < n; ++i)
        for (int64_t k = 0; k < cols; ++k) out[i * cols + k] = element(first + i, k);
    };
    encode_rows(t, rows, cols, dtype, threads, read,
                [&](std::span<const std::byte> part) { file.write(place.name + suffix, part); });
  };
  write(".lora_a", f.r, f.in, [&](int64_t i, int64_t k) { return f.a[static_cast<size_t>(i * f.in + k)]; });
  write(".lora_b", f.out, f.r, [&](int64_t i, int64_t k) {
    const int64_t row = order.empty() ? i : order[static_cast<size_t>(i)];
    return f.b[static_cast<size_t>(k * f.out + row)];
  });
}

/// What was declared must be read as the same model.
void check_declared(const GgufWriter& file, const ModelFiles& like) {
  const auto differs = [&]() -> std::optional<std::string> {
    try {
      return difference(like.spec(), ModelFiles::open(file.written_path()).spec());
    } catch (const Error& e) {
      // It speaks of a file that will not appear. What cannot be read back as it is cannot be said.
      throw Error(e.kind() == ErrorKind::format ? ErrorKind::unsupported : e.kind(),
                  fmt::format("it cannot be a GGUF file: {}", e.message()), like.config().where(), kInstead);
    }
  }();
  if (differs)
    throw Error(ErrorKind::unsupported,
                fmt::format("a GGUF file of architecture {} cannot say {} (it would be read as the second)",
                            gguf_architecture(like.spec().architecture), *differs),
                like.config().where(), kInstead);
}

}  // namespace

WeightType gguf_tensor_type(const ExpectedTensor& t, const ModelSpec& spec, WeightType wanted) {
  if (t.role == TensorRole::vector || t.role == TensorRole::router ||
      t.name == spec.names.positions + ".weight")
    return DType::f32;
  if (wanted.format == WeightFormat::dense) return wanted;
  if (t.cols % format_info(wanted.format).block_elements != 0) return DType::f16;
  return t.role == TensorRole::linear ? wanted : WeightType(WeightFormat::q8_0);
}

uint64_t write_gguf_model(GgufWriter& file, const ModelFiles& like, WeightType type, const RowReader& rows,
                          ThreadPool& threads) {
  const GgufFamily& family = family_of(like);
  const ModelSpec& spec = like.spec();
  if (const char* what = family.beyond ? family.beyond(spec) : nullptr)
    throw Error(ErrorKind::unsupported,
                fmt::format("a GGUF file of architecture {} has no place for {}", family.gguf, what),
                like.config().where(), kInstead);
  const std::map<std::string, GgufPlace> places = gguf_places(spec, family);
  add_metadata(file, like, family, type);
  uint64_t bytes = 0;
  for (const SourceTensor& s : like.tensors()) {
    const ExpectedTensor& t = s.expected;
    const WeightType own = gguf_tensor_type(t, spec, type);
    const auto place = places.find(t.name);
    if (place == places.end())
      throw Error(ErrorKind::unsupported, fmt::format("GGUF has no name for the tensor \"{}\"", t.name),
                  like.path(), kInstead);
    if (place->second.part == 0) file.add_tensor(place->second.name, *gguf_type(own), place->second.shape(t));
    bytes += static_cast<uint64_t>(weight_bytes(own.format, own.dtype, t.rows, t.cols));
  }
  const std::map<std::string, std::vector<float>> divisors = gguf_rope_tensors(spec.rope);
  for (const auto& [name, values] : divisors)
    file.add_tensor(name, GgufType::f32, {static_cast<int64_t>(values.size())});
  file.begin();
  for (const auto& [name, values] : divisors) file.write(name, std::span<const float>(values));
  check_declared(file, like);
  for (const SourceTensor& s : like.tensors()) {
    const ExpectedTensor& t = s.expected;
    write_tensor(file, t, places.at(t.name), family.added_to(t), spec, gguf_tensor_type(t, spec, type), rows,
                 threads);
    like.release(s);
  }
  return bytes;
}

uint64_t write_gguf_adapter(GgufWriter& file, const ModelFiles& base, DType dtype, const AdapterSum& adapters,
                            ThreadPool& threads) {
  const GgufFamily& family = family_of(base);
  const std::map<std::string, GgufPlace> places = gguf_places(base.spec(), family);
  file.add_string("general.architecture", family.gguf);
  file.add_string("general.type", "adapter");
  file.add_string("general.name", base.name() + " LoRA");
  file.add_string("adapter.type", "lora");
  file.add_float32("adapter.lora.alpha", 0);  // llama.cpp: B A as it is
  file.add_uint32("general.file_type", file_type(dtype));
  uint64_t bytes = 0;
  const GgufType type = *gguf_type(dtype);
  const auto refuse = [](const char* what, const std::string& where) {
    throw Error(ErrorKind::unsupported, fmt::format("llama.cpp's LoRA files hold no {}", what), where,
                "merge the adapter (--format gguf)");
  };
  if (adapters.replaces()) refuse("modules or tokens that were trained in full", base.path());
  for (const auto& [path, f] : adapters.by_module()) {
    if (!f.magnitude.empty()) refuse("magnitudes (DoRA)", path);
    if (!f.bias.empty()) refuse("biases (lora_bias)", path);
    if (f.embedding) refuse("adapters of an embedding", path);
    const std::string name = places.at(path + ".weight").name;
    file.add_tensor(name + ".lora_a", type, {f.r, f.in});
    file.add_tensor(name + ".lora_b", type, {f.out, f.r});
    bytes += static_cast<uint64_t>(f.r * (f.in + f.out)) * size_of(dtype);
  }
  file.begin();
  for (const auto& [path, f] : adapters.by_module())
    write_factors(file, path, f, places, base.spec(), dtype, threads);
  return bytes;
}

}  // namespace lorikeet
