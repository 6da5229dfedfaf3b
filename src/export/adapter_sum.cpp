#include "export/adapter_sum.h"

#include <cmath>

#include "model/adapter_targets.h"

namespace lorikeet {

namespace {

const char* const kSuffix = ".weight";

/// Scales a row to the length `magnitude`; a row of zeros stays.
void scale_to(float magnitude, float* row, int64_t n) {
  double squares = 0;
  for (int64_t k = 0; k < n; ++k) squares += static_cast<double>(row[k]) * static_cast<double>(row[k]);
  if (squares == 0) return;
  const auto factor = static_cast<float>(static_cast<double>(magnitude) / std::sqrt(squares));
  for (int64_t k = 0; k < n; ++k) row[k] *= factor;
}

/// The settings of one of `count` adapters, if it can be part of a sum.
AdapterConfig checked_config(const AdapterWeight& adapter, size_t count) {
  if (!std::isfinite(adapter.weight))
    throw Error(ErrorKind::usage, fmt::format("adapter weight {} is not a finite number", adapter.weight),
                adapter.folder);
  AdapterConfig config = AdapterConfig::read(adapter.folder);
  const std::string where = adapter.folder + "/adapter_config.json";
  if (!config.modules_to_save.empty())
    throw Error(ErrorKind::unsupported, "merging an adapter with modules_to_save is not supported yet",
                where);
  if (config.use_dora && (count > 1 || adapter.weight != 1))
    throw Error(ErrorKind::unsupported,
                fmt::format("a DoRA adapter cannot be {}", count > 1 ? "added to others" : "weighted"), where,
                "merge it alone and with weight 1: its magnitudes scale whole rows of the weights");
  return config;
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
    const std::vector<Target> targets = adapter_targets(files.spec(), config.targets);
    for (const Target& t : targets) options.adapters[t.path] = {t.r, t.scale, config.use_dora};
    build_model(files.spec(), shapes, options, store, /*with_gradients=*/false, /*dry=*/false);
    load_adapter(store, read_adapter_tensors(a.folder), a.folder, files.spec().num_hidden_layers,
                 config.base_model_name_or_path);
    for (const Target& t : targets) add(store, t, a, combination);
  }
}

void AdapterSum::add(const TrainableStore& store, const Target& t, const AdapterWeight& adapter,
                     Combination combination) {
  const auto tensor = [&](const char* suffix) {
    const NamedTensor* named = store.find(t.path + suffix);
    return named ? store.value_of(*named) : TensorView{};
  };
  const TensorView a = tensor(".lora_A.weight"), b = tensor(".lora_B.weight"),
                   magnitude = tensor(".lora_magnitude_vector");
  Module& m = modules_[t.path];
  if (combination == Combination::linear)
    m.add(a, b, adapter.weight * t.scale, fmt::format("{}, module \"{}\"", adapter.folder, t.path));
  else
    m.append(a, b, adapter.weight * t.scale);
  if (magnitude) m.magnitude.assign(magnitude.row<float>(0), magnitude.row<float>(0) + magnitude.cols);
}

void AdapterSum::Module::append(const TensorView& new_a, const TensorView& new_b, double factor) {
  in = new_a.cols;
  out = new_b.rows;
  for (int64_t k = 0; k < new_a.rows; ++k) {
    a.insert(a.end(), new_a.row<float>(k), new_a.row<float>(k) + in);
    for (int64_t i = 0; i < out; ++i) b.push_back(static_cast<float>(factor) * new_b.row<float>(i)[k]);
  }
  r += new_a.rows;
}

void AdapterSum::Module::add(const TensorView& new_a, const TensorView& new_b, double factor,
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
  if (!name.ends_with(kSuffix)) return;
  const auto it = modules_.find(name.substr(0, name.size() - std::string_view(kSuffix).size()));
  if (it == modules_.end()) return;
  const Module& m = it->second;
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

std::map<std::string, AdapterChoice> AdapterSum::choices() const {
  std::map<std::string, AdapterChoice> all;
  for (const auto& [path, m] : modules_) all[path] = {m.r, 1.0, !m.magnitude.empty()};
  return all;
}

void AdapterSum::fill(TrainableStore& store) const {
  for (const auto& [path, m] : modules_) {
    const TensorView a = store.value_of(*store.find(path + ".lora_A.weight")),
                     b = store.value_of(*store.find(path + ".lora_B.weight"));
    for (int64_t r = 0; r < m.r; ++r) {
      std::copy_n(m.a.begin() + r * m.in, m.in, a.row<float>(r));
      for (int64_t i = 0; i < m.out; ++i) b.row<float>(i)[r] = m.b[static_cast<size_t>(r * m.out + i)];
    }
    if (m.magnitude.empty()) continue;
    std::copy(m.magnitude.begin(), m.magnitude.end(),
              store.value_of(*store.find(path + ".lora_magnitude_vector")).row<float>(0));
  }
}

}  // namespace lorikeet
