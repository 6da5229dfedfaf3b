#include "cli/use_options.h"

#include <array>

#include "core/error.h"

namespace lorikeet::cli {

namespace {

std::span<const Key<AdapterList>> adapter_list_key() {
  static const std::array rows{
      key<&AdapterList::adapter>("adapter", "run",
                                 "PEFT folder; given several times, they take turns on the base, which is "
                                 "loaded once")
          .path()
          .shown_default("none"),
  };
  return rows;
}

}  // namespace

void add_use_keys(Options& options, RunConfig& config, AdapterList* adapters) {
  options.add_run_keys(config, {"model"});
  if (adapters)
    options.add(*adapters, adapter_list_key());
  else
    options.add_run_keys(config, {"adapter"});
  options.add_run_keys(config, {"method", "base_format", "bnb_4bit_quant_type", "bnb_4bit_use_double_quant",
                                "bnb_4bit_blocksize", "compute_dtype", "chat_template", "system_prompt",
                                "memory_limit", "allow_other_base", "device", "threads"});
  options.show_default("model", "from the adapter's run.yaml");
}

void add_row_keys(Options& options, RunConfig& config) {
  options.add_run_keys(config, {"data_format", "prompt_column", "completion_column", "text_column",
                                "messages_column", "completion_separator", "assistant_only_loss",
                                "completion_only_loss", "max_length", "skip_rows_without_targets"});
}

void check_use(const RunConfig& config, std::string_view command, const AdapterList& adapters) {
  if (config.model.empty() && !config.adapter && adapters.adapter.empty())
    throw Error(ErrorKind::usage, "--model is required", fmt::format("lorikeet {}", command),
                "add --model, or an --adapter whose run.yaml names its base");
  validate(config);
}

}  // namespace lorikeet::cli
