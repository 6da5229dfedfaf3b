#include "export/merge.h"

#include <algorithm>
#include <cstring>

#include "export/hf_folder.h"
#include "quant/format.h"

namespace lorikeet {

namespace {

/// Rows of base + adapters in f32.
class MergedRows {
 public:
  MergedRows(WeightStore& base, const AdapterSum& adapters) : adapters_(adapters) {
    // All weights are brought up here: the reader itself is called from several threads.
    for (const SourceTensor& s : base.files().tensors()) {
      const ExpectedTensor& t = s.expected;
      weights_[t.name] = t.role == TensorRole::vector ? Weight::dense(base.vector(t.name, t.cols))
                                                      : base.matrix(t.name, t.rows, t.cols);
    }
    const ModuleNames& names = base.files().spec().names;
    if (unties(base.files().spec(), adapters.model_options()))
      weights_[names.head + ".weight"] = weights_[names.embedding + ".weight"];
  }
  void operator()(const ExpectedTensor& t, int64_t first, int64_t last, float* out) const {
    decode_rows(weights_.at(t.name), first, last, 0, t.cols, out, t.cols);
    adapters_.apply(t.name, first, last, t.cols, out);
  }

 private:
  const AdapterSum& adapters_;
  std::map<std::string, Weight> weights_;
};

/// A model over `source` that computes in `compute`.
struct Runnable {
  TrainableStore store;
  Model model;
  Runnable(const ModelSpec& spec, WeightSource& source, int64_t positions, const AdapterSum* adapters,
           DType compute, ThreadPool& threads)
      : store(compute) {
    ModelOptions options = adapters ? adapters->model_options() : ModelOptions{};
    options.positions = positions;
    options.compute = compute;
    model = build_model(spec, source, options, store, /*with_gradients=*/false, /*dry=*/false);
    if (!adapters) return;
    adapters->fill(store);
    store.update_compute(Stream{Device::cpu, &threads, nullptr});
  }
};

float round_to(float x, DType dtype) {
  if (dtype == DType::bf16) return to_float(to_bf16(x));
  if (dtype == DType::f16) return to_float(to_f16(x));
  return x;
}

/// Reads every written weight back and compares it with the rounded sum, bit for bit.
void check_weights(const ModelFiles& written, const MergedRows& rows, DType dtype, ThreadPool& threads) {
  for (const SourceTensor& s : written.tensors()) {
    const ExpectedTensor& t = s.expected;
    std::vector<int32_t> map;
    const Weight found = stored_weight(s, written.spec(), map);
    constexpr int64_t kRows = 64;
    threads.for_each((t.rows + kRows - 1) / kRows, [&](int64_t item, int) {
      const int64_t first = item * kRows, last = std::min(t.rows, first + kRows);
      std::vector<float> wanted(static_cast<size_t>((last - first) * t.cols)), got(wanted.size());
      rows(t, first, last, wanted.data());
      decode_rows(found, first, last, 0, t.cols, got.data(), t.cols);
      for (size_t i = 0; i < got.size(); ++i)
        if (got[i] != round_to(wanted[i], dtype))
          throw Error(ErrorKind::internal,
                      fmt::format("tensor \"{}\" was written as {}, not {}", t.name, got[i],
                                  round_to(wanted[i], dtype)),
                      s.file);
    });
    written.release(s);
  }
}

/// Writes base + adapters; a head that they set apart from a tied embedding gets a tensor of its own, as PEFT
/// unties it.
uint64_t write_merged(const std::string& folder, const ModelFiles& files, const AdapterSum& adapters,
                      const MergedRows& rows, DType dtype, ThreadPool& threads) {
  std::vector<SourceTensor> tensors = files.tensors();
  Json config = dense_config(files.config().json(), dtype);
  if (unties(files.spec(), adapters.model_options())) {
    SourceTensor head = files.at(files.spec().names.embedding + ".weight");
    head.expected.name = files.spec().names.head + ".weight";
    head.expected.role = TensorRole::head;
    tensors.push_back(std::move(head));
    config["tie_word_embeddings"] = false;
  }
  DenseTensorWriter writer(dtype, std::ref(rows), threads);
  return write_hf_model(folder, files, config, tensors, writer);
}

size_t longest(const std::vector<std::vector<int32_t>>& rows) {
  size_t n = 0;
  for (const auto& r : rows) n = std::max(n, r.size());
  return n;
}

}  // namespace

LoadOptions original_base(const ModelFiles& files) {
  LoadOptions o;
  o.base_format = files.quantized() ? BaseFormat::keep : BaseFormat::dense;
  return o;
}

double merge_bound(DType dtype, double bf16_noise) {
  constexpr double kBf16 = 0x1p-9;
  const double u = dtype == DType::bf16 ? kBf16 : dtype == DType::f16 ? 0x1p-12 : 0x1p-20;
  return 4 * u / kBf16 * bf16_noise;
}

MergeReport merge(const ModelFiles& files, const MergeRequest& request, ThreadPool& threads) {
  MergeReport report;
  report.dtype = request.dtype.value_or(files.stored_dtype());
  AtomicFolder folder(request.output, request.if_exists);
  const AdapterSum adapters(files, request.adapters, request.combination);
  report.merged_modules = adapters.modules();
  LoadOptions load = request.base;
  load.threads = &threads;
  load.dry = false;
  load.writable.merge(changed_tensors(adapters.model_options()));
  WeightStore base(files, load);
  const MergedRows rows(base, adapters);
  report.bytes = write_merged(folder.path(), files, adapters, rows, report.dtype, threads);

  const ModelFiles written = ModelFiles::open(folder.path());
  check_weights(written, rows, report.dtype, threads);
  const std::vector<std::vector<int32_t>> samples = sample_rows(files);
  const auto positions = static_cast<int64_t>(longest(samples));
  LoadOptions dense;
  dense.threads = &threads;
  WeightStore merged(written, dense);
  const Runnable a(files.spec(), base, positions, adapters.empty() ? nullptr : &adapters, DType::f32,
                   threads);
  const Runnable b(written.spec(), merged, positions, nullptr, DType::f32, threads);
  const Runnable coarse(written.spec(), merged, positions, nullptr, DType::bf16, threads);
  report.difference = compare_logits(a.model, b.model, samples, threads);
  report.bound = merge_bound(report.dtype, compare_logits(b.model, coarse.model, samples, threads).relative);
  if (!(report.difference.relative <= report.bound))
    throw Error(ErrorKind::internal,
                fmt::format("the written model's logits differ by {:.3g} of their size from base + adapter, "
                            "rounding to {} explains {:.3g}",
                            report.difference.relative, name_of(report.dtype), report.bound),
                request.output, "nothing was written; please report this");
  folder.commit();
  return report;
}

}  // namespace lorikeet
