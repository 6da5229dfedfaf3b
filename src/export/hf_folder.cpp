#include "export/hf_folder.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "export/hf_tokenizer.h"

namespace lorikeet {

namespace {

namespace fs = std::filesystem;

/// Elements converted and written at a time.
constexpr int64_t kPartElements = int64_t{1} << 22;
constexpr size_t kMaxSideFile = size_t{256} << 20;

/// Files beside weights and config that a model folder may have and that stay true for any weights.
constexpr const char* kSideFiles[] = {
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json",
    "merges.txt",     "tokenizer.model",       "chat_template.jinja",     "chat_template.json"};

[[noreturn]] void refuse_value(const ExpectedTensor& t, float value, int64_t row, int64_t col, DType dtype) {
  throw Error(ErrorKind::unsupported,
              fmt::format("tensor \"{}\" holds {} at row {}, column {}, which {} cannot hold", t.name, value,
                          row, col, name_of(dtype)),
              "",
              std::isfinite(value) ? "use --dtype bfloat16 or float32"
                                   : "the adapter or the base is broken: its training diverged");
}

void round_row(const ExpectedTensor& t, int64_t row, const float* in, int64_t n, DType dtype,
               std::byte* out) {
  constexpr float kLargestF16 = 65504;
  for (int64_t k = 0; k < n; ++k)
    if (!std::isfinite(in[k]) || (dtype == DType::f16 && std::abs(in[k]) > kLargestF16))
      refuse_value(t, in[k], row, k, dtype);
  if (dtype == DType::bf16)
    std::transform(in, in + n, reinterpret_cast<Bf16*>(out), [](float x) { return to_bf16(x); });
  else if (dtype == DType::f16)
    std::transform(in, in + n, reinterpret_cast<F16*>(out), [](float x) { return to_f16(x); });
  else
    std::copy(in, in + n, reinterpret_cast<float*>(out));
}

/// Rows [first, first + n) of a tensor as the file has it, in f32: of a transposed one, columns of the
/// matrix.
void read_part(const ExpectedTensor& t, int64_t first, int64_t n, const RowReader& rows, ThreadPool& threads,
               std::vector<float>& wide) {
  if (!t.transposed) {
    const int64_t lines = std::max<int64_t>(1, n / (4 * threads.size()));
    threads.for_each((n + lines - 1) / lines, [&](int64_t item, int) {
      const int64_t begin = item * lines, end = std::min(n, begin + lines);
      rows(t, first + begin, first + end, wide.data() + begin * t.cols);
    });
    return;
  }
  threads.for_each(t.rows, [&](int64_t i, int) {
    std::vector<float> row(static_cast<size_t>(t.cols));
    rows(t, i, i + 1, row.data());
    for (int64_t k = 0; k < n; ++k)
      wide[static_cast<size_t>(k * t.rows + i)] = row[static_cast<size_t>(first + k)];
  });
}

void copy_side_files(const std::string& from, const std::string& to) {
  std::error_code ignored;
  for (const char* name : kSideFiles) {
    const fs::path source = fs::path(from) / name;
    if (fs::is_regular_file(source, ignored))
      write_file_atomic((fs::path(to) / name).string(), read_text_file(source.string(), kMaxSideFile));
  }
}

}  // namespace

Json dense_config(const Json& config, DType dtype) {
  Json c = config;
  c.erase("quantization_config");
  const bool current = c.contains("dtype");  // transformers 5; 4 says torch_dtype
  if (current) c["dtype"] = name_of(dtype);
  if (!current || c.contains("torch_dtype")) c["torch_dtype"] = name_of(dtype);
  return c;
}

std::vector<SafetensorsEntry> DenseTensorWriter::entries(const SourceTensor& s) const {
  return {{s.expected.name, to_safetensors_type(dtype_), s.expected.shape()}};
}

void DenseTensorWriter::write(const SourceTensor& s, ShardedSafetensorsWriter& file) {
  const ExpectedTensor& t = s.expected;
  const int64_t count = t.transposed ? t.cols : t.rows, width = t.transposed ? t.rows : t.cols;
  const int64_t step = std::min(count, std::max<int64_t>(1, kPartElements / width));
  const size_t row_bytes = static_cast<size_t>(width) * size_of(dtype_);
  std::vector<std::byte> part(static_cast<size_t>(step) * row_bytes);
  std::vector<float> wide(static_cast<size_t>(step * width));
  for (int64_t first = 0; first < count; first += step) {
    const int64_t n = std::min(step, count - first);
    read_part(t, first, n, rows_, threads_, wide);
    threads_.for_each(n, [&](int64_t i, int) {
      round_row(t, first + i, wide.data() + i * width, width, dtype_,
                part.data() + static_cast<size_t>(i) * row_bytes);
    });
    file.write(t.name, std::span<const std::byte>(part.data(), static_cast<size_t>(n) * row_bytes));
  }
}

uint64_t write_hf_model(const std::string& folder, const ModelFiles& like, const Json& config,
                        std::span<const SourceTensor> tensors, TensorWriter& writer) {
  const auto in = [&](const char* name) { return (fs::path(folder) / name).string(); };
  write_file_atomic(in("config.json"), to_text(config, 2) + "\n");
  if (!like.generation_config().empty())
    write_file_atomic(in("generation_config.json"), to_text(like.generation_config(), 2) + "\n");
  if (like.is_gguf())
    write_hf_tokenizer(folder, like);
  else
    copy_side_files(like.path(), folder);

  std::vector<SafetensorsEntry> entries;
  uint64_t bytes = 0;
  for (const SourceTensor& t : tensors)
    for (SafetensorsEntry& e : writer.entries(t)) {
      bytes += bytes_of(e);
      entries.push_back(std::move(e));
    }
  ShardedSafetensorsWriter files(folder, entries);
  for (const SourceTensor& t : tensors) {
    writer.write(t, files);
    like.release(t);  // pages of the mapped source count as resident
  }
  files.commit();
  return bytes;
}

uint64_t write_hf_model(const std::string& folder, const ModelFiles& like, DType dtype, const RowReader& rows,
                        ThreadPool& threads) {
  DenseTensorWriter writer(dtype, rows, threads);
  return write_hf_model(folder, like, dense_config(like.config().json(), dtype), like.tensors(), writer);
}

}  // namespace lorikeet
