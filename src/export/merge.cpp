#include "export/merge.h"

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "export/gguf_model.h"
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

/// Compares every weight that the written model gives with the sum, rounded as it is stored, bit for bit.
void check_weights(WeightStore& written, const MergedRows& rows, ThreadPool& threads) {
  for (const SourceTensor& s : written.files().tensors()) {
    const ExpectedTensor& t = s.expected;
    const Weight found = t.role == TensorRole::vector ? Weight::dense(written.vector(t.name, t.cols))
                                                      : written.matrix(t.name, t.rows, t.cols);
    const WeightType type =
        s.stored.format == WeightFormat::dense ? WeightType(s.stored.dtype) : WeightType(s.stored.format);
    constexpr int64_t kRows = 64;
    threads.for_each((t.rows + kRows - 1) / kRows, [&](int64_t item, int) {
      const int64_t first = item * kRows, last = std::min(t.rows, first + kRows);
      std::vector<float> wanted(static_cast<size_t>((last - first) * t.cols)), got(wanted.size());
      rows(t, first, last, wanted.data());
      for (float& x : wanted) x += s.added;
      for (int64_t i = first; i < last; ++i)
        round_row(t, i, wanted.data() + (i - first) * t.cols, t.cols, type);
      for (float& x : wanted) x -= s.added;
      decode_rows(found, first, last, 0, t.cols, got.data(), t.cols);
      for (size_t i = 0; i < got.size(); ++i)
        if (got[i] != wanted[i])
          throw Error(ErrorKind::internal,
                      fmt::format("tensor \"{}\" was written as {}, not {}", t.name, got[i], wanted[i]),
                      s.file);
    });
    written.files().release(s);
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

double merge_bound(WeightType type, double bf16_noise) {
  constexpr double kBf16 = 0x1p-9;
  const double u = type == WeightType(WeightFormat::q4_0)   ? 0x1p-3
                   : type == WeightType(WeightFormat::q8_0) ? 0x1p-7
                   : type == WeightType(DType::bf16)        ? kBf16
                   : type == WeightType(DType::f16)         ? 0x1p-12
                                                            : 0x1p-20;
  return 4 * u / kBf16 * bf16_noise;
}

namespace {

/// The GGUF file of a request: named by it, or in a folder that appears with it.
class GgufOutput {
 public:
  explicit GgufOutput(const MergeRequest& r) {
    std::string path = r.output;
    if (!path.ends_with(".gguf")) {
      folder_.emplace(path, r.if_exists);
      path = folder_->path() + "/model.gguf";
    } else if (r.if_exists == AtomicFolder::IfExists::refuse && std::filesystem::exists(path)) {
      throw Error(ErrorKind::usage, fmt::format("the file '{}' exists", path), path,
                  "choose another name or remove it");
    }
    file_.emplace(path);
  }
  GgufWriter& file() { return *file_; }
  void commit() {
    file_->commit();
    if (folder_) folder_->commit();
  }

 private:
  std::optional<AtomicFolder> folder_;
  std::optional<GgufWriter> file_;
};

/// Compares weights and logits of what was written at `path` with base + adapters.
void check_written(const std::string& path, WeightStore& base, const MergedRows& rows,
                   const AdapterSum& adapters, const MergeRequest& request, ThreadPool& threads,
                   MergeReport& report) {
  const ModelFiles written = ModelFiles::open(path);
  LoadOptions load = original_base(written);
  load.threads = &threads;
  WeightStore merged(written, load);
  check_weights(merged, rows, threads);
  const ModelFiles& files = base.files();
  const std::vector<std::vector<int32_t>> samples = sample_rows(files);
  const auto positions = static_cast<int64_t>(longest(samples));
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
}

DType dense_type(const MergeRequest& r, const MergeReport& report) {
  if (report.dtype.format == WeightFormat::dense) return report.dtype.dtype;
  throw Error(ErrorKind::usage, fmt::format("{} is a type of GGUF models only", name_of(report.dtype)),
              r.output, "add --format gguf, or use --dtype float32, bfloat16 or float16");
}

MergeReport write_adapter_alone(const ModelFiles& files, const MergeRequest& request,
                                const AdapterSum& adapters, ThreadPool& threads) {
  if (adapters.empty())
    throw Error(ErrorKind::usage, "there is no adapter to be written", request.output,
                "give one by --adapter");
  MergeReport report;
  report.dtype = request.dtype.value_or(DType::f32);
  report.merged_modules = adapters.modules();
  GgufOutput output(request);
  report.bytes = write_gguf_adapter(output.file(), files, dense_type(request, report), adapters, threads);
  output.commit();
  return report;
}

}  // namespace

MergeReport merge(const ModelFiles& files, const MergeRequest& request, ThreadPool& threads) {
  const AdapterSum adapters(files, request.adapters, request.combination);
  if (request.format == MergeFormat::gguf_adapter)
    return write_adapter_alone(files, request, adapters, threads);
  if (request.format == MergeFormat::gguf && unties(files.spec(), adapters.model_options()))
    throw Error(ErrorKind::unsupported,
                "the adapter sets the head apart from the embedding, which GGUF output cannot",
                request.output, "merge to a Hugging Face folder");
  MergeReport report;
  report.dtype = request.dtype.value_or(files.stored_dtype());
  report.merged_modules = adapters.modules();
  std::optional<GgufOutput> file;  // the output first: it may exist
  std::optional<AtomicFolder> folder;
  if (request.format == MergeFormat::gguf)
    file.emplace(request);
  else
    folder.emplace(request.output, request.if_exists);
  LoadOptions load = request.base;
  load.threads = &threads;
  load.dry = false;
  load.writable.merge(changed_tensors(adapters.model_options()));
  WeightStore base(files, load);
  const MergedRows rows(base, adapters);
  if (file)
    report.bytes = write_gguf_model(file->file(), files, report.dtype, std::ref(rows), threads);
  else
    report.bytes = write_merged(folder->path(), files, adapters, rows, dense_type(request, report), threads);
  check_written(file ? file->file().written_path() : folder->path(), base, rows, adapters, request, threads,
                report);
  file ? file->commit() : folder->commit();
  return report;
}

}  // namespace lorikeet
