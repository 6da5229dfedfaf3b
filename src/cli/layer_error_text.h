#pragma once
#include <vector>

#include "export/quantize.h"
#include "io/json.h"

namespace lorikeet::cli {

/// A table of the layers' quantization errors and their pooled value, on standard output.
void print_layer_errors(const std::vector<LayerError>& layers);
/// {"relative_rms", "layers": [{"name", "relative_rms", "worst_block", ...}]}
Json layer_errors_json(const std::vector<LayerError>& layers);

}  // namespace lorikeet::cli
