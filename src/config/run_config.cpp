// Setting, checking and writing a RunConfig by the table of keys.
#include <filesystem>

#include "config/key_value.h"
#include "config/nearest.h"
#include "config/run_keys.h"
#include "core/error.h"

namespace lorikeet {
namespace {

const Key<RunConfig>& row_of(std::string_view key) {
  const Key<RunConfig>* row = find_run_key(key);
  if (row) return *row;
  std::vector<std::string> names;
  for (const Key<RunConfig>& known : run_keys()) names.emplace_back(known.info.name);
  throw Error(ErrorKind::usage, fmt::format("unknown key \"{}\"", key), {},
              did_you_mean(key, names, "see lorikeet finetune --help for the keys"));
}

std::string where_of(const RunConfig& config, const std::string& key) {
  const auto found = config.given.find(key);
  return found == config.given.end() ? key : found->second;
}

std::string absolute(const KeyInfo& info, const std::string& text) {
  std::error_code ignored;
  if (text.empty() || (info.path == PathRole::name_or_path && !std::filesystem::exists(text, ignored)))
    return text;
  const std::filesystem::path full = std::filesystem::absolute(text, ignored);
  return ignored ? text : full.lexically_normal().string();
}

KeyValue with_absolute_paths(const KeyInfo& info, KeyValue value) {
  if (info.path == PathRole::none) return value;
  if (auto* text = std::get_if<std::string>(&value)) *text = absolute(info, *text);
  if (auto* list = std::get_if<std::vector<std::string>>(&value))
    for (std::string& item : *list) item = absolute(info, item);
  return value;
}

void refuse(const RunConfig& config, const std::string& key, const std::string& message,
            const std::string& fix) {
  throw Error(ErrorKind::usage, message, where_of(config, key), fix);
}

bool is_device_name(const std::string& device) {
  if (device == "auto" || device == "cpu" || device == "cuda") return true;
  return device.size() > 5 && device.size() < 9 && device.rfind("cuda:", 0) == 0 &&
         device.find_first_not_of("0123456789", 5) == std::string::npos;
}

/// What one key alone cannot show.
void check_together(const RunConfig& c) {
  if (c.method == Method::qlora && c.base_format == BaseFormat::dense)
    refuse(c, "base_format", "method qlora cannot have base_format dense",
           "use --base-format bnb_4bit, or --method lora");
  if (c.method == Method::full &&
      (c.base_format == BaseFormat::bnb_4bit || c.base_format == BaseFormat::keep))
    refuse(c, "base_format",
           fmt::format("method full cannot have base_format {}: every weight is trained",
                       name_of(c.base_format)),
           "use --base-format dense, or --method qlora");
  if (c.method == Method::full && c.loraplus_lr_ratio)
    refuse(c, "loraplus_lr_ratio", "method full has no A and B to give different learning rates",
           "leave it out, or use --method lora");
  if (c.method == Method::full && !c.lora_modules_to_save.empty())
    refuse(c, "lora_modules_to_save", "method full trains every module in full", "leave it out");
  if (c.method == Method::full && !c.trainable_token_indices.empty())
    refuse(c, "trainable_token_indices", "method full trains every token", "leave it out");
  if (c.method == Method::full && c.lora_bias)
    refuse(c, "lora_bias", "method full has no B", "leave it out, or use --method lora");
  if (c.use_dora && c.lora_bias)
    refuse(c, "lora_bias", "use_dora and lora_bias exclude each other", "leave one of them out");
  if (c.lora_bias && c.init_lora_weights != LoraInit::standard)
    refuse(c, "lora_bias", "PEFT has lora_bias with the default start only",
           "leave out init_lora_weights or lora_bias");
  if (c.adapter && c.init_lora_weights != LoraInit::standard)
    refuse(c, "init_lora_weights", "the adapter brings its own values",
           "leave out init_lora_weights, or start without --adapter");
  if (c.use_dora && (c.init_lora_weights == LoraInit::pissa || c.init_lora_weights == LoraInit::olora))
    throw Error(
        ErrorKind::unsupported,
        fmt::format("use_dora with init_lora_weights {} is not supported", name_of(c.init_lora_weights)),
        where_of(c, "use_dora"), "leave out one of the two");
  if (c.method == Method::full && c.adapter)
    refuse(c, "adapter", "method full cannot start from an adapter", "merge it first: lorikeet merge");
  if (c.bf16_stochastic_round && c.method != Method::full)
    refuse(c, "bf16_stochastic_round",
           fmt::format("bf16_stochastic_round is for method full; the adapters of method {} are float32",
                       name_of(c.method)),
           "leave it out, or use --method full");
  if (c.bf16_stochastic_round && c.compute_dtype == ComputeDtype::float32)
    refuse(c, "bf16_stochastic_round", "bf16_stochastic_round needs compute_dtype bfloat16, it is float32",
           "leave it out, or use --compute-dtype bfloat16");
  if (!c.eval_data.empty() && c.eval_split)
    refuse(c, "eval_split", "eval_data and eval_split exclude each other", "leave one out");
  if (c.max_steps == 0)
    refuse(c, "max_steps", "max_steps cannot be 0", "give a number of steps, or -1 for num_train_epochs");
  const bool evaluates = !c.eval_data.empty() || c.eval_split.has_value();
  if (c.load_best_model_at_end && !evaluates)
    refuse(c, "load_best_model_at_end", "load_best_model_at_end needs held-out data",
           "add --eval-data or --eval-split");
  if (c.early_stopping_patience > 0 && (!evaluates || c.eval_steps == 0))
    refuse(c, "early_stopping_patience", "early_stopping_patience needs evaluations during the run",
           "add --eval-steps and --eval-data or --eval-split");
  if (!is_device_name(c.device))
    refuse(c, "device", fmt::format("device cannot be \"{}\"", c.device), "use auto, cpu, cuda or cuda:1");
  if (c.device.rfind("cuda", 0) == 0)
    throw Error(ErrorKind::unsupported, fmt::format("device {} is not yet supported", c.device),
                where_of(c, "device"), "use cpu");
}

}  // namespace

void set_key(RunConfig& config, std::string_view key, const std::string& text, const std::string& where) {
  const Key<RunConfig>& row = row_of(key);
  row.set(config, convert(row.info, raw_from_flag(row.info, text, where), where));
  config.given[std::string(key)] = where;
}

std::string key_text(const RunConfig& config, std::string_view key) {
  const Key<RunConfig>& row = row_of(key);
  return value_yaml(row.info, row.get(config));
}

void validate(const RunConfig& config) {
  static const RunConfig defaults;
  for (const Key<RunConfig>& row : run_keys())
    check(row.info, row.get(config), row.get(defaults), where_of(config, std::string(row.info.name)));
  check_together(config);
}

std::string to_yaml(const RunConfig& config) {
  static const RunConfig defaults;
  std::string out, section;
  for (const Key<RunConfig>& row : run_keys()) {
    if (row.info.section != section) {
      section = row.info.section;
      out += fmt::format("{}# {}\n", out.empty() ? "" : "\n", section);
    }
    const KeyValue value = row.get(row.info.per_invocation ? defaults : config);
    out += fmt::format("{}: {}\n", row.info.name, value_yaml(row.info, with_absolute_paths(row.info, value)));
  }
  if (config.recorded.empty()) return out;
  out += "\n# noted by the run\nrecorded:\n";
  const KeyInfo text{.name = "recorded", .section = "", .help = ""};
  for (const auto& [name, value] : config.recorded)
    out += fmt::format("  {}: {}\n", value_yaml(text, name), value_yaml(text, value));
  return out;
}

}  // namespace lorikeet
