#pragma once
#include <set>
#include <string>
#include <vector>

#include "model/spec.h"

namespace lorikeet {

/// Paths of the modules that PEFT's modules_to_save trains in full: those whose path ends with one of
/// `names`, as PEFT compares them ("norm" means input_layernorm too).
///
/// Throws Error(usage) for a name that no module with weights of its own has, that a part of a block has, or
/// that ends a linear layer's last word; Error(unsupported) for matrices that are stored by columns. A head
/// or embedding of a model that ties them is trained by itself, as PEFT does.
std::set<std::string> select_saved_modules(const ModelSpec& spec, const std::vector<std::string>& names);

}  // namespace lorikeet
