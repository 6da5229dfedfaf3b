#include "export/adapter_sum.h"

#include <cmath>

namespace lorikeet {

namespace {

const char* const kSuffix = ".weight";

}  // namespace

AdapterSum::AdapterSum(const ModelFiles& files, const std::vector<AdapterWeight>& adapters) {
  for (const AdapterWeight& a : adapters) add(files, a);
}

void AdapterSum::add(const ModelFiles& files, const AdapterWeight& adapter) {
  if (!std::isfinite(adapter.weight))
    throw Error(ErrorKind::usage, fmt::format("adapter weight {} is not a finite number", adapter.weight),
                adapter.folder);
  const AdapterConfig config = AdapterConfig::read(adapter.folder);
  if (!config.modules_to_save.empty())
    throw Error(ErrorKind::unsupported, "merging an adapter with modules_to_save is not supported yet",
                adapter.folder + "/adapter_config.json");
  ModelOptions options;
  options.positions = 1;
  const std::vector<Target> targets = select_targets(linear_module_paths(files.spec()), config.targets);
  for (const Target& t : targets) options.adapters[t.path] = {t.r, t.scale};
  // The base's weights are not needed to check and hold the adapter's.
  LoadOptions shapes_only;
  shapes_only.dry = true;
  WeightStore shapes(files, shapes_only);
  TrainableStore store(DType::f32);
  build_model(files.spec(), shapes, options, store, /*with_optimizer=*/false, /*dry=*/false);
  load_adapter(store, read_adapter_tensors(adapter.folder), adapter.folder, files.spec().num_hidden_layers,
               config.base_model_name_or_path);

  for (const Target& t : targets) {
    const TensorView a = store.value_of(*store.find(t.path + ".lora_A.weight")),
                     b = store.value_of(*store.find(t.path + ".lora_B.weight"));
    Module& m = modules_[t.path];
    m.in = a.cols;
    m.out = b.rows;
    m.r += t.r;
    const auto scale = static_cast<float>(adapter.weight * t.scale);
    for (int64_t r = 0; r < t.r; ++r) {
      m.a.insert(m.a.end(), a.row<float>(r), a.row<float>(r) + a.cols);
      for (int64_t i = 0; i < b.rows; ++i) m.b.push_back(scale * b.row<float>(i)[r]);
    }
  }
}

void AdapterSum::add_rows(const std::string& name, int64_t first, int64_t last, int64_t cols,
                          float* out) const {
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
  }
}

std::map<std::string, AdapterChoice> AdapterSum::choices() const {
  std::map<std::string, AdapterChoice> all;
  for (const auto& [path, m] : modules_) all[path] = {m.r, 1.0};
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
  }
}

}  // namespace lorikeet
