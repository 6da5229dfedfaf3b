#pragma once
// The configuration of a run: one plain field per key, named as the key. Values come from YAML files, from
// flags or from code; `validate` checks them all in the same way, whatever they came from.
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace lorikeet {

enum class Method { lora, qlora, full };
/// How the frozen base is held in memory; `automatic` never stands in a resolved configuration.
enum class BaseFormat { automatic, dense, bnb_4bit, keep };
enum class QuantType { nf4, fp4 };
enum class ComputeDtype { automatic, float32, bfloat16 };
enum class LoraInit { standard, gaussian, pissa, olora, loftq, orthogonal };
enum class DataFormat { automatic, messages, prompt_completion, text, alpaca, sharegpt, tokenized };
enum class LrScheduler { constant, constant_with_warmup, linear, cosine };
enum class Optim { adamw, adamw_8bit, paged_adamw_32bit, paged_adamw_8bit, sgd };
enum class GradientCheckpointing { automatic, on, off };
enum class ReportTo { tensorboard, none };

/// Module names (a list, matched by suffix) or one regular expression (a string, matched whole), as in PEFT.
/// The string "all-linear" means every linear layer but the output head.
using ModuleSelection = std::variant<std::string, std::vector<std::string>>;

/// Every key of a run with its default. Meanings, ranges and what is built: `lorikeet finetune --help`.
struct RunConfig {
  // required
  std::string model;              ///< Hugging Face folder or .gguf file
  std::vector<std::string> data;  ///< training files
  std::string output;             ///< folder to write

  std::vector<std::string> eval_data;
  std::optional<double> eval_split;  ///< share of the training rows held out, taken with the seed
  Method method = Method::lora;
  BaseFormat base_format = BaseFormat::automatic;
  std::optional<std::string> adapter;  ///< PEFT folder to start from

  // quantization
  QuantType bnb_4bit_quant_type = QuantType::nf4;
  bool bnb_4bit_use_double_quant = true;
  int64_t bnb_4bit_blocksize = 64;
  ComputeDtype compute_dtype = ComputeDtype::automatic;

  // LoRA
  int64_t lora_r = 16;
  double lora_alpha = 32;
  double lora_dropout = 0.0;
  ModuleSelection lora_target_modules = std::string("all-linear");
  std::optional<ModuleSelection> lora_exclude_modules;
  std::vector<std::string> lora_modules_to_save;
  std::vector<int64_t> trainable_token_indices;  ///< rows of the embedding, and of a tied head
  bool lora_bias = false;
  std::vector<int64_t> layers_to_transform;
  std::map<std::string, int64_t> rank_pattern;
  std::map<std::string, double> alpha_pattern;
  bool use_rslora = false;
  bool use_dora = false;
  std::optional<double> loraplus_lr_ratio;
  std::optional<double> neftune_noise_alpha;
  LoraInit init_lora_weights = LoraInit::standard;

  // data
  DataFormat data_format = DataFormat::automatic;
  std::optional<std::string> chat_template;  ///< Jinja file or built-in name; none: the model's
  std::optional<std::string> prompt_column;
  std::optional<std::string> completion_column;
  std::optional<std::string> text_column;
  std::optional<std::string> messages_column;
  std::optional<std::string> completion_separator;
  std::optional<std::string> system_prompt;
  bool assistant_only_loss = true;
  bool completion_only_loss = true;
  int64_t max_length = 1024;
  bool allow_longer_context = false;
  double max_cut_share = 0.5;
  bool packing = false;
  bool skip_rows_without_targets = false;
  bool shuffle = true;
  uint64_t seed = 42;

  // training
  int64_t per_device_train_batch_size = 4;
  int64_t gradient_accumulation_steps = 1;
  double num_train_epochs = 1;
  int64_t max_steps = -1;  ///< -1: by epochs
  double learning_rate = 2e-4;
  LrScheduler lr_scheduler_type = LrScheduler::cosine;
  double warmup_ratio = 0.03;
  int64_t warmup_steps = 0;  ///< wins over warmup_ratio when > 0
  Optim optim = Optim::adamw;
  bool bf16_stochastic_round = false;  ///< method full: bf16 weights without f32 masters
  double adam_beta1 = 0.9;
  double adam_beta2 = 0.999;
  double adam_epsilon = 1e-8;
  double weight_decay = 0.0;
  double max_grad_norm = 1.0;  ///< 0: no clipping
  GradientCheckpointing gradient_checkpointing = GradientCheckpointing::automatic;
  std::optional<uint64_t> memory_limit;  ///< bytes; none: what is free

  // saving and reporting
  int64_t logging_steps = 10;
  int64_t eval_steps = 0;  ///< 0: only at the end
  int64_t save_steps = 200;
  int64_t save_total_limit = 2;
  bool load_best_model_at_end = false;
  int64_t early_stopping_patience = 0;  ///< 0: off
  std::optional<std::string> resume_from_checkpoint;
  ReportTo report_to = ReportTo::tensorboard;
  bool overwrite = false;
  bool allow_other_base = false;

  // machine
  std::string device = "auto";     ///< auto, cpu, cuda, cuda:1
  std::optional<int64_t> threads;  ///< none: every CPU this process may use

  /// Keys that were set, and where: "run.yaml, line 7" or "--lora-r". Empty for a configuration made in code.
  std::map<std::string, std::string> given;
  /// Facts a run notes beside its keys under `recorded:` in run.yaml, e.g. base_fingerprint, kept_blocks.
  std::map<std::string, std::string> recorded;

  bool is_given(const std::string& key) const { return given.count(key) != 0; }
};

/// Sets keys from a YAML file. Throws Error(usage) for an unknown key or a value of the wrong type (file,
/// line, nearest key) and Error(format) for a file that is not YAML.
void apply_yaml_file(RunConfig& config, const std::string& path);
/// The same from text; `name` stands in the errors.
void apply_yaml(RunConfig& config, const std::string& text, const std::string& name);

/// Sets one key from text as it stands after a flag: lists and maps as JSON, lists also comma-separated.
/// `where` is noted in `given` and stands in errors. Throws Error(usage).
void set_key(RunConfig& config, std::string_view key, const std::string& text, const std::string& where);

/// The value of one key as it stands in run.yaml. Throws Error(usage) for an unknown key.
std::string key_text(const RunConfig& config, std::string_view key);

/// Checks ranges and what is built. Throws Error(usage), or Error(unsupported) for what is not built yet.
void validate(const RunConfig& config);

/// Every key with its value, then `recorded`; paths absolute. Reading it gives the same configuration, except
/// that overwrite, allow_other_base and resume_from_checkpoint belong to one invocation and are written as
/// unset.
std::string to_yaml(const RunConfig& config);

/// "6GiB", "512 MiB", "1.5GB" or plain bytes. Throws Error(usage) with `where`.
uint64_t parse_size(const std::string& text, const std::string& where);

/// The name of an enum value as it stands in configurations, e.g. "nf4".
std::string_view name_of(Method value);
std::string_view name_of(BaseFormat value);
std::string_view name_of(QuantType value);
std::string_view name_of(ComputeDtype value);
std::string_view name_of(LoraInit value);
std::string_view name_of(DataFormat value);
std::string_view name_of(LrScheduler value);
std::string_view name_of(Optim value);
std::string_view name_of(GradientCheckpointing value);
std::string_view name_of(ReportTo value);

}  // namespace lorikeet
