#include "model/saved_modules.h"

#include <algorithm>
#include <map>

#include "core/error.h"
#include "lora/targets.h"
#include "model/adapter_targets.h"
#include "model/files.h"
#include "model/model.h"

namespace lorikeet {

namespace {

constexpr const char* kKey = "lora_modules_to_save";

/// Every module with weights of its own, and whether its matrix is stored by columns.
std::map<std::string, bool> leaf_modules(const ModelSpec& spec) {
  std::map<std::string, bool> leaves;
  for (const ExpectedTensor& t : expected_tensors(spec)) {
    bool& transposed = leaves[t.name.substr(0, t.name.rfind('.'))];
    transposed = transposed || t.transposed;
  }
  const std::vector<std::string> embeddings = embedding_module_paths(spec);
  if (embeddings.size() > 1)
    leaves[spec.names.head];  // also where it is tied: it then gets weights of its own
  else
    leaves.erase(spec.names.head);
  return leaves;
}

/// True if a module that holds other modules ends with `name`.
bool names_container(const std::map<std::string, bool>& leaves, const std::string& name) {
  for (const auto& [leaf, transposed] : leaves)
    for (size_t dot = leaf.find('.'); dot != std::string::npos; dot = leaf.find('.', dot + 1))
      if (leaf.substr(0, dot).ends_with(name)) return true;
  return false;
}

}  // namespace

std::set<std::string> select_saved_modules(const ModelSpec& spec, const std::vector<std::string>& names) {
  std::set<std::string> saved;
  if (names.empty()) return saved;
  const std::map<std::string, bool> leaves = leaf_modules(spec);
  const std::vector<std::string> linear = linear_module_paths(spec), experts = expert_module_paths(spec);
  for (const std::string& name : names) {
    if (names_container(leaves, name))
      throw Error(ErrorKind::usage,
                  fmt::format("\"{}\" is a part of a block, not a module with weights of its own", name),
                  kKey, "name modules such as lm_head, embed_tokens, norm or q_proj");
    bool found = false;
    for (const auto& [leaf, transposed] : leaves) {
      if (!leaf.ends_with(name)) continue;
      if (transposed)
        throw Error(
            ErrorKind::unsupported,
            fmt::format("\"{}\" is stored by columns and cannot be trained in full beside an adapter", leaf),
            kKey, "leave it out, or use --method full");
      if (std::find(experts.begin(), experts.end(), leaf) != experts.end())
        throw Error(ErrorKind::unsupported,
                    fmt::format("\"{}\" is a part of a mixture of experts, which stays frozen", leaf), kKey,
                    "name modules of the attention, norms, embed_tokens or lm_head");
      if (!matches_suffix(leaf, name) && std::find(linear.begin(), linear.end(), leaf) != linear.end())
        throw Error(ErrorKind::usage, fmt::format("\"{}\" is only a part of the name of \"{}\"", name, leaf),
                    kKey, "write the module's whole name, or its path");
      found = true;
      saved.insert(leaf);
    }
    if (!found)
      throw Error(ErrorKind::usage, fmt::format("no module of this model ends with \"{}\"", name), kKey,
                  "name modules such as lm_head, embed_tokens, norm or q_proj");
  }
  return saved;
}

}  // namespace lorikeet
