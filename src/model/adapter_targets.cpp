#include "model/adapter_targets.h"

#include "core/error.h"
#include "model/model.h"

namespace lorikeet {

std::vector<std::string> expert_module_paths(const ModelSpec& s) {
  std::vector<std::string> paths;
  if (s.num_local_experts == 0) return paths;
  const ModuleNames& n = s.names;
  for (int64_t i = 0; i < s.num_hidden_layers; ++i) {
    if (!s.has_experts(i)) {
      for (const std::string* name : {&n.gate, &n.up, &n.down}) paths.push_back(layer_path(*name, i));
      continue;
    }
    paths.push_back(layer_path(n.router, i));
    for (int64_t e = 0; e < s.num_local_experts; ++e)
      for (const std::string* name : {&n.expert_gate, &n.expert_up, &n.expert_down})
        paths.push_back(expert_path(*name, i, e));
  }
  return paths;
}

namespace {

/// The last parts of the attention's module paths: q_proj, k_proj, v_proj, o_proj.
std::vector<std::string> attention_names(const ModelSpec& s) {
  const ModuleNames& n = s.names;
  std::vector<std::string> names;
  for (const std::string* path : {&n.q, &n.k, &n.v, &n.o})
    names.push_back(path->substr(path->rfind('.') + 1));
  return names;
}

}  // namespace

ModuleSelection default_targets(const ModelSpec& s) {
  if (s.num_local_experts > 0) return attention_names(s);
  return std::string("all-linear");
}

std::vector<Target> adapter_targets(const ModelSpec& s, const TargetOptions& options) {
  const std::string path = first_named(expert_module_paths(s), options.targets);
  if (!path.empty())
    throw Error(ErrorKind::unsupported,
                fmt::format("adapters on experts are not supported, and \"{}\" would get one", path),
                "lora_target_modules",
                fmt::format("name modules of the attention: --lora-target-modules {}",
                            fmt::join(attention_names(s), ",")));
  return select_targets(linear_module_paths(s), options, embedding_module_paths(s));
}

}  // namespace lorikeet
