#pragma once
// Which modules get adapters: PEFT's rules over module paths (peft tuners_utils.py), without any model.
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "lorikeet/config.h"

namespace lorikeet {

struct TargetOptions {
  ModuleSelection targets = std::string("all-linear");
  std::optional<ModuleSelection> exclude;
  std::vector<int64_t> layers_to_transform;
  int64_t r = 16;
  double alpha = 32;
  bool use_rslora = false;
  std::map<std::string, int64_t> rank_pattern;
  std::map<std::string, double> alpha_pattern;
};

struct Target {
  std::string path;
  int64_t r = 0;
  double alpha = 0, scale = 0;  ///< scale = alpha / r, or alpha / sqrt(r) with rsLoRA
};

/// True if `path` equals `entry` or ends with a dot and `entry`.
bool matches_suffix(const std::string& path, const std::string& entry);

/// The adapted modules among `paths` (the linear layers in model order, without the output head) and `beside`
/// (head and embedding, which all-linear leaves out), with rank and scale of each. exclude wins over targets;
/// a string is a regular expression that must match the whole path; the first pattern of rank_pattern and
/// alpha_pattern that matches counts.
///
/// Throws Error(usage): no module matches, a list entry matches no module (naming it and near misses), a
/// broken regular expression, two patterns that match the same module with different values (PEFT sorts them
/// when it saves, so their order would change meaning).
std::vector<Target> select_targets(const std::vector<std::string>& paths, const TargetOptions& options,
                                   const std::vector<std::string>& beside = {});

/// The first of `paths` that `targets` names; empty if none.
std::string first_named(const std::vector<std::string>& paths, const ModuleSelection& targets);

}  // namespace lorikeet
