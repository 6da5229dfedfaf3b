#include "model/packed_reader.h"

#include <algorithm>
#include <cmath>

namespace lorikeet {

namespace {

struct Method {
  const char* name;  ///< quant_method
  std::unique_ptr<PackedReader> (*make)(HfConfig config, const SafetensorsSet& tensors);
};
constexpr Method kMethods[] = {{"bitsandbytes", bnb_reader}, {"gptq", gptq_reader}, {"awq", awq_reader}};

}  // namespace

std::string PackedReader::place(const std::string& tensor) const {
  const SafetensorsTensor* t = tensors_.find(tensor);
  return fmt::format("{}, tensor '{}'", t ? tensors_.file_of(*t) : tensors_.path(), tensor);
}

const SafetensorsTensor& PackedReader::part(const std::string& name, SafetensorsType type, int64_t count) {
  const SafetensorsTensor* t = tensors_.find(name);
  if (!t)
    throw Error(ErrorKind::format, fmt::format("the tensor '{}' is missing", name), tensors_.path(),
                "the quantized weight is incomplete; download the model again");
  if (t->type != type || t->count() != count)
    throw Error(
        ErrorKind::format,
        fmt::format("a {} was found where {} elements of {} are needed", t->describe(), count, name_of(type)),
        place(name), "the file does not fit its configuration; download the model again");
  use(*t);
  return *t;
}

const float* PackedReader::finite_part(const std::string& name, int64_t count) {
  const auto* values = reinterpret_cast<const float*>(part(name, SafetensorsType::f32, count).data);
  for (int64_t i = 0; i < count; ++i)
    if (!std::isfinite(values[i]))
      throw Error(ErrorKind::format, fmt::format("element {} is {}", i, values[i]), place(name),
                  "the checkpoint is broken; download it again");
  return values;
}

std::string module_of(const std::string& tensor) { return tensor.substr(0, tensor.rfind('.')); }

SkippedModules::SkippedModules(const HfConfig& config, const std::string& key) {
  if (!config.has(key)) return;
  given_ = true;
  const Json& list = config.json().at(key);
  const std::string where = config.field(key);
  if (!list.is_array()) throw Error(ErrorKind::format, "a list of module names is needed", where);
  for (const Json& entry : list) {
    suffixes_.push_back(json_string(entry, where));
    patterns_.emplace_back(suffixes_.back(), PathPattern::Extent::prefix_at_dot, where, ErrorKind::format);
  }
}

bool SkippedModules::operator()(const std::string& module) const {
  return std::any_of(suffixes_.begin(), suffixes_.end(),
                     [&](const auto& s) { return module.ends_with(s); }) ||
         std::any_of(patterns_.begin(), patterns_.end(), [&](const auto& p) { return p(module); });
}

std::unique_ptr<PackedReader> packed_reader(const HfConfig& config, const SafetensorsSet& tensors) {
  constexpr const char* kKey = "quantization_config";
  if (!config.has(kKey)) return nullptr;
  HfConfig own(config.object(kKey), config.field(kKey));
  const std::string name = own.string_or("quant_method", "unknown");
  std::string known;
  for (const Method& m : kMethods) {
    if (name == m.name) return m.make(std::move(own), tensors);
    known += fmt::format("{}{}", known.empty() ? "" : ", ", m.name);
  }
  throw Error(
      ErrorKind::unsupported,
      fmt::format("the checkpoint is quantized by '{}', which is not supported", name), config.field(kKey),
      fmt::format("supported: {}; or use the original checkpoint with method qlora, or a GGUF file", known));
}

}  // namespace lorikeet
