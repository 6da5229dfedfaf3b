#include "export/quantize.h"

#include <cmath>

#include "export/hf_folder.h"
#include "model/arch/registry.h"
#include "model/loader.h"
#include "quant/bnb4_matrix.h"
#include "quant/format.h"

namespace lorikeet {

namespace {

/// Room for nested_offset in the state, whose length must be known before the matrix is quantized.
constexpr size_t kStateSlack = 32;

double bits_of(size_t bytes, const ExpectedTensor& t) {
  return 8 * static_cast<double>(bytes) / (static_cast<double>(t.rows) * static_cast<double>(t.cols));
}

/// quant_state as bitsandbytes writes it. Source: bitsandbytes 0.50.2, functional.py, QuantState.as_dict.
std::string state_text(const ExpectedTensor& t, const Bnb4Options& o, DType dtype, double nested_offset) {
  Json state{{"quant_type", name_of(o.type)},
             {"blocksize", o.blocksize},
             {"dtype", name_of(dtype)},
             {"shape", {t.rows, t.cols}}};
  if (o.double_quant) {
    state["nested_blocksize"] = kNestedBlock;
    state["nested_dtype"] = name_of(DType::f32);
    state["nested_offset"] = nested_offset;
  }
  return to_text(state);
}

/// What BitsAndBytesConfig.to_dict gives in transformers 5.23.
Json quantization_config(const Bnb4Options& o, DType dtype) {
  return {{"_load_in_4bit", true},
          {"_load_in_8bit", false},
          {"bnb_4bit_compute_dtype", name_of(dtype)},
          {"bnb_4bit_quant_storage", "uint8"},
          {"bnb_4bit_quant_type", name_of(o.type)},
          {"bnb_4bit_use_double_quant", o.double_quant},
          {"llm_int8_enable_fp32_cpu_offload", false},
          {"llm_int8_has_fp16_weight", false},
          {"llm_int8_skip_modules", nullptr},
          {"llm_int8_threshold", 6.0},
          {"load_in_4bit", true},
          {"load_in_8bit", false},
          {"quant_method", "bitsandbytes"}};
}

/// Quantizes one source tensor after the other into the same memory.
class Quantizer {
 public:
  Quantizer(const ModelFiles& files, const Bnb4Options& options, ThreadPool& threads,
            const CalibratedWeights* calibrated = nullptr)
      : files_(files), options_(options), threads_(threads), calibrated_(calibrated) {}

  /// Both stay valid until the next call.
  struct Pair {
    Weight source, quantized;
  };
  Pair operator()(const SourceTensor& t) {
    row_map_.clear();
    const Weight source = stored_weight(t, files_.spec(), row_map_);
    if (const CalibratedWeight* c = calibrated(t)) return {source, c->weight};
    const size_t total = bnb4_layout(source.rows * source.cols, options_).total;
    if (memory_.size() < total) memory_ = Buffer(total, t.expected.name.c_str());
    return {source, quantize_bnb4(source, options_, memory_.data(), t.expected.name, source_rounding(files_),
                                  threads_)};
  }

  LayerError error_of(const SourceTensor& t, const Pair& p) {
    const ExpectedTensor& e = t.expected;
    const auto bytes = static_cast<size_t>(bnb4_bytes(e.rows * e.cols, options_).total());
    LayerError error{
        e.name,      e.rows, e.cols, bits_of(bytes, e), quantization_error(p.source, p.quantized, threads_),
        std::nullopt};
    if (const CalibratedWeight* c = calibrated(t)) error.output = c->error;
    return error;
  }

 private:
  /// Null if it is not calibrated.
  const CalibratedWeight* calibrated(const SourceTensor& t) const {
    if (!calibrated_) return nullptr;
    const auto at = calibrated_->find(t.expected.name);
    return at == calibrated_->end() ? nullptr : &at->second;
  }

  const ModelFiles& files_;
  const Bnb4Options& options_;
  ThreadPool& threads_;
  const CalibratedWeights* calibrated_;
  Buffer memory_;
  std::vector<int32_t> row_map_;
};

class Bnb4TensorWriter : public TensorWriter {
 public:
  Bnb4TensorWriter(const ModelFiles& files, const Bnb4Options& options, ThreadPool& threads,
                   const CalibratedWeights& calibrated, QuantizeReport& report)
      : options_(options),
        report_(report),
        quantizer_(files, options, threads, &calibrated),
        files_(files),
        vectors_(files, LoadOptions{}),
        dense_(
            report.dtype,
            [this](const ExpectedTensor& t, int64_t first, int64_t last, float* out) {
              decode_rows(source_, first, last, 0, t.cols, out, t.cols);
            },
            threads) {}

  std::vector<SafetensorsEntry> entries(const SourceTensor& s) const override {
    const ExpectedTensor& t = s.expected;
    if (t.role != TensorRole::linear) return dense_.entries(s);
    const Bnb4Bytes b = bnb4_bytes(t.rows * t.cols, options_);
    std::vector<SafetensorsEntry> list{{t.name, SafetensorsType::u8, {b.codes, 1}},
                                       {t.name + ".absmax",
                                        options_.double_quant ? SafetensorsType::u8 : SafetensorsType::f32,
                                        {options_.double_quant ? b.absmax_codes : b.absmax / 4}},
                                       {t.name + ".quant_map", SafetensorsType::f32, {16}}};
    if (options_.double_quant) {
      list.push_back({t.name + ".nested_absmax", SafetensorsType::f32, {b.nested_absmax / 4}});
      list.push_back({t.name + ".nested_quant_map", SafetensorsType::f32, {256}});
    }
    list.push_back({state_name(t), SafetensorsType::u8, {static_cast<int64_t>(state_bytes(t))}});
    return list;
  }

  void write(const SourceTensor& s, ShardedSafetensorsWriter& file) override {
    const ExpectedTensor& t = s.expected;
    if (t.role != TensorRole::linear) {
      row_map_.clear();
      source_ = t.role == TensorRole::vector ? Weight::dense(vectors_.vector(t.name, t.cols))
                                             : stored_weight(s, files_.spec(), row_map_);
      return dense_.write(s, file);
    }
    const Quantizer::Pair p = quantizer_(s);
    report_.layers.push_back(quantizer_.error_of(s, p));
    const Weight& w = p.quantized;
    const Bnb4Bytes b = bnb4_bytes(t.rows * t.cols, options_);
    const auto put = [&](const std::string& part, const void* data, int64_t bytes) {
      file.write(t.name + part,
                 std::span<const std::byte>(static_cast<const std::byte*>(data), static_cast<size_t>(bytes)));
    };
    put("", w.data, b.codes);
    put(".quant_map", w.code, 16 * 4);
    if (options_.double_quant) {
      put(".absmax", w.absmax_codes, b.absmax_codes);
      put(".nested_absmax", w.nested_absmax, b.nested_absmax);
      put(".nested_quant_map", w.nested_code, 256 * 4);
    } else {
      put(".absmax", w.absmax, b.absmax);
    }
    std::string state = state_text(t, options_, report_.dtype, w.nested_offset);
    state.resize(state_bytes(t), ' ');
    file.write(state_name(t), std::as_bytes(std::span<const char>(state)));
  }

 private:
  std::string state_name(const ExpectedTensor& t) const {
    return fmt::format("{}.quant_state.bitsandbytes__{}", t.name, name_of(options_.type));
  }
  size_t state_bytes(const ExpectedTensor& t) const {
    return state_text(t, options_, report_.dtype, 0).size() + (options_.double_quant ? kStateSlack : 0);
  }

  const Bnb4Options& options_;
  QuantizeReport& report_;
  Quantizer quantizer_;
  Weight source_;
  std::vector<int32_t> row_map_;
  const ModelFiles& files_;
  WeightStore vectors_;  ///< in Hugging Face order and without what a GGUF file adds
  DenseTensorWriter dense_;
};

}  // namespace

DType source_rounding(const ModelFiles& files) { return files.is_gguf() ? files.stored_dtype() : DType::f32; }

void expect_quantizable(const ModelFiles& files) {
  if (files.quantized() && !files.is_gguf())
    throw Error(ErrorKind::usage,
                fmt::format("the model is already quantized ({})", files.quantization().method), files.path(),
                "quantize the original checkpoint");
  for (const Architecture& a : architectures())
    if (files.spec().architecture == a.name && a.never_packed)
      throw Error(ErrorKind::unsupported,
                  fmt::format("transformers would not load a 4-bit {}: {}", a.name, a.never_packed),
                  files.path(), "finetune with method qlora, which quantizes the model while loading it");
}

QuantizeReport quantize_model(const ModelFiles& files, const Bnb4Options& options, const std::string& output,
                              AtomicFolder::IfExists if_exists, ThreadPool& threads,
                              const CalibratedWeights& calibrated) {
  expect_quantizable(files);
  QuantizeReport report;
  report.dtype = files.stored_dtype();
  AtomicFolder folder(output, if_exists);
  Bnb4TensorWriter writer(files, options, threads, calibrated, report);
  Json config = dense_config(files.config().json(), report.dtype);
  config["quantization_config"] = quantization_config(options, report.dtype);
  report.bytes = write_hf_model(folder.path(), files, config, files.tensors(), writer);
  folder.commit();
  return report;
}

std::vector<LayerError> errors_if_quantized(const ModelFiles& files, const Bnb4Options& options,
                                            ThreadPool& threads) {
  Quantizer quantizer(files, options, threads);
  std::vector<LayerError> layers;
  for (const SourceTensor& t : files.tensors()) {
    if (t.expected.role != TensorRole::linear) continue;
    layers.push_back(quantizer.error_of(t, quantizer(t)));
    files.release(t);
  }
  return layers;
}

std::vector<LayerError> errors_against(const ModelFiles& quantized, const ModelFiles& original,
                                       ThreadPool& threads) {
  std::vector<LayerError> layers;
  for (const SourceTensor& t : quantized.tensors()) {
    const ExpectedTensor& e = t.expected;
    if (e.role != TensorRole::linear) continue;
    const SourceTensor& from = original.at(e.name);
    if (from.expected.rows != e.rows || from.expected.cols != e.cols)
      throw Error(ErrorKind::usage,
                  fmt::format("\"{}\" is [{},{}] here and [{},{}] in the original", e.name, e.rows, e.cols,
                              from.expected.rows, from.expected.cols),
                  original.path(), "name the model that was quantized");
    std::vector<int32_t> map, original_map;
    const Weight w = stored_weight(t, quantized.spec(), map),
                 x = stored_weight(from, original.spec(), original_map);
    layers.push_back(
        {e.name, e.rows, e.cols, bits_of(t.bytes(), e), quantization_error(x, w, threads), std::nullopt});
    quantized.release(t);
    original.release(from);
  }
  return layers;
}

std::optional<double> output_error_ratio(const std::vector<LayerError>& layers) {
  OutputError sum;
  for (const LayerError& l : layers)
    if (l.output) {
      sum.square += l.output->square;
      sum.square_plain += l.output->square_plain;
    }
  if (!(sum.square_plain > 0)) return std::nullopt;
  return std::sqrt(sum.square / sum.square_plain);
}

double pooled_relative_rms(const std::vector<LayerError>& layers) {
  double error = 0, size = 0;
  for (const LayerError& l : layers) {
    error += l.error.square_error;
    size += l.error.square_size;
  }
  return size > 0 ? std::sqrt(error / size) : 0;
}

}  // namespace lorikeet
