#pragma once
#include <map>
#include <string>
#include <vector>

#include "lora/targets.h"

namespace lorikeet {

/// The fields of PEFT's adapter_config.json that this program reads and writes.
struct AdapterConfig {
  TargetOptions targets;  ///< r, lora_alpha, target_modules, exclude_modules, patterns, use_rslora, ...
  double lora_dropout = 0;
  bool use_dora = false;
  std::string base_model_name_or_path;
  std::vector<std::string> modules_to_save;  ///< trained in full
  bool lora_bias = false;
  bool ensure_weight_tying = false;
  /// Module name -> ids of its rows that learn; "" stands for the embedding, of which PEFT writes a plain
  /// list.
  std::map<std::string, std::vector<int64_t>> trainable_token_indices;
  std::vector<std::string> ignored;  ///< fields of the file that PEFT knows and that mean nothing here

  /// Reads <folder>/adapter_config.json. Throws Error(usage) if the folder or file is missing, Error(format)
  /// for a broken file, Error(unsupported), naming field and value, for anything that would change results
  /// and is not built (bias, target_parameters, other PEFT methods, ...).
  static AdapterConfig read(const std::string& folder);

  /// The settings of the adapter [A; A0], [B, -B0] that holds the change since a start of A0, B0: twice the
  /// rank at the same scale, as PEFT's path_initial_model_for_weight_conversion writes.
  AdapterConfig with_start() const;

  /// As PEFT writes it: sorted keys, indent 2, inference_mode true.
  std::string to_json_text() const;
};

}  // namespace lorikeet
