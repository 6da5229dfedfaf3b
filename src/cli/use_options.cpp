#include "cli/use_options.h"

#include "core/error.h"

namespace lorikeet::cli {

void add_use_keys(Options& options, RunConfig& config) {
  options.add_run_keys(config,
                       {"model", "adapter", "method", "base_format", "bnb_4bit_quant_type",
                        "bnb_4bit_use_double_quant", "bnb_4bit_blocksize", "compute_dtype", "chat_template",
                        "system_prompt", "memory_limit", "allow_other_base", "device", "threads"});
  options.show_default("model", "from the adapter's run.yaml");
}

void check_use(const RunConfig& config, std::string_view command) {
  if (config.model.empty() && !config.adapter)
    throw Error(ErrorKind::usage, "--model is required", fmt::format("lorikeet {}", command),
                "add --model, or an --adapter whose run.yaml names its base");
  validate(config);
}

}  // namespace lorikeet::cli
