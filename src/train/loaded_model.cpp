#include "train/loaded_model.h"

#include "backend/cpu/isa.h"
#include "export/adapter_options.h"
#include "train/adapter_start.h"

namespace lorikeet {

BaseFormat resolve_base_format(Method method, BaseFormat asked, bool file_is_quantized) {
  if (asked != BaseFormat::automatic) return asked;
  if (method != Method::qlora) return BaseFormat::dense;
  return file_is_quantized ? BaseFormat::keep : BaseFormat::bnb_4bit;
}

DType resolve_compute_dtype(ComputeDtype asked) {
  if (asked == ComputeDtype::automatic) return cpu_isa() == Isa::avx512bf16 ? DType::bf16 : DType::f32;
  return asked == ComputeDtype::bfloat16 ? DType::bf16 : DType::f32;
}

LoadRequest load_request(const RunConfig& c) {
  LoadRequest r;
  r.method = c.method;
  r.base_format = c.base_format;
  r.bnb.type = c.bnb_4bit_quant_type == QuantType::nf4 ? Bnb4Type::nf4 : Bnb4Type::fp4;
  r.bnb.blocksize = static_cast<int32_t>(c.bnb_4bit_blocksize);
  r.bnb.double_quant = c.bnb_4bit_use_double_quant;
  r.compute_dtype = c.compute_dtype;
  r.threads = static_cast<int>(c.threads.value_or(0));
  r.positions = c.max_length;
  r.adapter = c.adapter;
  r.init = c.init_lora_weights;
  r.seed = c.seed;
  r.neftune_noise_alpha = c.neftune_noise_alpha.value_or(0);
  r.bf16_weights = c.bf16_stochastic_round;
  if (c.method == Method::full || c.adapter) return r;
  AdapterConfig a;
  a.targets.targets = c.lora_target_modules;
  a.targets.exclude = c.lora_exclude_modules;
  a.targets.layers_to_transform = c.layers_to_transform;
  a.targets.r = c.lora_r;
  a.targets.alpha = c.lora_alpha;
  a.targets.use_rslora = c.use_rslora;
  a.targets.rank_pattern = c.rank_pattern;
  a.targets.alpha_pattern = c.alpha_pattern;
  a.lora_dropout = c.lora_dropout;
  a.use_dora = c.use_dora;
  a.modules_to_save = c.lora_modules_to_save;
  a.lora_bias = c.lora_bias;
  if (!c.trainable_token_indices.empty()) a.trainable_token_indices[""] = c.trainable_token_indices;
  a.base_model_name_or_path = c.model;
  r.new_adapter = a;
  return r;
}

namespace {

/// Throws if an adapter cannot start like this on a base held in `format`.
void check_start(LoraInit init, BaseFormat format) {
  if (changes_base(init) && format != BaseFormat::dense)
    throw Error(ErrorKind::usage,
                fmt::format("init_lora_weights {} takes a part out of the base, which is held as {}",
                            name_of(init), name_of(format)),
                "init_lora_weights", "use --base-format dense, or init_lora_weights loftq on a 4-bit base");
  if (init == LoraInit::loftq && format != BaseFormat::bnb_4bit)
    throw Error(
        ErrorKind::usage,
        fmt::format("init_lora_weights loftq makes up for 4-bit quantization, and the base is held as {}",
                    name_of(format)),
        "init_lora_weights", "use --method qlora with --base-format bnb_4bit");
}

std::optional<AdapterConfig> adapter_config(const LoadRequest& r) {
  if (r.adapter) return AdapterConfig::read(*r.adapter);
  return r.new_adapter;
}

LoadOptions load_options(const ModelFiles& files, const LoadRequest& r, BaseFormat format,
                         ThreadPool& threads, bool dry) {
  if (r.method == Method::full && format != BaseFormat::dense)
    throw Error(ErrorKind::usage, "full fine-tuning needs a dense base", "base_format",
                "use base_format: dense, or method: qlora");
  if (format == BaseFormat::keep && !files.quantized())
    throw Error(ErrorKind::usage, "base_format is keep, but the model's file holds dense weights",
                files.path(), "use base_format: bnb_4bit to quantize while loading, or dense");
  LoadOptions options{format, r.bnb, resolve_compute_dtype(r.compute_dtype), &threads, dry, {}};
  options.trains_all = r.train && r.method == Method::full;
  const std::optional<AdapterConfig> adapter = adapter_config(r);
  if (!adapter) return options;
  ModelOptions model;
  const std::vector<Target> targets = apply_adapter(*adapter, files.spec(), model);
  options.writable = changed_tensors(model);
  if (!r.new_adapter) return options;
  check_start(r.init, format);
  if (changes_base(r.init))
    for (const Target& t : targets) options.writable.insert(t.path + ".weight");
  return options;
}

int thread_count(int asked) { return asked > 0 ? asked : ThreadPool::available_cpus(); }

}  // namespace

LoadedModel::LoadedModel(const ModelFiles& files, const LoadRequest& request, bool dry)
    : files_(files),
      request_(request),
      base_format_(resolve_base_format(request.method, request.base_format, files.quantized())),
      threads_(thread_count(request.threads)),
      weights_(files, load_options(files, request, base_format_, threads_, dry)),
      trainable_(std::make_unique<TrainableStore>(resolve_compute_dtype(request.compute_dtype))),
      adapter_(adapter_config(request)),
      model_(build(adapter_, request.adapter, *trainable_, dry)),
      optimizer_(request.optimizer ? make_optimizer(*trainable_, *request.optimizer, dry) : nullptr) {
  // What was read but is not used in place: the kernel maps pages around each that is touched, metadata and
  // the ends of released tensors among them. No plan counts those.
  if (!dry) files.release();
}

Model LoadedModel::build(const std::optional<AdapterConfig>& adapter,
                         const std::optional<std::string>& folder, TrainableStore& trainable, bool dry) {
  const LoadRequest& r = request_;
  ModelOptions options;
  options.compute = trainable.compute_dtype();
  options.positions = r.positions;
  options.neftune_noise_alpha = r.neftune_noise_alpha;
  options.train_base = r.train && r.method == Method::full && !adapter;
  std::vector<Target> targets;
  if (r.bf16_weights) trainable.hold_base_in_compute_type();
  if (adapter) targets = apply_adapter(*adapter, files_.spec(), options);
  if (r.new_adapter && changes_base(r.init)) trainable.keep_start();
  Model model = build_model(files_.spec(), weights_, options, trainable, r.train, dry);
  if (r.new_adapter) check_starts(trainable, targets, files_.spec(), r.init);
  if (dry) return model;
  if (folder) {
    load_adapter(trainable, read_adapter_for(files_, *folder), *folder, files_.spec().num_hidden_layers,
                 adapter->base_model_name_or_path);
  } else if (adapter) {
    start_adapter(trainable, targets, r.init, r.seed, weights_, threads_);
    trainable.start_magnitudes(stream());
  }
  trainable.update_compute(stream());
  return model;
}

void LoadedModel::use_adapter(const std::string& folder) {
  LORIKEET_CHECK(!request_.train && !optimizer_);
  const AdapterConfig adapter = AdapterConfig::read(folder);
  if (!weights_.options().writable.empty() || !adapter.trainable_token_indices.empty())
    throw Error(ErrorKind::unsupported,
                "adapters with trainable_token_indices change the base and cannot take turns on it", folder,
                "use each of them in a run of its own");
  auto trainable = std::make_unique<TrainableStore>(compute());
  model_ = build(adapter, folder, *trainable, /*dry=*/false);
  trainable_ = std::move(trainable);
  adapter_ = adapter;
}

uint64_t LoadedModel::weights_bytes() const {
  // Full fine-tuning: the weights are parameters; what was read to fill them is released again.
  const bool trains_base = !adapter_ && !trainable_->parameters().empty();
  const uint64_t held = trains_base ? 0 : static_cast<uint64_t>(weights_.bytes().total());
  return held + model_.rope_memory.size();
}

}  // namespace lorikeet
