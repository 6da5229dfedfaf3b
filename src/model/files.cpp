#include "model/files.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <unordered_map>

#include "core/philox.h"
#include "model/files_state.h"
#include "quant/format.h"

namespace lorikeet {

namespace {

namespace fs = std::filesystem;

/// Answers build_model with shapes only and writes down what it asked for.
class Collector : public WeightSource {
 public:
  explicit Collector(const ModelSpec& spec)
      : embedding_(spec.names.embedding + ".weight"),
        positions_(spec.names.positions + ".weight"),
        head_(spec.names.head + ".weight"),
        conv1d_(spec.conv1d) {
    for (int64_t i = 0; i < spec.num_hidden_layers; ++i)
      if (spec.has_experts(i)) routers_.insert(layer_path(spec.names.router, i) + ".weight");
  }
  std::vector<ExpectedTensor> found;

  Weight matrix(const std::string& name, int64_t rows, int64_t cols) override {
    if (name == embedding_ && !found.empty())  // for the head that is tied to it
      return Weight::dense(TensorView(nullptr, {rows, cols}, DType::f32));
    const TensorRole role = name == embedding_ || name == positions_ ? TensorRole::embedding
                            : name == head_                          ? TensorRole::head
                            : routers_.contains(name)                ? TensorRole::router
                                                                     : TensorRole::linear;
    found.push_back({name, rows, cols, role, conv1d_ && role == TensorRole::linear});
    return Weight::dense(TensorView(nullptr, {rows, cols}, DType::f32));
  }
  TensorView vector(const std::string& name, int64_t n) override {
    found.push_back({name, 1, n, TensorRole::vector, false});
    return TensorView(nullptr, {1, n}, DType::f32);
  }

 private:
  std::string embedding_, positions_, head_;
  bool conv1d_;
  std::set<std::string> routers_;
};

bool is_gguf_path(const fs::path& path) {
  std::string extension = path.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return extension == ".gguf";
}

std::vector<fs::path> gguf_files_in(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored))
    if (is_gguf_path(entry.path())) files.push_back(entry.path());
  return files;
}

/// A folder with config.json is a Hugging Face model; without, its only .gguf file is meant.
std::string resolve(const std::string& path) {
  std::error_code ignored;
  const fs::file_status status = fs::status(path, ignored);
  if (!fs::exists(status))
    throw Error(ErrorKind::usage, fmt::format("model \"{}\" does not exist", path), "",
                "give a Hugging Face folder or a .gguf file on this disk; nothing is downloaded");
  if (!fs::is_directory(status)) {
    if (fs::path(path).extension() == ".safetensors")
      throw Error(ErrorKind::usage, fmt::format("\"{}\" is a weight file", path), "",
                  "give the folder that holds it");
    return path;
  }
  if (fs::exists(fs::path(path) / "config.json", ignored)) return path;
  const std::vector<fs::path> gguf = gguf_files_in(path);
  if (gguf.size() == 1) return gguf.front().string();
  if (gguf.size() > 1)
    throw Error(ErrorKind::usage, fmt::format("folder \"{}\" holds {} .gguf files", path, gguf.size()), "",
                "name one of them");
  if (fs::exists(fs::path(path) / "adapter_config.json", ignored))
    throw Error(ErrorKind::usage, fmt::format("\"{}\" is an adapter, not a model", path), "",
                "give it as --adapter");
  throw Error(ErrorKind::usage, fmt::format("folder \"{}\" holds no model: config.json is missing", path), "",
              "give a Hugging Face folder (config.json, model.safetensors, tokenizer.json) or a .gguf file");
}

std::string describe_missing(const std::vector<std::string>& names) {
  constexpr size_t kShown = 5;
  std::string text;
  for (size_t i = 0; i < std::min(names.size(), kShown); ++i) text += (i ? ", " : "") + names[i];
  if (names.size() > kShown) text += fmt::format(" and {} more", names.size() - kShown);
  return text;
}

}  // namespace

std::vector<ExpectedTensor> expected_tensors(const ModelSpec& spec) {
  Collector collector(spec);
  TrainableStore store(DType::f32);
  ModelOptions options;
  options.positions = 1;
  build_model(spec, collector, options, store, /*with_gradients=*/false, /*dry=*/true);
  return std::move(collector.found);
}

std::vector<int32_t> token_ids(const Json& config, const std::string& key, const std::string& where) {
  const auto it = config.find(key);
  if (it == config.end() || it->is_null()) return {};
  const std::string field = fmt::format("{}, field \"{}\"", where, key);
  std::vector<int32_t> ids;
  const auto add = [&](const Json& value) {
    const int64_t id = json_int(value, field);
    if (id < 0 || id > INT32_MAX)
      throw Error(ErrorKind::format, fmt::format("token id {} is out of range", id), field);
    ids.push_back(static_cast<int32_t>(id));
  };
  if (it->is_array())
    std::for_each(it->begin(), it->end(), add);
  else
    add(*it);
  return ids;
}

void TensorComplaints::wrong_shape(const std::string& name, const std::vector<int64_t>& found,
                                   const std::vector<int64_t>& wanted) {
  wrong_.push_back(fmt::format("{} is [{}], the configuration wants [{}]", name, fmt::join(found, ","),
                               fmt::join(wanted, ",")));
}

void TensorComplaints::raise(const std::string& where, size_t expected_count) const {
  if (!missing_.empty())
    throw Error(ErrorKind::format,
                fmt::format("{} of {} tensors are missing: {}", missing_.size(), expected_count,
                            describe_missing(missing_)),
                where, "the file does not fit its configuration; download the model again");
  if (!wrong_.empty())
    throw Error(ErrorKind::format,
                fmt::format("{} tensors have the wrong shape: {}", wrong_.size(), describe_missing(wrong_)),
                where, "the file does not fit its configuration; download the model again");
}

size_t SourceTensor::bytes() const {
  size_t total = 0;
  for (const std::span<const std::byte> part : parts) total += part.size();
  return total;
}

const std::vector<MappedFile const*> ModelFiles::State::mapped() const {
  if (gguf) return {&gguf->file()};
  std::vector<MappedFile const*> files;
  for (const SafetensorsFile& f : safetensors->files()) files.push_back(&f.file());
  return files;
}

ModelFiles ModelFiles::open(const std::string& path) {
  auto state = std::make_unique<State>();
  const std::string found = resolve(path);
  std::error_code ignored;
  const fs::path absolute = fs::absolute(found, ignored).lexically_normal();
  state->path = absolute.has_filename() ? absolute.string() : absolute.parent_path().string();
  if (fs::is_directory(found, ignored))
    open_hf_folder(state->path, *state);
  else
    open_gguf_model(state->path, *state);
  for (size_t i = 0; i < state->tensors.size(); ++i) state->by_name[state->tensors[i].expected.name] = i;
  if (state->name.empty()) state->name = fs::path(state->path).filename().string();
  return ModelFiles(std::move(state));
}

ModelFiles::ModelFiles(std::unique_ptr<State> state) : state_(std::move(state)) {}
ModelFiles::ModelFiles(ModelFiles&&) noexcept = default;
ModelFiles& ModelFiles::operator=(ModelFiles&&) noexcept = default;
ModelFiles::~ModelFiles() = default;

const std::string& ModelFiles::path() const { return state_->path; }
std::string ModelFiles::name() const { return state_->name; }
bool ModelFiles::is_gguf() const { return state_->gguf.has_value(); }
const HfConfig& ModelFiles::config() const { return state_->config; }
const ModelSpec& ModelFiles::spec() const { return state_->spec; }
const std::vector<SourceTensor>& ModelFiles::tensors() const { return state_->tensors; }
const std::vector<std::string>& ModelFiles::unexpected() const { return state_->unexpected; }
const Quantization& ModelFiles::quantization() const { return state_->quantization; }
const Json& ModelFiles::generation_config() const { return state_->generation_config; }
const std::vector<int32_t>& ModelFiles::eos_token_ids() const { return state_->eos; }

const SourceTensor& ModelFiles::at(std::string_view name) const {
  if (const auto it = state_->by_name.find(name); it != state_->by_name.end())
    return state_->tensors[it->second];
  throw Error(ErrorKind::format, fmt::format("tensor \"{}\" is missing", name), state_->path);
}

int64_t ModelFiles::parameter_count() const {
  int64_t count = 0;
  for (const SourceTensor& t : state_->tensors) count += t.expected.rows * t.expected.cols;
  return count;
}

bool ModelFiles::quantized() const {
  return std::any_of(state_->tensors.begin(), state_->tensors.end(), [](const SourceTensor& t) {
    return t.expected.role == TensorRole::linear && t.stored.format != WeightFormat::dense;
  });
}

DType ModelFiles::stored_dtype() const {
  size_t bytes[3] = {};  // by DType: f32, bf16, f16
  for (const SourceTensor& t : state_->tensors) {
    const DType type = format_info(t.stored.format).block_bytes > 0 ? DType::bf16 : t.stored.dtype;
    if (t.expected.role != TensorRole::vector && static_cast<size_t>(type) < 3)
      bytes[static_cast<size_t>(type)] += t.bytes();
  }
  return static_cast<DType>(std::max_element(bytes, bytes + 3) - bytes);
}

Tokenizer ModelFiles::tokenizer() const {
  return is_gguf() ? Tokenizer::from_gguf(gguf_tokenizer()) : Tokenizer::from_folder(state_->path);
}

GgufTokenizerSource ModelFiles::gguf_tokenizer() const {
  LORIKEET_CHECK(is_gguf());
  return gguf_tokenizer_source(*state_->gguf);
}

std::string ModelFiles::fingerprint() const {
  constexpr size_t kSample = 64;
  const ModelSpec& s = state_->spec;
  std::string shape =
      fmt::format("{} {} {} {} {} {} {} {} {} {} {}", s.architecture, s.vocab_size, s.hidden_size,
                  s.intermediate_size, s.num_hidden_layers, s.num_attention_heads, s.num_key_value_heads,
                  s.head_dim, s.norm_eps, s.rope.theta, s.rope.factor);
  if (s.num_local_experts > 0) shape += fmt::format(" {} {}", s.num_experts_per_tok, s.norm_topk_prob);
  std::vector<std::span<const std::byte>> samples;
  for (const SourceTensor& t : state_->tensors) {
    shape += fmt::format("\n{} {} {} {}", t.expected.name, static_cast<int>(t.stored.format),
                         static_cast<int>(t.stored.dtype), t.bytes());
    for (const std::span<const std::byte> part : t.parts) {
      const size_t n = std::min(kSample, part.size());
      for (const size_t at : {size_t{0}, (part.size() - n) / 2, part.size() - n})
        samples.push_back(part.subspan(at, n));
    }
  }
  // Asked for at first, all at once: a page that is merely touched is read alone, with megabytes around it.
  for (const std::span<const std::byte> bytes : samples) for_range(bytes, &MappedFile::prefetch);
  std::string sample;
  for (const std::span<const std::byte> bytes : samples)
    sample.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  return fmt::format("{:016x}{:016x}", stable_hash(shape), stable_hash(sample));
}

void ModelFiles::for_range(std::span<const std::byte> part,
                           void (MappedFile::*apply)(size_t offset, size_t bytes) const) const {
  for (const MappedFile* f : state_->mapped())
    if (part.data() >= f->data() && part.data() < f->data() + f->size())
      (f->*apply)(static_cast<size_t>(part.data() - f->data()), part.size());
}

void ModelFiles::release(const SourceTensor& t) const {
  for (const std::span<const std::byte> part : t.parts) for_range(part, &MappedFile::release);
}
void ModelFiles::release() const {
  for (const MappedFile* f : state_->mapped()) f->release(0, f->size());
}
void ModelFiles::prefetch(const SourceTensor& t) const {
  for (const std::span<const std::byte> part : t.parts) for_range(part, &MappedFile::prefetch);
}

bool ModelFiles::unchanged() const {
  const auto files = state_->mapped();
  return std::all_of(files.begin(), files.end(), [](const MappedFile* f) { return f->unchanged(); });
}

size_t ModelFiles::mapped_bytes() const {
  size_t bytes = 0;
  for (const MappedFile* f : state_->mapped()) bytes += f->size();
  return bytes;
}

}  // namespace lorikeet
