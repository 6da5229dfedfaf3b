// GPTQ and AWQ checkpoints. Source: GPTQModel 7.4, nn_modules/qlinear/__init__.py, quantization/config.py,
// utils/model_dequant.py; AutoAWQ 0.2.9, modules/linear/gemm.py.
#include <array>
#include <initializer_list>

#include "model/packed_reader.h"

namespace lorikeet {

namespace {

/// What a configuration says of one module.
struct Settings {
  int64_t bits = 4, group_size = -1;
  bool desc_act = false;
};

std::string groups_text(int64_t group_size) {
  return group_size == -1 ? "one group per row" : fmt::format("groups of {}", group_size);
}

void add_part(SourceTensor& t, const SafetensorsTensor& part) { t.parts.emplace_back(part.data, part.bytes); }

/// The tensors that both methods store in the same way.
class GroupedReader : public PackedReader {
 public:
  using PackedReader::PackedReader;

 protected:
  /// The codes of a module, if it is stored quantized.
  const SafetensorsTensor* codes_of(const std::string& module) const {
    return tensors_.find(module + ".qweight");
  }
  /// Throws Error(format) unless codes is [rows, cols] I32, Error(unsupported) for an embedding or a router.
  SourceTensor weight(const ExpectedTensor& e, const SafetensorsTensor& codes, std::array<int64_t, 2> shape,
                      WeightFormat format, int32_t zero_offset, const Settings& s);
  /// The first of `keys` that the configuration has, in small letters.
  std::string word(std::initializer_list<const char*> keys, const std::string& fallback) const;

  std::set<int64_t> bits_, group_sizes_;
  int64_t ordered_ = 0;

 private:
  void add_scales(SourceTensor& t, const std::string& module, int64_t groups);
  void add_groups(SourceTensor& t, const std::string& module, int64_t groups, bool desc_act);
};

std::string GroupedReader::word(std::initializer_list<const char*> keys, const std::string& fallback) const {
  for (const char* key : keys) {
    if (!config_.has(key)) continue;
    std::string text = config_.string_or(key, "");
    for (char& c : text)
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
    return text;
  }
  return fallback;
}

SourceTensor GroupedReader::weight(const ExpectedTensor& e, const SafetensorsTensor& codes,
                                   std::array<int64_t, 2> shape, WeightFormat format, int32_t zero_offset,
                                   const Settings& s) {
  if (e.role != TensorRole::linear && e.role != TensorRole::head)
    throw Error(ErrorKind::unsupported, "quantized embeddings and routers are not supported",
                place(codes.name));
  if (codes.type != SafetensorsType::i32 || codes.shape != std::vector<int64_t>(shape.begin(), shape.end()))
    throw Error(ErrorKind::format,
                fmt::format("a {} was found where {} bits need [{}] I32", codes.describe(), s.bits,
                            fmt::join(shape, ",")),
                place(codes.name),
                "weights and quantization_config contradict each other; download the model again");
  if (s.group_size != -1 && (s.group_size < 1 || s.group_size > INT32_MAX))
    throw Error(ErrorKind::format, fmt::format("group_size {} is neither -1 nor positive", s.group_size),
                config_.field("group_size"));
  SourceTensor t;
  t.expected = e;
  t.stored_name = codes.name;
  t.file = tensors_.file_of(codes);
  use(codes);
  add_part(t, codes);
  Weight& w = t.stored;
  w.format = format;
  w.rows = e.rows;
  w.cols = e.cols;
  w.data = codes.data;
  Grouped& g = w.grouped;
  g.bits = static_cast<int32_t>(s.bits);
  g.zero_offset = zero_offset;
  g.group_size = s.group_size == -1 ? e.cols : s.group_size;

  const std::string module = module_of(e.name);
  const int64_t groups = (e.cols + g.group_size - 1) / g.group_size;
  add_scales(t, module, groups);
  const SafetensorsTensor& zeros =
      part(module + ".qzeros", SafetensorsType::i32, groups * ((e.rows * s.bits + 31) / 32));
  g.zeros = reinterpret_cast<const uint32_t*>(zeros.data);
  add_part(t, zeros);
  add_groups(t, module, groups, s.desc_act);
  bits_.insert(s.bits);
  group_sizes_.insert(s.group_size);
  return t;
}

void GroupedReader::add_scales(SourceTensor& t, const std::string& module, int64_t groups) {
  const std::string name = module + ".scales";
  const SafetensorsTensor* found = tensors_.find(name);
  const auto type = found ? to_dtype(found->type) : DType::f16;
  if (!type || size_of(*type) > sizeof(float))
    throw Error(ErrorKind::unsupported,
                fmt::format("scales of type {} are not supported", name_of(found->type)), place(name),
                "supported: F16, BF16, F32");
  const SafetensorsTensor& scales =
      part(name, found ? found->type : SafetensorsType::f16, groups * t.expected.rows);
  add_part(t, scales);
  t.stored.grouped.scales = scales.data;
  t.stored.grouped.scale_type = t.stored.dtype = *type;
}

/// The group of each column, where it is not k / group_size.
void GroupedReader::add_groups(SourceTensor& t, const std::string& module, int64_t groups, bool desc_act) {
  const std::string name = module + ".g_idx";
  if (!tensors_.find(name)) {
    if (desc_act)
      throw Error(ErrorKind::format, fmt::format("the tensor '{}' is missing, which desc_act needs", name),
                  tensors_.path(), "the quantized weight is incomplete; download the model again");
    return;
  }
  Grouped& g = t.stored.grouped;
  const SafetensorsTensor& index = part(name, SafetensorsType::i32, t.expected.cols);
  const auto* of = reinterpret_cast<const int32_t*>(index.data);
  bool in_order = true;
  for (int64_t k = 0; k < t.expected.cols; ++k) {
    if (of[k] < 0 || of[k] >= groups)
      throw Error(ErrorKind::format, fmt::format("column {} is in group {} of {}", k, of[k], groups),
                  place(name), "the checkpoint is broken; download it again");
    in_order = in_order && of[k] == k / g.group_size;
  }
  if (in_order) return;
  ordered_ += 1;
  add_part(t, index);
  g.group_of = of;
}

/// One pattern of GPTQModel's "dynamic".
struct Override {
  PathPattern pattern;
  bool excludes;  ///< "-:", the module stays dense
  HfConfig values;
};

class GptqReader : public GroupedReader {
 public:
  GptqReader(HfConfig config, const SafetensorsSet& tensors) : GroupedReader(std::move(config), tensors) {
    const std::string format = word({"checkpoint_format", "format"}, "gptq");
    if (format != "gptq" && format != "gptq_v2")
      throw Error(ErrorKind::unsupported,
                  fmt::format("GPTQ weights in the format '{}' are not supported", format),
                  config_.field("checkpoint_format"), "supported: gptq (version 1) and gptq_v2");
    zero_offset_ = format == "gptq" ? 1 : 0;
    if (const std::string type = config_.string_or("pack_dtype", "int32"); type != "int32")
      throw Error(ErrorKind::unsupported, fmt::format("words of type {} are not supported", type),
                  config_.field("pack_dtype"), "supported: int32");
    read_overrides();
  }

  std::optional<SourceTensor> read(const ExpectedTensor& e) override {
    const std::string module = module_of(e.name);
    const SafetensorsTensor* codes = codes_of(module);
    if (!codes) return std::nullopt;
    const Settings s = settings_of(module);
    if (e.cols * s.bits % 32 != 0)
      throw Error(ErrorKind::unsupported,
                  fmt::format("{} columns of {} bits do not fill words of 32 bits", e.cols, s.bits),
                  place(codes->name));
    return weight(e, *codes, {e.cols * s.bits / 32, e.rows}, WeightFormat::gptq, zero_offset_, s);
  }

  Quantization describe() const override {
    Quantization q;
    q.method = zero_offset_ ? "gptq" : "gptq_v2";
    q.traits.push_back(fmt::format("{} bits", fmt::join(bits_, ", ")));
    for (const int64_t size : group_sizes_) q.traits.push_back(groups_text(size));
    if (ordered_ > 0) q.traits.push_back(fmt::format("act-order in {} layers", ordered_));
    return q;
  }

 private:
  void read_overrides() {
    const std::string where = config_.field("dynamic");
    const Json dynamic = config_.object("dynamic");
    for (const auto& [key, value] : dynamic.items()) {
      const bool marked = key.starts_with("-:") || key.starts_with("+:");
      overrides_.push_back(
          {PathPattern(marked ? key.substr(2) : key, PathPattern::Extent::prefix, where, ErrorKind::format),
           key.starts_with("-:"), HfConfig(value, fmt::format("{}, \"{}\"", where, key))});
    }
  }

  /// The first matching override counts, as in GPTQModel.
  Settings settings_of(const std::string& module) const {
    Settings s = with(config_, {});
    for (const Override& o : overrides_) {
      if (!o.pattern(module)) continue;
      if (o.excludes)
        throw Error(ErrorKind::format,
                    fmt::format("module \"{}\" is stored quantized, but \"dynamic\" leaves it out", module),
                    o.values.where(), "weights and configuration contradict each other");
      s = with(o.values, s);
      break;
    }
    if (s.bits != 2 && s.bits != 3 && s.bits != 4 && s.bits != 8)
      throw Error(ErrorKind::unsupported, fmt::format("GPTQ with {} bits is not supported", s.bits),
                  config_.field("bits"), "supported: 2, 3, 4 and 8");
    return s;
  }
  static Settings with(const HfConfig& c, const Settings& base) {
    return {c.integer_or("bits", base.bits), c.integer_or("group_size", base.group_size),
            c.boolean_or("desc_act", base.desc_act)};
  }

  int32_t zero_offset_ = 1;
  std::vector<Override> overrides_;
};

class AwqReader : public GroupedReader {
 public:
  AwqReader(HfConfig config, const SafetensorsSet& tensors)
      : GroupedReader(std::move(config), tensors), skipped_(config_, "modules_to_not_convert") {
    const std::string version = word({"version", "format", "checkpoint_format"}, "gemm");
    if (version != "gemm")
      throw Error(ErrorKind::unsupported,
                  fmt::format("AWQ weights in the format '{}' are not supported", version),
                  config_.field("version"), "supported: gemm");
    settings_.bits = config_.integer_or("bits", config_.integer_or("w_bit", 4));
    settings_.group_size = config_.integer_or("group_size", config_.integer_or("q_group_size", 128));
    if (settings_.bits != 4)
      throw Error(ErrorKind::unsupported, fmt::format("AWQ with {} bits is not supported", settings_.bits),
                  config_.field("bits"), "supported: 4");
    // AutoAWQ divides the activations of some families by scales of their own (ScaledActivation).
    for (const SafetensorsTensor& t : tensors_.tensors())
      if (t.name.ends_with(".scales") && !codes_of(module_of(t.name)))
        throw Error(ErrorKind::unsupported, "AWQ with scaled activations is not supported", place(t.name),
                    "use the original checkpoint with method qlora, or a GGUF file");
  }

  std::optional<SourceTensor> read(const ExpectedTensor& e) override {
    const std::string module = module_of(e.name);
    const SafetensorsTensor* codes = codes_of(module);
    if (!codes) return std::nullopt;
    if (skipped_(module))
      throw Error(
          ErrorKind::format,
          fmt::format("module \"{}\" is stored quantized, but modules_to_not_convert leaves it out", module),
          config_.field("modules_to_not_convert"), "weights and configuration contradict each other");
    if (e.rows % 8 != 0)
      throw Error(ErrorKind::unsupported,
                  fmt::format("{} outputs of 4 bits do not fill words of 32 bits", e.rows),
                  place(codes->name));
    return weight(e, *codes, {e.cols, e.rows / 8}, WeightFormat::awq, 0, settings_);
  }

  Quantization describe() const override {
    return {"awq", {"4 bits", groups_text(settings_.group_size)}, {}};
  }

 private:
  SkippedModules skipped_;
  Settings settings_;
};

}  // namespace

std::unique_ptr<PackedReader> gptq_reader(HfConfig config, const SafetensorsSet& tensors) {
  return std::make_unique<GptqReader>(std::move(config), tensors);
}
std::unique_ptr<PackedReader> awq_reader(HfConfig config, const SafetensorsSet& tensors) {
  return std::make_unique<AwqReader>(std::move(config), tensors);
}

}  // namespace lorikeet
