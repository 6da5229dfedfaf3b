// bitsandbytes' 4-bit checkpoints. Source: bitsandbytes 0.50.2, functional.py, QuantState.as_dict and
// from_dict; transformers 5.23, BitsAndBytesConfig.
#include <cmath>

#include "model/packed_reader.h"
#include "quant/bnb4_encode.h"

namespace lorikeet {

namespace {

constexpr const char* kStatePart = "quant_state.bitsandbytes__";
constexpr int64_t kCodes4 = 16, kCodes8 = 256;

/// The JSON of a quant_state tensor.
struct State {
  std::string quant_type;
  int64_t blocksize = 0, nested_blocksize = 0;
  DType dtype = DType::f32;
  float nested_offset = 0;
  bool nested = false;
};

DType dtype_named(const std::string& name, const std::string& where) {
  for (const DType d : {DType::f32, DType::bf16, DType::f16})
    if (name == name_of(d)) return d;
  throw Error(ErrorKind::unsupported,
              fmt::format("dtype \"{}\" of a quantized weight is not supported", name), where,
              "supported: float32, bfloat16, float16");
}

class BnbReader : public PackedReader {
 public:
  BnbReader(HfConfig config, const SafetensorsSet& tensors)
      : PackedReader(std::move(config), tensors), skipped_(config_, "llm_int8_skip_modules") {
    if (flag("load_in_8bit"))
      throw Error(
          ErrorKind::unsupported, "the checkpoint is quantized to 8 bits (LLM.int8), which is not supported",
          config_.field("load_in_8bit"), "use a 4-bit checkpoint, or the original one with method qlora");
    if (!flag("load_in_4bit"))
      throw Error(ErrorKind::format, "a bitsandbytes configuration must say load_in_4bit: true",
                  config_.where());
  }

  std::optional<SourceTensor> read(const ExpectedTensor& e) override {
    const std::span<const SafetensorsTensor> parts = tensors_.with_prefix(e.name + ".");
    const std::string module = module_of(e.name);
    if (parts.empty()) {
      if (e.role == TensorRole::linear && tensors_.find(e.name)) (skipped_(module) ? left_out_ : dense_) += 1;
      return std::nullopt;
    }
    if (skipped_(module))
      throw Error(
          ErrorKind::format,
          fmt::format("module \"{}\" is stored quantized, but llm_int8_skip_modules leaves it out", module),
          config_.field("llm_int8_skip_modules"), "weights and configuration contradict each other");
    const State s = state_of(e, parts);
    types_.insert(s.quant_type);
    blocksizes_.insert(s.blocksize);
    nested_ += s.nested;
    quantized_ += 1;
    return weight(e, s);
  }

  Quantization describe() const override;

 private:
  /// transformers writes both load_in_4bit and _load_in_4bit.
  bool flag(const std::string& key) const {
    return config_.boolean_or(key, false) || config_.boolean_or("_" + key, false);
  }
  State state_of(const ExpectedTensor& e, std::span<const SafetensorsTensor> parts);
  State parse(const SafetensorsTensor& t, const ExpectedTensor& e) const;
  SourceTensor weight(const ExpectedTensor& e, const State& s);

  SkippedModules skipped_;
  std::set<std::string> types_;
  std::set<int64_t> blocksizes_;
  int64_t quantized_ = 0, nested_ = 0, dense_ = 0, left_out_ = 0;
};

/// The one quant_state among the parts; a part of another name is refused, as bitsandbytes does.
State BnbReader::state_of(const ExpectedTensor& e, std::span<const SafetensorsTensor> parts) {
  const SafetensorsTensor* state = nullptr;
  for (const SafetensorsTensor& t : parts) {
    const std::string name = t.name.substr(e.name.size() + 1);
    if (name.starts_with(kStatePart)) {
      if (state)
        throw Error(ErrorKind::format, fmt::format("\"{}\" has two quantization states", e.name),
                    place(t.name));
      state = &t;
    } else if (name != "absmax" && name != "quant_map" && name != "nested_absmax" &&
               name != "nested_quant_map") {
      throw Error(ErrorKind::format, fmt::format("\"{}\" is no part of a 4-bit weight", name), place(t.name));
    }
  }
  if (!state)
    throw Error(ErrorKind::format,
                fmt::format("\"{}\" has no quantization state ({}nf4)", e.name, kStatePart), place(e.name),
                "the quantized weight is incomplete; download the model again");
  use(*state);
  return parse(*state, e);
}

State BnbReader::parse(const SafetensorsTensor& t, const ExpectedTensor& e) const {
  const std::string where = place(t.name);
  if (t.type != SafetensorsType::u8)
    throw Error(ErrorKind::format, fmt::format("a quantization state is bytes, not {}", t.describe()), where);
  const HfConfig json(parse_json({reinterpret_cast<const char*>(t.data), t.bytes}, where), where);
  for (const auto& [key, value] : json.json().items())
    if (key != "quant_type" && key != "blocksize" && key != "dtype" && key != "shape" &&
        key != "nested_blocksize" && key != "nested_dtype" && key != "nested_offset")
      throw Error(ErrorKind::format, fmt::format("\"{}\" is no field of a quantization state", key), where);
  State s;
  s.quant_type = json.string_or("quant_type", "");
  if (t.name != e.name + "." + kStatePart + s.quant_type || (s.quant_type != "nf4" && s.quant_type != "fp4"))
    throw Error(ErrorKind::format,
                fmt::format("quant_type \"{}\" does not fit the tensor's name", s.quant_type), where,
                "nf4 and fp4 are read");
  s.blocksize = json.integer("blocksize");
  if (!is_bnb4_blocksize(s.blocksize))
    throw Error(ErrorKind::format,
                fmt::format("blocksize {} is no power of two from {} to {}", s.blocksize, kBnb4MinBlock,
                            kBnb4MaxBlock),
                where);
  s.dtype = dtype_named(json.string_or("dtype", ""), where);
  const Json shape = json.has("shape") ? json.json().at("shape") : Json();
  if (shape != Json::array({e.rows, e.cols}))
    throw Error(ErrorKind::format,
                fmt::format("the quantized weight has shape {}, the configuration wants [{},{}]",
                            shape.dump(), e.rows, e.cols),
                where, "the file does not fit its configuration; download the model again");
  s.nested = json.has("nested_blocksize") || json.has("nested_offset") || json.has("nested_dtype");
  if (!s.nested) return s;
  s.nested_blocksize = json.integer("nested_blocksize");
  if (s.nested_blocksize < 1 || s.nested_blocksize > INT32_MAX)
    throw Error(ErrorKind::format, fmt::format("nested_blocksize {} is out of range", s.nested_blocksize),
                where);
  if (const std::string type = json.string_or("nested_dtype", "float32"); type != "float32")
    throw Error(ErrorKind::unsupported, fmt::format("nested_dtype {} is not supported, only float32", type),
                where);
  s.nested_offset = static_cast<float>(json.number("nested_offset"));
  if (!std::isfinite(s.nested_offset))
    throw Error(ErrorKind::format, fmt::format("nested_offset is {}", s.nested_offset), where);
  return s;
}

SourceTensor BnbReader::weight(const ExpectedTensor& e, const State& s) {
  const SafetensorsTensor* codes = tensors_.find(e.name);
  if (!codes)
    throw Error(ErrorKind::format, fmt::format("the tensor '{}' is missing", e.name), tensors_.path(),
                "the quantized weight is incomplete; download the model again");
  use(*codes);
  const int64_t elements = e.rows * e.cols, blocks = bnb4_blocks(elements, s.blocksize),
                needed = (elements + 1) / 2;
  // Presented as another type (quant_storage), the last element may reach beyond the codes.
  const int64_t slack = bits_of(codes->type) / 8;
  if (const auto found = static_cast<int64_t>(codes->bytes);
      found < needed || found >= needed + std::max<int64_t>(slack, 1))
    throw Error(
        ErrorKind::format,
        fmt::format("{} bytes of codes were found, a [{},{}] matrix needs {}", found, e.rows, e.cols, needed),
        place(e.name), "the file does not fit its configuration; download the model again");
  SourceTensor t;
  t.expected = e;
  t.stored_name = codes->name;
  t.file = tensors_.file_of(*codes);
  const auto bytes = [&](const SafetensorsTensor& part) { t.parts.emplace_back(part.data, part.bytes); };
  bytes(*codes);
  Weight& w = t.stored;
  w.format = WeightFormat::bnb4;
  w.dtype = s.dtype;
  w.rows = e.rows;
  w.cols = e.cols;
  w.data = codes->data;
  w.blocksize = static_cast<int32_t>(s.blocksize);
  w.code = finite_part(e.name + ".quant_map", kCodes4);
  bytes(*tensors_.find(e.name + ".quant_map"));
  const SafetensorsTensor& absmax =
      part(e.name + ".absmax", s.nested ? SafetensorsType::u8 : SafetensorsType::f32, blocks);
  bytes(absmax);
  if (!s.nested) {
    w.absmax = reinterpret_cast<const float*>(absmax.data);
    return t;
  }
  w.absmax_codes = reinterpret_cast<const uint8_t*>(absmax.data);
  w.nested_blocksize = static_cast<int32_t>(s.nested_blocksize);
  w.nested_offset = s.nested_offset;
  w.nested_code = finite_part(e.name + ".nested_quant_map", kCodes8);
  bytes(*tensors_.find(e.name + ".nested_quant_map"));
  const SafetensorsTensor& scales =
      part(e.name + ".nested_absmax", SafetensorsType::f32, bnb4_blocks(blocks, s.nested_blocksize));
  w.nested_absmax = reinterpret_cast<const float*>(scales.data);
  bytes(scales);
  return t;
}

Quantization BnbReader::describe() const {
  Quantization q;
  q.method = "bitsandbytes";
  for (const std::string& type : types_) q.traits.push_back(type);
  q.traits.emplace_back(nested_ == 0            ? "without double quantization"
                        : nested_ == quantized_ ? "double quantization"
                                                : "double quantization of some layers");
  for (const int64_t size : blocksizes_) q.traits.push_back(fmt::format("blocks of {}", size));
  // BitsAndBytesConfig's own defaults: fp4 and float32.
  const std::string type = config_.string_or("bnb_4bit_quant_type", "fp4");
  if (types_.size() != 1 || !types_.contains(type))
    q.notes.push_back(
        fmt::format("bnb_4bit_quant_type is {} in config.json{}, but the tensors hold {}: they count", type,
                    config_.has("bnb_4bit_quant_type") ? "" : " (its default)", fmt::join(types_, " and ")));
  else if (type == "fp4")
    q.notes.push_back(fmt::format("fp4{}: nf4 has a quarter less error on normally distributed weights",
                                  config_.has("bnb_4bit_quant_type") ? "" : ", bitsandbytes' default"));
  const bool nested = config_.boolean_or("bnb_4bit_use_double_quant", false);
  if (nested != (nested_ > 0))
    q.notes.push_back(
        fmt::format("bnb_4bit_use_double_quant is {} in config.json, but the tensors are stored {} it: "
                    "they count",
                    nested, nested_ > 0 ? "with" : "without"));
  const std::string compute = config_.string_or("bnb_4bit_compute_dtype", "float32");
  if (compute == "float32")
    q.notes.push_back(
        fmt::format("bnb_4bit_compute_dtype is float32{}, which is slow in transformers; here compute_dtype "
                    "decides",
                    config_.has("bnb_4bit_compute_dtype") ? "" : " by default"));
  if (left_out_ > 0)
    q.notes.push_back(
        fmt::format("{} linear layers are stored dense, as llm_int8_skip_modules says", left_out_));
  if (dense_ > 0)
    q.notes.push_back(fmt::format(
        "{} linear layers are stored dense although llm_int8_skip_modules does not name them", dense_));
  return q;
}

}  // namespace

std::unique_ptr<PackedReader> bnb_reader(HfConfig config, const SafetensorsSet& tensors) {
  return std::make_unique<BnbReader>(std::move(config), tensors);
}

}  // namespace lorikeet
