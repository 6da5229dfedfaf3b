#include "export/hf_folder.h"

#include <filesystem>

#include "export/hf_tokenizer.h"

namespace lorikeet {

namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxSideFile = size_t{256} << 20;

/// Files beside weights and config that a model folder may have and that stay true for any weights.
constexpr const char* kSideFiles[] = {
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json",
    "merges.txt",     "tokenizer.model",       "chat_template.jinja",     "chat_template.json"};

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
  const auto read = [&](int64_t first, int64_t n, float* out) {
    if (!t.transposed) return read_in_parallel(rows_, t, first, n, threads_, out);
    threads_.for_each(t.rows, [&](int64_t i, int) {
      std::vector<float> row(static_cast<size_t>(t.cols));
      rows_(t, i, i + 1, row.data());
      for (int64_t k = 0; k < n; ++k) out[k * t.rows + i] = row[static_cast<size_t>(first + k)];
    });
  };
  encode_rows(t, count, width, dtype_, threads_, read,
              [&](std::span<const std::byte> bytes) { file.write(t.name, bytes); });
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
