#include "export/adapter_sum.h"

#include <algorithm>
#include <cmath>

namespace lorikeet {

namespace {

constexpr std::string_view kWeight = ".weight", kBias = ".bias", kTokens = ".token_adapter.";

/// Scales a row to the length `magnitude`; a row of zeros stays.
void scale_to(float magnitude, float* row, int64_t n) {
  double squares = 0;
  for (int64_t k = 0; k < n; ++k) squares += static_cast<double>(row[k]) * static_cast<double>(row[k]);
  if (squares == 0) return;
  const auto factor = static_cast<float>(static_cast<double>(magnitude) / std::sqrt(squares));
  for (int64_t k = 0; k < n; ++k) row[k] *= factor;
}

/// What of an adapter is no sum of weights, in the words of its settings; empty if nothing is.
std::string_view no_sum(const AdapterConfig& c) {
  if (!c.modules_to_save.empty()) return "modules_to_save";
  if (!c.trainable_token_indices.empty()) return "trainable_token_indices";
  if (c.use_dora) return "use_dora";
  if (c.lora_bias) return "lora_bias";
  return {};
}

/// The settings of one of `count` adapters, if it can be part of a sum.
AdapterConfig checked_config(const AdapterWeight& adapter, size_t count) {
  if (!std::isfinite(adapter.weight))
    throw Error(ErrorKind::usage, fmt::format("adapter weight {} is not a finite number", adapter.weight),
                adapter.folder);
  AdapterConfig config = AdapterConfig::read(adapter.folder);
  const std::string_view reason = no_sum(config);
  if (!reason.empty() && (count > 1 || adapter.weight != 1))
    throw Error(
        ErrorKind::unsupported,
        fmt::format("an adapter with {} cannot be {}", reason, count > 1 ? "added to others" : "weighted"),
        adapter.folder + "/adapter_config.json",
        "merge it alone and with weight 1: it scales or replaces what others add to");
  return config;
}

void check_bias(const ModelFiles& files, const std::string& path) {
  for (const SourceTensor& t : files.tensors())
    if (t.expected.name == path + ".bias") return;
  throw Error(ErrorKind::unsupported,
              fmt::format("\"{}\" has no bias that lora_bias could be merged into", path), files.path(),
              "use the adapter as it is");
}

}  // namespace

AdapterSum::AdapterSum(const ModelFiles& files, const std::vector<AdapterWeight>& adapters,
                       Combination combination) {
  for (const AdapterWeight& a : adapters) {
    const AdapterConfig config = checked_config(a, adapters.size());
    // The base's weights are not needed to check and hold the adapter's.
    LoadOptions shapes_only;
    shapes_only.dry = true;
    WeightStore shapes(files, shapes_only);
    TrainableStore store(DType::f32);
    ModelOptions options;
    options.positions = 1;
    const std::vector<Target> targets = apply_adapter(config, files.spec(), options);
    build_model(files.spec(), shapes, options, store, /*with_gradients=*/false, /*dry=*/false);
    load_adapter(store, read_adapter_for(files, a.folder), a.folder, files.spec().num_hidden_layers,
                 config.base_model_name_or_path);
    options_.modules_to_save.merge(options.modules_to_save);
    options_.token_rows.merge(options.token_rows);
    add(store, a, targets, combination);
  }
  for (const auto& [path, m] : modules_) {
    options_.adapters[path] = {m.r, 1.0, !m.magnitude.empty(), !m.bias.empty()};
    if (!m.bias.empty()) check_bias(files, path);
  }
}

void AdapterSum::add(const TrainableStore& store, const AdapterWeight& adapter,
                     const std::vector<Target>& targets, Combination combination) {
  for (const Target& t : targets) add(store, t, adapter, combination);
  for (const NamedTensor& t : store.tensors()) {
    const ParameterKind kind = store.parameters()[t.parameter].kind;
    if (kind != ParameterKind::base && kind != ParameterKind::token_rows) continue;
    const float* values = store.value_of(t).row<float>(0);  // a whole parameter: contiguous
    auto& kept =
        kind == ParameterKind::base ? saved_[t.name] : tokens_[t.name.substr(0, t.name.rfind(kTokens))];
    kept.assign(values, values + t.rows * t.cols);
  }
}

void AdapterSum::add(const TrainableStore& store, const Target& t, const AdapterWeight& adapter,
                     Combination combination) {
  const auto tensor = [&](const char* suffix) {
    const NamedTensor* named = store.find(t.path + suffix);
    return named ? store.value_of(*named) : TensorView{};
  };
  TensorView a = tensor(".lora_A.weight"), b = tensor(".lora_B.weight");
  const TensorView magnitude = tensor(".lora_magnitude_vector"), bias = tensor(".lora_B.bias");
  Factors& m = modules_[t.path];
  std::vector<float> turned;
  if (const TensorView table = tensor(".lora_embedding_A")) {  // W^T gains B A
    m.embedding = true;
    b = table;
    const TensorView factor = tensor(".lora_embedding_B");
    for (int64_t k = 0; k < factor.cols; ++k)
      for (int64_t i = 0; i < factor.rows; ++i) turned.push_back(factor.row<float>(i)[k]);
    a = TensorView(turned.data(), {factor.cols, factor.rows}, DType::f32);
  }
  if (combination == Combination::linear)
    m.add(a, b, adapter.weight * t.scale, fmt::format("{}, module \"{}\"", adapter.folder, t.path));
  else
    m.append(a, b, adapter.weight * t.scale);
  if (magnitude) m.magnitude.assign(magnitude.row<float>(0), magnitude.row<float>(0) + magnitude.cols);
  for (int64_t i = 0; i < bias.cols; ++i)
    m.bias.push_back(static_cast<float>(t.scale * static_cast<double>(bias.row<float>(0)[i])));
}

void AdapterSum::Factors::append(const TensorView& new_a, const TensorView& new_b, double factor) {
  in = new_a.cols;
  out = new_b.rows;
  for (int64_t k = 0; k < new_a.rows; ++k) {
    a.insert(a.end(), new_a.row<float>(k), new_a.row<float>(k) + in);
    for (int64_t i = 0; i < out; ++i) b.push_back(static_cast<float>(factor) * new_b.row<float>(i)[k]);
  }
  r += new_a.rows;
}

void AdapterSum::Factors::add(const TensorView& new_a, const TensorView& new_b, double factor,
                              const std::string& where) {
  const auto root = static_cast<float>(std::sqrt(std::abs(factor))), signed_root = factor < 0 ? -root : root;
  if (r == 0) {
    r = new_a.rows;
    in = new_a.cols;
    out = new_b.rows;
    a.resize(static_cast<size_t>(r * in));
    b.resize(static_cast<size_t>(r * out));
  }
  if (r != new_a.rows)
    throw Error(ErrorKind::usage, fmt::format("this adapter has rank {}, another one {}", new_a.rows, r),
                where, "use --combination-type cat, which takes any ranks and is exact");
  for (int64_t k = 0; k < r; ++k) {
    for (int64_t i = 0; i < in; ++i)
      a[static_cast<size_t>(k * in + i)] += signed_root * new_a.row<float>(k)[i];
    for (int64_t i = 0; i < out; ++i) b[static_cast<size_t>(k * out + i)] += root * new_b.row<float>(i)[k];
  }
}

void AdapterSum::apply(const std::string& name, int64_t first, int64_t last, int64_t cols, float* out) const {
  if (const auto saved = saved_.find(name); saved != saved_.end()) {
    std::copy(saved->second.begin() + first * cols, saved->second.begin() + last * cols, out);
    return;
  }
  const bool is_bias = name.ends_with(kBias);
  if (!is_bias && !name.ends_with(kWeight)) return;
  const std::string path = name.substr(0, name.size() - (is_bias ? kBias : kWeight).size());
  if (const auto tokens = tokens_.find(path); tokens != tokens_.end() && !is_bias) {
    const std::vector<int32_t>& ids = options_.token_rows.at(path);
    for (size_t i = 0; i < ids.size(); ++i)
      if (ids[i] >= first && ids[i] < last)
        std::copy_n(tokens->second.begin() + static_cast<int64_t>(i) * cols, cols,
                    out + (ids[i] - first) * cols);
  }
  const auto it = modules_.find(path);
  if (it == modules_.end()) return;
  if (is_bias) {
    for (size_t i = 0; i < it->second.bias.size(); ++i) out[i] += it->second.bias[i];
    return;
  }
  const Factors& m = it->second;
  LORIKEET_CHECK(m.in == cols);
  std::vector<float> sum(static_cast<size_t>(cols));
  for (int64_t i = first; i < last; ++i, out += cols) {
    std::fill(sum.begin(), sum.end(), 0.0f);
    for (int64_t r = 0; r < m.r; ++r) {
      const float b = m.b[static_cast<size_t>(r * m.out + i)];
      const float* a = m.a.data() + r * cols;
      for (int64_t k = 0; k < cols; ++k) sum[static_cast<size_t>(k)] += b * a[k];
    }
    for (int64_t k = 0; k < cols; ++k) out[k] += sum[static_cast<size_t>(k)];
    if (!m.magnitude.empty()) scale_to(m.magnitude[static_cast<size_t>(i)], out, cols);
  }
}

void AdapterSum::fill(TrainableStore& store) const {
  for (const auto& [name, values] : saved_)
    std::copy(values.begin(), values.end(), store.value_of(*store.find(name)).row<float>(0));
  for (const auto& [path, values] : tokens_)
    std::copy(values.begin(), values.end(),
              store.value_of(*store.find(path + ".token_adapter.trainable_tokens_delta")).row<float>(0));
  for (const auto& [path, m] : modules_) {
    const auto tensor = [&, &at = path](const char* suffix) {
      return store.value_of(*store.find(at + suffix));
    };
    const TensorView a = tensor(m.embedding ? ".lora_embedding_B" : ".lora_A.weight"),
                     b = tensor(m.embedding ? ".lora_embedding_A" : ".lora_B.weight");
    for (int64_t r = 0; r < m.r; ++r) {
      for (int64_t i = 0; i < m.in; ++i)
        (m.embedding ? a.row<float>(i)[r] : a.row<float>(r)[i]) = m.a[static_cast<size_t>(r * m.in + i)];
      for (int64_t i = 0; i < m.out; ++i) b.row<float>(i)[r] = m.b[static_cast<size_t>(r * m.out + i)];
    }
    if (!m.bias.empty()) std::copy(m.bias.begin(), m.bias.end(), tensor(".lora_B.bias").row<float>(0));
    if (!m.magnitude.empty())
      std::copy(m.magnitude.begin(), m.magnitude.end(), tensor(".lora_magnitude_vector").row<float>(0));
  }
}

}  // namespace lorikeet
