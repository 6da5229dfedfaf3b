#include "train/run_setup.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "model/adapter_targets.h"
#include "train/evaluate.h"
#include "train/text_generator.h"
#include "train/use.h"

namespace lorikeet {

namespace {

ThreadPool make_threads(const RunConfig& c) {
  return ThreadPool(c.threads ? static_cast<int>(*c.threads) : ThreadPool::available_cpus());
}

RunConfig validated(RunConfig c) {
  validate(c);
  for (const auto& [key, missing] : {std::pair{"model", c.model.empty()}, {"data", c.data.empty()}})
    if (missing)
      throw Error(ErrorKind::usage, fmt::format("{} is not set", key), key, fmt::format("say --{}", key));
  return c;
}

DataFacts facts_of(const Dataset& d, bool show_row, const Tokenizer* tokenizer) {
  constexpr size_t kPreviewTokens = 400;
  DataFacts f;
  f.files = d.files;
  f.format = d.format_name;
  f.format_detected = d.format_detected;
  f.rows = static_cast<int64_t>(d.samples.size());
  f.tokens = d.tokens;
  f.target_tokens = d.target_tokens;
  f.longest = d.longest;
  f.rows_cut = d.rows_cut;
  f.tokens_cut = d.tokens_cut;
  f.rows_dropped = d.rows_dropped;
  if (show_row && tokenizer)
    for (TextPiece& p : preview(d.samples.front(), *tokenizer, kPreviewTokens))
      f.first_row.push_back({std::move(p.text), p.target});
  return f;
}

/// Bits that a weight of the blocks' linear layers takes in memory, quantization constants included.
double bits_per_weight(const ModelFiles& files, BaseFormat format, const Bnb4Options& bnb, DType compute) {
  double bits = 0, weights = 0;
  for (const SourceTensor& t : files.tensors()) {
    if (t.expected.role != TensorRole::linear) continue;
    const auto n = static_cast<double>(t.expected.rows) * static_cast<double>(t.expected.cols);
    weights += n;
    const bool dense = t.stored.format == WeightFormat::dense;
    if (format == BaseFormat::bnb_4bit) {
      const double block = bnb.blocksize;
      bits += n * (4 + (bnb.double_quant ? 8 / block + 32 / (block * 256) : 32 / block));
    } else if (format == BaseFormat::keep || dense) {
      bits += 8 * static_cast<double>(t.bytes());
    } else {
      bits += n * 8 * static_cast<double>(size_of(compute));
    }
  }
  return weights > 0 ? bits / weights : 0;
}

/// trainable_token_indices as the key has it: of the embedding.
std::vector<int64_t> embedding_tokens(const AdapterConfig& a, const ModelSpec& spec,
                                      const std::string& folder) {
  if (a.trainable_token_indices.empty()) return {};
  const auto& [name, ids] = *a.trainable_token_indices.begin();
  if (a.trainable_token_indices.size() == 1 && (name.empty() || matches_suffix(spec.names.embedding, name)))
    return ids;
  throw Error(ErrorKind::unsupported, "an adapter with tokens of the head cannot be trained further",
              folder + "/adapter_config.json, field \"trainable_token_indices\"");
}

}  // namespace

RunSetup::RunSetup(RunConfig given)
    : config(validated(std::move(given))), files(ModelFiles::open(config.model)) {
  if (config.adapter) take_adapter_settings();
  resolve();
  load_data();
  count_steps();
  plan();
}

void RunSetup::take_adapter_settings() {
  check_fingerprint(config_for_use(config), files);
  const AdapterConfig a = AdapterConfig::read(*config.adapter);
  RunConfig taken = config;
  taken.lora_r = a.targets.r;
  taken.lora_alpha = a.targets.alpha;
  taken.lora_target_modules = a.targets.targets;
  taken.lora_exclude_modules = a.targets.exclude;
  taken.layers_to_transform = a.targets.layers_to_transform;
  taken.rank_pattern = a.targets.rank_pattern;
  taken.alpha_pattern = a.targets.alpha_pattern;
  taken.use_rslora = a.targets.use_rslora;
  taken.use_dora = a.use_dora;
  taken.lora_modules_to_save = a.modules_to_save;
  taken.lora_bias = a.lora_bias;
  taken.trainable_token_indices = embedding_tokens(a, files.spec(), *config.adapter);
  taken.lora_dropout = a.lora_dropout;
  for (const char* key : {"lora_r", "lora_alpha", "lora_target_modules", "lora_exclude_modules",
                          "layers_to_transform", "rank_pattern", "alpha_pattern", "use_rslora", "use_dora",
                          "lora_modules_to_save", "lora_bias", "trainable_token_indices", "lora_dropout"}) {
    const std::string now = key_text(config, key), adapter = key_text(taken, key);
    if (config.is_given(key) && now != adapter)
      throw Error(ErrorKind::usage, fmt::format("{} is {}, but the adapter has {}", key, now, adapter),
                  config.given.at(key), "leave the key out: the adapter's settings win");
  }
  config = std::move(taken);
}

void RunSetup::resolve() {
  config.base_format = resolve_base_format(config.method, config.base_format, files.quantized());
  config.compute_dtype = resolve_compute_dtype(config.compute_dtype) == DType::bf16 ? ComputeDtype::bfloat16
                                                                                    : ComputeDtype::float32;
  const int64_t positions = files.spec().max_position_embeddings;
  static const RunConfig defaults;
  if (config.max_length > positions && !config.allow_longer_context) {
    if (config.is_given("max_length") || config.max_length != defaults.max_length)
      throw Error(
          ErrorKind::usage,
          fmt::format("max_length is {}, the model was made for {} positions", config.max_length, positions),
          config.is_given("max_length") ? config.given.at("max_length") : "max_length",
          "lower it, or set allow_longer_context");
    config.max_length = positions;
  }
  if (!config.adapter && config.lora_target_modules == defaults.lora_target_modules &&
      !config.is_given("lora_target_modules"))
    config.lora_target_modules = default_targets(files.spec());
  request = load_request(config);
  if (config.bf16_stochastic_round && config.compute_dtype != ComputeDtype::bfloat16)
    throw Error(ErrorKind::usage,
                "bf16_stochastic_round needs compute_dtype bfloat16, this machine's choice is float32",
                "bf16_stochastic_round", "leave it out, or use --compute-dtype bfloat16");
  request.train = true;
  request.optimizer =
      OptimizerOptions{config.optim,        config.adam_beta1, config.adam_beta2, config.adam_epsilon,
                       config.weight_decay, config.seed,       config.output,     false};
  base_fingerprint = files.fingerprint();
  config.recorded.clear();
  config.recorded[kFingerprintKey] = base_fingerprint;
}

void RunSetup::load_data() {
  tokenizer = tokenizer_if_any(files);
  if (tokenizer) chat_template = select_chat_template(config.chat_template, *tokenizer);
  ThreadPool threads = make_threads(config);
  data = load_run_data(config, files, tokenizer ? &*tokenizer : nullptr,
                       chat_template ? &*chat_template : nullptr, threads);
  facts.threads = threads.size();
  facts.data = facts_of(data.train, true, tokenizer ? &*tokenizer : nullptr);
  check_cut();
  request.positions = data.train.longest;
  if (!data.eval) return;
  facts.eval_data = facts_of(*data.eval, false, nullptr);
  request.positions = std::max(request.positions, data.eval->longest);
}

/// Most of what the user wanted learned may lie beyond max_length: then the run is another than was meant.
void RunSetup::check_cut() const {
  const DataFacts& d = facts.data;
  const auto all = static_cast<double>(d.tokens + d.tokens_cut);
  const double share = static_cast<double>(d.tokens_cut) / all;
  if (share <= config.max_cut_share) return;
  throw Error(
      ErrorKind::usage,
      fmt::format("max_length {} cuts {:.0f} % of the data's tokens ({} of {} rows), max_cut_share is {}",
                  config.max_length, 100 * share, d.rows_cut, d.rows, config.max_cut_share),
      d.files.front(), "raise --max-length, or say --max-cut-share 1 if the rest is not wanted");
}

LoaderOptions RunSetup::loader_options(bool packing) const {
  return {config.per_device_train_batch_size,
          config.gradient_accumulation_steps,
          config.shuffle,
          config.seed,
          packing,
          config.max_length};
}

void RunSetup::count_steps() {
  loader.emplace(data.train.samples, loader_options(config.packing));
  facts.sequences = loader->sequences();
  facts.steps_per_epoch = loader->steps_per_epoch();
  facts.steps_per_epoch_unpacked = config.packing
                                       ? Loader(data.train.samples, loader_options(false)).steps_per_epoch()
                                       : facts.steps_per_epoch;
  facts.tokens_per_epoch = loader->tokens_per_epoch();
  const double steps = std::ceil(config.num_train_epochs * static_cast<double>(facts.steps_per_epoch));
  if (config.max_steps < 0 && !(steps < 1e15))
    throw Error(ErrorKind::usage,
                fmt::format("num_train_epochs of {} makes too many steps", config.num_train_epochs),
                "num_train_epochs");
  facts.total_steps = config.max_steps > 0 ? config.max_steps : static_cast<int64_t>(steps);
  facts.warmup_steps = schedule().warmup_steps();
  if (config.learning_rate > 0 && facts.warmup_steps > 0 && facts.total_steps <= 1)
    throw Error(ErrorKind::usage,
                "the learning rate never leaves zero: the run's only step is a warm-up step", "warmup_ratio",
                "set warmup_ratio and warmup_steps to 0, or train for more steps");
  const LoadRequest& r = request;
  const int64_t rows = config.per_device_train_batch_size;
  if (data.eval)
    eval_batches = evaluation_batches(data.eval->samples, rows,
                                      std::max<int64_t>(rows * data.train.longest, data.eval->longest));
  facts.model_name = files.name();
  facts.model_type = files.spec().model_type;
  facts.base_format = name_of(config.base_format);
  facts.compute_dtype = name_of(config.compute_dtype);
  facts.blocks = files.spec().num_hidden_layers;
  facts.parameters = files.parameter_count();
  facts.model_quantized_in_file = files.quantized();
  facts.base_bits_per_weight =
      bits_per_weight(files, config.base_format, r.bnb, resolve_compute_dtype(config.compute_dtype));
}

Schedule RunSetup::schedule() const {
  const bool warms_up = config.lr_scheduler_type != LrScheduler::constant;
  const int64_t warmup =
      warms_up ? Schedule::resolve_warmup(config.warmup_steps, config.warmup_ratio, facts.total_steps) : 0;
  return {config.lr_scheduler_type, config.learning_rate, warmup, facts.total_steps};
}

RunIdentity RunSetup::identity() const {
  RunIdentity id = {{"base_fingerprint", base_fingerprint}, {"data", data_fingerprint(data.train)}};
  for (const char* key : {"method", "base_format", "compute_dtype", "seed", "shuffle",
                          "per_device_train_batch_size", "gradient_accumulation_steps", "packing",
                          "max_length", "bf16_stochastic_round", "lora_dropout", "neftune_noise_alpha"})
    id[key] = key_text(config, key);
  id["optim"] = name_of(unpaged(config.optim));  // a run may go on paged, or no longer paged
  if (config.method != Method::full)
    for (const char* key : {"lora_r", "lora_alpha", "use_rslora", "use_dora", "loraplus_lr_ratio",
                            "lora_bias", "trainable_token_indices"})
      id[key] = key_text(config, key);
  if (config.base_format == BaseFormat::bnb_4bit)
    for (const char* key : {"bnb_4bit_quant_type", "bnb_4bit_use_double_quant", "bnb_4bit_blocksize"})
      id[key] = key_text(config, key);
  return id;
}

}  // namespace lorikeet
